# SPDX-License-Identifier: BSD-3-Clause
"""Where the fuzzers begin: the rows B1 to B34 of bad input, and captures of the simulator.

Each seed is a name and the bytes that its target reads; see the target's .c for what they mean.
rows() gives (target, name, bytes) of the rows, capture() one of a pcap's frames.
"""

import struct

FIN, SYN, RST, PSH, ACK, URG, ECE = 1, 2, 4, 8, 16, 32, 64
# what segments.c calls its operations, by their places in its table
SEGMENT, EACH, DATA, ACKS, USER, DSACK, TIME, OPEN = 0, 2, 3, 4, 6, 8, 9, 11
ICMP, TROUBLE, LOOP, OPTION = 12, 13, 14, 15
# sequence numbers are counted from here (seq_ref), acknowledgments from here (ack_ref)
EDGE, COPIED, IRS, OFO, OFO_END, FAR = 1, 2, 3, 4, 5, 6
UNA, WRITE, ISS, FACK, NTH, OLD = 1, 2, 3, 4, 5, 6
PASSIVE, ACTIVE, CONNECT, SYN_ONLY, UNACCEPTED, LISTEN, UNLISTEN, ACCEPT = range(8)
# what frames.c mends
ETH, IP, L4, TUPLE, MORE, TICK, GOOD, SPLIT = (1 << i for i in range(8))
ALL = ETH | IP | L4
US, PEER = bytes((10, 0, 0, 2)), bytes((10, 0, 0, 1))


def program(*ops, config=b'\0\0\0\0', shape=0):
    return config + bytes([shape]) + b''.join(ops)


def begin(kind=PASSIVE, at=0, peer=0, wrap=False, ecn=False, bind=False):
    return bytes([OPEN, at | wrap << 7, bind << 7 | kind << 4 | ecn << 3 | peer])


def seg(flags=ACK, seq=0, ack=0, seq_at=0, ack_at=0, size=0, win=0, opts=0, misc=0, more=b'', conn=0):
    return bytes([SEGMENT, conn, seq_at | ack_at << 3, (flags ^ ACK) & 255, seq & 255, ack & 255,
                  size, win, opts, misc]) + more


def raw(options, **kw):
    """A segment with these options instead of decent ones."""
    return seg(opts=0x80 | 0x10, more=options.ljust(40, b'\0')[:40], **kw)


def write(n=255, conn=0):
    return bytes([USER, conn, 0, n])


def user(what, n=0, conn=0):
    return bytes([USER, conn, what, n])


def wait(byte):
    return bytes([TIME, byte])


def icmp(kind, code, mtu=0, quote=0, more=b'', conn=0):
    return bytes([ICMP, conn, kind | quote, code, mtu // 8]) + more


def data(how, conn=0):
    return bytes([DATA, conn, how])


def acked(how=0, conn=0):
    return bytes([ACKS, conn, how])


def each(ms, nr=16, conn=0):
    return bytes([EACH, conn, (nr - 1) << 4 | ms])


def dsack(how, conn=0):
    return bytes([DSACK, conn, how])


def option(name, value, level=0, conn=0):
    """name: its place in sock_opt.h's list; level 0 TCP, 1 SOCKET, 2 IP."""
    return bytes([OPTION, conn, name, level << 2, value])


READ, CLOSE, SHUTDOWN = 3, 7, 5


def tcp(flags, seq=0, ack=0, doff=5, sport=2000, dport=7, win=1000, urg=0, rest=b''):
    return struct.pack('!HHIIBBHHH', sport, dport, seq & 0xffffffff, ack & 0xffffffff, doff << 4,
                       flags, win, 0, urg) + rest


def ip(payload, proto=6, src=PEER, dst=US, ihl=5, frag=0, ident=1, version=4, length=None, options=b''):
    length = 20 + len(options) + len(payload) if length is None else length
    return struct.pack('!BBHHHBBH4s4s', version << 4 | ihl, 0, length, ident, frag, 64, proto, 0,
                       src, dst) + options + payload


def frame(payload, mend=ALL, conn=None, tick=None, eth=b'\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0'):
    b = eth + payload
    head = bytes([mend | (TUPLE if conn is not None else 0) | (TICK if tick else 0)])
    if conn is not None:
        head += bytes([conn])
    if tick:
        head += bytes([tick])
    return head + struct.pack('!H', len(b)) + b


def frames(*records, states=0xffff, shape=0):
    return b'\0\0\0\0' + bytes([shape]) + struct.pack('!H', states) + b''.join(records)


def arp(op, sha, spa, tpa):
    return b'\0\x01\x08\0\x06\x04' + struct.pack('!H', op) + sha + spa + b'\x02\0\0\0\0\x01' + tpa


def rows_segments():
    up = begin()
    yield 'B01', program(up, seg(RST, seq=5), seg(RST, seq=5), wait(255), seg(RST, seq=5), data(1))
    yield 'B02', program(up, seg(RST, seq_at=EDGE, seq=1), seg(RST, seq=-1), seg(RST))
    yield 'B03', program(up, seg(SYN), seg(SYN | ACK, seq=3), seg(SYN, seq_at=IRS), data(1))
    yield 'B04', program(up, write(), seg(size=50, ack_at=OLD, ack=-5), seg(size=50, ack=10),
                         user(READ))
    yield 'B05', program(*[begin(at=i) for i in range(4)],
                         *[seg(f, seq=5, conn=i) for _ in range(8) for i in range(4) for f in (RST, SYN)])
    for flags in (0, FIN, SYN | FIN, SYN | RST, 255):
        yield 'B08-%02x' % flags, program(up, seg(flags), begin(SYN_ONLY, 1), seg(flags, conn=1), wait(255))
    yield 'B09', program(begin(CONNECT), seg(RST), seg(ACK, ack=5), seg(RST | ACK, ack=5), seg(SYN),
                         seg(ACK, seq=1), write(), acked())
    yield 'B10', program(begin(CONNECT), seg(ACK), seg(SYN), seg(SYN | ACK), seg(ACK), write(), acked())
    yield 'B12', program(*[begin(UNACCEPTED, i) for i in range(8)], data(4, 3), wait(195),
                         begin(ACCEPT), begin(ACCEPT), data(1, 1), shape=8)
    for i, options in enumerate((b'\x02\0', b'\x05\x01', b'\x08\x28', b'\xfd\x03\x01', b'\x01' * 40,
                                 b'\x02\x04\x01\0\x02\x04\x02\0')):
        yield 'B15-%d' % i, program(up, write(), raw(options, size=10), data(2))
    yield 'B16', program(up, seg(size=20, misc=4), seg(size=20), user(READ))
    for p in range(8):
        yield 'B17-%d' % p, program(begin(peer=p), write(), acked(), acked(), write(60), wait(70),
                                    acked(9), acked(), user(SHUTDOWN), acked(), acked(128))
    holes = [bytes([SEGMENT, 0, UNA << 3, 0, 0, 0, 0, 0, 0x40, 0]) +
             b''.join(bytes([0, 16 + 2 * (k + b), 16 + 2 * (k + b)]) for b in range(4)) for k in range(20)]
    yield 'B18', program(begin(peer=2), write(), write(), acked(), write(), *holes, acked(17), wait(80))
    yield 'B19', program(begin(peer=2), write(), seg(opts=0x40, ack_at=UNA, more=bytes(
        [4, 5, 251, 4, 200, 3, 4, 60, 60, 4, 5, 0])), seg(opts=0x10, ack_at=UNA, more=b'\0\xf0\x10'), acked())
    yield 'B20', program(up, *[seg(size=1, seq=i) for i in range(14, 0, -1)], data(0x7f), seg(size=1),
                         user(READ))
    yield 'B21', program(up, seg(size=10, seq=5), seg(size=14, seq=1, misc=16), seg(size=30),
                         user(READ))
    yield 'B26', program(up, seg(URG | ACK, size=10, misc=8, more=b'\x05'),
                         seg(URG | ACK, size=10, misc=8, more=b'\xff'), seg(URG | ACK, misc=8, more=b'\0'),
                         user(READ))
    yield 'B27', program(up, raw(b'\x03\x03\x0f'), raw(b'\x03\x03\xff', size=5), data(1))
    yield 'B28', program(up, data(1), seg(size=9, opts=2, more=b'\x01'), seg(size=9, opts=3, more=b'\x05'),
                         seg(size=9, opts=1), seg(size=9), user(READ))
    yield 'B29', program(up, seg(win=255), write(), wait(74), seg(win=0xf0), wait(66), seg(win=255),
                         wait(250), seg(), acked())
    yield 'B30', program(up, write(), write(), *[seg(ack_at=UNA) for _ in range(5)], seg(ack=60),
                         seg(ack_at=UNA, ack=1), seg(ack_at=UNA, ack=2), acked(0x40), acked())
    yield 'B31', program(up, seg(FIN | ACK, seq=10, size=5), seg(size=40, seq=12), seg(size=10),
                         seg(FIN | ACK), seg(FIN | ACK, seq=-1), user(READ), user(CLOSE), acked())
    yield 'B32', program(up, user(CLOSE), acked(), acked(128), seg(size=20, seq=-10), seg(RST),
                         seg(SYN, seq=100), seg(SYN, seq=100, opts=3, more=b'\x10'), seg(ack=1), wait(255))
    yield 'B34', program(up, seg(seq=-1), seg(seq=-1, size=1), begin(SYN_ONLY, 1),
                         seg(SYN, seq=-1, size=20, conn=1), wait(255), user(READ))
    yield 'B33', program(*[begin(ACTIVE, i) for i in range(8)], *[user(CLOSE, conn=i) for i in range(8)],
                         *[begin(CONNECT, i) for i in range(8)])
    for k in range(8):
        yield 'B24-%d' % k, program(up, write(), *[icmp(k, c) for c in range(6)], begin(CONNECT, 1),
                                    icmp(k, 1, conn=1), icmp(k, 1, quote=8, more=b'\x14'), wait(200))
    yield 'B25', program(up, write(), icmp(0, 4, 0), icmp(0, 4, 64), icmp(0, 4, 1496), icmp(0, 4, 600),
                         icmp(0, 4, 1200, quote=0x40, more=b'\x7f'), acked(), write(), acked(),
                         config=b'\0\x10\0\0')
    # decent: transfers both ways, loss, closes of all kinds, options, trouble, ourselves
    for cc in range(3):
        for ending in (user(CLOSE), user(SHUTDOWN) + acked() + acked(128), user(8), acked(128) + user(CLOSE)):
            yield 'decent-%d-%d' % (cc, ending[2]), program(
                begin(peer=(0, 2, 7)[cc]), *[write() + acked() for _ in range(6)], write(), acked(17), acked(26),
                wait(70), acked(), data(0x2f), user(READ), data(0x0f), user(READ), ending, acked(), wait(255),
                config=bytes([0, cc, 0, 0]))
    for user_timeout in (0, 250):
        yield 'keepalive-%d' % user_timeout, program(
            up, *[option(i, 1, 1) for i in range(20)], *[option(i, 1) for i in (3, 4, 5)],
            option(13, user_timeout), wait(192 + 20), seg(), write(1), acked(), wait(255))
    # a retransmission that was not needed, told by D-SACK, by timestamps, by F-RTO, by the probe
    late = [up, *[write(100) + acked() for _ in range(4)], write()]
    yield 'spurious-rto', program(*late, wait(64 + 3), dsack(0), dsack(8), dsack(8 + 1), acked(), write(), acked())
    yield 'spurious-fast', program(*late, acked(17), acked(25), wait(10), dsack(16), dsack(8), dsack(8), acked())
    yield 'spurious-frto', program(*late, wait(64 + 2), each(1, 3), each(1, 3), acked(), config=b'\x10\0\0\0')
    yield 'spurious-tlp', program(up, write(3), wait(64), dsack(8), acked(), write(3), wait(64), acked(), dsack(0))
    yield 'lost-again', program(*late, acked(17), wait(12), acked(26), wait(12), acked(27), wait(70), acked(35), acked())
    yield 'hystart', program(begin(), *[write() + write() + each(ms) + each(ms) for ms in (2, 2, 2, 3, 5, 9, 12, 3, 2, 2)])
    for cc in range(3):
        yield 'ecn-%d' % cc, program(
            begin(ecn=True), write(), acked(0x40), write(), each(1, 3), acked(0x40), acked(),
            *[seg(size=100, misc=ce) + seg(size=200, misc=ce) for ce in (3, 2, 3, 1)], write(3), seg(128 | ACK),
            begin(ACTIVE, 1, ecn=True), write(conn=1), acked(0x40, 1), config=bytes([0, cc, 0, 0]))
    yield 'bind', program(begin(ACTIVE, 0, bind=True), begin(ACTIVE, 2, bind=True), begin(CONNECT, 1, bind=True),
                          begin(ACTIVE, 0, bind=True), user(128), user(11))
    yield 'reuse', program(*[begin(ACTIVE, 0) + user(CLOSE) + acked() + acked(128) + wait(194) for _ in range(4)],
                           config=b'\0\0\0\x10')
    yield 'abrupt', program(up, write(), data(0x2f), begin(SYN_ONLY, 1), begin(CONNECT, 2), begin(UNACCEPTED, 3),
                            user(CLOSE), shape=16)
    yield 'many-holes', program(up, *[seg(size=20, seq=s) for s in (60, 30, 50, 20, 40, 70, 24, 55, 64)],
                                data(0x2f), data(0x2f), seg(size=100), seg(size=120), user(READ), data(15))
    for which in range(24):
        yield 'option-%d' % which, program(up, bytes([OPTION, 0, which, 0, 1]), write(3), acked(),
                                           bytes([OPTION, 0, which, 4, 1]), bytes([OPTION, 0, which, 8, 1]),
                                           write(3), data(1), acked(), wait(70))
    yield 'loop', program(bytes([LOOP, 0]), begin(ACCEPT), write(), user(READ), user(CLOSE), wait(255))
    for kind in range(8):
        for n in (1, 9, 40):
            yield 'trouble-%d-%d' % (kind, n), program(
                up, bytes([TROUBLE, kind, n]), write(), acked(17), data(0x23), bytes([TROUBLE, kind, n]),
                begin(at=1), begin(ACTIVE, 2), wait(80), user(READ), acked(), user(CLOSE))
    yield 'probe', program(up, *[write() + acked() for _ in range(12)], config=b'\0\x20\0\x40')
    yield 'black-hole', program(up, write(), wait(64 + 20), acked(), write(), acked(), config=b'\0\x10\0\0')


def rows_frames():
    other = bytes((10, 0, 0, 9))
    yield 'B06', frames(frame(ip(tcp(SYN), src=US), ETH | L4), frame(ip(tcp(SYN, sport=7), src=US), ETH))
    for i, src in enumerate(((255,) * 4, (224, 0, 0, 1), (0, 1, 2, 3), (127, 0, 0, 1), (10, 0, 0, 255),
                             (240, 0, 0, 1))):
        yield 'B07-%d' % i, frames(frame(ip(tcp(SYN), src=bytes(src)), ETH | L4),
                                   frame(ip(tcp(SYN), dst=bytes(src)), ETH | L4))
    for flags in (0, FIN, SYN | FIN, SYN | RST, 255, SYN, ACK, RST):
        yield 'B08-%02x' % flags, frames(
            frame(ip(tcp(flags))), frame(ip(tcp(flags, dport=99))),
            *[frame(ip(tcp(flags)), conn=c) for c in range(8)])
    yield 'B11', frames(*[frame(ip(tcp(SYN, sport=4000 + i, seq=i)), ALL | MORE) for i in range(60)])
    head = ip(tcp(ACK))
    yield 'B13', frames(
        *[frame(head[:n], ETH) for n in (0, 1, 19, 20, 30, 39)],
        frame(ip(tcp(ACK), ihl=4), ETH), frame(ip(tcp(ACK), ihl=15), ETH | L4),
        frame(ip(tcp(ACK), version=7), ETH), frame(ip(tcp(ACK), length=19), ETH),
        frame(ip(tcp(ACK), length=1000), ETH), frame(ip(tcp(ACK, doff=4))), frame(ip(tcp(ACK, doff=15))))
    yield 'B14', frames(frame(ip(tcp(ACK, rest=b'x' * 5)) + b'y' * 9, ETH | L4, conn=2))
    yield 'B16', frames(frame(ip(tcp(ACK))[:10] + b'\xff\xff' + ip(tcp(ACK))[12:], ETH), frame(ip(tcp(ACK)), ETH | IP),
                        frame(ip(b'\x08\0\0\0abcd', 1), ETH | IP))
    yield 'B20', frames(*[frame(ip(tcp(ACK, seq=i, rest=b'z')), conn=3) for i in range(40, 0, -1)])
    yield 'B22', frames(*[frame(ip(b'a' * 16, 1, frag=0x2000, ident=i)) for i in range(20)],
                        frame(ip(b'\x08\0\0\0' + b'p' * 12, 1, frag=0x2000, ident=99)),
                        frame(ip(b'q' * 9, 1, frag=2, ident=99)), frame(ip(b'q' * 16, 1, frag=0x3fff, ident=98)))
    for kind, code in ((3, 0), (3, 1), (3, 3), (3, 4), (3, 13), (4, 0), (5, 0), (11, 0), (12, 0)):
        quote = ip(tcp(ACK, sport=7, dport=2002)[:8], src=US, dst=PEER)
        yield 'B24-%d-%d' % (kind, code), frames(
            frame(ip(struct.pack('!BBHI', kind, code, 0, 600) + quote, 1)),
            frame(ip(struct.pack('!BBHI', kind, code, 0, 600) + quote[:15], 1)))
    yield 'B34', frames(frame(ip(tcp(SYN, sport=0))), frame(ip(tcp(SYN, dport=0))),
                        frame(ip(tcp(SYN, rest=b'data'))), frame(ip(tcp(ACK, seq=-1, rest=b'g')), conn=2))
    yield 'echo', frames(frame(ip(b'\x08\0\0\0abcdefgh', 1)), frame(ip(b'\x0d\0\0\0' + b'\0' * 16, 1)),
                         frame(ip(b'u' * 30, 17)), frame(ip(b'u' * 30, 47)),
                         frame(ip(tcp(ACK), ihl=6, options=b'\x83\x03\x04\0'), ETH | IP | L4),
                         frame(ip(tcp(ACK), ihl=6, options=b'\x07\x04\x04\0'), ETH | IP | L4, conn=2))
    mac = b'\x02\0\0\0\0\x02'
    eth = b'\xff' * 6 + mac + b'\x08\x06'
    yield 'arp', frames(frame(arp(1, mac, PEER, US), 0, eth=eth), frame(arp(2, mac, PEER, US), 0, eth=eth),
                        frame(arp(1, mac, US, US), 0, eth=eth), frame(arp(2, b'\x06' * 6, PEER, US), 0, eth=eth, tick=200),
                        frame(arp(1, mac, b'\0' * 4, US), 0, eth=eth), frame(arp(1, mac, other, PEER), 0, eth=eth),
                        frame(arp(9, mac, PEER, US), 0, eth=eth), frame(arp(1, b'\xff' * 6, PEER, US), 0, eth=eth))
    yield 'strangers', frames(*[frame(ip(tcp(SYN, sport=4000), src=bytes((10, 0, 0, i)))) for i in range(3, 40)],
                              *[frame(ip(b'\x08\0\0\0abcdefgh', 1, src=bytes((10, 0, 0, i)))) for i in range(60, 70)], shape=16)
    yield 'far', frames(*[frame(ip(tcp(SYN, sport=4000), src=bytes((192, 0, 2, i)))) for i in range(64, 80)])
    yield 'echoes', frames(*[frame(ip(b'\x08\0\0\0abcdefgh', 1), ALL | MORE) for i in range(60)], shape=32 + 64)
    for which in range(4):
        for peer in (0, 2, 7):
            states = peer | which << 7 | 0x0200 | (0x0400 if which & 1 else 0) | 0x0800 | 0x1000 | which << 13 | 0x8078
            yield 'states-%d-%d' % (which, peer), frames(
                *[frame(ip(tcp(f, rest=b'x' * n)), conn=c) for c in range(8) for f, n in ((ACK, 0), (ACK, 9), (FIN | ACK, 0))],
                states=states, shape=8 * (which & 1))


def rows_frag():
    more, last = 4, 0

    def piece(flags, ident, off, units, tail=0):
        return bytes([flags, ident, off, units | tail << 5])
    yield 'B22-in-order', bytes([0]) + piece(more, 1, 0, 4) + piece(more, 1, 4, 4) + piece(last, 1, 8, 2, 3)
    yield 'B22-reverse', bytes([7]) + piece(last, 1, 8, 2, 3) + piece(more, 1, 4, 4) + piece(more, 1, 0, 4)
    yield 'B22-overlap', bytes([0]) + piece(more, 1, 0, 4) + piece(more, 1, 3, 4) + piece(last, 1, 8, 2)
    yield 'B22-twice', bytes([0]) + piece(more, 1, 0, 4) * 2 + piece(last, 1, 4, 2)
    yield 'B22-far', bytes([0]) + piece(more, 1, 255, 0x9f) + piece(last, 1, 255, 0x9f)
    yield 'B22-tiny', bytes([0]) + b''.join(piece(more, 1, i, 1) for i in range(140)) + piece(last, 1, 140, 1)
    yield 'B22-firsts', bytes([0]) + b''.join(piece(more | i & 3, i, 0, 20) for i in range(200))
    yield 'B22-marks', bytes([6]) + piece(more | 0x30, 1, 0, 4) + piece(0x20, 1, 4, 2) + piece(more, 2, 0, 4) + piece(0x30, 2, 4, 2)
    yield 'B22-time', bytes([8]) + piece(more, 1, 0, 4) + b'\xff\xa0' + piece(more | 8, 2, 0, 4) + b'\xff\xff'
    yield 'B22-memory', bytes([16 + 4]) + piece(more, 1, 0, 4) + b'\xfe\x03' + piece(0x30, 1, 4, 2)


def rows_handshake():
    def case(options, how=0, isn=5, seconds=0, more=b'', config=b'\0\0\0\0'):
        return config + bytes([len(options)]) + options + bytes([how]) + struct.pack('!I', isn) + bytes([seconds]) + more
    full = b'\x02\x04\x05\xb4\x04\x02\x08\x0a\0\0\0\x01\0\0\0\0\x01\x03\x03\x07'
    yield 'cookie', case(full)
    yield 'cookie-ecn', case(full, 1, config=b'\x40\0\0\0')
    for seconds in (59, 61, 119, 121, 255):
        yield 'cookie-%d' % seconds, case(full, 0, seconds=seconds)
    yield 'cookie-data', case(full, 16, more=b'\x20')
    yield 'cookie-changed', case(full, 2, more=struct.pack('!II', 0, 1))
    yield 'cookie-ts', case(full, 4, more=bytes([12]) + b'\x01\x01\x08\x0a\0\0\0\x02\0\0\0\x3f')
    for mss in (0, 1, 48, 536, 1460, 65535):
        yield 'B17-%d' % mss, case(b'\x02\x04' + struct.pack('!H', mss))
    for i, options in enumerate((b'\x02\0', b'\x05\x01', b'\x08\x28', b'\xfd\x03\x01', b'\x01' * 40, b'\x03\x03\xff',
                                 b'\x02\x04\x01\0\x02\x04\x02\0', b'\x05\x0a' + b'\x07' * 8, b'\x05\x12' + b'\x07' * 16,
                                 b'\x05\x22' + b'\x07' * 32, b'\x05\x0b' + b'\x07' * 9, b'\x08\x0b' + b'\x07' * 9)):
        yield 'B15-%d' % i, case(options)


def rows():
    """(target, name, bytes) of every row; names are unique within a target."""
    for target, make in (('segments', rows_segments), ('frames', rows_frames), ('frag', rows_frag),
                         ('handshake', rows_handshake)):
        for name, blob in make():
            yield target, name, blob


def capture(pcap, first, count):
    """Some frames of a capture of the simulator, mended so that they are for one of our connections."""
    at, n, records = 24, 0, []
    while at + 16 <= len(pcap) and len(records) < count:
        size = struct.unpack_from('<IIII', pcap, at)[2]
        payload = pcap[at + 16 + 14:at + 16 + min(size, 300)]
        at, n = at + 16 + size, n + 1
        if n >= first and payload[:1] == b'\x45' and len(payload) >= 40:
            # numbers are distances there: small ones
            head, seg_ = payload[:20], payload[20:]
            seg_ = seg_[:4] + b'\0\0' + seg_[6:8] + b'\0\0' + seg_[10:]
            records.append(frame(head + seg_, conn=n & 7, tick=n & 3))
    return frames(*records)
