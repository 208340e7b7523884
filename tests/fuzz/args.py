#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""tests/fuzz/run as its user meets it: one line for what is wrong, and no file outside of its folder.

usage: args.py BUILD. Prints TAP. BUILD has the fuzz programs without a fuzzer.
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
RUN = os.path.join(HERE, 'run')
BUILD = os.path.abspath(sys.argv[1])
FRAG = os.path.join(BUILD, 'tests', 'fuzz', 'fuzz_frag')
SEED = bytes(range(64))


def called(*cmd, env=None):
    p = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=60, env=dict(os.environ, **(env or {})))
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def loaded():
    loader = importlib.machinery.SourceFileLoader('fuzz_run', RUN)
    run = importlib.util.module_from_spec(importlib.util.spec_from_loader('fuzz_run', loader))
    loader.exec_module(run)
    return run


def test_fuzz_args_bad_ones_are_one_line():
    for args, words in ((['--add', RUN + '=../../evil', 'frag'], 'without a folder'),
                        (['--add', RUN + '=a/b', 'frag'], 'without a folder'),
                        (['--add', RUN + '=..', 'frag'], 'without a folder'),
                        (['--add', 'foo', 'frag'], 'FILE=NAME'),
                        (['--add', RUN + '=', 'frag'], 'at most 99 letters'),
                        (['--add', RUN + '=a\nb', 'frag'], 'at most 99 letters'),
                        (['--add', RUN + '=' + 'x' * 100, 'frag'], 'at most 99 letters'),
                        (['--add', RUN + '=row-B22', 'frag'], 'seeds.py'),
                        (['--add', RUN + '=0123456789abcdef', 'frag'], '--pack'),
                        (['--add', os.devnull + '=nothing', 'frag'], 'is empty'),
                        (['--add', RUN + '=finding-ttl', '--add', HERE + '/args.py=finding-ttl', 'frag'], 'NAME of its own'),
                        (['--add', '/nonexistent=x', 'frag'], '/nonexistent: No such file'),
                        (['--add', RUN + '=x'], 'one TARGET'),
                        (['--build', BUILD, '--keep', '/proc/nope', 'frag'], '/proc/nope'),
                        (['--build', '/nonexistent', 'frag'], 'no fuzzers in /nonexistent'),
                        (['--nonsense'], '--nonsense'), (['--jobs', 'x'], '--jobs'),
                        (['nosuch'], 'no target nosuch'), (['frag', RUN], 'no target'),
                        (['--build', BUILD, '--replay', 'frag', '/nonexistent'], '/nonexistent: No such')):
        status, out, err = called(sys.executable, RUN, *args)
        assert status in (1, 2) and out == '', (args, status, out)
        assert err.startswith('fuzz: ') and err.count('\n') == 1 and words in err, (args, err)


def test_fuzz_args_a_corpus_with_a_path_is_refused():
    run = loaded()
    with tempfile.TemporaryDirectory() as run.HERE:
        for name in ('../../evil', '/evil', 'a/b', '..'):
            os.makedirs(os.path.join(run.HERE, 'corpus'), exist_ok=True)
            with tarfile.open(run.archive('frag'), 'w:xz') as tar:
                info = tarfile.TarInfo(name)
                info.size = len(SEED)
                tar.addfile(info, io.BytesIO(SEED))
            try:
                run.unpack('frag', os.path.join(run.HERE, 'a', 'b'))
            except SystemExit as e:
                assert 'no name of an input' in e.code, e.code
            else:
                raise AssertionError(name + ' was unpacked')
            assert os.listdir(os.path.join(run.HERE, 'a', 'b')) == []
        run.pack('frag', {'good.1': SEED})
        assert run.packed('frag') == {'good.1': SEED}


def test_fuzz_args_an_added_input_stays():
    run = loaded()
    with tempfile.TemporaryDirectory() as run.HERE:
        mine = os.path.join(run.HERE, 'a=b')
        with open(mine, 'wb') as f:
            f.write(SEED)
        sys.argv = [RUN, 'frag', '--add', mine + '=finding-mine', '--add', mine + '=again']
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert run.main() == 0
        assert '2 inputs' in out.getvalue(), out.getvalue()
        assert run.packed('frag') == {'finding-mine': SEED, 'again': SEED}
        assert run.stays('finding-mine')
        assert run.unpack('frag', os.path.join(run.HERE, 'all')) > 2
        with open(os.path.join(run.HERE, 'all', 'finding-mine'), 'rb') as f:
            assert f.read() == SEED


def test_fuzz_args_an_input_of_ones_own_is_replayed():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'mine')
        with open(path, 'wb') as f:
            f.write(SEED)
        cmd = [sys.executable, RUN, '--build', BUILD, '--replay', 'frag', path]
        quiet, loud = called(*cmd), called(*cmd, env={'FUZZ_VERBOSE': '1'})
        assert quiet[0] == 0 and path in quiet[1] and '1 inputs' in quiet[1], quiet
        assert loud[0] == 0 and loud[1].count('\n') + loud[2].count('\n') > quiet[1].count('\n'), loud
        assert os.listdir(folder) == ['mine']


def test_fuzz_args_a_program_tells_its_usage():
    status, out, err = called(FRAG)
    assert status == 2 and out == '' and err.startswith('usage: ') and err.count('\n') == 1, err
    status, out, err = called(FRAG, '--help')
    assert status == 0 and out.startswith('usage: ') and err == '', out
    assert called(FRAG, HERE)[0] == 2


def main():
    tests = [(name, fn) for name, fn in globals().items() if name.startswith('test_')]
    failed = 0
    print('TAP version 13\n1..%d' % len(tests))
    for n, (name, fn) in enumerate(tests, 1):
        try:
            fn()
            print('ok %d - %s' % (n, name))
        except AssertionError as e:
            failed = 1
            print('not ok %d - %s\n# %s' % (n, name, str(e).replace('\n', ' ')))
    return failed


if __name__ == '__main__':
    sys.exit(main())
