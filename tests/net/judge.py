#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""tshark as judge over a full capture of 64 MiB through parklane echo.

usage: judge.py PARKLANE [--no-dpdk]. Prints TAP. Every IP and TCP checksum must be there and
right, nothing malformed, nothing sent again on a clean path. The capture lies in memory and ends
with the test's namespace.
"""

import collections
import os
import re
import shutil
import subprocess
import sys

import netlib
from netlib import MIB, PARKLANE_IP, echo_tap, note, transfer

PROGRAM = os.path.abspath(sys.argv[1])
CAPTURE = '/run/judge.pcap'
SIZE = 64 * MIB
NAMES = ['test_judge_64_mib_captured_whole', 'test_judge_every_checksum_is_good',
         'test_judge_nothing_is_malformed', 'test_judge_clean_path_sends_nothing_twice']
# value of *.checksum.status -> name (packet-ip.c: proto_checksum_vals)
STATUS = {'0': 'bad', '1': 'good', '2': 'unverified', '3': 'not present', '': 'none'}
FIELDS = ['ip.checksum.status', 'tcp.checksum.status', '_ws.malformed', 'ip.src', 'tcp.len',
          'tcp.analysis.spurious_retransmission', 'tcp.analysis.retransmission',
          'tcp.analysis.lost_segment', 'tcp.checksum', 'tcp.checksum_calculated']
SEEN = [field for field in FIELDS if '.analysis.' in field]


class Verdict:
    """Counts of what tshark says, filled by look()."""

    def __init__(self):
        self.frames, self.ip, self.tcp = 0, collections.Counter(), collections.Counter()
        self.bytes, self.seen = collections.Counter(), collections.Counter()

    def look(self):
        cmd = ['tshark', '-n', '-r', CAPTURE, '-o', 'ip.check_checksum:TRUE', '-o',
               'tcp.check_checksum:TRUE', '-o', 'tcp.desegment_tcp_streams:FALSE', '-T',
               'fields', '-E', 'separator=;', '-E', 'occurrence=f']
        for field in FIELDS:
            cmd += ['-e', field]
        p = netlib.popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for line in p.stdout:
            self.count(line.decode().rstrip('\n').split(';'))
        err = p.stderr.read().decode()
        assert p.wait() == 0, err

    def count(self, values):
        row = dict(zip(FIELDS, values))
        self.frames += 1
        self.seen['malformed'] += bool(row['_ws.malformed'])
        if not row['ip.src']:
            return
        self.ip[STATUS[row['ip.checksum.status']]] += 1
        if row['tcp.len']:
            # One's complement has two zeros: Linux writes 0xffff where tshark wants 0 (RFC 1624 3).
            zeros = row['tcp.checksum'] == '0xffff' and row['tcp.checksum_calculated'] == '0x0000'
            self.tcp['good' if zeros else STATUS[row['tcp.checksum.status']]] += 1
            self.bytes[row['ip.src']] += int(row['tcp.len'])
        for field in SEEN:
            self.seen[field.split('.')[-1]] += bool(row[field])


def captured(verdict):
    with echo_tap(PROGRAM, '--pcap', CAPTURE) as srv:
        note('while captured: ' + netlib.rate(SIZE, transfer((PARKLANE_IP, 7), SIZE)))
        rest = srv.stop()
        assert srv.status == 0, rest
    again = re.search(r'(\d+) sent again', rest)
    verdict.sent_again = int(again.group(1))
    verdict.look()
    note('%d frames, %.0f MiB of capture' % (verdict.frames, os.path.getsize(CAPTURE) / MIB))
    for addr in (PARKLANE_IP, netlib.KERNEL_IP):
        assert verdict.bytes[addr] >= SIZE, (addr, verdict.bytes[addr])


def checksums(verdict):
    for what, counts in (('IP', verdict.ip), ('TCP', verdict.tcp)):
        note('%s checksums: Good %d, Bad %d, Unverified %d' % (
            what, counts['good'], counts['bad'], counts['unverified']))
        assert counts['good'] > 0 and set(counts) == {'good'}, dict(counts)


def malformed(verdict):
    note('malformed: %d of %d' % (verdict.seen['malformed'], verdict.frames))
    assert verdict.frames and not verdict.seen['malformed']


def clean(verdict):
    note('spurious retransmissions: %d, retransmissions: %d, not captured: %d, sent again by '
         'our own count: %d' % (verdict.seen['spurious_retransmission'],
                                verdict.seen['retransmission'], verdict.seen['lost_segment'],
                                verdict.sent_again))
    assert verdict.frames and not verdict.seen['spurious_retransmission'], 'spurious'
    assert not verdict.seen['lost_segment'], 'frames that were acknowledged are not captured'


def main():
    reason = netlib.why_not(dpdk=True)
    if not reason and not shutil.which('tshark'):
        reason = 'no tshark'
    if reason:
        return netlib.skip_all(NAMES, reason)
    netlib.enter_namespaces(PROGRAM)
    verdict, tap = Verdict(), netlib.Tap(len(NAMES))
    tap.run([(name, lambda f=f: f(verdict)) for name, f in
             zip(NAMES, (captured, checksums, malformed, clean))])
    return tap.status()


if __name__ == '__main__':
    sys.exit(main())
