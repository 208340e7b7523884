# SPDX-License-Identifier: BSD-3-Clause
"""Goroutines in gdb, of a live program or of the kernel's core of it:

    info goroutines            who is there: number, state, wait reason, how long, function
    goroutine N [COMMAND]      COMMAND (default: bt) as if the thread stood in goroutine N;
                               LANE:N where several lanes have a goroutine of that number,
                               RUN.LANE:N where several pl_run go on at once

Needs the library's debugging information. A parked goroutine's registers lie where
coro_switch() pushed them: an unwinder makes these the caller of the thread's newest frame, so
nothing of the program is written, and a core does as well as a process.
"""

import re
import time

import gdb
from gdb.unwinder import Unwinder, register_unwinder

# Offset of each register from the saved stack pointer, as switch_<arch>.S pushes them, and what
# the stack pointer is when coro_switch() has returned.
FRAMES = {
    'i386:x86-64': ({'r15': 8, 'r14': 16, 'r13': 24, 'r12': 32, 'rbx': 40, 'rbp': 48, 'rip': 56},
                    'rsp', 'rip', 64),
    'aarch64': (dict([('x%d' % r, 16 + 8 * (r - 19)) for r in range(19, 29)] +
                     [('x29', 0), ('x30', 8), ('pc', 8)]),
                'sp', 'pc', 176),
}
G_IDLE, G_RUNNING, G_WAITING, G_DEAD = 'G_IDLE', 'G_RUNNING', 'G_WAITING', 'G_DEAD'


def value_of(name):
    return gdb.parse_and_eval(name)


def enum_name(value, enum):
    """The name of an enumerator: fields that keep one in a byte have lost the type."""
    for field in gdb.lookup_type('enum ' + enum).fields():
        if field.enumval == int(value):
            return field.name
    return str(int(value))


def told(table, value):
    """A string of the tables that the program's own dumps print from (dump_print.c)."""
    symbol = gdb.lookup_static_symbol(table)
    if symbol is None:
        raise gdb.GdbError('no debugging information of Parklane here')
    return symbol.value()[int(value)].string()


def span(ns):
    for unit, size in (('h', 3600e9), ('min', 60e9), ('s', 1e9), ('ms', 1e6), ('us', 1e3)):
        if ns >= size:
            return '%.1f %s' % (ns / size, unit)
    return '%d ns' % ns


def lanes():
    """struct lane * of each lane, in the order of dump.c."""
    symbol = gdb.lookup_static_symbol('dump_lanes')
    if symbol is None:
        raise gdb.GdbError('no debugging information of Parklane here')
    lane_type = gdb.lookup_type('struct lane')
    offset = [f for f in lane_type.fields() if f.name == 'dump'][0].bitpos // 8
    found, at = [], symbol.value()
    while int(at):
        found.append((gdb.Value(int(at) - offset)).cast(lane_type.pointer()))
        at = at['next']
    return found


def label(lane):
    """As pl_lane_index() has it; in front of it which pl_run, but for the first."""
    run, number = int(lane['dump']['run']), int(lane['dump']['number'])
    return '%d.%d' % (run + 1, number) if run else str(number)


def goroutines(lane):
    """struct g * of each that lives: where sched_of_slot() finds them."""
    arena, g_type = lane['sched']['arena'], gdb.lookup_type('struct g').pointer()
    colours, step = int(value_of('SCHED_COLOURS')), int(value_of('SCHED_COLOUR_STEP'))
    size, base, slot = int(value_of('SCHED_G_SIZE')), int(arena['base']), int(arena['slot_size'])
    for i in range(int(arena['nr_carved'])):
        g = gdb.Value(base + (i + 1) * slot - i % colours * step - size).cast(g_type)
        if enum_name(g['state'], 'g_state') not in (G_IDLE, G_DEAD):
            yield g


def now_of(lane):
    """A lane that sleeps knows no time: of a process here, ask the same clock as it would."""
    connection = gdb.selected_inferior().connection
    if connection is not None and connection.type == 'native' and not int(lane['cfg']['clock']):
        return time.monotonic_ns()
    return int(lane['now'])


def describe(lane, g):
    state = enum_name(g['state'], 'g_state')
    text = told('dump_states', g['state'])
    if state == G_WAITING:
        why = told('dump_reasons', g['why']) or text
        ns = max(0, now_of(lane) - int(g['since']))
        text = '%s, %s' % (why, span(ns))
    name = g['name'].string() if int(g['name']) else '?'
    return '%6s:%-8d %-28s %s' % (label(lane), int(g['id']), text, name)


class InfoGoroutines(gdb.Command):
    """All goroutines of all lanes."""

    def __init__(self):
        super().__init__('info goroutines', gdb.COMMAND_STATUS)

    def invoke(self, arg, from_tty):
        print('  lane:number   state                        function')
        for lane in lanes():
            for g in goroutines(lane):
                print(describe(lane, g))


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class GoroutineUnwinder(Unwinder):
    """While `target` is set: the caller of the newest frame is the goroutine."""

    def __init__(self):
        super().__init__('parklane goroutine')
        self.target = None

    def __call__(self, pending):
        if self.target is None:
            return None
        offsets, sp, pc, size = FRAMES[pending.architecture().name()]
        here = (int(pending.read_register(sp)), int(pending.read_register(pc)))
        if here != self.newest:
            return None
        # Below the goroutine's own frames, or gdb takes the stack for a broken one.
        info = pending.create_unwind_info(FrameId(gdb.Value(self.target - 16), gdb.Value(here[1])))
        word = pending.read_register(sp).type
        for name, offset in offsets.items():
            at = gdb.Value(self.target + offset).cast(word.pointer() if word.code !=
                                                     gdb.TYPE_CODE_PTR else
                                                     gdb.lookup_type('unsigned long').pointer())
            info.add_saved_register(name, at.dereference())
        info.add_saved_register(sp, gdb.Value(self.target + size))
        return info

    def run(self, saved_sp, command):
        frame = gdb.newest_frame()
        _, sp, pc, size = FRAMES[frame.architecture().name()]
        self.newest = (int(frame.read_register(sp)), int(frame.read_register(pc)))
        self.target = saved_sp
        gdb.invalidate_cached_frames()
        try:
            # In front of the goroutine's frames are the thread's newest and those inlined there.
            frame, level = gdb.newest_frame(), 0
            while int(frame.read_register(sp)) != saved_sp + size:
                frame, level = frame.older(), level + 1
            frame.select()
            text = gdb.execute(command, to_string=True)
        finally:
            self.target = None
            gdb.invalidate_cached_frames()
        mine = True
        for line in text.splitlines():
            number = re.match(r'#(\d+) ', line)
            if number:
                mine = int(number.group(1)) >= level
            if mine:
                print(line)


UNWINDER = GoroutineUnwinder()


class Goroutine(gdb.Command):
    """goroutine [[RUN.]LANE:]N [COMMAND]: COMMAND (default: bt) in goroutine N."""

    def __init__(self):
        super().__init__('goroutine', gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        number, _, command = arg.strip().partition(' ')
        lane_nr, _, rest = number.rpartition(':')
        try:
            want = int(rest)
        except ValueError:
            raise gdb.GdbError('usage: goroutine [[RUN.]LANE:]N [COMMAND]')
        found = [(lane, g) for lane in lanes() for g in goroutines(lane)
                 if int(g['id']) == want and lane_nr in ('', label(lane))]
        if not found:
            raise gdb.GdbError('no goroutine %s: see info goroutines' % number)
        if len(found) > 1:
            raise gdb.GdbError('several lanes have one: ' + ', '.join(
                '%s:%d' % (label(lane), want) for lane, _ in found))
        lane, g = found[0]
        if enum_name(g['state'], 'g_state') == G_RUNNING:
            raise gdb.GdbError("it runs: switch to its lane's thread (info threads)")
        print('goroutine' + describe(lane, g))
        UNWINDER.run(int(g['sp']), command or 'bt')


InfoGoroutines()
Goroutine()
register_unwinder(None, UNWINDER, replace=True)
