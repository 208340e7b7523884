#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ARCHITECTURE.md's table of the netpoller's requirements: a row for each, no empty cell, and each
function and test that it names exists."""

import os
import re

from common import ROOT, Tap, defines, read, sources, unit_tests

LAST = 56
# What may deliberately differ from Go must say so.
OTHER = {32, 36, 37} | set(range(40, 51))


def rows():
    for line in read('ARCHITECTURE.md').splitlines():
        m = re.match(r'\| R(\d+) \|(.*)\|(.*)\|$', line)
        if m:
            yield int(m.group(1)), m.group(2).strip(), m.group(3).strip()


def tests():
    """Every test by its full name."""
    found = unit_tests()
    for path in sources(('.c', '.h'), ('tests',)):
        text = read(path)
        found |= {'test_netpoll_' + n for n in re.findall(r'^BOTH(?:_FATAL)?\((\w+)\)', text, re.M)}
        if path.endswith('conn_suite.h'):
            found |= {'conn_case_' + n for n in re.findall(r'\bX\((\w+)\)', text)}
        if path.startswith('tests/tsan/'):
            found.add(path[len('tests/'):])
    return found | {'models/' + n for n in os.listdir(os.path.join(ROOT, 'tests/models'))}


def place_fault(place):
    path, _, name = place.partition(':')
    if not os.path.isfile(os.path.join(ROOT, path)):
        return 'no file ' + path
    if not defines(path, name):
        return '%s defines no %s()' % (path, name)
    return None


def main():
    tap, table, known = Tap(), list(rows()), tests()
    missing = [] if [r[0] for r in table] == list(range(1, LAST + 1)) else [
        'rows are not R1 to R%d, each once, in order' % LAST]
    tap.case('test_rtable_every_requirement_has_a_row', missing)
    empty, wrong, silent = [], [], []
    for nr, where, proof in table:
        places, proofs = re.findall(r'`([^`]+:\w+)`', where), re.findall(r'`([^`]+)`', proof)
        if not places or not proofs:
            empty.append('R%d' % nr)
        wrong += ['R%d: %s' % (nr, f) for f in map(place_fault, places) if f]
        wrong += ['R%d: no test %s' % (nr, p) for p in proofs if p not in known]
        if nr in OTHER and not re.search(r'Go\b', where):
            silent.append('R%d differs from Go and does not say why' % nr)
    tap.case('test_rtable_no_cell_is_empty', empty)
    tap.case('test_rtable_functions_and_tests_exist', wrong)
    tap.case('test_rtable_what_differs_from_go_says_why', silent)
    tap.finish()


main()
