#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Goodput over a lossy path in real time: Parklane -> Linux against Linux -> Linux, in turns.

usage: goodput.py PARKLANE SENDER [--seeds N] [--loss P,P,...] [--seconds S] [--rate R] [--rtt MS]
                  [--control NAME] [--quick | --smoke] [--json FILE]

One program, tests/net/goodput.c, sends through `parklane wire` for some seconds to a kernel that
reads as fast as it can: over our stack (af_packet on the wire's tap), and over the kernel's. Both
lose the frames of the same numbers, by the same seeds. Goodput is what the reader had after so many
seconds, start included. How late the wire's frames left stands beside: a run counts for what it says
only where that is small against the round trip.
"""

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

import netlib
from netlib import popen, sh

SMOKE = 'test_goodput_a_second_of_both_through_a_lossy_wire'
OURS, FAR, PORT = '10.78.0.1', '10.78.0.2', 7
# The wire has the first cpu. The second does TCP for whatever the taps get, as a NIC's interrupt would
# make it, or the wire would pay for both ends. Ends and reader are as urgent as it is, that other
# programs do not matter; so they never compute for long.
WIRE_CPU, RPS_CPUS, URGENT = '0', '2', ['chrt', '-f', '40']
# Enough for some fifty losses at what CUBIC makes of 20 ms, in percent: seconds.
SECONDS = {0: 6, 0.1: 12, 1: 8, 3: 8}
CPU = re.compile(r'model name\s*: (.*)')


def receive():
    """The reader, in the other namespace: a line with (bytes, seconds) for each connection."""
    ls = socket.socket()
    ls.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    ls.bind(('', PORT))
    ls.listen(1)
    print('ready', flush=True)
    buf = bytearray(netlib.MIB)
    while True:
        seconds = float(sys.stdin.readline())
        s = ls.accept()[0]
        start = time.monotonic()
        s.settimeout(seconds)
        got, end = 0, start
        try:
            while end - start < seconds:
                n = s.recv_into(buf)
                end = time.monotonic()
                if not n:
                    break
                if end - start < seconds:
                    got += n
        except (ConnectionError, socket.timeout):
            pass
        print(got, seconds if end - start >= seconds else time.monotonic() - start, flush=True)
        s.close()


class Bench:
    def __init__(self, a):
        self.a = a
        self.holder = popen(['unshare', '-n', 'sh', '-c', 'echo up; exec sleep 3600'],
                            stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.inside = ['nsenter', '-t', str(self.holder.pid), '-n']
        for where in ([], self.inside):
            sh(' '.join(where + ['sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1',
                                 'net.ipv6.conf.default.disable_ipv6=1']))
        sh('mount -t sysfs none /sys')
        self.reader = popen(self.inside + URGENT + [sys.executable, os.path.abspath(__file__), '--receive'],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.reader.stdout.readline()

    def wire(self, ours, loss, seed):
        a = self.a
        p = popen(['taskset', '-c', WIRE_CPU, a.parklane, 'wire', '--tap', 'ga'] + ([] if ours else ['--ip', OURS + '/24']) +
                  ['--tap', 'gb@%d' % self.holder.pid, '--ip', FAR + '/24', '--rate', a.rate,
                   '--delay', '%gms' % (a.rtt / 2), '--loss', '%g%%,0' % loss, '--seed', str(seed),
                   '--json'] + (['--pcap', a.pcap] if a.pcap else []),
                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for line in p.stderr:
            if b'wire between' in line:
                self.steer()
                return p
        raise AssertionError('the wire did not start')

    def steer(self):
        rps = '/sys/class/net/%s/queues/rx-0/rps_cpus'
        sh('echo %s >' % RPS_CPUS + rps % 'ga')
        sh("%s unshare -m sh -c 'mount -t sysfs none /sys && echo %s >%s'" % (
            ' '.join(self.inside), RPS_CPUS, rps % 'gb'))

    def sample(self, ours, loss, seed):
        """One connection; goodput in Mbit/s, the sender's TCP_INFO, the wire's counters."""
        a, seconds = self.a, self.a.seconds or SECONDS.get(loss, 8)
        wire = self.wire(ours, loss, seed)
        self.reader.stdin.write(b'%g\n' % seconds)
        self.reader.stdin.flush()
        lane = ['--dev', 'net_af_packet0,iface=ga', '--ip', OURS + '/24'] if ours else ['--epoll']
        lane += ['--set=' + s for s in a.set] if ours else []
        p = popen(URGENT + [a.sender] + lane + ['%s:%d' % (FAR, PORT), '%g' % (seconds + 0.3), a.control],
                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = p.communicate(timeout=seconds + 30)
        assert p.returncode == 0, err.decode()
        got, took = self.reader.stdout.readline().split()
        assert float(took) >= seconds, 'the connection ended after %s s' % took
        wire.send_signal(signal.SIGINT)
        counters = json.loads(wire.communicate(timeout=10)[0])
        return {'seed': seed, 'mbit': int(got) * 8 / 1e6 / seconds, 'sender': json.loads(out),
                'wire': counters}

    def end(self):
        for p in (self.reader, self.holder):
            p.kill()
            p.wait()


def spread(samples):
    v = sorted(s['mbit'] for s in samples)
    return '%7.2f (%.2f-%.2f)' % (statistics.median(v), v[0], v[-1])


def late(samples):
    p99 = [s['wire']['late_us']['p99'] for s in samples]
    return 'wire late: 99 %% %.0f us, in the worst run %.0f us, most %.1f ms' % (
        statistics.median(p99), max(p99), max(s['wire']['late_us']['max'] for s in samples) / 1e3)


def row(loss, us, linux):
    ratio = statistics.median(s['mbit'] for s in us) / statistics.median(s['mbit'] for s in linux)
    pairs = [u['mbit'] / x['mbit'] for u, x in zip(us, linux)]
    netlib.note('loss %4g %%: us %s, Linux %s Mbit/s; ratio %.3f; pairs %.3f (%.2f-%.2f), n %d; %s' % (
        loss, spread(us), spread(linux), ratio, statistics.median(pairs), min(pairs), max(pairs),
        len(us), late(us + linux)))
    sys.stdout.flush()
    return {'loss_percent': loss, 'ratio': ratio, 'pairs': pairs, 'us': us, 'linux': linux}


def machine():
    with open('/proc/cpuinfo') as f:
        cpu = CPU.search(f.read())
    return {'machine': '%s, %d cpus' % (cpu.group(1) if cpu else os.uname().machine,
                                        os.cpu_count()),
            'kernel': os.uname().release, 'date': time.strftime('%Y-%m-%dT%H:%M:%SZ',
                                                                time.gmtime())}


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('parklane', type=os.path.abspath)
    p.add_argument('sender', type=os.path.abspath)
    p.add_argument('--seeds', type=int, default=10, help='from 1 (default: 10)')
    p.add_argument('--first-seed', type=int, default=1)
    p.add_argument('--loss', default='0.1,1,3', help='percents (default: 0.1,1,3)')
    p.add_argument('--seconds', type=float, help='of a connection (default: by the loss)')
    p.add_argument('--rate', default='1gbit')
    p.add_argument('--rtt', type=float, default=20, help='ms, both ways (default: 20)')
    p.add_argument('--control', default='cubic')
    p.add_argument('--set', action='append', default=[], help='a setting of our stack, NAME=VALUE')
    p.add_argument('--quick', action='store_true', help='3 seeds of 4 seconds')
    p.add_argument('--smoke', action='store_true', help='one of a second, as a test: TAP')
    p.add_argument('--no-dpdk', action='store_true', help=argparse.SUPPRESS)
    p.add_argument('--json', help='a file for all samples')
    p.add_argument('--pcap', help='passed to the wire, for one sample')
    a = p.parse_args()
    if a.quick:
        a.seeds, a.seconds = 3, 4
    if a.smoke:
        a.seeds, a.seconds, a.loss = 1, 1.5, '1'
    a.losses = [float(x) for x in a.loss.split(',')]
    return a


def why_not():
    if os.cpu_count() < 2:
        return 'needs two cpus'
    if subprocess.run(URGENT + ['true'], stderr=subprocess.DEVNULL).returncode:
        return 'may not have real-time priority'
    return ''


def compare(a, bench):
    rows = []
    for loss in a.losses:
        us, linux = [], []
        for n in range(a.seeds):
            # who begins takes turns, too
            for ours in ((True, False), (False, True))[n % 2]:
                (us if ours else linux).append(bench.sample(ours, loss, a.first_seed + n))
        rows.append(row(loss, us, linux))
    return rows


def smoke(a):
    bench = Bench(a)
    try:
        done = compare(a, bench)[0]
        assert min(done['us'][0]['mbit'], done['linux'][0]['mbit']) > 0.5, done
        assert done['us'][0]['wire']['paths'][0]['lost'] > 0, done
    finally:
        bench.end()


def main():
    if sys.argv[1:] == ['--receive']:
        return receive()
    a = arguments()
    reason = netlib.why_not(dpdk=True) or why_not()
    if reason and a.smoke:
        return netlib.skip_all([SMOKE], reason)
    if reason:
        sys.exit('goodput: ' + reason)
    netlib.enter_namespaces(a.parklane)
    if a.smoke:
        tap = netlib.Tap(1)
        tap.run([(SMOKE, lambda: smoke(a))])
        return tap.status()
    meta = dict(machine(), rate=a.rate, rtt_ms=a.rtt, control=a.control, seeds=a.seeds)
    print(', '.join('%s %s' % kv for kv in meta.items()), flush=True)
    bench = Bench(a)
    try:
        rows = compare(a, bench)
    finally:
        bench.end()
    if a.json:
        with open(a.json, 'w') as f:
            json.dump({'meta': meta, 'rows': rows}, f, indent=1)
    return 0


if __name__ == '__main__':
    sys.exit(main())
