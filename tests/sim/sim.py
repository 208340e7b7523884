#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`parklane sim` as its user meets it: replays, what it prints and refuses, the seeds that once failed.

usage: sim.py PARKLANE. Prints TAP.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(sys.argv[1])
SEEDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'seeds')
# docs/tcp-matrix.md, which has no B23
ROWS = ['B%d' % n for n in range(1, 35) if n != 23]
CASES = []


def case(fn):
    CASES.append(fn)
    return fn


def sim(*args, status=0):
    run = subprocess.run([PROGRAM, 'sim'] + list(args), stdin=subprocess.DEVNULL, timeout=900,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = run.stdout.decode(), run.stderr.decode()
    assert run.returncode == status, 'status %d: %s%s' % (run.returncode, out[-300:], err[-600:])
    return out, err


def capture(folder, seed, *args):
    path = os.path.join(folder, 'seed.pcap')
    out, _ = sim('--seed', str(seed), '--pcap', path, *args)
    with open(path, 'rb') as f:
        return f.read(), out


@case
def test_sim_2000_worlds_keep_what_tcp_promises():
    out, _ = sim('--seeds', '2000', '--json')
    did = json.loads(out)
    assert did['worlds'] == 2000 and did['failures'] == []
    print('# %d connections, %.0f a second of cpu' % (did['connections'],
                                                      did['connections_per_cpu_second']))


@case
def test_sim_hostile_rows_do_no_harm():
    for row in ROWS:
        out, _ = sim('--hostile', row, '--seeds', '12', '--json')
        did = json.loads(out)
        assert did['worlds'] == 12 and did['failures'] == [], '%s: %s' % (row, out)


@case
def test_sim_hostile_replay_is_the_same_packet_for_packet():
    with tempfile.TemporaryDirectory() as folder:
        for row in ('B1', 'b18', 'B32', 'any'):
            first, again = (capture(folder, 5, '--hostile', row) for _ in range(2))
            assert first == again, '%s gives another capture' % row
        assert capture(folder, 5) != first, 'the hostile host leaves no trace'


@case
def test_sim_verbose_tells_of_the_hostile_host():
    out, _ = sim('--seed', '3', '--verbose', '--hostile', 'B18')
    for words in ('hostile host: B18', 'B18 begins against host', 'B18 is over: sent'):
        assert words in out, '%s not in %s' % (words, out[:2000])


@case
def test_sim_replay_is_the_same_packet_for_packet():
    with tempfile.TemporaryDirectory() as folder:
        seen = set()
        for seed in range(1, 25):
            first, again = capture(folder, seed), capture(folder, seed)
            assert first == again, 'seed %d gives another capture' % seed
            assert len(first[0]) > 24, 'seed %d: no packet' % seed
            seen.add(first[0])
        assert len(seen) == 24, 'two seeds give the same capture'


@case
def test_sim_capture_is_ethernet_in_nanoseconds():
    with tempfile.TemporaryDirectory() as folder:
        data, _ = capture(folder, 3)
    assert data[:4] == (0xa1b23c4d).to_bytes(4, sys.byteorder)
    assert data[20:24] == (1).to_bytes(4, sys.byteorder)


@case
def test_sim_verbose_tells_what_was_drawn_and_what_happened():
    out, _ = sim('--seed', '1', '--verbose')
    for words in ('hosts', 'link 0 forth: rate', 'flow 0: host', 'heal', 'client is done',
                  'all well'):
        assert words in out, '%s not in %s' % (words, out[:2000])
    out = ''.join(sim('--seed', str(seed), '--verbose')[0] for seed in range(1, 31))
    assert 'rate unlimited delay' in out and 'rate 0 Mbit/s' not in out


@case
def test_sim_seeds_that_once_failed():
    with open(SEEDS, encoding='utf-8') as f:
        seeds = re.findall(r'^(\d+)', f.read(), re.M)
    assert seeds
    for seed in seeds:
        sim('--seed', seed)


@case
def test_sim_json_says_the_same_with_one_job_and_two():
    one = json.loads(sim('--seeds', '40', '--first-seed', '100', '--json')[0])
    two = json.loads(sim('--seeds', '40', '--first-seed', '100', '--json', '--jobs', '2')[0])
    assert one['worlds'] == 40 and one['failures'] == [] and one['connections'] > 40
    for key in ('worlds', 'connections', 'frames', 'bytes', 'turns', 'retransmissions', 'timeouts',
                'resets', 'virtual_seconds'):
        assert one[key] == two[key], '%s: %s and %s' % (key, one[key], two[key])


@case
def test_sim_last_seed_is_the_same_to_both():
    last = str(2**63 - 1)
    did = json.loads(sim('--seeds', '1', '--first-seed', last, '--json')[0])
    assert did['worlds'] == 1 and str(did['first_seed']) == last, did
    sim('--seed', last)


@case
def test_sim_interrupt_ends_with_what_was_done():
    p = subprocess.Popen([PROGRAM, 'sim', '--seeds', '4000000'], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    time.sleep(1)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=20)
    assert p.returncode == 1 and err == b'', err
    done = re.match(rb'(\d+) of 4000000 worlds from seed 1: 0 failed.*; interrupted$', out)
    assert done and int(done.group(1)) > 0, out


@case
def test_sim_refusals_are_one_line():
    for args, status, words in (
            ([], 2, '--seed N'), (['--seed', '1', '--seeds', '2'], 2, '--seed N'),
            (['--seed', 'x'], 2, 'number'), (['--seeds', '0'], 2, 'number'),
            (['--seeds', '3', '--pcap', '/tmp/x'], 2, '--pcap'),
            (['--seed', '3', '--jobs', '2'], 2, '--jobs'), (['--jobs', '2'], 2, '--seed N'),
            (['--seed', '1', '--hostile', 'B23'], 2, ' B22 B24 '),
            (['--seed', '1', '--hostile', 'foo'], 2, "'any', or one of B1 B2 "),
            (['--seed', '9223372036854775808'], 2, '0 to 9223372036854775807'),
            (['--seeds', '1', '--first-seed', '9223372036854775808'], 2, '0 to 9223372036854775807'),
            (['--seeds', '2', '--first-seed', '9223372036854775807'], 2, 'the last seed'),
            (['--hostile', 'B1'], 2, '--seed N'),
            (['--nonsense'], 2, 'nonsense'), (['1'], 2, '1'),
            (['--seed', '1', '--pcap', '/nowhere/x.pcap'], 1, '/nowhere/x.pcap')):
        out, err = sim(*args, status=status)
        assert out == '' and err.count('\n') == 1 and words in err, '%s: %s%s' % (args, out, err)


@case
def test_sim_help_names_each_option():
    out, _ = sim('--help')
    for option in ('--seed', '--pcap', '--verbose', '--seeds', '--first-seed', '--jobs', '--json',
                   '--hostile'):
        assert option in out, option


def main():
    failed = 0
    print('TAP version 13')
    for n, fn in enumerate(CASES, 1):
        why = None
        try:
            fn()
        except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as e:
            why = str(e) or repr(e)
        print('%sok %d - %s' % ('not ' if why else '', n, fn.__name__))
        if why:
            print('# ' + why.replace('\n', '\n# '))
        failed += bool(why)
    print('1..%d' % len(CASES))
    sys.exit(1 if failed else 0)


main()
