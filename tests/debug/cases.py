# SPDX-License-Identifier: BSD-3-Clause
"""Every test_ function of a module, in the order of names, as TAP. One that returns a text skips."""

import sys


def run(module):
    tests = [(n, f) for n, f in sorted(module.items()) if n.startswith('test_')]
    print('1..%d' % len(tests))
    failed = 0
    for i, (name, test) in enumerate(tests, 1):
        try:
            skip = test()
            print('ok %d - %s%s' % (i, name, ' # SKIP ' + skip if skip else ''))
        except Exception as e:
            failed += 1
            print('not ok %d - %s' % (i, name))
            for line in ('%s: %s' % (type(e).__name__, e)).splitlines():
                print('# ' + line)
        sys.stdout.flush()
    sys.exit(1 if failed else 0)
