#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""parklane echo on two lanes: over a tap with two queues, and over kernel sockets.

usage: lanes.py PARKLANE [--no-dpdk]. Prints TAP. The kernel's tun sorts by its own hash and
follows the flows that it sees, for three seconds: so segments do come by the other lane's queue.
"""

import os
import socket
import subprocess
import sys
import time

import netlib
from netlib import MIB, PARKLANE_IP, Server, echo_tap, note, sh, transfer

PROGRAM = os.path.abspath(sys.argv[1])
ECHO = (PARKLANE_IP, 7)


def talk(s, text):
    s.sendall(text)
    back = s.recv(100)
    assert back == text, back


def both_serve(srv):
    """Both lanes accepted; what came by the other's queue was forwarded."""
    conns = [socket.create_connection(ECHO, timeout=5) for _ in range(32)]
    for c in conns:
        talk(c, b'hello')
    s = netlib.stat(PROGRAM, srv)
    assert s['lanes'] == 2, s['lanes']
    per_lane = [sum(k['lane'] == n and k['state'] == 'ESTABLISHED' for k in s['sockets'])
                for n in range(2)]
    note('connections by lane: %s, forwarded %d' % (per_lane, s['stack']['steered_out']))
    assert sum(per_lane) == 32 and min(per_lane) > 0, per_lane
    return conns


def tap_two_lanes():
    with echo_tap(PROGRAM, '--lanes', '2') as srv:
        assert '2 lanes' in srv.first, srv.first
        assert ' 0% packet loss' in sh('ping -W 2 -c 3 -i 0.1 ' + PARKLANE_IP)
        conns = both_serve(srv)
        note('64 streams: ' + netlib.rate(16 * MIB, transfer(ECHO, MIB // 4, streams=64)))
        # tun forgets a flow after 3 s, and its next segment may come by any queue.
        time.sleep(4)
        resets = netlib.stat(PROGRAM, srv)['stack']['tcp_out_rsts']
        for c in conns:
            talk(c, b'are you still there?')
        assert netlib.stat(PROGRAM, srv)['stack']['tcp_out_rsts'] == resets
        for c in conns:
            c.close()
        rest = srv.stop()
        assert srv.status == 0 and 'drops' in rest, rest
    assert not netlib.leftovers(), netlib.leftovers()


def tap_two_lanes_refuse_once():
    with echo_tap(PROGRAM, '--lanes', '2') as srv:
        for _ in range(8):
            with socket.socket() as s:
                s.settimeout(2)
                try:
                    s.connect((PARKLANE_IP, 9))
                    raise AssertionError('port 9 accepts')
                except ConnectionRefusedError:
                    pass

        def rsts():
            return netlib.stat(PROGRAM, srv)['stack']['tcp_out_rsts']
        # a lane may tell of the last one after the peer has it
        netlib.wait_for(lambda: rsts() >= 8, message='fewer than 8 resets')
        assert rsts() == 8, rsts()


def epoll_two_lanes():
    with Server([PROGRAM, 'echo', '--epoll', '--port', '7', '--lanes', '2']) as srv:
        note('64 streams: ' + netlib.rate(16 * MIB, transfer(('127.0.0.1', 7), MIB // 4,
                                                            streams=64)))
        srv.stop()
        assert srv.status == 0 and ' 64 connections' in srv.rest, srv.rest


def epoll_two_lanes_tell_a_taken_port():
    args = [PROGRAM, 'echo', '--epoll', '--port', '7']
    for first in ([], ['--lanes', '2']):
        with Server(args + first):
            for second in (['--lanes', '2'], []):
                p = subprocess.run(args + second, stdin=subprocess.DEVNULL, timeout=20,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                err = p.stderr.decode()
                assert p.returncode == 1 and err.count('\n') == 1 and 'in use' in err, (
                    first, second, err)


CASES = {'lanes_tap_both_serve_and_keep_their_connections': tap_two_lanes,
         'lanes_tap_closed_port_is_refused_once': tap_two_lanes_refuse_once,
         'lanes_epoll_share_one_port': epoll_two_lanes,
         'lanes_epoll_tell_a_taken_port': epoll_two_lanes_tell_a_taken_port}


def main():
    reason = netlib.why_not(dpdk=False)
    if reason:
        return netlib.skip_all(CASES, reason)
    netlib.enter_namespaces(PROGRAM)
    tap = netlib.Tap(len(CASES))

    def case(name, body):
        def run():
            if 'tap' in name and netlib.why_not(dpdk=True):
                raise netlib.Skip(netlib.why_not(dpdk=True))
            body()
        return name, run
    tap.run([case(name, body) for name, body in CASES.items()])
    return tap.status()


sys.exit(main())
