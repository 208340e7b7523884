# SPDX-License-Identifier: BSD-3-Clause
"""What the network tests share: namespaces, a server, transfers whose bytes are proven, TAP.

A test enters network and mount namespaces of its own before anything else, with an empty /run:
whatever it makes ends with it, and whatever the program leaves behind shows.
"""

import ctypes
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

PARKLANE_IP, KERNEL_IP, NET = '10.77.0.2', '10.77.0.1', '10.77.0.0/24'
RUN_LEFTOVERS = ('/run/parklane', '/run/dpdk', '/var/run/dpdk')
MIB = 1 << 20


class Skip(Exception):
    """The reason why a case cannot run here."""


def why_not(dpdk):
    """The reason why no case can run here, '' when they can."""
    if os.geteuid() != 0:
        return 'needs root'
    if subprocess.run(['unshare', '-n', '-m', 'true'], stderr=subprocess.DEVNULL).returncode:
        return 'may not make namespaces'
    if dpdk and '--no-dpdk' in sys.argv:
        return 'built without DPDK'
    if dpdk and not os.access('/dev/net/tun', os.R_OK | os.W_OK):
        return 'no /dev/net/tun'
    return ''


def sh(cmd, check=True):
    p = subprocess.run(['sh', '-c', cmd], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    if check and p.returncode:
        raise AssertionError('%s: %s' % (cmd, p.stdout.decode()))
    return p.stdout.decode()


def enter_namespaces(program):
    """Start again inside of namespaces of our own; returns there only."""
    if os.environ.get('NETLIB_INSIDE') != str(os.getpid()):
        env = dict(os.environ, NETLIB_INSIDE=str(os.getpid()))
        os.execvpe('unshare', ['unshare', '-n', '-m', '--propagation', 'private', sys.executable]
                   + sys.argv, env)
    program = os.path.abspath(program)
    sh('mount -t tmpfs none /run && ip link set lo up')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return program


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    # A shell's background job, such as CI may be, ignores these, and so would what it starts.
    for sig in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(sig, signal.SIG_DFL)


def popen(args, **kw):
    kw.setdefault('stdin', subprocess.DEVNULL)
    return subprocess.Popen(args, preexec_fn=die_with_parent, **kw)


def leftovers():
    """What a program that has ended left in our namespaces."""
    left = [line.split(':')[1].strip() for line in sh('ip -o link').splitlines()
            if line.split(':')[1].strip().startswith(('pl', 'dtap'))]
    for folder in RUN_LEFTOVERS:
        if os.path.isdir(folder):
            left += [os.path.join(folder, f) for f in os.listdir(folder)]
    return left + (['/run/dpdk'] if os.path.exists('/run/dpdk') else [])


def tap_device(n=0):
    return 'net_tap%d,iface=pl%d' % (n, n)


def kernel_address(link, addr=KERNEL_IP + '/24'):
    """Give the kernel's end of a device its address; True once the device is there."""
    try:
        socket.if_nametoindex(link)
    except OSError:
        return False
    # The address last: with it a client may have its answer, end, and take the device away.
    sh('ip link set %s up && ip addr replace %s dev %s' % (link, addr, link))
    return True


def wait_for(what, seconds=5.0, message='nothing came'):
    """what()'s first true answer."""
    end = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < end, message
        time.sleep(0.01)


class Server:
    """A program that tells its readiness on stderr; `inside` goes before its command."""

    def __init__(self, args, inside=(), ready='parklane: echo on', **kw):
        self.rest, self.status = '', None
        self.p = popen(list(inside) + list(args), stderr=subprocess.PIPE, **kw)
        self.first = self.p.stderr.readline().decode()
        if ready not in self.first:
            self.p.kill()
            self.p.wait()
            raise AssertionError('%s: %s' % (args, self.first))

    def stop(self, sig=signal.SIGINT):
        self.p.send_signal(sig)
        self.rest = self.p.stderr.read().decode()
        self.status = self.p.wait(20)
        return self.rest

    def rss_kib(self):
        with open('/proc/%d/status' % self.p.pid) as f:
            return int([line for line in f if line.startswith('VmRSS')][0].split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGINT)
            try:
                self.p.wait(5)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        self.p.stderr.close()


def echo_tap(program, *more, n=0):
    """parklane echo on a tap device, the kernel's end up."""
    srv = Server([program, 'echo', '--dev', tap_device(n), '--ip', PARKLANE_IP + '/24', '--port',
                  '7'] + list(more))
    kernel_address('pl%d' % n)
    return srv


class Veth:
    """A second namespace behind a veth pair: the kernel's own stack as the server's side."""

    def __enter__(self):
        self.holder = popen(['unshare', '-n', 'sh', '-c', 'echo up; exec sleep 600'],
                            stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        pid = self.holder.pid
        self.inside = ['nsenter', '-t', str(pid), '-n']
        sh('ip link add vk0 type veth peer name vk1 netns %d' % pid)
        kernel_address('vk0')
        sh('%s sh -c "ip addr add %s/24 dev vk1; ip link set vk1 up; ip link set lo up"'
           % (' '.join(self.inside), PARKLANE_IP))
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        sh('ip link del vk0', check=False)


def stat(program, srv):
    out = subprocess.run([program, 'stat', '--pid', str(srv.p.pid), '--json'], check=True,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out)


class Stream:
    """`size` bytes through one connection to an echo: sent, received, and compared."""

    def __init__(self, addr, size, timeout=20):
        self.s = socket.create_connection(addr, timeout=timeout)
        self.s.setblocking(False)
        # Own bytes per stream, so that a mixed-up answer shows.
        self.data = os.urandom(min(size, MIB))
        self.size, self.sent, self.received = size, 0, 0
        self.want, self.got = hashlib.sha256(), hashlib.sha256()

    def events(self):
        return select.POLLIN | (select.POLLOUT if self.sent < self.size else 0)

    def step(self, events):
        """Go on; True when the stream is done and its end was seen."""
        if events & select.POLLOUT and self.sent < self.size:
            at = self.sent % len(self.data)
            n = self.s.send(self.data[at:][:self.size - self.sent])
            self.want.update(self.data[at:at + n])
            self.sent += n
            if self.sent == self.size:
                self.s.shutdown(socket.SHUT_WR)
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            back = self.s.recv(MIB)
            if not back:
                assert self.received == self.size, 'end after %d of %d' % (self.received,
                                                                           self.size)
                return True
            self.got.update(back)
            self.received += len(back)
        return False

    def same(self):
        return self.received == self.size and self.want.digest() == self.got.digest()


def transfer(addr, size, streams=1, timeout=20):
    """`size` bytes through each of `streams` connections at once; seconds it took."""
    start = time.monotonic()
    poll, todo, every = select.poll(), {}, []
    for _ in range(streams):
        one = Stream(addr, size)
        todo[one.s.fileno()] = one
        every.append(one)
        poll.register(one.s, one.events())
    while todo:
        assert time.monotonic() - start < timeout, '%d streams stand still: %s' % (
            len(todo), [(t.sent, t.received) for t in todo.values()][:4])
        for fd, events in poll.poll(1000):
            one = todo[fd]
            if one.step(events):
                poll.unregister(fd)
                one.s.close()
                del todo[fd]
            else:
                poll.modify(fd, one.events())
    assert all(one.same() for one in every), 'other bytes came back'
    return time.monotonic() - start


def sha256_file(path):
    h = hashlib.sha256()
    with open(path, 'rb') as f:
        for piece in iter(lambda: f.read(MIB), b''):
            h.update(piece)
    return h.hexdigest()


def rate(size, seconds):
    return '%d MiB in %.2f s, %.0f Mbit/s each way' % (size // MIB, seconds,
                                                       size * 8 / seconds / 1e6)


def note(text):
    print('# ' + text)


class Tap:
    """One case after another, of `planned` in all."""

    def __init__(self, planned):
        self.n = self.failed = 0
        print('TAP version 13\n1..%d' % planned)

    def run(self, cases):
        """cases: (name, function); what a function raises is its case's failure."""
        for name, body in cases:
            self.n += 1
            began = time.monotonic()
            try:
                body()
                print('ok %d - %s' % (self.n, name))
            except Skip as e:
                print('ok %d - %s # SKIP %s' % (self.n, name, e))
            except Exception as e:
                self.failed += 1
                print('not ok %d - %s\n# %s: %s' % (self.n, name, type(e).__name__,
                                                    str(e).replace('\n', '\n# ')))
            note('%.2f s' % (time.monotonic() - began))
            sys.stdout.flush()

    def status(self):
        return 1 if self.failed else 0


def skip_all(names, reason):
    """Each case counted, each with the reason."""
    print('TAP version 13\n1..%d' % len(names))
    for n, name in enumerate(names, 1):
        print('ok %d - %s # SKIP %s' % (n, name, reason))
    return 0
