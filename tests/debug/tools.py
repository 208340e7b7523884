#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""gdb and Valgrind over a program with parked goroutines.

usage: tools.py CROWD GDB_SCRIPT. Prints TAP; what is not installed is skipped.
"""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

import cases

CROWD, SCRIPT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])


def gdb(*commands, args=()):
    cmd = ['gdb', '--batch', '-nx', '-iex', 'set debuginfod enabled off', '-x', SCRIPT,
           '-ex', 'set pagination off', '-ex', 'set confirm off', '-ex', 'set width 0']
    for c in commands:
        cmd += ['-ex', c]
    p = subprocess.run(cmd + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=120)
    return p.stdout.decode(errors='replace')


def check_backtrace(text):
    frames = re.findall(r'^#\d+ .*', text, re.M)
    names = [re.search(r'(?:in )?(\w+) \(', f).group(1) for f in frames]
    assert names.count('wait_deep') == 6, text
    assert names[0] == 'hop' and names[-1] == 'coro_trampoline' and 'customer' in names, text
    assert 'corrupt' not in text, text


def test_gdb_lists_goroutines_and_walks_a_parked_one_of_a_live_program():
    if not shutil.which('gdb'):
        return 'gdb is not installed'
    live = gdb('break puts', 'run', 'info goroutines', 'goroutine 0:5', 'goroutine 5',
               'goroutine 1:7 frame 2', 'goroutine 99999', 'goroutine x', 'bt 1',
               args=['--args', CROWD, '20'])
    assert len(re.findall(r'^ +[01]:\d+ +sleep, .* customer$', live, re.M)) == 40, live
    check_backtrace(live[live.index('goroutine     0:5'):live.index('several lanes')])
    assert 'several lanes have one: 0:5, 1:5' in live, live
    assert 'no goroutine 99999' in live and 'usage: goroutine' in live, live
    assert re.search(r'^#2 .*(__sched_park|pl_sleep|wait_deep)', live, re.M), live
    assert re.search(r'^#0 .*puts', live, re.M), 'the thread is where it was: ' + live
    return None


def dumped():
    """Of the program's own dump: what each single goroutine waits for, by function."""
    p = subprocess.Popen([CROWD, '1', 'ways'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    try:
        p.stdout.readline()
        p.send_signal(signal.SIGQUIT)
        text = ''
        while 'lane 0: ' not in text or not text.endswith('\n\n'):
            text += os.read(p.stderr.fileno(), 1 << 16).decode()
        return dict((name, why) for why, name in re.findall(
            r'^goroutine \d+ \[([^],]*), [^]]*\]: (\w+)$', text, re.M))
    finally:
        p.kill()
        p.wait()


def names_in(path, pattern):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..', path)) as f:
        return re.findall(pattern, f.read())


def test_gdb_dump_and_readme_call_a_wait_by_one_name():
    table = [n for n in names_in('poller/sched.h', r'\tX\([A-Z_]+, "([^"]+)"\)')]
    told = names_in('README.md', r'What\s+it\s+waits\s+for\s+is\s+one\s+of\s([^.]*)\.')
    assert len(told) == 1 and [' '.join(n.split()) for n in re.findall(
        r'`([^`]+)`', told[0])] == table, (told, table)
    dump = dumped()
    assert len(dump) == 11 and set(dump.values()) <= set(table), dump
    assert len(set(dump.values())) == 11, dump
    if not shutil.which('gdb'):
        return 'gdb is not installed'
    live = gdb('break puts', 'run', 'info goroutines',
               args=['--args', CROWD, '1', 'ways'])
    listed = dict((name, why) for why, name in re.findall(
        r'^ +0:\d+ +([^,\n]*), \S+ \S+ +(\w+)$', live, re.M))
    assert listed == dump, (listed, dump)
    return None


def test_gdb_walks_a_parked_one_in_a_core():
    """The kernel's own: gdb's generate-core-file gives up a megabyte at each guard."""
    if not shutil.which('gdb'):
        return 'gdb is not installed'
    with open('/proc/sys/kernel/core_pattern') as f:
        pattern = f.read().strip()
    if '/' in pattern or '|' in pattern:
        return 'cores go elsewhere: ' + pattern
    with tempfile.TemporaryDirectory() as d:
        p = subprocess.Popen([CROWD, '20'], cwd=d, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30,) * 2))
        p.stdout.readline()
        p.send_signal(signal.SIGABRT)
        p.wait(20)
        cores = os.listdir(d)
        if not cores:
            return 'the kernel wrote no core'
        dead = gdb('core ' + os.path.join(d, cores[0]), 'info goroutines', 'goroutine 1:9',
                   args=[CROWD])
        assert len(re.findall(r'^ +[01]:\d+ +sleep, .* customer$', dead, re.M)) == 40, dead
        check_backtrace(dead[dead.index('goroutine     1:9'):])
    return None


def test_valgrind_knows_the_stacks_and_finds_nothing():
    if not shutil.which('valgrind'):
        return 'valgrind is not installed'
    p = subprocess.run(['valgrind', '--error-exitcode=9', '--leak-check=full', CROWD, '50', 'once'],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=120)
    text = p.stderr.decode(errors='replace')
    if 'unhandled dwarf2' in text:
        return "this Valgrind cannot read the compiler's debugging information"
    assert p.returncode == 0, text
    assert 'switching stacks' not in text and 'ERROR SUMMARY: 0 errors' in text, text
    return None


cases.run(globals())
