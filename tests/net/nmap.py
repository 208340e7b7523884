#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nmap from a kernel peer: RFC 9293's answers in LISTEN and CLOSED, a silence for bad checksums,
and sequence numbers that nobody guesses.

usage: nmap.py PARKLANE [--no-dpdk]. Prints TAP.
"""

import os
import re
import shutil
import subprocess
import sys

import netlib
from netlib import PARKLANE_IP, echo_tap, note

PROGRAM = os.path.abspath(sys.argv[1])
OPEN, CLOSED = 7, 8
# scan -> what an open and a closed port look like (RFC 9293 3.10.7.1 and 3.10.7.2).
STATES = {
    '-sS': (('open', 'syn-ack'), ('closed', 'reset')),
    '-sN': (('open|filtered', 'no-response'), ('closed', 'reset')),
    '-sF': (('open|filtered', 'no-response'), ('closed', 'reset')),
    '-sX': (('open|filtered', 'no-response'), ('closed', 'reset')),
    '-sA': (('unfiltered', 'reset'), ('unfiltered', 'reset')),
}


def nmap(*args):
    # By frames: the kernel's own idea of a bad checksum or an odd segment plays no part.
    cmd = ['nmap', '-n', '-Pn', '--send-eth', '--reason', '-p', '%d,%d' % (OPEN, CLOSED)]
    p = subprocess.run(cmd + list(args) + [PARKLANE_IP], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90)
    out = p.stdout.decode()
    assert p.returncode == 0, out
    return out


def ports(out):
    """port -> (state, reason)"""
    return {int(p): (state, reason) for p, state, reason in
            re.findall(r'^(\d+)/tcp +(\S+) +\S+ +(\S+)', out, re.M)}


def scan(kind):
    found = ports(nmap(kind))
    note('%s: open port %s, closed port %s' % ((kind,) + tuple(
        '%s (%s)' % found[p] for p in (OPEN, CLOSED))))
    assert (found[OPEN], found[CLOSED]) == STATES[kind], found


def bad_checksums():
    for kind in ('-sS', '-sA', '-sF'):
        found = ports(nmap(kind, '--badsum', '--max-retries', '1'))
        assert {reason for _, reason in found.values()} == {'no-response'}, (kind, found)


def prediction():
    out = nmap('-O', '-v')
    line = [text for text in out.splitlines() if 'Sequence Prediction' in text]
    assert line and 'Good luck!' in line[0], out
    note(line[0].strip())


CASES = [('test_nmap_scan_%s' % kind.strip('-'), lambda k=kind: scan(k)) for kind in STATES] + [
    ('test_nmap_bad_checksums_stay_unanswered', bad_checksums),
    ('test_nmap_sequence_numbers_are_not_guessed', prediction),
]


def main():
    reason = netlib.why_not(dpdk=True)
    if not reason and not shutil.which('nmap'):
        reason = 'no nmap'
    if reason:
        return netlib.skip_all([name for name, _ in CASES], reason)
    netlib.enter_namespaces(PROGRAM)
    tap = netlib.Tap(len(CASES))
    with echo_tap(PROGRAM) as srv:
        tap.run(CASES)
        rest = srv.stop()
        assert srv.status == 0, rest
        note([line.strip() for line in rest.splitlines() if 'drops' in line][0])
    return tap.status()


if __name__ == '__main__':
    sys.exit(main())
