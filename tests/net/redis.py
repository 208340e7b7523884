#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""README's second program: a lane that serves sockets of Parklane's stack over a tap device while
it asks Debian's redis-server over a kernel socket.

usage: redis.py VISITS [--no-dpdk]. Prints TAP.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys

import netlib
from netlib import PARKLANE_IP, kernel_address, note, popen, tap_device, wait_for

PROGRAM = os.path.abspath(sys.argv[1])
VISITS = (PARKLANE_IP, 7008)
REDIS = ['redis-server', '--bind', '127.0.0.1', '--port', '6379', '--save', '', '--appendonly',
         'no', '--daemonize', 'no', '--dir', '/run']


def connects(addr):
    try:
        return socket.create_connection(addr, timeout=5)
    except OSError:
        return None


def ask(s):
    s.sendall(b'hello\n')
    answer = s.recv(100)
    assert answer[:1] == b':' and answer[-2:] == b'\r\n', answer
    return int(answer[1:-2])


def serves(srv):
    kernel_address('pl0')
    conns = [wait_for(lambda: connects(VISITS)) for _ in range(8)]
    seen = sorted(ask(s) for _ in range(100) for s in conns)
    assert seen == list(range(1, 801)), seen[:10]
    for s in conns:
        s.close()
    with socket.create_connection(('127.0.0.1', 6379), timeout=5) as s:
        s.sendall(b'GET visits\r\n')
        said = s.recv(100)
    assert said == b'$3\r\n800\r\n', said
    note('8 clients over %s, 800 lines; redis-cli GET visits: 800' % tap_device())
    # Without its Redis it goes on: a client is let go, and the next one may have it back.
    srv.redis.terminate()
    srv.redis.wait(10)
    with connects(VISITS) as s:
        s.settimeout(5)
        assert s.recv(10) == b''
    srv.send_signal(signal.SIGINT)
    assert srv.wait(10) in (0, -signal.SIGINT), srv.returncode


def bypass_serves_while_redis_is_asked():
    redis = popen(REDIS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    srv = None
    try:
        wait_for(lambda: connects(('127.0.0.1', 6379)), 10, 'no redis').close()
        srv = popen([PROGRAM, '--dev', tap_device(), '--ip', PARKLANE_IP + '/24'])
        srv.redis = redis
        wait_for(lambda: kernel_address('pl0'), 10, 'no device')
        serves(srv)
    finally:
        for p in (redis, srv):
            if p and p.poll() is None:
                p.kill()
                p.wait()
    # Its stat socket stays: the program has no handler for signals. The next lane removes it.
    left = [f for f in netlib.leftovers() if not f.endswith('.sock')]
    assert not left, left


CASES = {'redis_bypass_serves_while_it_is_asked': bypass_serves_while_redis_is_asked}


def main():
    reason = netlib.why_not(dpdk=True) or (
        '' if shutil.which('redis-server') else 'no redis-server')
    if reason:
        return netlib.skip_all(CASES, reason)
    netlib.enter_namespaces(PROGRAM)
    tap = netlib.Tap(len(CASES))
    tap.run(list(CASES.items()))
    return tap.status()


sys.exit(main())
