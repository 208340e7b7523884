#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""tests/runner over builds of paper: what it counts, and what it runs beside what.

usage: runner.py. A meson of paper stands first in PATH and prints a build's tests.json.
"""

import json
import os
import subprocess
import sys
import tempfile

from common import ROOT, Tap

MESON = '#!/bin/sh\n[ "$1 $2" = "introspect --tests" ] && exec cat "$3/tests.json"\n'


def entry(name, script, suite='unit', **more):
    return dict({'name': name, 'cmd': ['sh', '-c', script], 'suite': ['p:' + suite], 'timeout': 20,
                 'env': {}, 'workdir': None, 'is_parallel': True, 'priority': 0}, **more)


def run(*entries, args=('b',)):
    """(exit status, lines) of the runner over a build 'b' that has these tests."""
    with tempfile.TemporaryDirectory() as d:
        os.mkdir(os.path.join(d, 'b'))
        with open(os.path.join(d, 'b', 'tests.json'), 'w') as f:
            json.dump(entries, f)
        with open(os.path.join(d, 'meson'), 'w') as f:
            f.write(MESON)
        os.chmod(os.path.join(d, 'meson'), 0o755)
        env = dict(os.environ, PATH=d + ':' + os.environ['PATH'], D=d)
        p = subprocess.run([sys.executable, os.path.join(ROOT, 'tests', 'runner'), *args], cwd=d, env=env,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        log = os.path.join(d, 'log')
        told = open(log).read().split() if os.path.exists(log) else []
    return p.returncode, p.stdout.decode().splitlines(), told


def ends(script, words, args=('b',), **more):
    """Faults unless a build of that one test ends with words, and the status that they mean."""
    status, lines, _ = run(entry('t', script, **more), args=args)
    good = ' 0 failed' in words and not words.startswith('0 passed')
    return [] if lines[-1] == words and status == (0 if good else 1) else ['%s: %d, %s' % (
        script, status, lines)]


def counts():
    return (ends('echo 1..2; echo ok 1; echo ok 2', '2 passed, 0 failed, 0 skipped') +
            ends('echo 1..2; echo ok 1', '1 passed, 1 failed, 0 skipped') +
            ends('echo 1..1; echo ok 1; kill -9 $$', '1 passed, 1 failed, 0 skipped') +
            ends('echo 1..1; echo ok 1; echo ERROR: LeakSanitizer >&2', '1 passed, 1 failed, 0 skipped') +
            ends('echo 1..1; echo not ok 1; exit 1', '0 passed, 1 failed, 0 skipped') +
            ends('true', '0 passed, 1 failed, 0 skipped') +
            ends('echo 1..1; echo ok 1; sleep 30', '1 passed, 1 failed, 0 skipped', timeout=1) +
            ends('echo Bail out! no room', '0 passed, 1 failed, 0 skipped'))


def suite_without_tests():
    return (ends('echo 1..1; echo ok 1', '0 passed, 1 failed, 0 skipped', args=('b:tsan',)) +
            ends('echo 1..1; echo ok 1', '1 passed, 1 failed, 0 skipped', args=('b:unit,tsan',)) +
            ends('echo 1..1; echo ok 1', '1 passed, 0 failed, 0 skipped', args=('b:unit', '-k', 't')))


def skips():
    faults = []
    for script, reason in (('echo 1..1; echo "ok 1 - a # SKIP no cable"', 'no cable'),
                           ('echo "1..0 # skip no cable"', 'no cable'),
                           ('echo no cable >&2; exit 77', 'no cable'),
                           ('echo 1..1; echo "ok 1 - a # SKIP"', 'no reason given')):
        _, lines, _ = run(entry('t', script))
        if lines[-1] != '0 passed, 0 failed, 1 skipped' or 'skip - ' not in lines[-2] or \
                not lines[-2].endswith(reason):
            faults.append('%s: %s' % (script, lines))
    return faults


def order():
    """Two that wait for each other, so that one after the other they would fail, and one alone."""
    meet = 'echo 1..1; : >$D/%s; n=0; until [ -e $D/%s ]; do sleep .05; n=$((n+1)); [ $n = 200 ] && exit; ' \
           'done; sleep .2; echo %s >>$D/log; echo ok 1'
    status, lines, told = run(
        entry('alone', 'echo 1..1; sleep .1; echo alone >>$D/log; echo ok 1', is_parallel=False),
        entry('one', meet % ('x', 'y', 'one')), entry('two', meet % ('y', 'x', 'two')),
        entry('last', 'echo 1..1; echo last >>$D/log; echo ok 1', is_parallel=False), args=('--jobs', '2', 'b'))
    faults = [] if status == 0 and sorted(told[:2]) == ['one', 'two'] and told[2:] == ['alone', 'last'] \
        else ['%d %s %s' % (status, told, lines)]
    say = 'echo 1..1; echo %s >>$D/log; echo ok 1'
    _, lines, told = run(entry('c', say % 'c'), entry('b', say % 'b', timeout=60),
                         entry('a', say % 'a', priority=1), args=('--jobs', '1', 'b'))
    return faults + ([] if told == ['a', 'b', 'c'] else ['%s %s' % (told, lines)])


def main():
    tap = Tap()
    tap.case('test_runner_counts_what_never_came', counts())
    tap.case('test_runner_named_suite_without_tests_is_a_failure', suite_without_tests())
    tap.case('test_runner_skip_has_its_reason', skips())
    tap.case('test_runner_long_ones_first_and_measuring_ones_alone', order())
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
