#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the repository's own commands say to wrong arguments: one line that tells what to do, and status 2.

usage: commands.py [PARKLANE]: of the program, too
"""

import os
import shutil
import subprocess
import sys
import tempfile

from common import ROOT, Tap

WRONG = {
    './run': ('nosuch',),
    'tests/fuzz/run': ('--nosuch', 'nosuch'),
    'tests/net/flood.py': ('', '--seconds x a b'),
    'tests/net/goodput.py': ('', '--nosuch', 'a b', '--loss x README.md README.md'),
    'tests/pkt/run': ('', '--nosuch x', 'nosuch.pkt', '--so /nonexist nosuch.pkt'),
}

# What argp leaves to us: the word at fault is named, not a good option beside it.
BLAMED = {
    'compare --quick extra': 'extra',
    'compare extra --quick': 'extra',
    'settings --markdown extra': 'extra',
    'settings -- extra': 'extra',
    'settings extra more': 'extra',
    'stat --json extra': 'extra',
    'stat --pid 1 extra': 'extra',
    'stat extra --nosuch': '--nosuch',
    'stat --json --nosuch': '--nosuch',
    'stat --nosuch extra': '--nosuch',
}


def blamed(program):
    for args, word in BLAMED.items():
        p = subprocess.run([program] + args.split(), timeout=60, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        err = p.stderr.decode()
        if p.returncode != 2 or p.stdout or ' %s: unknown or misplaced; ' % word not in err:
            yield 'parklane %s: status %d, "%s"' % (args, p.returncode, err)


def run_without_rights():
    """In a folder where it could build nothing, if it tried."""
    who = {'user': 65534, 'group': 65534, 'extra_groups': []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix='parklane-run-') as d:
        os.chmod(d, 0o755)
        shutil.copy(os.path.join(ROOT, 'run'), d)
        for args in ([], ['--quick'], ['bench']):
            p = subprocess.run([os.path.join(d, 'run')] + args, timeout=60, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, **who)
            err = p.stderr.decode()
            if p.returncode != 1 or p.stdout or 'run it as root' not in err or err.count('\n') != 1:
                yield 'run %s: status %d, "%s%s"' % (' '.join(args), p.returncode, p.stdout.decode(), err)


def main():
    tap = Tap()
    for command, wrong in WRONG.items():
        bad = []
        for args in wrong:
            p = subprocess.run([os.path.join(ROOT, command)] + args.split(), cwd=ROOT, timeout=60,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if p.returncode != 2 or p.stdout or p.stderr.count(b'\n') != 1:
                bad.append('%s %s: status %d, "%s%s"' % (command, args, p.returncode, p.stdout.decode(),
                                                         p.stderr.decode()))
        tap.case('test_commands_%s_tells_what_is_wrong_in_one_line' % command.strip('./').replace('/', '_'), bad)
    tap.case('test_run_compare_wants_root_before_it_builds', list(run_without_rights()))
    if len(sys.argv) > 1:
        tap.case('test_parklane_blames_the_word_at_fault', list(blamed(sys.argv[1])))
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
