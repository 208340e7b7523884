#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The program's measurements: bench's forms and ends, and compare's cleanliness.

usage: bench.py PARKLANE. Prints TAP. What needs root or DPDK skips without, with the reason.
"""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from netlib import Skip
from proglib import (HAS_DPDK, PORT, PROGRAM, Server, check_bad,
                     check_bench_json, in_namespace, ip, main, need, run)


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


def body_no_answer():
    args = ['bench', 'rr', '--dev', 'net_tap0,iface=pl0', '--ip', '10.77.0.2/24', '--connect',
            '10.77.0.9:7', '--time', '0.1']
    check_bad(1, '10.77.0.9:7', args)


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


def compared(*args):
    """The text, the JSON and the page of a compare."""
    need(root=True)
    if (os.cpu_count() or 1) < 2:
        raise Skip('needs two cpus')
    after_other_compares()
    with tempfile.TemporaryDirectory() as d:
        status, out, err = run('compare', *args, '--json', d + '/c.json', '--html', d + '/c.html',
                               timeout=180)
        assert status == 0, err
        assert all(len(line) <= 100 for line in out.splitlines()), out
        with open(d + '/c.json') as f, open(d + '/c.html') as page:
            return out, json.load(f), page.read()


def check_page(page, pictures):
    assert page.count('data:image/svg+xml') == pictures, page.count('data:image/svg+xml')
    assert 'http' not in page.replace('data:image', '')


def check_ratios(c, out):
    """All pairs were taken, however busy the machine is. One in which an end lost its cpu to another
    program for a quarter of the window, or all of it so that nothing moved, does not count: n may be
    anything up to pairs, and there is a figure where half of them are left."""
    for name, r in c['ratios'].items():
        assert 0 <= r['n'] <= r['pairs'] > 0, (name, r)
        assert ('value' in r) == (2 * r['n'] >= r['pairs']), (name, r)
        none = re.search('^  ' + re.escape(r['says']) + r' +none  \(starved: (\d+) of (\d+) pairs',
                         out, re.M)
        assert (none is None) == ('value' in r), (name, r, out)
        assert none is None or [int(v) for v in none.groups()] == [r['n'], r['pairs']], (r, out)
        assert 'value' in r or c['meta']['samples_starved'] > 0, c['meta']
    starved = c['meta']['samples_starved']
    assert (' of %d samples other programs had a cpu ' % c['meta']['samples'] in
            re.sub(r'\s+', ' ', out)) == (starved > 0), out


def test_compare_quick_writes_json_and_html():
    out, c, page = compared('--quick', '--tests', 'rr,park,idle')
    sets = {r['set'] for r in c['runs']}
    assert {'kernel', 'kernel-awake', 'plain-epoll'} <= sets, sets
    if HAS_DPDK:
        assert {'bypass', 'floor'} <= sets, sets
        assert c['ratios']['rr1_p50_kernel_awake_over_bypass'].get('value', 1) > 0
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
    assert c['ratios']['rr64_rps_epoll_over_plain']['pairs'] == 15, c['ratios']
    check_ratios(c, out)
    assert c['meta']['seconds'] < 90, c['meta']
    rows = re.sub(r'\n {16}(?=\S)', ' ', out)  # a wild sample makes a row too wide for one line
    busy = re.findall(r'^  (kernel|kernel-awake|plain-epoll)!? .* \d+ %( TOO IDLE)?$', rows, re.M)
    assert len(busy) == 3, out
    assert ('TOO IDLE: ' in out) == any(idle for _, idle in busy), out
    if HAS_DPDK:
        assert re.search(r'\nIn short: .*\n(  .* / .*\n){3}(  (Not settled|Other programs|Starved).*\n)?$',
                         out), out
    check_page(page, 3)


def test_compare_streams_run_both_ways_on_both_paths():
    """Few and short samples: that each byte arrives and what is told of it, not how fast."""
    out, c, page = compared('--tests', 'stream', '--samples', '2', '--time', '0.05')
    assert {r['test'] for r in c['runs']} == {'stream'}, c['runs']
    sets = {'kernel', 'kernel-awake', 'plain-epoll'} | ({'bypass'} if HAS_DPDK else set())
    got = {(r['set'], r['direction'], r['conns']) for r in c['runs'] if 'direction' in r}
    assert got == {(s, way, n) for s in sets for way in ('to_server', 'from_server')
                   for n in (1, 8)}, got
    for r in c['runs']:
        assert r['gbps'] > 0 and r['gbps_low'] <= r['gbps'] <= r['gbps_high'], r
        assert r['size'] == 65536 and r['mss'] == 1448 and r['samples']['gbps'], r
        if r['set'] == 'floor':
            continue
        assert r['server_cycles_per_mss'] >= 0 and r['ledger']['per'] == '1448 bytes', r
        if r['set'] == 'bypass':
            assert r['ledger']['cycles_by_step']['app'] > 0, r
        else:
            # each end's work on its own cpu, or cycles would be of both
            assert r['cycles_mode'].startswith('RPS both ends'), r
    for r in (r for r in c['runs'] if r['conns'] == 8 and r['set'] != 'plain-epoll'):
        assert r['ledger'].get('bytes_copied', 1448) > 1000, r['ledger']  # none of an empty window
    names = {'stream%d_%s_gbps_%s' % (n, way, of) for n in (1, 8)
             for way in ('to_server', 'from_server')
             for of in ('epoll_over_plain', 'bypass_over_kernel_awake') if of[0] == 'e' or HAS_DPDK}
    assert names <= set(c['ratios']), c['ratios']
    assert '\n  8 streams ' in out and 'Request and response' not in out, out
    check_page(page, 2)


def test_compare_starved_gives_no_ratio_and_says_why():
    """Its ratios were those of samples in which three other programs had each cpu by turns."""
    if not os.path.exists('/proc/self/schedstat'):
        raise Skip('a kernel without CONFIG_SCHED_INFO does not tell who waited')
    hogs = [subprocess.Popen(['taskset', '-c', str(cpu), sys.executable, '-c',
                              'while True: pass']) for cpu in (0, 1) for _ in range(3)]
    try:
        out, c, page = compared('--tests', 'rr', '--samples', '2', '--time', '0.05')
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    check_ratios(c, out)
    assert 2 * c['meta']['samples_starved'] > c['meta']['samples'], c['meta']
    assert any('value' not in r for r in c['ratios'].values()), c['ratios']
    assert 'none: starved, ' in page and '(starved: ' in out, out
    assert not HAS_DPDK or out.endswith('Run it again when all is quiet.\n'), out
    assert 'nan' not in out, out


def test_compare_unknown_test_is_told():
    for bad in ('tcp', 'rr,', ',rr', '', 'rr,streams'):
        check_bad(2, '--tests ', ['compare', '--tests', bad])


if __name__ == '__main__':
    sys.exit(main(globals()))
