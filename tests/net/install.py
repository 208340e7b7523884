#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The library as a stranger meets it: installed, found by pkg-config, the README's program.

usage: install.py BUILD CC. Prints TAP.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD, CC = os.path.abspath(sys.argv[1]), sys.argv[2]
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLE = os.path.join(SOURCE, 'apps/example/echo.c')
PORT = 7007


def case(n, name, faults):
    print('%sok %d - %s' % ('not ' if faults else '', n, name))
    for f in faults:
        print('# ' + f.replace('\n', '\n# '))
    sys.stdout.flush()
    return bool(faults)


def readme_matches():
    with open(os.path.join(SOURCE, 'README.md')) as f:
        blocks = re.findall(r'```c\n(.*?)```', f.read(), re.S)
    with open(EXAMPLE) as f:
        return [] if blocks and blocks[0] == f.read() else [
            'the first program of README.md is not apps/example/echo.c']


def install(root):
    p = subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--destdir', root],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode:
        return [p.stdout.decode()]
    names = {f for _, _, files in os.walk(root) for f in files}
    return ['%s is not installed' % f for f in (
        'libparklane.a', 'libparklane.so', 'parklane.pc', 'parklane', 'parklane.h', 'conn.h',
        'go.h', 'run.h') if f not in names and not any(n.startswith(f + '.') for n in names)]


def find(root, name):
    for folder, _, files in os.walk(root):
        if name in files:
            return folder
    return root


def exports(root):
    lib = os.path.join(find(root, 'parklane.pc'), '..', 'libparklane.so')
    out = subprocess.run(['nm', '-D', '--defined-only', lib], stdout=subprocess.PIPE).stdout
    names = [line.split()[-1].split('@')[0] for line in out.decode().splitlines()]
    return ['%s is exported' % n for n in names if not n.startswith('pl_')][:5] + (
        [] if 'pl_run' in names else ['pl_run is not exported'])


def answers(binary, env):
    p = subprocess.Popen([binary, '--epoll'], env=env, stderr=subprocess.PIPE)
    try:
        for _ in range(50):
            try:
                with socket.create_connection(('127.0.0.1', PORT), timeout=2) as s:
                    s.sendall(b'hello')
                    got = s.recv(16)
                return [] if got == b'hello' else ['answered %r' % got]
            except ConnectionRefusedError:
                time.sleep(0.1)
        return ['nobody answers: ' + p.stderr.read().decode() if p.poll() is not None else
                'nobody answers']
    finally:
        p.send_signal(signal.SIGTERM)
        p.wait(10)


def build_and_run(root):
    pc = find(root, 'parklane.pc')
    env = dict(os.environ, PKG_CONFIG_PATH=pc, PKG_CONFIG_SYSROOT_DIR=root,
               LD_LIBRARY_PATH=os.path.dirname(pc))
    flags = subprocess.run(['pkg-config', '--cflags', '--libs', 'parklane'], env=env,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
    binary = os.path.join(root, 'first')
    p = subprocess.run([CC, EXAMPLE, '-o', binary] + flags.split(), stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    if p.returncode:
        return [flags, p.stdout.decode()]
    return answers(binary, env)


def main():
    with tempfile.TemporaryDirectory() as root:
        print('TAP version 13\n1..4')
        bad = case(1, 'test_readme_first_program_is_the_example', readme_matches())
        bad += case(2, 'test_install_puts_library_headers_pc_and_program', install(root))
        bad += case(3, 'test_install_shared_library_exports_pl_names_only', exports(root))
        bad += case(4, 'test_install_first_program_builds_by_pkg_config_and_answers',
                    build_and_run(root))
    return 1 if bad else 0


sys.exit(main())
