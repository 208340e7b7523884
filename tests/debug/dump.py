#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Goroutine dumps of a running program: by SIGQUIT, of a lane that hangs, by `parklane stat`.

usage: dump.py CROWD PARKLANE. Prints TAP.
"""

import os
import re
import resource
import signal
import subprocess
import sys
import time

import cases

CROWD, PARKLANE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
PORT = 24000 + os.getpid() % 8000


def quit_is_default():
    """A shell's background jobs, and what they start, ignore SIGQUIT."""
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


class Crowd:
    """crowd, up; text() ends it and returns what it wrote."""

    def __init__(self, *args, ignore=False):
        self.p = subprocess.Popen([CROWD] + list(args), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  preexec_fn=None if ignore else quit_is_default)
        assert self.p.stdout.readline() == b'ready\n'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()

    def text_until(self, want, seconds=10):
        """What it writes on stderr up to a line that matches."""
        os.set_blocking(self.p.stderr.fileno(), False)
        text, end = '', time.monotonic() + seconds
        while time.monotonic() < end and not re.search(want, text, re.M):
            text += (self.p.stderr.read() or b'').decode()
            time.sleep(0.01)
        assert re.search(want, text, re.M), 'no %r in: %s' % (want, text)
        return text


def blocks(text):
    return [b for b in text.split('\n\n') if b.strip()]


def test_dump_groups_1000_alike_with_reason_time_and_frames():
    with Crowd('1000') as c:
        c.p.send_signal(signal.SIGQUIT)
        text = c.text_until(r'(?s)lane 0: .*lane 1: .*coro_trampoline.*\n\n')
        assert c.p.poll() is None, 'it goes on'
        c.p.send_signal(signal.SIGTERM)
        assert c.p.wait(10) == 0
    assert len(blocks(text)) == 4, text
    assert text.count('1000 goroutines: 0 running, 0 runnable, 1000 waiting') == 2, text
    assert len(re.findall(r'^1000 goroutines \[sleep, [^]]+\]: customer$', text, re.M)) == 2, text
    one = blocks(text)[1]
    assert one.count('wait_deep') == 6 and 'customer' in one and 'crowd.c:' in one, one
    assert one.index('wait_deep') < one.rindex('customer') < one.index('coro_trampoline'), one


def test_dump_of_a_lane_that_hangs_names_the_goroutine():
    with Crowd('10', 'busy') as c:
        c.p.send_signal(signal.SIGQUIT)
        text = c.text_until(r'(?s)lane 0: .*coro_trampoline.*\n\n')
    assert re.search(r'goroutine \d+ \[running for more than a second\]: hog', text), text
    assert '10 goroutines [sleep' in text, text


def test_dump_of_a_stack_overflow_is_a_backtrace():
    p = subprocess.run([CROWD, '1', 'deep'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=20,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    text = p.stderr.decode()
    lines = text.splitlines()
    assert p.returncode == -signal.SIGSEGV, (p.returncode, text)
    assert re.match(r'parklane: goroutine \d+ \(falls\): stack overflow', lines[0]), text
    assert len(lines) == 1 + 16 + 1 + 8, text
    assert re.match(r'    fall(_on)?\+0x[0-9a-f]+$', lines[1]), text
    assert re.match(r'    \.\.\. \d+ more \.\.\.$', lines[17]), text
    assert re.match(r'    fall\+0x[0-9a-f]+  \(100 times\)$', lines[-4]), text
    assert [re.sub(r'\+.*', '', f) for f in lines[-3:]] == [
        '    falls', '    g_main', '    coro_trampoline'], text


def test_dump_sigquit_twice_within_a_second_ends_the_program():
    with Crowd('10') as c:
        c.p.send_signal(signal.SIGQUIT)
        c.text_until('lane 0')
        c.p.send_signal(signal.SIGQUIT)
        assert c.p.wait(10) == -signal.SIGQUIT


def test_dump_comes_also_where_the_shell_had_sigquit_ignored():
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    with Crowd('10', ignore=True) as c:
        c.p.send_signal(signal.SIGQUIT)
        c.text_until('lane 0')
        c.p.send_signal(signal.SIGTERM)
        assert c.p.wait(10) == 0
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def stat(*args):
    return subprocess.run([PARKLANE, 'stat'] + list(args), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)


def test_dump_by_stat_lists_together_or_each():
    server = subprocess.Popen([PARKLANE, 'echo', '--port', str(PORT)], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
    try:
        server.stderr.readline()
        if not os.path.exists('/run/parklane/%d.sock' % server.pid):
            return 'no permission for /run/parklane'
        together = stat('--pid', str(server.pid), '--goroutines')
        assert together.returncode == 0, together.stderr
        text = together.stdout.decode()
        assert re.search(r'^lane 0: \d+ goroutines: ', text) and '[read, ' in text, text
        assert 'pl_accept' in text and ': echo_main\n' in text, text
        each = stat('--pid', str(server.pid), '--goroutines', '--all').stdout.decode()
        assert re.search(r'^goroutine \d+ \[read, ', each, re.M), each
        assert stat('--all').returncode == 2
        assert stat('--goroutines', '--json').returncode == 2
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
    return None


cases.run(globals())
