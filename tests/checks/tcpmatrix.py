#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/tcp-matrix.md: a row for each T and B of the design, no empty cell, and each function, test
and script that it names exists; each B row is one of the simulator's hostile host."""

import os
import re

from common import ROOT, Tap, defines, read, unit_tests

# The design numbers the bad inputs without a 23.
WANTED = ['T%d' % n for n in range(1, 21)] + ['B%d' % n for n in range(1, 35) if n != 23]


def rows():
    for line in read('docs/tcp-matrix.md').splitlines():
        m = re.match(r'\| ([TB]\d+) \|(.*)\|$', line)
        if m:
            yield m.group(1), [cell.strip() for cell in m.group(2).split('|')]


def main():
    tap, table, known = Tap(), list(rows()), unit_tests()
    missing = [] if [r[0] for r in table] == WANTED else [
        'rows differ from T1-T20, B1-B34 in order: ' + ' '.join(
            sorted(set(WANTED) ^ {r[0] for r in table}))]
    tap.case('test_tcpmatrix_every_row_is_there', missing)
    empty, wrong, hostile = [], [], read('sim/foe_rows.c')
    for name, cells in table:
        if len(cells) != 4 or not all(cells):
            empty.append(name + ': a cell is missing or empty')
            continue
        places, proofs = (re.findall(r'`([^`]+)`', cell) for cell in cells[1:3])
        if not places or not proofs:
            empty.append(name + ' names no function or no test')
        for path, _, function in (p.partition(':') for p in places):
            if not os.path.isfile(os.path.join(ROOT, path)) or not defines(path, function):
                wrong.append('%s: %s defines no %s()' % (name, path, function))
        row = 'sim --hostile ' + name
        if name[0] == 'B' and (row not in proofs or '{"%s", ' % name not in hostile):
            wrong.append('%s: not `%s`, or sim/foe_rows.c has no such row' % (name, row))
        wrong += ['%s: no test %s' % (name, p) for p in proofs if p not in known and p != row and
                  not os.path.isfile(os.path.join(ROOT, p))]
    tap.case('test_tcpmatrix_no_cell_is_empty', empty)
    tap.case('test_tcpmatrix_functions_and_tests_exist', wrong)
    tap.finish()


main()
