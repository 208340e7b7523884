#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""parklane wire in real time: Linux on both ends, and Parklane's stack on one.

usage: wire.py PARKLANE [--no-dpdk]. Prints TAP. One end is in this namespace, the other in a second
one. Times are checked from below sharply, from above with room for a busy machine.
"""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import netlib
from netlib import KERNEL_IP, MIB, PARKLANE_IP, Server, note, popen, sh, transfer

PROGRAM = os.path.abspath(sys.argv[1])
ECHO = (PARKLANE_IP, 7)


class Far:
    """The namespace of the other end."""

    def __enter__(self):
        self.holder = popen(['unshare', '-n', 'sh', '-c', 'echo up; exec sleep 600'],
                            stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.inside = ['nsenter', '-t', str(self.holder.pid), '-n']
        # What the kernel says to IPv6 neighbours would take numbers of frames.
        for where in ([], self.inside):
            sh(' '.join(where + ['sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1',
                                 'net.ipv6.conf.default.disable_ipv6=1']))
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


class Wire:
    """A wire from wa, here, to wb, over there; `result` are its counters once it has ended."""

    def __init__(self, far, *options, far_ip=PARKLANE_IP + '/24'):
        self.result, self.log = None, ''
        self.args = [PROGRAM, 'wire', '--tap', 'wa', '--ip', KERNEL_IP + '/24', '--tap',
                     'wb@%d' % far.holder.pid] + (['--ip', far_ip] if far_ip else []) + ['--json']
        self.args += options

    def __enter__(self):
        self.p = popen(self.args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while True:
            line = self.p.stderr.readline().decode()
            assert line, 'the wire did not start: ' + self.log
            self.log += line
            if line.startswith('parklane: wire between'):
                return self

    def __exit__(self, kind, *_):
        self.p.send_signal(signal.SIGINT)
        try:
            out, err = self.p.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            out, err = self.p.communicate()
        self.log += err.decode()
        if kind is None:
            assert self.p.returncode == 0, self.log
            self.result = json.loads(out)
            late = self.result['late_us']
            note('late by: median %.1f us, 99 %% %.1f us, most %.1f us' % (
                late['p50'], late['p99'], late['max']))

    def path(self, way=0):
        return self.result['paths'][way]


def ping(count, *args):
    """(received, list of round trips in ms)"""
    out = sh('ping -n -W 1 -c %d %s %s' % (count, ' '.join(args), PARKLANE_IP), check=False)
    got = int(re.search(r'(\d+) received', out).group(1))
    return got, [float(t) for t in re.findall(r'time=([\d.]+)', out)]


def delay_both_ways(far):
    with Wire(far, '--delay', '30ms,10ms') as w:
        ping(1)
        got, rtt = ping(20, '-i', '0.02')
    rtt.sort()
    note('round trips %.2f to %.2f ms' % (rtt[0], rtt[-1]))
    assert got == 20 and rtt[0] >= 40 and rtt[10] < 42, rtt
    assert w.path(0)['frames'] >= 21 and w.path(1)['frames'] >= 21, w.result


def chance_of_loss(far):
    with Wire(far, '--loss', '10%,0') as w:
        got, _ = ping(1000, '-i', '0.002', '-q')
    assert 850 <= got <= 950, got
    there = w.path(0)
    assert there['lost'] == there['frames'] - there['delivered'], there
    assert 50 <= there['lost'] <= 150 and w.path(1)['lost'] == 0, w.result


def rate_and_queue(far):
    """1,000 frames of 1,000 bytes at once: 100 of them and those on their way get through."""
    with Wire(far, '--rate', '20mbit', '--queue', '100') as w:
        ping(1)
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(1000):
            s.sendto(b'x' * 958, (PARKLANE_IP, 9))
        s.close()
        time.sleep(0.2)
    there = w.path(0)
    note('%d of the queue dropped' % there['queue_drops'])
    assert 700 <= there['queue_drops'] <= 900 and 99000 <= there['queue_peak_bytes'] <= 101000, there


def lost_numbers(far, seed):
    with Wire(far, '--loss', '5%,0', '--seed', str(seed), '--verbose') as w:
        ping(1)
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for n in range(500):
            s.sendto(struct.pack('!I', n), (PARKLANE_IP, 9))
        s.close()
        time.sleep(0.1)
    lost = re.findall(r'wa -> wb: frame (\d+) of \d+ bytes is lost: loss', w.log)
    assert len(lost) == w.path(0)['lost'] > 10, w.log
    # the first frames are ARP's and ping's, whose number is not ours to say
    return [int(n) for n in lost if 10 < int(n) <= 500]


def same_seed(far):
    first = lost_numbers(far, 7)
    assert first == lost_numbers(far, 7)
    assert first != lost_numbers(far, 8)
    note('lost: %s ...' % first[:8])


def cut(far):
    with Wire(far, '--cut', '500ms:500ms') as w:
        got, _ = ping(40, '-i', '0.05')
    assert 27 <= got <= 37 and w.path(0)['cut'] + w.path(1)['cut'] >= 3, (got, w.result)


def kernels(far):
    """TCP between two kernels, with every fault at once."""
    with Server([PROGRAM, 'echo', '--epoll', '--port', '7'], far.inside):
        with Wire(far, '--delay', '2ms', '--jitter', '1ms', '--loss', '0.2%', '--reorder',
                  '0.2%:3ms', '--dup', '0.2%', '--corrupt', '0.2%', '--burst', '0.05%:30%') as w:
            note(netlib.rate(MIB, transfer(ECHO, MIB, timeout=30)))
    for what in ('reordered', 'dups', 'corrupted', 'lost'):
        assert w.path(0)[what] + w.path(1)[what] > 0, w.result


def our_stack(far):
    """Parklane's stack on the far tap by DPDK, the kernel here."""
    if '--no-dpdk' in sys.argv:
        raise netlib.Skip('built without DPDK')
    with Wire(far, '--delay', '2ms', '--loss', '0.5%', far_ip=None) as w:
        with Server([PROGRAM, 'echo', '--dev', 'net_af_packet0,iface=wb', '--ip',
                     PARKLANE_IP + '/24', '--port', '7'], far.inside) as srv:
            got, rtt = ping(5, '-i', '0.02')
            assert got >= 3 and min(rtt) >= 4, rtt
            note(netlib.rate(4 * MIB, transfer(ECHO, 4 * MIB, timeout=30)))
            srv.stop()
            assert srv.status == 0, srv.rest
    assert w.path(0)['lost'] + w.path(1)['lost'] > 10, w.result
    for way in (0, 1):
        assert not w.path(way)['tap_drops'] and not w.path(way)['write_errors'], w.result


def flood(far):
    """What is under way is bounded also where nothing but the delay holds it."""
    with Wire(far, '--delay', '60s', '--seconds', '20') as w:
        sh('ip neigh replace %s lladdr 02:00:00:00:00:09 dev wa' % PARKLANE_IP)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((PARKLANE_IP, 9))
            for _ in range(280000):
                s.send(b'x')
    there = w.path(0)
    note('%d refused, %d dropped by the tap' % (there['overrun'], there['tap_drops']))
    assert there['frames'] <= 262144 + 100, there
    assert there['frames'] + there['overrun'] + there['tap_drops'] >= 280000, there


def captures(far):
    with tempfile.TemporaryDirectory(dir='/run') as d:
        files = [d + '/a', d + '/b']
        with Wire(far, '--pcap', ','.join(files), '--loss', '100%,0') as w:
            ping(3, '-i', '0.02')
        a, b = (frames_of(f) for f in files)
    there, back = w.path(0), w.path(1)
    assert there['frames'] >= 2 and there['delivered'] == 0, w.result
    assert len(a) == there['frames'] + back['delivered'], (len(a), w.result)
    assert len(b) == back['frames'] + there['delivered'], (len(b), w.result)


def frames_of(path):
    with open(path, 'rb') as f:
        data = f.read()
    at, frames = 24, []
    while at < len(data):
        n = struct.unpack_from('=I', data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + n])
        at += 16 + n
    return frames


def ones_sum(data):
    data += b'\0' * (len(data) % 2)
    s = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return s


def honest_frames(far):
    """Nothing that a device was to finish: at most an MTU, with the checksum of TCP in it."""
    with tempfile.TemporaryDirectory(dir='/run') as d:
        with Server([PROGRAM, 'echo', '--epoll', '--port', '7'], far.inside), \
                Wire(far, '--delay', '1ms', '--pcap', d + '/a'):
            transfer(ECHO, MIB)
        segments = [f[14:] for f in frames_of(d + '/a') if f[12:14] == b'\x08\x00' and f[23] == 6]
    assert len(segments) > 1400 and max(map(len, segments)) == 1500
    for ip in segments:
        tcp = ip[20:struct.unpack('!H', ip[2:4])[0]]
        assert ones_sum(ip[:20]) == 0xffff, ip.hex()
        assert ones_sum(ip[12:20] + struct.pack('!HH', 6, len(tcp)) + tcp) == 0xffff, ip.hex()
    note('%d segments' % len(segments))


def ends_in_time(far):
    start = time.monotonic()
    out = sh('%s wire --tap wa --tap wb --seconds 0.3' % PROGRAM)
    assert 0.3 <= time.monotonic() - start < 3 and 'frames left late by' in out, out


def tap_deleted(far):
    p = popen([PROGRAM, 'wire', '--tap', 'wa', '--tap', 'wb'], stdout=subprocess.DEVNULL,
              stderr=subprocess.PIPE)
    netlib.wait_for(lambda: b'wire between' in p.stderr.readline())
    sh('ip link del wa')
    err = p.communicate(timeout=5)[1].decode()
    assert p.returncode == 1 and err.count('\n') == 1 and 'deleted' in err, err


def without_privilege(far):
    """Taps that root made for a user, and set up, are enough; none of them is one line."""
    user = ['setpriv', '--reuid', '65534', '--clear-groups', PROGRAM, 'wire', '--seconds', '0.1']
    p = subprocess.run(user + ['--tap', 'wa', '--tap', 'wb'], stderr=subprocess.PIPE)
    if b'Permission denied' in p.stderr:
        raise netlib.Skip('the program lies where only root reads')
    assert p.returncode == 1 and p.stderr.endswith(b'run it as root\n'), p.stderr
    sh('for i in wa wb; do ip tuntap add $i mode tap user 65534; ip link set $i up; done')
    try:
        subprocess.run(user + ['--tap', 'wa', '--tap', 'wb'], check=True, stderr=subprocess.PIPE,
                       stdout=subprocess.DEVNULL)
    finally:
        sh('ip link del wa; ip link del wb')


BAD = [
    ('--tap wa', 2, '--tap A --tap B'),
    ('--tap wa --tap wb --tap wc', 2, 'two ends'),
    ('--tap a-name-of-17-chars --tap wb', 2, 'at most 15'),
    ('--tap wa@ --tap wb', 2, 'namespace'),
    ('--tap wa@nowhere --tap wb', 1, "'ip netns add'"),
    ('--tap lo --tap wb', 1, 'choose another name'),
    ('--tap wa --tap wa', 2, 'both ends are the same tap'),
    ('--tap wa --ip 10.78.0.1 --tap wb', 2, '10.78.0.1/24'),
    ('--tap wa --ip 10.78.0.1/33 --tap wb', 2, '10.78.0.1/24'),
    ('--tap wa --ip 10.78.0.300/24 --tap wb', 2, '10.78.0.1/24'),
    ('--ip 10.78.0.1/24 --tap wa --tap wb', 2, 'behind the --tap'),
    ('--tap wa --tap wb --rate 1gbps', 2, '1gbit'),
    ('--tap wa --tap wb --delay 20', 2, '20ms'),
    ('--tap wa --tap wb --rate 1001gbit', 2, 'at most 1000gbit'),
    ('--tap wa --tap wb --rate 0', 2, 'leave --rate out'),
    ('--tap wa --tap wb --rate 1mbit --queue 0', 2, 'leave --queue out'),
    ('--tap wa --tap wb --queue 65537', 2, '1 to 65536'),
    ('--tap wa --tap wb --mark 64kb', 2, 'give --rate'),
    ('--tap wa --tap wb --delay 3601s', 2, 'at most 3600s'),
    ('--tap wa --tap wb --loss 101%', 2, '0% to 100%'),
    ('--tap wa --tap wb --loss 1', 2, 'give it as in 1%'),
    ('--tap wa --tap wb --dup 0.01', 2, 'give it as in 1%'),
    ('--tap wa --tap wb --cut 5', 2, '2s:500ms'),
    ('--tap wa --tap wb --mtu 100', 2, '1400'),
    ('--tap wa --tap wb --seed x', 2, '--seed'),
    ('--tap wa --tap wb --pcap /nowhere/x', 1, '/nowhere/x'),
    ('--tap wa --tap wb rest', 2, 'rest'),
]


def bad_input(far):
    for args, status, word in BAD:
        p = subprocess.run([PROGRAM, 'wire'] + args.split(), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=10)
        err = p.stderr.decode()
        assert p.returncode == status and not p.stdout, (args, p.returncode, err)
        assert err.startswith('parklane: ') and err.count('\n') == 1 and word in err, (args, err)


CASES = [
    ('delay_is_what_each_direction_was_told', delay_both_ways),
    ('loss_is_about_its_chance', chance_of_loss),
    ('rate_fills_the_queue_and_the_tail_is_dropped', rate_and_queue),
    ('same_seed_loses_the_same_frames', same_seed),
    ('cut_lets_nothing_pass', cut),
    ('kernels_under_all_faults_get_their_bytes', kernels),
    ('our_stack_on_one_end_gets_its_bytes', our_stack),
    ('flood_over_a_long_delay_is_bounded', flood),
    ('pcap_shows_what_passes_each_tap', captures),
    ('kernel_hands_over_finished_frames', honest_frames),
    ('seconds_end_it_with_its_counters', ends_in_time),
    ('a_tap_that_is_deleted_ends_it', tap_deleted),
    ('taps_of_a_user_need_no_privilege', without_privilege),
    ('bad_input_is_one_line', bad_input),
]
NAMES = ['test_wire_' + name for name, _ in CASES]


def main():
    reason = netlib.why_not(dpdk=False)
    if not reason and not os.access('/dev/net/tun', os.R_OK | os.W_OK):
        reason = 'no /dev/net/tun'
    if reason:
        return netlib.skip_all(NAMES, reason)
    netlib.enter_namespaces(PROGRAM)
    tap = netlib.Tap(len(NAMES))
    with Far() as far:
        tap.run([(name, lambda body=body: body(far)) for name, (_, body) in zip(NAMES, CASES)])
    return tap.status()


if __name__ == '__main__':
    sys.exit(main())
