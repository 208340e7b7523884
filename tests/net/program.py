#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The program as its users call it: bad input, echo, and stat.

usage: program.py PARKLANE. Prints TAP. What needs root or DPDK skips without, with the reason.
"""

import ctypes
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time

from netlib import Skip, transfer
from proglib import (PORT, PROGRAM, Server, check_bad, check_bench_json,
                     in_namespace, ip, main, need, run)


BAD = [
    (2, 'no command', []),
    (2, 'unknown command', ['bogus']),
    (2, '--port', ['echo']),
    (2, '--port 0', ['echo', '--port', '0']),
    (2, '--port 70000', ['echo', '--port', '70000']),
    (2, '--port 7x', ['echo', '--port', '7x']),
    (2, '--foo', ['echo', '--port', '7', '--foo']),
    (2, 'extra', ['echo', '--port', '7', 'extra']),
    (2, '--epoll and --dev', ['echo', '--port', '7', '--epoll', '--dev', 'net_tap0', '--ip',
                              '10.1.1.1/24']),
    (2, '--epoll and --uring', ['echo', '--port', '7', '--epoll', '--uring']),
    (2, '--ip', ['echo', '--port', '7', '--dev', 'net_tap0']),
    (2, '--ip 10.1.1.1', ['echo', '--port', '7', '--dev', 'net_tap0', '--ip', '10.1.1.1']),
    (2, '--ip 10.1.1.1/40', ['echo', '--port', '7', '--dev', 'net_tap0', '--ip', '10.1.1.1/40']),
    (2, '--idle', ['echo', '--port', '7', '--idle', 'doze']),
    (1, 'cpu 4000', ['echo', '--port', str(PORT), '--cpu', '4000']),
    (2, 'bench', ['bench']),
    (2, '--connect', ['bench', 'rr']),
    (2, '--connect', ['bench', 'rr', '--connect', 'localhost:7']),
    (2, 'IPv6', ['bench', 'rr', '--connect', '[::1]:7']),
    (2, 'the port is 1 to 65535', ['bench', 'rr', '--connect', '127.0.0.1:0']),
    (2, 'tcp_sack=7: it is 0 to 1', ['echo', '--port', '7', '--set', 'tcp_sack=7']),
    (2, '--set is about a device', ['echo', '--port', '7', '--set', 'tcp_sack=1']),
    (2, '--conns', ['bench', 'rr', '--connect', '127.0.0.1:7', '--conns', '0']),
    (2, '--size', ['bench', 'rr', '--connect', '127.0.0.1:7', '--size', '0']),
    (2, '--time', ['bench', 'rr', '--connect', '127.0.0.1:7', '--time', '-1']),
    (1, 'nothing listens', ['bench', 'rr', '--connect', '127.0.0.1:1', '--time', '0.1']),
    (1, 'runs no lane', ['stat', '--pid', '1']),
    (2, "--port '':", ['echo', '--port', '']),
    (2, "'': unknown", ['echo', '--port', '7', '']),
    (2, "--ip '':", ['echo', '--port', '7', '--dev', 'net_tap0', '--ip', '']),
    (2, "--gw '':", ['echo', '--port', '7', '--dev', 'net_tap0', '--ip', '10.1.1.1/24', '--gw',
                     '']),
    (2, "--mtu '':", ['echo', '--port', '7', '--mtu', '']),
    (2, "--cpu '':", ['echo', '--port', '7', '--cpu', '']),
    (2, "--idle '':", ['echo', '--port', '7', '--idle', '']),
    (2, "--connect '':", ['bench', 'rr', '--connect', '']),
    (2, "--time '':", ['bench', 'rr', '--connect', '127.0.0.1:7', '--time', '']),
    (1, "cannot write '':", ['compare', '--json', '']),
    (1, 'cannot write', ['compare', '--json', '/nonexistent/x.json']),
]
BAD_DPDK = [
    (1, 'net_nosuch0', ['echo', '--port', '7', '--dev', 'net_nosuch0', '--ip', '10.1.1.1/24']),
    (2, 'fault', ['echo', '--port', '7', '--dev', 'net_tap0,iface=plbad', '--ip', '10.1.1.1/24',
                  '--fault', 'rain=1']),
    (1, "device ''", ['echo', '--port', '7', '--dev', '', '--ip', '10.1.1.1/24']),
    (1, "pcap file ''", ['echo', '--port', '7', '--dev', 'net_tap0,iface=plbad', '--ip',
                         '10.1.1.1/24', '--pcap', '']),
]


def test_program_bad_usage_is_one_line_and_status():
    for case in BAD:
        check_bad(*case)


def test_program_bad_device_is_one_line_and_status():
    need(dpdk=True, root=True)
    for case in BAD_DPDK:
        check_bad(*case)


def test_program_every_command_has_help_and_version():
    for cmd in ('echo', 'bench', 'stat', 'sim', 'wire', 'compare', 'settings'):
        for option in ('--help', '--version'):
            status, out, err = run(cmd, option)
            assert status == 0 and not err, (cmd, option, err)
            assert 'sage: parklane ' + cmd in out or out.startswith('parklane '), out
        assert run('help', cmd)[1] == run(cmd, '--help')[1] != '', cmd
    assert '--lanes' not in run('bench', 'rr', '--help')[1]
    assert run('help')[0] == 0 and run('--version')[1].startswith('parklane ')


def test_program_help_says_nothing_twice():
    for cmd in ('echo', 'bench', 'stat', 'sim', 'wire', 'compare', 'settings'):
        texts = [t for t in run(cmd, '--help')[1].split('\n\n') if t.strip()]
        assert len(texts) == len(set(texts)), (cmd, texts)


def test_program_output_that_is_not_whole_is_told():
    for args in (['sim', '--seed', '1'], ['sim', '--seeds', '1', '--json'], ['settings'],
                 ['help'], ['--version'], ['bench', '--help']):
        with open('/dev/full', 'w') as full:
            p = subprocess.run([PROGRAM] + args, stdout=full, stderr=subprocess.PIPE, timeout=30)
        err = p.stderr.decode()
        assert p.returncode == 1 and err.count('\n') == 1, (args, p.returncode, err)
        assert err.startswith('parklane: cannot write'), err


def test_program_reader_that_has_enough_is_no_news():
    r, w = os.pipe()
    os.close(r)
    p = subprocess.run([PROGRAM, 'settings'], stdout=w, stderr=subprocess.PIPE, timeout=30)
    os.close(w)
    assert p.returncode == 1 and not p.stderr, p.stderr


def test_program_help_names_what_must_be_given_first():
    want = {('echo',): 'Usage: parklane echo --port P [OPTION...]\n',
            ('stat',): 'Usage: parklane stat [OPTION...]\n',
            ('bench',): 'Usage: parklane bench rr --connect HOST:PORT [OPTION...]\n'
                        '  or:  parklane bench park [OPTION...]\n',
            ('bench', 'park'): 'Usage: parklane bench park [OPTION...]\n'}
    for command, usage in want.items():
        out = run(*command, '--help')[1]
        assert out.startswith(usage) and out.count('[OPTION...]') == usage.count('\n'), out


def test_echo_epoll_returns_bytes_and_ends_clean_on_sigint():
    with Server('--epoll', '--port', str(PORT)) as srv:
        assert transfer(('127.0.0.1', PORT), 16 << 20)
        status, out, _ = run('stat', '--pid', str(srv.p.pid), '--json')
        assert status == 0 and json.loads(out)['command'] == 'echo'
        srv.stop()
        assert srv.status == 0
        assert 'echo: 1 connection, %d bytes' % (16 << 20) in srv.rest, srv.rest
        assert not os.path.exists('/run/parklane/%d.sock' % srv.p.pid)


def test_stat_tells_each_lane_of_several():
    with Server('--epoll', '--port', str(PORT), '--lanes', '2') as srv:
        assert transfer(('127.0.0.1', PORT), 1 << 20)
        status, out, err = run('stat', '--pid', str(srv.p.pid), '--json')
        o = json.loads(out)
        assert status == 0 and o['lanes'] == 2 and [k['lane'] for k in o['per_lane']] == [0, 1], o
        assert sum(k['goroutines'] for k in o['per_lane']) == o['goroutines'], o
        assert 0 < sum(k['events']['bytes_copied'] for k in o['per_lane']) == (
            o['events']['bytes_copied']), o
        out = run('stat', '--pid', str(srv.p.pid))[1]
        assert ' s, 2 lanes, ' in out.splitlines()[0] and 'ss -tnp' in out, out
        assert re.search(r'\nlane goroutines .* steals\n +0 .*\n +1 .*\n', out), out


def test_stat_sees_lanes_of_a_user_without_rights():
    need(root=True)
    nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all',
              'env', '-u', 'XDG_RUNTIME_DIR']
    folder = '/tmp/parklane-65534'
    run('stat')
    if not os.path.isdir('/run/parklane'):
        os.mkdir('/run/parklane', 0o755)
    with Server('--epoll', '--port', str(PORT), inside=nobody) as srv:
        st = os.lstat(folder)
        assert st.st_uid == 65534 and st.st_mode & 0o777 == 0o700, st
        for inside in ([], nobody):
            p = subprocess.run(inside + [PROGRAM, 'stat', '--pid', str(srv.p.pid)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
            assert p.returncode == 0 and b'parklane echo, pid' in p.stdout, p
        # each user sees their own: root's beside it is not one to choose from
        with Server('--epoll', '--port', str(PORT + 1)) as roots:
            p = subprocess.run(nobody + [PROGRAM, 'stat'], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, timeout=20)
            assert p.returncode == 0 and b'echo, pid %d' % srv.p.pid in p.stdout, p
            p = subprocess.run(nobody + [PROGRAM, 'stat', '--pid', '1'], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, timeout=20)
            assert p.returncode == 1 and b'%d (' % srv.p.pid in p.stderr, p
            assert b'%d (' % roots.p.pid not in p.stderr, p
        srv.stop()
        assert not os.listdir(folder), os.listdir(folder)
    os.rmdir(folder)
    os.symlink('/run/parklane', folder)
    p = subprocess.Popen(nobody + [PROGRAM, 'echo', '--epoll', '--port', str(PORT), '--verbose'],
                         stderr=subprocess.PIPE)
    try:
        assert b"'parklane stat' will not see" in p.stderr.readline()
    finally:
        p.terminate()
        p.communicate(timeout=20)
        os.unlink(folder)


def test_stat_names_the_lanes_that_run():
    def alone(err):
        """The pids named, without those of lanes that others run on this machine."""
        return [int(pid) for pid in re.findall(r'(\d+) \(parklane echo\)', err)
                if pid in (str(one.p.pid), str(two.p.pid))]

    with Server('--epoll', '--port', str(PORT)) as one:
        with Server('--epoll', '--port', str(PORT + 1)) as two:
            for args, words in ((('--pid', str(os.getpid())), 'runs no lane; these do: '),
                                ((), 'choose one with --pid: ')):
                status, out, err = run('stat', *args)
                assert status == 1 and not out and err.count('\n') == 1 and words in err, err
                assert alone(err) == sorted([one.p.pid, two.p.pid]), err


def test_echo_uring_returns_bytes_and_ends_clean_on_sigint():
    status, _, err = run('bench', 'rr', '--uring', '--connect', '127.0.0.1:1', '--time', '0.1')
    if 'uring' in err:
        raise Skip(err.strip())
    with Server('--uring', '--port', str(PORT)) as srv:
        assert '(uring)' in srv.first, srv.first
        assert transfer(('127.0.0.1', PORT), 16 << 20)
        status, out, err = run('bench', 'rr', '--uring', '--connect', '127.0.0.1:%d' % PORT,
                               '--conns', '3', '--size', '64', '--time', '0.2', '--json')
        assert status == 0, err
        check_bench_json(out, 3, 64, 'uring', 'kernel', 'kernel')
        # one that is idle when the server ends
        with socket.create_connection(('127.0.0.1', PORT), timeout=20) as s:
            s.sendall(b'x')
            assert s.recv(1) == b'x'
            srv.stop()
            assert srv.status == 0 and s.recv(1) == b''
        assert '5 connections' in srv.rest, srv.rest


def forbid_io_uring():
    """seccomp, as container runtimes do: io_uring_setup (425 everywhere) says EPERM."""
    code = b''.join(struct.pack('=HBBI', *i) for i in (
        (0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7fff0000)))
    text = ctypes.create_string_buffer(code, len(code))
    prog = ctypes.create_string_buffer(struct.pack('=HxxxxxxQ', 4, ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)
    if libc.prctl(22, 2, prog):
        raise OSError(ctypes.get_errno(), 'no seccomp')


def test_echo_uring_where_it_is_forbidden_is_told():
    try:
        p = subprocess.run([PROGRAM, 'echo', '--uring', '--port', str(PORT)],
                           preexec_fn=forbid_io_uring, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    except subprocess.SubprocessError:
        raise Skip('no seccomp here')
    err = p.stderr.decode()
    assert p.returncode == 1 and err.startswith('parklane: --uring: '), err
    assert err.count('\n') == 1 and '--epoll' in err, err


def rss(pid):
    with open('/proc/%d/status' % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith('VmRSS')) << 10


def test_echo_connections_that_streamed_and_rest_hold_no_large_buffer():
    with Server('--epoll', '--port', str(PORT)) as srv:
        before, conns = rss(srv.p.pid), []
        for _ in range(200):
            s = socket.create_connection(('127.0.0.1', PORT), timeout=20)
            conns.append(s)
            s.sendall(bytes(300000))
            left = 300000
            while left:
                left -= len(s.recv(1 << 20))
        time.sleep(0.2)
        grown = rss(srv.p.pid) - before
        assert grown < 16 << 20, 'grown by %d KiB' % (grown >> 10)
        # and they still echo
        for s in conns:
            s.sendall(b'still')
            assert s.recv(16) == b'still'
            s.close()


def test_echo_port_in_use_is_told():
    with socket.socket() as s:
        s.bind(('0.0.0.0', PORT))
        s.listen()
        check_bad(1, 'in use', ['echo', '--epoll', '--port', str(PORT)])


def body_tap():
    ip('link', 'set', 'lo', 'up')
    with Server('--dev', 'net_tap0,iface=pl0', '--ip', '10.77.0.2/24', '--port', '7') as srv:
        ip('addr', 'add', '10.77.0.1/24', 'dev', 'pl0')
        ip('link', 'set', 'pl0', 'up')
        assert transfer(('10.77.0.2', 7), 16 << 20)
        status, out, err = run('stat', '--pid', str(srv.p.pid), '--json')
        stat = json.loads(out)
        assert status == 0 and stat['device']['rx_packets'] > 0, err
        assert any(s['state'] == 'LISTEN' for s in stat['sockets']), stat['sockets']
        srv.stop()
        assert srv.status == 0 and 'drops' in srv.rest, srv.rest


def body_own_address():
    ip('addr', 'add', '10.77.0.1/24', 'dev', 'lo')
    check_bad(1, 'kernel has that address', ['echo', '--dev', 'net_tap0,iface=pl0', '--ip',
                                             '10.77.0.1/24', '--port', '7'])


def test_echo_tap_returns_bytes_and_stat_sees_the_listener():
    in_namespace(body_tap)


def test_echo_address_of_the_kernel_is_refused():
    in_namespace(body_own_address)


if __name__ == '__main__':
    sys.exit(main(globals()))
