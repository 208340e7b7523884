#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Linux as the peer in both roles, under loss, reordering, small and large MTUs, options that one
side lacks, and each congestion control that this kernel has.

usage: interop.py PARKLANE [JUMBO] [--no-dpdk]. Prints TAP. A case is one setting of the kernel's side and
one of ours: the kernel connects to our echo over a tap device, 2 MiB come back the same; then we
connect to an echo on the kernel's stack over another tap.
"""

import json
import os
import signal
import socket
import subprocess
import sys

import netlib
from netlib import KERNEL_IP, MIB, PARKLANE_IP, Server, echo_tap, note, popen, sh, transfer

PROGRAM = os.path.abspath(sys.argv[1])
JUMBO = ([os.path.abspath(a) for a in sys.argv[2:] if not a.startswith('-')] + [''])[0]
ECHO = (PARKLANE_IP, 7)
SIZE = 2 * MIB
# What a case may change in the namespace; the value that goes back is read first.
SYSCTL = '/proc/sys/net/ipv4/'


class Settings:
    """Sysctls of the kernel's side for as long as a case runs."""

    def __init__(self, values):
        self.values, self.old = values, {}

    def __enter__(self):
        for name, value in self.values.items():
            with open(SYSCTL + name) as f:
                self.old[name] = f.read()
            self.write(name, str(value))

    def __exit__(self, *_):
        for name, value in self.old.items():
            self.write(name, value)

    @staticmethod
    def write(name, value):
        with open(SYSCTL + name, 'w') as f:
            f.write(value)


def controls():
    with open(SYSCTL + 'tcp_available_congestion_control') as f:
        return f.read().split()


def prepare(link, mtu, control):
    """What is set once the device is there. The control by route: the sysctl may be locked."""
    if mtu:
        sh('ip link set %s mtu %d' % (link, mtu))
    if control:
        sh('ip route replace %s dev %s src %s congctl %s' % (netlib.NET, link, KERNEL_IP, control))


def kernel_dials(ours, mtu, control):
    """The kernel is the client: bytes both ways, compared."""
    with echo_tap(PROGRAM, *ours) as srv:
        prepare('pl0', mtu, control)
        took = transfer(ECHO, SIZE, timeout=60)
        rest = srv.stop()
        assert srv.status == 0, rest
    again = [line.strip() for line in rest.splitlines() if 'sent again' in line]
    note('kernel dials: ' + netlib.rate(SIZE, took) + (', ' + again[0] if again else ''))


def we_dial(ours, mtu, control):
    """We are the client: 20,000 bytes asked and answered, over and over."""
    with Server([PROGRAM, 'echo', '--epoll', '--port', '7']):
        p = popen([PROGRAM, 'bench', 'rr', '--dev', netlib.tap_device(0), '--ip',
                   PARKLANE_IP + '/24', '--connect', KERNEL_IP + ':7', '--conns', '4', '--size',
                   '20000', '--time', '1'] + list(ours), stdout=subprocess.PIPE,
                  stderr=subprocess.PIPE)
        try:
            netlib.wait_for(lambda: netlib.kernel_address('pl0') or p.poll() is not None)
            prepare('pl0', mtu, control)
            out, err = p.communicate(timeout=60)
        finally:
            if p.poll() is None:
                p.kill()
                p.wait()
    assert p.returncode == 0 and b' req/s' in out, err.decode()
    note('we dial: ' + out.decode().splitlines()[0].strip())


def both(ours=(), kernel=None, mtu=0, control=None):
    with Settings(kernel or {}):
        kernel_dials(ours, mtu, control)
        we_dial(ours, mtu, control)
    assert not netlib.leftovers(), netlib.leftovers()


def fault(loss, reorder=0):
    return ['--fault', 'loss=%g,reorder=%g,seed=7' % (loss, reorder)]


def with_control(name):
    if name not in controls():
        raise netlib.Skip('this kernel has no ' + name)
    for ours in ([], fault(0.01)):
        both(ours, control=name)


def mtu_case(mtu):
    both(['--mtu', str(mtu)], mtu=mtu)


def kernel_alone_jumbo():
    both(mtu=9000)


class Jumbo(Server):
    """jumbo.c: no virtual device of DPDK 22.11 takes 9000, so the stack is behind a bare tap."""

    def __init__(self, *more):
        if not JUMBO:
            raise netlib.Skip('no jumbo program given')
        super().__init__([JUMBO, '--tap', 'pl0', '--ip', PARKLANE_IP, '--mtu', '9000'] + list(more),
                         ready='jumbo: ready', stdout=subprocess.PIPE)
        # The MTU before the address: a client's connect waits for that.
        sh('ip link set pl0 mtu 9000')
        netlib.kernel_address('pl0')

    def result(self):
        out = json.loads(self.p.stdout.read())
        assert self.p.wait(20) == 0, self.p.returncode
        # Full segments of the kernel's and of ours, each a chain of buffers here.
        assert out['rx_max'] == 9000 and out['tx_max'] == 9000, out
        return out


def jumbo():
    """Frames of 9,014 bytes both ways, in both roles."""
    with Jumbo() as srv:
        took = transfer(ECHO, 16 * MIB, timeout=60)
        srv.p.send_signal(signal.SIGINT)
        note('kernel dials: %s, %s' % (netlib.rate(16 * MIB, took), srv.result()))
    with Server([PROGRAM, 'echo', '--epoll', '--port', '7']), \
            Jumbo('--connect', KERNEL_IP, '--bytes', str(16 * MIB)) as client:
        out = client.result()
        assert out['bytes'] == 16 * MIB, out
        note('we dial: %s' % out)


CASES = [
    ('plain', both),
    ('loss_1_percent', lambda: both(fault(0.01))),
    ('loss_5_percent', lambda: both(fault(0.05))),
    ('reordering_5_percent', lambda: both(fault(0, 0.05))),
    ('loss_1_and_reordering_2_percent', lambda: both(fault(0.01, 0.02))),
    ('kernel_without_window_scale', lambda: both(kernel={'tcp_window_scaling': 0})),
    ('kernel_without_timestamps', lambda: both(kernel={'tcp_timestamps': 0})),
    ('kernel_without_any_option', lambda: both(fault(0.01), {
        'tcp_window_scaling': 0, 'tcp_timestamps': 0, 'tcp_sack': 0})),
    ('we_without_window_scale', lambda: both(['--set', 'tcp_window_scaling=0'])),
    ('we_without_timestamps', lambda: both(['--set', 'tcp_timestamps=0'])),
    ('kernel_without_sack_loss_1_percent', lambda: both(fault(0.01), {'tcp_sack': 0})),
    ('we_without_sack_loss_1_percent', lambda: both(fault(0.01) + ['--set', 'tcp_sack=0'])),
    ('ecn_asked_by_the_kernel', lambda: both(fault(0.01), {'tcp_ecn': 1})),
    ('ecn_asked_by_both', lambda: both(['--set', 'tcp_ecn=1'], {'tcp_ecn': 1})),
    ('mtu_576', lambda: mtu_case(576)),
    ('mtu_1400', lambda: mtu_case(1400)),
    ('kernel_mtu_9000_ours_1500', kernel_alone_jumbo),
    ('mtu_9000_over_a_tap', jumbo),
    ('kernel_runs_reno', lambda: with_control('reno')),
    ('kernel_runs_cubic', lambda: with_control('cubic')),
    ('kernel_runs_bbr', lambda: with_control('bbr')),
    ('we_run_reno_loss_1_percent',
     lambda: both(fault(0.01) + ['--set', 'tcp_congestion_control=reno'])),
    ('we_run_dctcp_with_ecn',
     lambda: both(['--set', 'tcp_congestion_control=dctcp', '--set', 'tcp_ecn=1'],
                  {'tcp_ecn': 1})),
]
NAMES = ['test_interop_' + name for name, _ in CASES]


def main():
    reason = netlib.why_not(dpdk=True)
    if reason:
        return netlib.skip_all(NAMES, reason)
    netlib.enter_namespaces(PROGRAM)
    socket.setdefaulttimeout(60)
    tap = netlib.Tap(len(NAMES))
    tap.run(list(zip(NAMES, (body for _, body in CASES))))
    return tap.status()


if __name__ == '__main__':
    sys.exit(main())
