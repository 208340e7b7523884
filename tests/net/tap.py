#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""parklane echo and bench against the kernel's clients and servers, over a tap and over epoll.

usage: tap.py PARKLANE [--no-dpdk]. Prints TAP. The same cases meet Parklane's stack behind a tap
device and, in a second namespace behind a veth pair, the kernel's stack under our epoll backend.
"""

import errno
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import netlib
from netlib import KERNEL_IP, MIB, PARKLANE_IP, Server, Veth, echo_tap, note, popen, sh, transfer

PROGRAM = os.path.abspath(sys.argv[1])
ECHO = (PARKLANE_IP, 7)
LOSS = '-m statistic --mode random --probability 0.02 -j DROP'


# ---- cases of a server that runs: link is the kernel's end of the way there ----

def ping(srv, link):
    for args in ('-c 3 -i 0.1', '-c 2 -i 0.1 -s 1400', '-c 2 -i 0.1 -s 1472 -M do'):
        assert ' 0% packet loss' in sh('ping -W 2 %s %s' % (args, PARKLANE_IP)), args


def ping_flood(srv, link):
    out = sh('ping -f -c 2000 -w 5 %s' % PARKLANE_IP)
    assert '2000 received' in out, out


def ping_fragments(srv, link):
    """Put together and answered; we cut nothing, so an answer beyond our MTU is counted."""
    sh('ip link set %s mtu 576' % link)
    try:
        assert ' 0% packet loss' in sh('ping -c 2 -i 0.1 -W 2 -s 1400 %s' % PARKLANE_IP)
    finally:
        sh('ip link set %s mtu 1500' % link)
    sh('ping -c 2 -i 0.1 -W 0.5 -s 8000 %s' % PARKLANE_IP, check=False)
    drops = netlib.stat(PROGRAM, srv)['drops']
    assert drops.get('ip_too_big') == 2, drops
    ping(srv, link)


def nc(srv, link):
    with tempfile.TemporaryDirectory(dir='/run') as d:
        with open(d + '/in', 'wb') as f:
            for _ in range(64):
                f.write(os.urandom(MIB))
        start = time.monotonic()
        sh('timeout 30 nc -N %s 7 <%s/in >%s/out' % (PARKLANE_IP, d, d))
        note('nc: ' + netlib.rate(64 * MIB, time.monotonic() - start))
        assert netlib.sha256_file(d + '/in') == netlib.sha256_file(d + '/out')


def parallel(srv, link):
    note('64 streams: ' + netlib.rate(16 * MIB, transfer(ECHO, MIB // 4, streams=64)))


def half_close(srv, link):
    with socket.create_connection(ECHO, timeout=10) as s:
        s.sendall(b'x' * 100000)
        s.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        n = 0
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            n += len(piece)
    assert n == 100000, n


def refused(srv, link):
    start = time.monotonic()
    with socket.socket() as s:
        assert s.connect_ex((PARKLANE_IP, 8)) == errno.ECONNREFUSED
    assert time.monotonic() - start < 1


def reset(srv, link):
    for _ in range(20):
        s = socket.create_connection(ECHO, timeout=10)
        s.sendall(b'y' * 200000)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        s.close()
    all_gone(srv)
    transfer(ECHO, MIB)


def lossy(srv, link):
    rule = 'INPUT -i %s -p tcp %s' % (link, LOSS)
    sh('iptables -w 5 -A ' + rule)
    try:
        note('2 % loss at the kernel: ' + netlib.rate(16 * MIB, transfer(ECHO, 16 * MIB)))
        dropped = int(sh('iptables -w 5 -nvxL INPUT').splitlines()[2].split()[0])
        assert dropped, 'nothing was lost'
        note('%d packets lost' % dropped)
    finally:
        sh('iptables -w 5 -D ' + rule)


def killed(srv, link):
    p = popen(['sh', '-c', 'exec nc %s 7 </dev/zero >/dev/null' % PARKLANE_IP])
    time.sleep(0.3)
    p.kill()
    p.wait()
    all_gone(srv)
    transfer(ECHO, MIB)


def all_gone(srv):
    """No connection is left but the listener and what rests in TIME-WAIT."""
    def idle():
        s = netlib.stat(PROGRAM, srv)
        return s['goroutines'] <= 3 and all(
            k['state'] in ('LISTEN', 'TIME_WAIT', 'TIME-WAIT') for k in s.get('sockets', []))
    netlib.wait_for(idle, 3, 'connections or goroutines stay: the peer is gone')


def sigint(srv, link):
    rest = srv.stop()
    assert srv.status == 0, srv.status
    found = re.search(r'parklane: echo: (\d+) connections?, (\d+) bytes', rest)
    assert found and int(found.group(1)) > 60 and int(found.group(2)) > 64 * MIB, rest
    if link == 'pl0':
        assert 'drops' in rest, rest
    assert not netlib.leftovers(), netlib.leftovers()


# ---- the program as a client ----

def bench(*args, dev=0, **kw):
    lane = [] if dev is None else ['--dev', netlib.tap_device(dev), '--ip',
                                   '10.77.%d.2/24' % dev]
    return popen([PROGRAM, 'bench', 'rr'] + lane + list(args), stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE, **kw)


def bench_tap(n, connect, *args, before=None):
    """(status, stdout, stderr) of bench on tap n, the kernel's end up as soon as it is there."""
    p = bench('--connect', connect, *args, dev=n)
    try:
        netlib.wait_for(lambda: netlib.kernel_address('pl%d' % n, '10.77.%d.1/24' % n) or
                        p.poll() is not None)
        out, err = p.communicate(timeout=20)
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    return p.returncode, out.decode(), err.decode()


def client_rr():
    with Server([PROGRAM, 'echo', '--epoll', '--port', '7']):
        for conns, size in ((1, 64), (16, 64), (8, 20000)):
            status, out, err = bench_tap(0, KERNEL_IP + ':7', '--conns', str(conns), '--size',
                                         str(size), '--time', '0.5')
            assert status == 0 and ' req/s' in out, err
            note(out.splitlines()[0])
    assert not netlib.leftovers(), netlib.leftovers()


def one_line(answer, *words):
    status, out, err = answer
    assert status == 1 and out == '', answer
    assert err.count('\n') == 1 and err.startswith('parklane: '), err
    for word in words:
        assert word in err, err
    note(err.strip())


def client_closed_port():
    one_line(bench_tap(0, KERNEL_IP + ':9'), 'nothing listens')


def client_no_answers():
    """A host that is not there, and one that does not answer: at once, for the waiting."""
    answers = {}

    def ask(n, connect):
        answers[n] = bench_tap(n, connect)

    sh('iptables -w 5 -A INPUT -i pl2 -p tcp -j DROP')
    both = [threading.Thread(target=ask, args=a) for a in ((1, '10.77.1.9:7'),
                                                            (2, '10.77.2.1:7'))]
    for t in both:
        t.start()
    for t in both:
        t.join()
    sh('iptables -w 5 -D INPUT -i pl2 -p tcp -j DROP')
    one_line(answers[1], 'no such host')
    one_line(answers[2], 'no answer in time')
    assert not netlib.leftovers(), netlib.leftovers()


def client_server_killed():
    with Server([PROGRAM, 'echo', '--epoll', '--port', '7']) as srv:
        p = bench('--connect', KERNEL_IP + ':7', '--time', '10', '--conns', '4')
        netlib.wait_for(lambda: netlib.kernel_address('pl0'))
        time.sleep(1)
        srv.p.kill()
        out, err = p.communicate(timeout=10)
        one_line((p.returncode, out.decode(), err.decode()), 'went away')
    # What is killed cannot remove its socket; the next lane does.
    assert len(netlib.leftovers()) == 1, netlib.leftovers()
    with Server([PROGRAM, 'echo', '--epoll', '--port', '7']):
        pass
    assert not netlib.leftovers(), netlib.leftovers()


# ---- all of them ----

def faulty():
    with echo_tap(PROGRAM, '--fault', 'loss=0.02,reorder=0.02,seed=1') as srv:
        note('loss and reordering of 2 %: ' + netlib.rate(16 * MIB, transfer(ECHO, 16 * MIB)))
        rest = srv.stop()
        assert srv.status == 0 and 'faults rx' in rest and 'sent again' in rest, rest
        note([line for line in rest.splitlines() if 'sent again' in line][0].strip())
    assert not netlib.leftovers(), netlib.leftovers()


COMMON = [
    ('nc_64_mib_comes_back_the_same', nc),
    ('parallel_64_connections_each_gets_its_own', parallel),
    ('half_close_gets_the_rest_and_the_end', half_close),
    ('closed_port_is_refused_at_once', refused),
    ('reset_connections_are_gone', reset),
    ('loss_2_percent_16_mib_come_back_the_same', lossy),
    ('client_killed_leaves_nothing', killed),
    ('sigint_ends_clean_with_a_summary', sigint),
]
PINGS = [
    ('ping_small_and_full_are_answered', ping),
    ('ping_flood_2000_all_answered', ping_flood),
    ('ping_in_fragments_is_answered_within_our_mtu', ping_fragments),
]
ALONE = [
    ('test_tap_fault_16_mib_come_back_the_same', faulty),
    ('test_client_tap_rr_against_the_kernel', client_rr),
    ('test_client_tap_closed_port_is_told', client_closed_port),
    ('test_client_tap_no_host_and_no_answer_are_told', client_no_answers),
    ('test_client_tap_server_killed_is_told', client_server_killed),
]


def cases_of(prefix, cases, srv, link):
    return [('test_%s_%s' % (prefix, name), lambda f=f: f(srv, link)) for name, f in cases]


def names():
    return (['test_tap_' + n for n, _ in PINGS + COMMON] + [n for n, _ in ALONE] +
            ['test_epoll_' + n for n, _ in COMMON])


def main():
    reason = netlib.why_not(dpdk=True)
    if reason:
        return netlib.skip_all(names(), reason)
    netlib.enter_namespaces(PROGRAM)
    tap = netlib.Tap(len(names()))
    with echo_tap(PROGRAM) as srv:
        tap.run(cases_of('tap', PINGS + COMMON, srv, 'pl0'))
    tap.run(ALONE)
    with Veth() as v, Server([PROGRAM, 'echo', '--epoll', '--port', '7'], v.inside) as srv:
        tap.run(cases_of('epoll', COMMON, srv, 'vk0'))
    return tap.status()


if __name__ == '__main__':
    sys.exit(main())
