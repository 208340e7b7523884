# SPDX-License-Identifier: BSD-3-Clause
"""What program.py and bench.py share: the program under test, called as its users call it.

Both take its path, and --no-dpdk if it was built so; --body NAME runs one function and no case,
for a child that has namespaces of its own.
"""

import calendar
import json
import os
import subprocess
import sys
import time

import netlib
from netlib import Skip

PROGRAM = os.path.abspath(sys.argv[1])
HAS_DPDK = '--no-dpdk' not in sys.argv
ROOT = os.geteuid() == 0
PORT = 4000 + os.getpid() % 20000


class Server(netlib.Server):
    """parklane echo, up when its readiness line came; `inside` goes before the command."""

    def __init__(self, *args, inside=()):
        super().__init__([PROGRAM, 'echo'] + list(args), inside, 'echo on')


def need(dpdk=False, root=False):
    if dpdk and not HAS_DPDK:
        raise Skip('built without DPDK')
    if root and not ROOT:
        raise Skip('needs root')


def run(*args, timeout=30):
    p = subprocess.run([PROGRAM] + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=timeout)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def check_bad(status, text, args):
    got, out, err = run(*args)
    assert got == status, 'status %d, not %d: %s' % (got, status, err)
    assert out == '', out
    assert err.count('\n') == 1 and err.startswith('parklane: '), err
    assert text in err, err


def check_bench_json(out, conns, size, backend, link, kind):
    """bench.md's form of `bench rr --json`; returns its one run."""
    c = json.loads(out)
    assert set(c) == {'meta', 'runs', 'ratios'} and len(c['runs']) == 1, c
    meta, one = c['meta'], c['runs'][0]
    assert set(meta) == {'machine', 'kernel', 'commit', 'cpus', 'date', 'seed', 'n'}, meta
    assert meta['kernel'] == os.uname().release and meta['cpus'] == os.cpu_count(), meta
    assert abs(time.time() - calendar.timegm(time.strptime(
        meta['date'], '%Y-%m-%dT%H:%M:%SZ'))) < 120, meta
    assert meta['machine'] and meta['commit'] and meta['n'] == 1 and meta['seed'] > 0, meta
    assert (one['set'], one['backend'], one['link'], one['test']) == (kind, backend, link, 'rr'), one
    assert (one['conns'], one['size']) == (conns, size), one
    assert one['rps'] > 0 and one['samples']['rps'] == [one['rps']], one
    assert abs(one['requests'] / one['seconds'] - one['rps']) < 0.01 * one['rps'], one
    assert set(one['rtt_us']) == {'p50', 'p90', 'p99', 'p999', 'max'}, one
    return one


def in_namespace(body):
    """Run body() in a child that has namespaces of its own; its failure is ours."""
    need(dpdk=True, root=True)
    code = subprocess.run(['unshare', '-n', '-m', sys.executable, sys.argv[0], PROGRAM,
                           '--body', body.__name__], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert code.returncode == 0, code.stdout.decode()


def ip(*args):
    subprocess.run(['ip'] + list(args), check=True)


def main(names):
    """Run the cases among `names`, the caller's globals()."""
    if '--body' in sys.argv:
        names[sys.argv[sys.argv.index('--body') + 1]]()
        return 0
    cases = sorted((n, f) for n, f in names.items() if n.startswith('test_'))
    tap = netlib.Tap(len(cases))
    tap.run(cases)
    return tap.status()
