#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Goodput over a lossy path in real time: Parklane -> Linux (or Linux -> Parklane, or Parklane at both
ends) against Linux -> Linux, in turns.

One program, tests/net/goodput.c, sends through `parklane wire` for some seconds, and reads as fast as it
can: over our stack (af_packet on the wire's tap), and over the kernel's. Both lose the frames of the
same numbers, by the same seeds. Goodput is what the reader had after so many seconds, start included. How
late the wire's frames left stands beside: a run counts for what it says only where that is small against
the round trip.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import cliargs  # noqa: E402
import netlib  # noqa: E402
from netlib import popen, sh

SMOKE = 'test_goodput_a_second_of_both_through_a_lossy_wire'
NEAR, FAR, PORT = '10.78.0.1', '10.78.0.2', '7'
# The wire has the first cpu. The second does TCP for whatever the taps get, as a NIC's interrupt would
# make it, or the wire would pay for both ends; both ends are there, with real-time priority, that other
# programs do not matter. On the wire's they would take what it leaves to others (apps/wire_rest.h).
WIRE_CPU, END_CPU, RPS_CPUS = '0', '1', '2'
URGENT = ['chrt', '-f', '40']
# Enough for some fifty losses at what CUBIC makes of 20 ms, in percent: seconds.
SECONDS = {0: 6, 0.1: 12, 1: 8, 3: 8}
CPU = re.compile(r'model name\s*: (.*)')


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

    def wire(self, sends, reads, loss, seed):
        a = self.a
        taps = ['--tap', 'ga'] + ([] if sends else ['--ip', NEAR + '/24'])
        taps += ['--tap', 'gb@%d' % self.holder.pid] + ([] if reads else ['--ip', FAR + '/24'])
        p = popen(['taskset', '-c', WIRE_CPU, a.parklane, 'wire'] + taps +
                  ['--rate', a.rate, '--delay', '%gms' % (a.rtt / 2), '--loss', '%g%%,0' % loss,
                   '--seed', str(seed), '--json'] + (['--queue', a.queue] if a.queue else []) +
                  (['--pcap', a.pcap] if a.pcap else []),
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

    def end_of(self, ours, where, dev, ip, args):
        """One end, as a program that runs: over our stack or the kernel's."""
        a = self.a
        lane = ['--dev', 'net_af_packet0,iface=' + dev, '--ip', ip + '/24'] if ours else ['--epoll']
        lane += ['--set=' + s for s in a.set] if ours else []
        return popen(where + [a.end] + lane + args + [END_CPU], stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE)

    def sample(self, sends, reads, loss, seed):
        """One connection; goodput in Mbit/s, the sender's TCP_INFO, the wire's counters. sends, reads:
        that end is ours."""
        a, seconds = self.a, self.a.seconds or SECONDS.get(loss, 8)
        wire = self.wire(sends, reads, loss, seed)
        reader = self.end_of(reads, self.inside, 'gb', FAR, ['receive', PORT, '%g' % seconds])
        assert reader.stdout.readline() == b'ready\n', reader.communicate()[1].decode()
        sender = self.end_of(sends, [], 'ga', NEAR,
                             ['send', FAR + ':' + PORT, '%g' % (seconds + 0.3), a.control])
        out, err = sender.communicate(timeout=seconds + 30)
        assert sender.returncode == 0, err.decode()
        got, err = reader.communicate(timeout=30)
        got = json.loads(got)
        assert got['seconds'] >= seconds, 'the connection ended after %s s: %s' % (
            got['seconds'], err.decode())
        wire.send_signal(signal.SIGINT)
        counters = json.loads(wire.communicate(timeout=10)[0])
        return {'seed': seed, 'mbit': got['bytes'] * 8 / 1e6 / seconds, 'sender': json.loads(out),
                'wire': counters}

    def end(self):
        self.holder.kill()
        self.holder.wait()


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
    p = cliargs.Parser(prog='goodput.py', description=__doc__)
    p.add_argument('parklane', type=os.path.abspath, help='build/apps/parklane')
    p.add_argument('end', type=os.path.abspath, help='build/tests/net/goodput')
    p.add_argument('--ours', choices=('sender', 'receiver', 'both'), default='sender',
                   help='which end is compared with Linux on both (default: sender)')
    p.add_argument('--seeds', type=int, default=10, help='from 1 (default: 10)')
    p.add_argument('--first-seed', type=int, default=1)
    p.add_argument('--loss', default='0.1,1,3', help='percents (default: 0.1,1,3)')
    p.add_argument('--seconds', type=float, help='of a connection (default: by the loss)')
    p.add_argument('--rate', default='1gbit')
    p.add_argument('--rtt', type=float, default=20, help='ms, both ways (default: 20)')
    p.add_argument('--queue', help="as the wire's (default: what the rate sends in a round trip)")
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
    try:
        a.losses = [float(x) for x in a.loss.split(',')]
    except ValueError:
        p.error('--loss takes percents, such as 0.1,1, and not ' + a.loss)
    for path in (a.parklane, a.end):
        if not os.path.isfile(path):
            p.error('no such file: ' + path)
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
                ends = ours and a.ours != 'receiver', ours and a.ours != 'sender'
                (us if ours else linux).append(bench.sample(*ends, loss, a.first_seed + n))
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
    meta = dict(machine(), rate=a.rate, rtt_ms=a.rtt, queue=a.queue or 'of a round trip',
                control=a.control, ours=a.ours, seeds=a.seeds)
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
