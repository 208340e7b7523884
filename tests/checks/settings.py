#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/settings.md is what the program's table of settings says.

usage: settings.py PARKLANE: compares with `parklane settings --markdown`.
"""

import subprocess
import sys

from common import Tap, read

PAGE = 'docs/settings.md'


def main():
    tap = Tap()
    now = subprocess.run([sys.argv[1], 'settings', '--markdown'], stdout=subprocess.PIPE,
                         check=True).stdout.decode()
    stale = [] if now == read(PAGE) else ['stale: run "parklane settings --markdown >%s"' % PAGE]
    tap.case('test_settings_page_is_the_table', stale)
    tap.finish()


main()
