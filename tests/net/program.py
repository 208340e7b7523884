#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The program as its users call it: bad input, echo, bench, stat, and compare's cleanliness.

usage: program.py PARKLANE. Prints TAP. What needs root or DPDK skips without, with the reason.
"""

import calendar
import ctypes
import fcntl
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(sys.argv[1])
HAS_DPDK = '--no-dpdk' not in sys.argv
ROOT = os.geteuid() == 0
PORT = 4000 + os.getpid() % 20000


class Skip(Exception):
    pass


def need(dpdk=False, root=False):
    if dpdk and not HAS_DPDK:
        raise Skip('built without DPDK')
    if root and not ROOT:
        raise Skip('needs root')


def run(*args, timeout=30):
    p = subprocess.run([PROGRAM] + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=timeout)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


class Server:
    """parklane echo, up when its readiness line came; `inside` goes before the command."""

    def __init__(self, *args, inside=()):
        self.p = subprocess.Popen(list(inside) + [PROGRAM, 'echo'] + list(args),
                                  stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.first = self.p.stderr.readline().decode()
        assert 'echo on' in self.first, self.first

    def __enter__(self):
        return self

    def stop(self):
        self.p.send_signal(signal.SIGINT)
        self.rest = self.p.stderr.read().decode()
        self.status = self.p.wait(20)

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()


def transfer(addr, size):
    """Send and receive `size` random bytes at once; True if they came back the same."""
    data = os.urandom(1 << 20)
    want, got = hashlib.sha256(), hashlib.sha256()
    with socket.create_connection(addr, timeout=20) as s:
        sent = received = 0
        s.setblocking(False)
        while received < size:
            if sent < size:
                piece = data[sent % len(data):][:size - sent]
                try:
                    n = s.send(piece)
                    want.update(piece[:n])
                    sent += n
                except BlockingIOError:
                    pass
            try:
                back = s.recv(1 << 20)
                assert back, 'closed early'
                got.update(back)
                received += len(back)
            except BlockingIOError:
                time.sleep(0.0002)
    return want.digest() == got.digest()


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


def check_bad(status, text, args):
    got, out, err = run(*args)
    assert got == status, 'status %d, not %d: %s' % (got, status, err)
    assert out == '', out
    assert err.count('\n') == 1 and err.startswith('parklane: '), err
    assert text in err, err


def test_program_bad_usage_is_one_line_and_status():
    for case in BAD:
        check_bad(*case)


def test_program_bad_device_is_one_line_and_status():
    need(dpdk=True, root=True)
    for case in BAD_DPDK:
        check_bad(*case)


def test_program_every_command_has_help_and_version():
    for cmd in ('echo', 'bench', 'stat', 'compare'):
        for option in ('--help', '--version'):
            status, out, err = run(cmd, option)
            assert status == 0 and not err, (cmd, option, err)
            assert 'sage: parklane ' + cmd in out or out.startswith('parklane '), out
        assert run('help', cmd)[1] == run(cmd, '--help')[1] != '', cmd
    assert '--lanes' not in run('bench', 'rr', '--help')[1]
    assert run('help')[0] == 0 and run('--version')[1].startswith('parklane ')


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


def check_bench_json(out, conns, size, backend, link, kind):
    """bench.md's form of `bench rr --json`; returns its one run."""
    c = json.loads(out)
    assert set(c) == {'meta', 'runs', 'ratios'} and len(c['runs']) == 1, c
    meta, one = c['meta'], c['runs'][0]
    assert set(meta) == {'machine', 'kernel', 'commit', 'cpus', 'date', 'seed', 'n'}, meta
    assert meta['kernel'] == os.uname().release and meta['cpus'] == os.cpu_count(), meta
    assert abs(time.time() - calendar.timegm(time.strptime(
        meta['date'], '%Y-%m-%dT%H:%M:%SZ'))) < 120, meta
    assert meta['machine'] and meta['commit'] and meta['n'] == 1 and meta['seed'] > 0, meta
    assert (one['set'], one['backend'], one['link'], one['test']) == (kind, backend, link, 'rr'), one
    assert (one['conns'], one['size']) == (conns, size), one
    assert one['rps'] > 0 and one['samples']['rps'] == [one['rps']], one
    assert abs(one['requests'] / one['seconds'] - one['rps']) < 0.01 * one['rps'], one
    assert set(one['rtt_us']) == {'p50', 'p90', 'p99', 'p999', 'max'}, one
    return one


def test_bench_rr_json_has_the_promised_keys():
    with Server('--epoll', '--port', str(PORT)) as srv:
        status, out, err = run('bench', 'rr', '--connect', '127.0.0.1:%d' % PORT, '--conns', '3',
                               '--size', '64', '--time', '0.2', '--json')
        assert status == 0, err
        assert not check_bench_json(out, 3, 64, 'epoll', 'kernel', 'kernel')['stopped']
        srv.stop()


def test_bench_stopped_tells_what_it_measured_so_far():
    with Server('--epoll', '--port', str(PORT)) as srv:
        p = subprocess.Popen([PROGRAM, 'bench', 'rr', '--connect', '127.0.0.1:%d' % PORT,
                              '--time', '60', '--warmup', '0.1', '--json'],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1.2)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=10)
        assert p.returncode == 1 and b'stopped after' in err and err.count(b'\n') == 1, err
        one = check_bench_json(out, 1, 64, 'epoll', 'kernel', 'kernel')
        assert one['stopped'] and 0.3 < one['seconds'] < 3, one
        srv.stop()


def test_bench_stopped_before_it_began_is_one_line():
    with socket.socket() as s:
        s.bind(('127.0.0.1', PORT))
        s.listen()  # never accepts, never answers
        p = subprocess.Popen([PROGRAM, 'bench', 'rr', '--connect', '127.0.0.1:%d' % PORT],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.3)
        p.send_signal(signal.SIGTERM)
        out, err = p.communicate(timeout=10)
        assert p.returncode == 1 and not out and err.count(b'\n') == 1, err


def body_bench_faults():
    ip('link', 'set', 'lo', 'up')
    with Server('--epoll', '--port', str(PORT)) as srv:
        p = subprocess.Popen([PROGRAM, 'bench', 'rr', '--dev', 'net_tap0,iface=pl0', '--ip',
                              '10.77.0.2/24', '--connect', '10.77.0.1:%d' % PORT, '--time', '1',
                              '--fault', 'rx.dup=0.5,seed=7', '--json'], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        while 'pl0' not in [name for _, name in socket.if_nameindex()]:
            assert p.poll() is None, p.stderr.read()
            time.sleep(0.01)
        ip('addr', 'add', '10.77.0.1/24', 'dev', 'pl0')
        ip('link', 'set', 'pl0', 'up')
        out, err = p.communicate(timeout=20)
        assert p.returncode == 0, err
        check_bench_json(out, 1, 64, 'stack', 'net_tap', 'mixed')
        assert b'faults rx: of ' in err and b'faults tx: of ' in err, err
        srv.stop()


def test_bench_with_faults_tells_what_they_did():
    in_namespace(body_bench_faults)


def test_bench_park_json_has_the_promised_keys():
    status, out, err = run('bench', 'park', '--runs', '1', '--gs', '10000', '--no-peers', '--json',
                           timeout=120)
    assert status == 0, err
    c = json.loads(out)
    for key in ('yield_ns', 'park_ready_ns', 'park_ready_fd_ns', 'chan_ns', 'spawn_ns',
                'cross_lane_ready_ns', 'bytes_per_parked_g', 'timer_move_ns', 'cas_ns', 'hop_ns'):
        assert {key, key + '_low', key + '_high'} <= set(c), key
    assert {'machine', 'kernel', 'commit', 'cpus', 'date', 'seed', 'n'} <= set(c['meta'])
    assert c['runs'][0]['test'] == 'park' and c['ratios'] == {}, c


def test_bench_server_killed_in_the_middle_is_told():
    with Server('--epoll', '--port', str(PORT)) as srv:
        p = subprocess.Popen([PROGRAM, 'bench', 'rr', '--connect', '127.0.0.1:%d' % PORT,
                              '--time', '10'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.5)
        srv.p.kill()
        _, err = p.communicate(timeout=10)
        assert p.returncode == 1 and b'went away' in err, err


def in_namespace(body):
    """Run body() in a child that has namespaces of its own; its failure is ours."""
    need(dpdk=True, root=True)
    code = subprocess.run(['unshare', '-n', '-m', sys.executable, __file__, PROGRAM,
                           '--body', body.__name__], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert code.returncode == 0, code.stdout.decode()


def ip(*args):
    subprocess.run(['ip'] + list(args), check=True)


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


def body_no_answer():
    args = ['bench', 'rr', '--dev', 'net_tap0,iface=pl0', '--ip', '10.77.0.2/24', '--connect',
            '10.77.0.9:7', '--time', '0.1']
    check_bad(1, '10.77.0.9:7', args)


def test_echo_tap_returns_bytes_and_stat_sees_the_listener():
    in_namespace(body_tap)


def test_echo_address_of_the_kernel_is_refused():
    in_namespace(body_own_address)


def test_bench_peer_without_arp_is_told():
    in_namespace(body_no_answer)


def mine():
    """pids that run the program under test."""
    pids = set()
    for pid in os.listdir('/proc'):
        try:
            if pid.isdigit() and os.readlink('/proc/%s/exe' % pid) == PROGRAM:
                pids.add(pid)
        except OSError:
            pass
    return pids


def links():
    return {line.split(':')[1] for line in subprocess.run(
        ['ip', '-o', 'link'], stdout=subprocess.PIPE).stdout.decode().splitlines()}


def after_other_compares():
    """Somebody else's on this machine is no fault of ours."""
    fd = os.open('/run', os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.close(fd)


def test_compare_twice_at_once_is_refused():
    need(root=True)
    after_other_compares()
    fd = os.open('/run', os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        check_bad(1, 'another compare is running', ['compare', '--quick'])
    finally:
        os.close(fd)


def stopped_compare(sig, group):
    after_other_compares()
    before, had = mine(), links()
    with tempfile.TemporaryDirectory() as d:
        p = subprocess.Popen([PROGRAM, 'compare', '--quick', '--json', d + '/c.json', '--html',
                              d + '/c.html'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             start_new_session=True)
        time.sleep(3)
        (os.killpg if group else os.kill)(p.pid, sig)
        p.communicate(timeout=10)
        assert os.listdir(d) == [], os.listdir(d)
    for _ in range(50):
        if mine() == before and links() == had:
            break
        time.sleep(0.1)
    assert mine() == before and links() == had, (mine() - before, links() - had)
    return p.returncode


def test_compare_ctrl_c_leaves_nothing_behind():
    need(root=True)
    assert stopped_compare(signal.SIGINT, True) == 1


def test_compare_killed_leaves_nothing_behind():
    need(root=True)
    assert stopped_compare(signal.SIGKILL, False) == -signal.SIGKILL


def test_compare_quick_writes_json_and_html():
    need(root=True)
    if (os.cpu_count() or 1) < 2:
        raise Skip('needs two cpus')
    after_other_compares()
    with tempfile.TemporaryDirectory() as d:
        status, out, err = run('compare', '--quick', '--json', d + '/c.json', '--html',
                               d + '/c.html', timeout=180)
        assert status == 0, err
        with open(d + '/c.json') as f:
            c = json.load(f)
        sets = {r['set'] for r in c['runs']}
        assert {'kernel', 'kernel-awake', 'plain-epoll'} <= sets, sets
        if HAS_DPDK:
            assert {'bypass', 'floor'} <= sets, sets
            assert c['ratios']['rr1_p50_kernel_awake_over_bypass']['value'] > 0
            assert 'Who checksums' in out
        for r in (r for r in c['runs'] if r['test'] == 'rr'):
            assert r['rps'] > 0 and r['rps_low'] <= r['rps'] <= r['rps_high']
            assert set(r['rtt_us']) >= {'p50', 'p90', 'p99', 'p999', 'max'}
            if r['backend'] == 'epoll':
                assert r['rps_mode'].startswith('RPS ') and r['server_busy'] > 0, r
                # cycles are those of the server's cpu alone only where its packets go there
                assert r['conns'] == 1 or 'RPS off' not in r['cycles_mode'], r
        idle = [r for r in c['runs'] if r['test'] == 'idle']
        assert len(idle) == 2 and all(r['ends_per_conn'] == 2 and 1000 < r['bytes_per_idle_conn'] <
                                      20000 for r in idle), idle
        assert 'bytes of one end, goroutine and all' in out, out
        assert c['ratios']['rr64_rps_epoll_over_plain']['n'] >= 15, c['ratios']
        assert c['meta']['seconds'] < 90, c['meta']
        busy = re.findall(r'^  (kernel|kernel-awake|plain-epoll) .* \d+ %( TOO IDLE)?$', out, re.M)
        assert len(busy) == 3, out
        assert all(len(line) <= 100 for line in out.splitlines()), out
        assert ('TOO IDLE: ' in out) == any(idle for _, idle in busy), out
        if HAS_DPDK:
            assert re.search(r'\nIn short: .*\n(  .* / .*\n){3}(  (Not settled|Other programs).*\n)?$', out), out
        with open(d + '/c.html') as f:
            page = f.read()
        assert page.count('data:image/svg+xml') == 3 and 'http' not in page.replace(
            'data:image', '')


def main():
    if '--body' in sys.argv:
        globals()[sys.argv[sys.argv.index('--body') + 1]]()
        return 0
    tests = sorted(n for n in globals() if n.startswith('test_'))
    failed = 0
    print('TAP version 13\n1..%d' % len(tests))
    for n, name in enumerate(tests, 1):
        try:
            globals()[name]()
            print('ok %d - %s' % (n, name))
        except Skip as e:
            print('ok %d - %s # SKIP %s' % (n, name, e))
        except Exception as e:  # any failure of a case is that case's
            failed += 1
            print('not ok %d - %s\n# %s: %s' % (n, name, type(e).__name__,
                                                str(e).replace('\n', '\n# ')))
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
