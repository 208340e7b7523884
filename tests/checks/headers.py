#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each header compiles alone (style rule 24), with the compiler's own view of the project.

usage: headers.py [--no-dpdk] CC [ARG...]. Public headers are tried as C++ too: they promise
extern "C", -errnos that pl_strerror() explains, and an answer to NULL that a test knows.
"""

import os
import re
import subprocess
import sys

from common import ROOT, Tap, read, sources


def compiles(cc, flags, lang, path):
    """Lines of the compiler's complaint; empty if none."""
    cmd = cc + ['-x', lang, '-fsyntax-only', '-Wall', '-Wextra', '-Werror', '-I' + ROOT,
                '-idirafter', os.path.join(ROOT, 'poller'), '-D_GNU_SOURCE', '-include', path,
                '/dev/null'] + flags
    run = subprocess.run(cmd, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return run.stdout.decode(errors='replace').splitlines()[:5] if run.returncode else []


def without_text():
    """-errnos that a public header names and pl_strerror() has no row for."""
    rows = set(re.findall(r'\bE\((E[A-Z0-9]+),', read('poller/errors.c')))
    bad = []
    for path in sources(('.h',), ('poller/parklane',)):
        names = set(re.findall(r'-(E[A-Z][A-Z0-9]+)\b', read(path)))
        bad += ['%s: -%s has no text in poller/errors.c' % (path, n) for n in sorted(names - rows)]
    return bad


def without_null():
    """Public calls with a pointer among their parameters that tests/unit/test_null.c makes not."""
    made, bad = read('tests/unit/test_null.c'), []
    for path in sources(('.h',), ('poller/parklane',)):
        text = re.sub(r'/\*.*?\*/', '', read(path), flags=re.S)
        for name, params in re.findall(r'\bPL_API [^;(]*?(\w+)\(((?:[^()]|\([^()]*\))*)\);', text):
            if '*' in params and not re.search(r'\b%s\(' % name, made):
                bad.append('%s: %s() is called with no NULL in test_null.c' % (path, name))
    return bad


def main():
    args = sys.argv[1:]
    has_dpdk = '--no-dpdk' not in args
    cc = [a for a in args if a != '--no-dpdk'] or ['cc']
    tap, flags = Tap(), []
    if has_dpdk:
        # As system headers: theirs are not ours to keep free of warnings.
        cflags = subprocess.run(['pkg-config', '--cflags', 'libdpdk'], stdout=subprocess.PIPE,
                                check=True).stdout.decode().split()
        for flag in cflags:
            flags += ['-isystem', flag[2:]] if flag.startswith('-I') else [flag]
    tap.case('test_header_errnos_all_have_a_text', without_text())
    tap.case('test_header_calls_are_all_tried_with_null', without_null())
    for path in sources(('.h',), ('stack', 'poller', 'drivers', 'apps')):
        name = path.replace('/', '_').replace('.h', '').replace('-', '_')
        if not has_dpdk and 'rte_' in read(path):
            tap.n += 1
            print('ok %d - test_header_%s_compiles_alone # SKIP built without DPDK'
                  % (tap.n, name))
            continue
        tap.case('test_header_%s_compiles_alone' % name, compiles(cc, ['-std=gnu17'] + flags,
                                                                   'c', path))
        if path.startswith('poller/parklane/'):
            tap.case('test_header_%s_compiles_as_cxx' % name, compiles(cc, flags, 'c++', path))
    tap.finish()


main()
