#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""1,000 sockets that nobody reads, each filled until it blocks; then a new one must work.

usage: noread.py NOREAD [--no-dpdk]. NOREAD is noread.c. Prints TAP. Over the stack behind a tap,
and over the kernel's sockets in a second namespace.
"""

import os
import resource
import select
import socket
import sys
import time

import netlib
from netlib import MIB, PARKLANE_IP, Server, Veth, note, transfer

PROGRAM = os.path.abspath(sys.argv[1])
CONNS = 1000
HOGS = 100
QUIET_S = 0.6  # without a byte taken: full. Longer than a delayed ACK and a first RTO
FILL_MAX_S = 12
NAMES = ['test_noread_%s_%s' % (lane, what) for lane in ('tap', 'epoll') for what in (
    '1000_connections_fill_until_they_block', 'a_new_connection_echoes_within_a_second',
    'memory_stays_flat', 'peers_closed_unread_a_transfer_does_not_crawl',
    'clients_that_take_no_answers_stop_nobody_else')]


def fill(conns):
    """Write until none of them takes another byte; how many they took."""
    data, poll, by_fd, taken = b'z' * 65536, select.poll(), {}, 0
    for s in conns:
        s.setblocking(False)
        by_fd[s.fileno()] = s
        poll.register(s, select.POLLOUT)
    end = time.monotonic() + FILL_MAX_S
    while True:
        ready = poll.poll(QUIET_S * 1000)
        if not ready:
            return taken
        assert time.monotonic() < end, 'still taken after %d MiB: who reads?' % (taken // MIB)
        for fd, events in ready:
            assert not events & (select.POLLERR | select.POLLHUP), 'a connection was reset'
            try:
                taken += by_fd[fd].send(data)
            except BlockingIOError:
                pass


def crawl(size, limit):
    """A window that promised more than the lane takes cost an RTO of 200 ms a few segments."""
    seconds = transfer((PARKLANE_IP, 7), size)
    note(netlib.rate(size, seconds))
    assert seconds < limit, 'a new connection crawls: %.2f s' % seconds


class Lane:
    """The cases of one lane, in order: each builds on the one before."""

    def __init__(self, srv):
        self.srv, self.conns = srv, []

    def blocks(self):
        for _ in range(CONNS):
            s = socket.socket()
            # The kernel's own queue is not the subject; small, so that it fills at once.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            s.settimeout(10)
            self.conns.append(s)
            s.connect((PARKLANE_IP, 9))
        self.rss = [self.srv.rss_kib()]
        note('%d MiB taken by %d sockets' % (fill(self.conns) // MIB, CONNS))
        self.rss.append(self.srv.rss_kib())

    def new_one(self):
        assert len(self.conns) == CONNS
        start = time.monotonic()
        for _ in range(3):
            transfer((PARKLANE_IP, 7), 64, timeout=5)
        seconds = time.monotonic() - start
        note('three connections, an echo each: %.1f ms' % (seconds * 1e3))
        assert seconds < 1, seconds
        crawl(MIB // 4, 0.2)

    def flat(self):
        assert len(self.rss) == 2
        time.sleep(1)
        self.rss.append(self.srv.rss_kib())
        note('RSS of the lane: %s MiB (connected, full, a second later)' % (
            ', '.join('%.1f' % (k / 1024) for k in self.rss)))
        # The pool is touched once as it is first used; nothing may grow beside it.
        assert self.rss[1] - self.rss[0] < 96 * 1024, self.rss
        assert self.rss[2] - self.rss[1] < 1024, self.rss

    def closed(self):
        for s in self.conns:
            s.close()
        # Their bytes and FINs wait on: the lane is as full as before.
        crawl(4 * MIB, 1)

    def hogs(self):
        """They send to the echo and never read: their answers filled the lane's pool."""
        old = socket.create_connection((PARKLANE_IP, 7), 5)
        hogs = []
        for _ in range(HOGS):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(10)
            hogs.append(s)
            s.connect((PARKLANE_IP, 7))
        note('%d MiB sent by %d clients that do not read' % (fill(hogs) // MIB, HOGS))
        start = time.monotonic()
        old.sendall(b'still there?')
        assert old.recv(64), 'the old connection ended'
        transfer((PARKLANE_IP, 7), 64, timeout=5)
        seconds = time.monotonic() - start
        note('an old and a new connection, an echo each: %.1f ms' % (seconds * 1e3))
        assert seconds < 1, seconds
        for s in hogs + [old]:
            s.close()

    def cases(self, names):
        return list(zip(names, (self.blocks, self.new_one, self.flat, self.closed, self.hogs)))


def main():
    reason = netlib.why_not(dpdk=True)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if not reason and files != resource.RLIM_INFINITY and files < CONNS + 100:
        reason = 'may open %d files only' % files
    if reason:
        return netlib.skip_all(NAMES, reason)
    netlib.enter_namespaces(PROGRAM)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    tap = netlib.Tap(len(NAMES))
    with Server([PROGRAM, '--dev', netlib.tap_device(), '--ip', PARKLANE_IP + '/24'],
                ready='ready') as srv:
        netlib.kernel_address('pl0')
        tap.run(Lane(srv).cases(NAMES[:5]))
    with Veth() as v, Server([PROGRAM, '--epoll'], v.inside, ready='ready') as srv:
        tap.run(Lane(srv).cases(NAMES[5:]))
    return tap.status()


if __name__ == '__main__':
    sys.exit(main())
