#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who may know whom (the house plan): checks every #include against the walls.

apps -> poller -> stack -> stack/base; drivers -> stack/{skb,netdev}.h; apps -> sim -> all three. The stack knows no
device library, no clock and no system call; only drivers/ includes rte_*; the poller meets
the stack in the two files of the stack backend alone, and liburing in the two of its
backend; nothing but apps/ and tests/ names apps/ or sim/. stack/base/ is arithmetic and lists, open to all.
"""

import re

from common import Tap, read, sources, strip_comments

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
# What a pure engine may take of libc: types, memory and strings, formatting.
STACK_LIBC = {'assert.h', 'ctype.h', 'errno.h', 'inttypes.h', 'limits.h', 'stdarg.h', 'stdbool.h',
              'stddef.h', 'stdint.h', 'stdio.h', 'stdlib.h', 'string.h', 'sys/types.h',
              'immintrin.h', 'emmintrin.h', 'smmintrin.h', 'nmmintrin.h', 'tmmintrin.h',
              'x86intrin.h', 'arm_neon.h', 'arm_acle.h'}
# A member (ops->read(...)) is a call through a table, not into the system.
STACK_CALLS = re.compile(
    r'(?<![\w.>])(clock_gettime|gettimeofday|time|nanosleep|usleep|sleep|rdtsc|__rdtsc|__builtin_ia32_rdtsc|'
    r'socket|read|write|open|close|poll|epoll_wait|syscall|getrandom|rand|random|mmap|'
    r'pthread_\w+)\s*\(')
STACK_BACKEND = re.compile(r'^poller/(netpoll_stack|conn_stack)(_int)?\.[ch]$')
URING_BACKEND = re.compile(r'^(poller/(netpoll_uring|conn_uring)\.c|tests/.*)$')
DRIVER_SEES = {'stack/skb.h', 'stack/netdev.h'}


def includes(path):
    """[(quoted?, name)] of a file; comments do not count."""
    # Strings must stay: the names of "..." includes are strings.
    text = re.sub(r'/\*.*?\*/', '', read(path), flags=re.S)
    return [(m.group(1) == '"', m.group(2)) for m in INCLUDE.finditer(text)]


def room_of(name):
    """The room of an included name; None for a system header."""
    for room in ('stack/base', 'stack', 'poller', 'drivers', 'sim', 'apps', 'tests'):
        if name.startswith(room + '/'):
            return room
    return 'poller' if name.startswith('parklane/') else None


def faults_of(path):
    mine, bad = room_of(path), []
    for _, name in includes(path):
        his = room_of(name)
        rte = re.match(r'(rte_|dpdk)', name)
        wrong = None
        if rte and mine != 'drivers':
            wrong = 'only drivers/ includes rte_*'
        elif name.startswith('liburing') and not URING_BACKEND.match(path):
            wrong = 'only netpoll_uring.c and conn_uring.c know liburing'
        elif mine == 'stack/base' and his not in (None, 'stack/base'):
            wrong = 'stack/base knows nobody'
        elif mine in ('stack', 'stack/base') and his is None and name not in STACK_LIBC:
            wrong = 'the stack knows no clock, system call or library'
        elif mine == 'stack' and his not in (None, 'stack', 'stack/base'):
            wrong = 'the stack knows nobody above it'
        elif mine == 'poller' and his in ('drivers', 'sim', 'apps', 'tests'):
            wrong = 'the poller does not know drivers or apps'
        elif mine == 'poller' and his == 'stack' and not STACK_BACKEND.match(path):
            wrong = 'the poller meets the stack in netpoll_stack and conn_stack only'
        elif mine == 'drivers' and his in ('poller', 'sim', 'apps', 'tests'):
            wrong = 'drivers know the stack\'s skb and netdev only'
        elif mine == 'drivers' and his == 'stack' and name not in DRIVER_SEES:
            wrong = 'drivers see stack/skb.h and stack/netdev.h only'
        elif mine == 'sim' and his in ('apps', 'tests'):
            wrong = 'the simulator knows neither apps nor tests'
        elif mine == 'apps' and his == 'tests':
            wrong = 'apps do not know tests'
        if wrong:
            bad.append('%s includes %s: %s' % (path, name, wrong))
    return bad


def main():
    tap, by_room = Tap(), {}
    for path in sources(('.c', '.h')):
        by_room.setdefault(room_of(path), []).append(path)
    for room, paths in sorted(by_room.items()):
        if room != 'tests':
            tap.case('test_arrows_%s_includes_allowed' % room.replace('/', '_'),
                     [f for p in paths for f in faults_of(p)])
    calls = []
    for path in by_room.get('stack', []) + by_room.get('stack/base', []):
        for n, line in enumerate(strip_comments(read(path)).splitlines(), 1):
            m = STACK_CALLS.search(line)
            if m:
                calls.append('%s:%d calls %s()' % (path, n, m.group(1)))
    tap.case('test_arrows_stack_calls_no_system', calls)
    tap.finish()


main()
