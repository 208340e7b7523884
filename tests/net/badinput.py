#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the machine refuses, each told in one line with what to do, and nothing left behind.

usage: badinput.py PARKLANE [--no-dpdk]. Prints TAP. program.py has what the options alone show;
missing hugepages are no error of the program (normal pages do), test_dpdk.c has the refusal.
"""

import os
import socket
import subprocess
import sys
import threading

import netlib
from netlib import KERNEL_IP, PARKLANE_IP, Server, note, popen, sh

PROGRAM = os.path.abspath(sys.argv[1])
DEV = ['--dev', netlib.tap_device(), '--ip', PARKLANE_IP + '/24']
PORT = ['--port', '7']
NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all',
          '--bounding-set=-all']


def told(args, status, words, inside=(), link=None):
    """The one line that the program ended with, checked."""
    p = popen(list(inside) + [PROGRAM] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        if link:
            netlib.wait_for(lambda: netlib.kernel_address(*link) or p.poll() is not None)
        out, err = [t.decode() for t in p.communicate(timeout=20)]
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    line = err.strip()
    assert p.returncode == status, 'status %d, not %d: %s' % (p.returncode, status, err)
    assert out == '', out
    assert err.count('\n') == 1 and err.startswith('parklane: '), err
    for word in words:
        assert word in line, line
    note(line)
    assert not netlib.leftovers(), netlib.leftovers()


def echo(status, words, *args, **kw):
    told(['echo'] + list(args), status, words, **kw)


def test_bad_options():
    echo(2, ['70000', '1 to 65535'], '--port', '70000')
    echo(2, ['1 to 65535'], *DEV, '--port', '0')
    echo(2, ['1 to 32'], *PORT, *DEV[:2], '--ip', '10.77.0.2/33')
    echo(2, ['10.77.0.2/24'], *PORT, *DEV[:2], '--ip', '10.77.0.300/24')
    echo(2, ['10.77.0.2/24'], *PORT, *DEV[:2], '--ip', 'fe80::1/64')
    echo(2, ['broadcast'], *PORT, *DEV[:2], '--ip', '10.77.0.255/24')
    echo(2, ['--gw'], *PORT, *DEV, '--gw', '10.78.0.1')
    echo(2, ['1 to 64'], '--epoll', *PORT, '--lanes', '0')
    echo(2, ['1 for 2 lanes'], '--epoll', *PORT, '--lanes', '2', '--cpu', '0')
    echo(2, ['2-5', '64 lanes'], '--epoll', *PORT, '--cpu', '1,')
    echo(2, ['cpu 0 twice'], '--epoll', *PORT, '--cpu', '0,0')
    echo(2, ['--port needs a value'], '--epoll', '--port')
    echo(2, ['--idle needs a value'], '--epoll', *PORT, '--idle')
    echo(2, ['--prot: unknown'], '--prot', '7')
    told(['bench', 'park', '--cpu', '4000'], 1, ['cpu 4000 does not exist', '0 to'])


def test_bad_device_unknown():
    echo(1, ['net_nosuch0', 'known:'], *PORT, '--dev', 'net_nosuch0', *DEV[2:])
    echo(1, ['device', 'net_tap0'], *PORT, '--dev', ',', *DEV[2:])
    echo(1, ['ifcae', 'iface=NAME'], *PORT, '--dev', 'net_tap0,ifcae=pl0', *DEV[2:])
    echo(1, ['nosuch9', 'ip link'], *PORT, '--dev', 'net_af_packet0,iface=nosuch9', *DEV[2:])
    echo(1, ['no such device', 'dpdk-devbind'], *PORT, '--dev', '0000:7f:1f.7', *DEV[2:])


def test_bad_device_is_in_use():
    with netlib.echo_tap(PROGRAM):
        told_while_other_runs(['echo', *PORT, *DEV], ['pl0 is in use', 'iface=NAME'])
        netlib.transfer((PARKLANE_IP, 7), netlib.MIB)
    sh('ip link add pldummy type veth peer name plother')
    try:
        told_while_other_runs(['echo', *PORT, '--dev', 'net_tap0,iface=pldummy', *DEV[2:]],
                              ['no multi-queue tap'])
    finally:
        sh('ip link del pldummy')


def told_while_other_runs(args, words):
    """As told(), where another lane's device and socket are right to be there."""
    before = netlib.leftovers()
    p = subprocess.run([PROGRAM] + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=20)
    err = p.stderr.decode()
    assert p.returncode == 1 and err.count('\n') == 1 and err.startswith('parklane: '), err
    for word in words:
        assert word in err, err
    note(err.strip())
    assert netlib.leftovers() == before, netlib.leftovers()


def test_bad_port_is_in_use():
    with Server([PROGRAM, 'echo', '--epoll', *PORT]):
        told_while_other_runs(['echo', '--epoll', *PORT], ['in use', '--port'])


def test_bad_address_is_the_kernels():
    sh('ip addr add 10.77.0.2/24 dev lo')
    try:
        echo(1, ['kernel has that address', 'another'], *PORT, *DEV)
    finally:
        sh('ip addr del 10.77.0.2/24 dev lo')


def test_bad_tun_without_permission():
    echo(1, ['/dev/net/tun', 'CAP_NET_ADMIN'], *PORT, *DEV, inside=NOBODY)


def test_bad_interface_without_permission():
    echo(1, ['CAP_NET_RAW', 'lo'], *PORT, '--dev', 'net_af_packet0,iface=lo', *DEV[2:],
         inside=NOBODY)


def test_bad_port_without_permission():
    sh('sysctl -qw net.ipv4.ip_unprivileged_port_start=1024')
    echo(1, ['below 1024'], '--epoll', *PORT, inside=NOBODY)


def test_bad_lanes_beyond_queues():
    echo(1, ['20 queues', 'it has 16'], *PORT, *DEV, '--lanes', '20')


def test_bad_cpu_does_not_exist():
    echo(1, ['cpu 4000', '0 to'], *PORT, *DEV, '--cpu', '4000')
    echo(1, ['0 to'], '--epoll', *PORT, '--cpu', '4000')
    echo(1, ['4000'], '--epoll', *PORT, '--cpu', '0,4000')


def test_bad_tap_that_persists_is_taken():
    """Not bad at all: a tap that was made beforehand and that nobody has open."""
    sh('ip tuntap add dev plmade mode tap multi_queue')
    try:
        with Server([PROGRAM, 'echo', *PORT, '--dev', 'net_tap0,iface=plmade', *DEV[2:]]) as srv:
            netlib.kernel_address('plmade')
            netlib.transfer((PARKLANE_IP, 7), netlib.MIB)
            srv.stop()
            assert srv.status == 0, srv.rest
    finally:
        sh('ip link del plmade', check=False)


def test_bad_pool_beyond_ulimit():
    for mib in (60, 180):
        echo(1, ['159 MiB', 'ulimit -v'], *PORT, *DEV,
             inside=['sh', '-c', 'ulimit -v %d; exec "$@"' % (mib * 1024), 'sh'])


def test_bad_pool_beyond_control_group():
    """Files as a control group has them stand in for a group, which is not ours to make."""
    for folder, limit, used in (('', 'memory.max', 'memory.current'),
                                ('/memory', 'memory.limit_in_bytes', 'memory.usage_in_bytes')):
        fake = ('mount -t tmpfs none /sys/fs/cgroup; cd /sys/fs/cgroup; mkdir memory; '
                'echo 104857600 >.%s/%s; echo 20971520 >.%s/%s; exec "$@"' % (
                    folder, limit, folder, used))
        with open('/proc/self/cgroup') as f:
            if not folder or ':memory:/' in f.read():
                echo(1, ['80 MiB are left to this control group'], *PORT, *DEV,
                     inside=['unshare', '-m', '--propagation', 'private', 'sh', '-c', fake, 'sh'])


def test_bad_pcap_cannot_be_written():
    echo(1, ['/nonexistent/x.pcap'], *PORT, *DEV, '--pcap', '/nonexistent/x.pcap')


def test_bad_fault_is_unknown():
    echo(2, ['rain'], *PORT, *DEV, '--fault', 'rain=1')
    echo(2, ['2'], *PORT, *DEV, '--fault', 'loss=2')


def test_bad_ports_are_exhausted():
    """More connections than ports, to a host that answers ARP and nothing else; and over epoll."""
    sh('iptables -w 5 -A INPUT -p tcp --dport 9 -j DROP')
    try:
        told(['bench', 'rr', *DEV, '--connect', KERNEL_IP + ':9', '--conns', '29000'], 1,
             ['ports are exhausted', '--conns'], link=('pl0',))
        sh('sysctl -qw net.ipv4.ip_local_port_range="40000 40049"')
        told(['bench', 'rr', '--connect', '127.0.0.1:9', '--conns', '60'], 1,
             ['ports are exhausted', '--conns'])
    finally:
        sh('iptables -w 5 -D INPUT -p tcp --dport 9 -j DROP')
        sh('sysctl -qw net.ipv4.ip_local_port_range="32768 60999"')


def test_bad_too_many_files():
    with Server([PROGRAM, 'echo', '--epoll', *PORT]):
        before = netlib.leftovers()
        p = subprocess.run(['sh', '-c', 'ulimit -n 40; exec "$@"', 'sh', PROGRAM, 'bench', 'rr',
                            '--connect', '127.0.0.1:7', '--conns', '60'], timeout=20,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        err = p.stderr.decode()
        assert p.returncode == 1 and err.count('\n') == 1 and 'ulimit -n' in err, err
        note(err.strip())
        assert netlib.leftovers() == before, netlib.leftovers()


def test_bad_server_is_no_echo():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()

        def chatter():
            c = s.accept()[0]
            c.recv(64)
            c.sendall(b'?' * 64)
            c.recv(1)
            c.close()

        t = threading.Thread(target=chatter)
        t.start()
        told(['bench', 'rr', '--connect', '127.0.0.1:%d' % s.getsockname()[1]], 1,
             ['no echo server'])
        t.join()


def test_bad_compare_without_root():
    told(['compare', '--quick'], 1, ['root'], inside=NOBODY)


def main():
    names = [n for n in globals() if n.startswith('test_')]
    reason = netlib.why_not(dpdk=True)
    if reason:
        return netlib.skip_all(names, reason)
    netlib.enter_namespaces(PROGRAM)
    tap = netlib.Tap(len(names))
    tap.run([(n, globals()[n]) for n in names])
    return tap.status()


if __name__ == '__main__':
    sys.exit(main())
