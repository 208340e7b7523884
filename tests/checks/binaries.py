#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What must be true of what the linker made.

usage: binaries.py FILE...: the program and the shared library.
"""

import re
import subprocess
import sys

from common import Tap

# Where a switch or a first call arrives by an indirect branch.
TARGETS = ('coro_switch', 'coro_walk', 'coro_trampoline')
LANDING = re.compile(r'\b(endbr64|bti\s+c)\b')


def out(*cmd):
    return subprocess.run(cmd, stdout=subprocess.PIPE, check=True).stdout.decode()


def main():
    tap = Tap()
    # The lazy resolver would run on a goroutine's stack, with room for all vector registers.
    tap.case('test_binaries_are_bound_at_start',
             [f for f in sys.argv[1:] if not re.search(r'\bNOW\b', out('readelf', '-dW', f))])
    faults = []
    for f in sys.argv[1:]:
        for name in TARGETS:
            code = out('objdump', '-d', '--no-show-raw-insn', '--disassemble=' + name, f)
            first = [l for l in code.splitlines() if re.match(r'\s+[0-9a-f]+:', l)][:1]
            if not first or not LANDING.search(first[0]):
                faults.append('%s: %s begins with: %s' % (f, name, first))
    tap.case('test_binaries_indirect_targets_have_a_landing_pad', faults)
    tap.finish()


main()
