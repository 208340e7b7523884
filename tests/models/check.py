#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Let spin look at every order of events of the models in this folder.

usage: check.py [-v] [-l] [MODEL ...]

The models as they are must hold in all states, and each fault in MODELS, a macro of the model,
must be caught. Prints TAP with the states and the depth of each search; of a caught fault the
assertion it broke and, as comments, the shortest way there. -v prints that of every fault
(else of the faults in SHOWN), -l adds what takes minutes, MODEL checks only that one. Needs spin and a C compiler.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

SMALL = ('EVENTS=1', 'OPS=1')
BOTH = ('DIRS=2', 'SETS=1', 'OPS=1')
ONE = ('PUSHERS=1',)
LONG = 'LONG'  # no macro: minutes, only with -l
TWO = ('USERS=2',)
THREE = ('LANES=3', 'ONE_SLEEPS')

# Model: (what must hold: name, macros), (faults: what is wrong, macros).
MODELS = {
    'netpoll': ((
        ('one waiter, two events, a close, a deadline set twice', ()),
        ('a reader, a writer, their shared timer, an event', BOTH + ('EVENTS=1', 'CLOSES=0')),
        ('a reader, a writer, their shared timer, a close', BOTH + ('EVENTS=0',)),
        ('the deadline set by another lane', ('FOREIGN', 'EVENTS=1', 'OPS=1')),
    ), (
        ('R50: rearm takes its flag down too late',
         ('FLAG_AFTER_REARM', 'FOREIGN', 'CLOSES=0') + SMALL),
        ('R3: no second look after WAIT', ('NO_RECHECK',) + SMALL),
        ('R3: published after the unblock', ('PUBLISH_AFTER_UNBLOCK',) + SMALL),
        ('R4: the commit is a plain store', ('COMMIT_BY_STORE',) + SMALL),
        ('R4: counted before the commit', ('COUNT_BEFORE_COMMIT', 'SETS=1') + SMALL),
        ('R5: a READY that came late is dropped', ('READY_IS_LOST',) + SMALL),
        ('R6: a timeout leaves a token', ('TIMEOUT_TOKEN',) + SMALL),
        ('R6: unblock by load and store', ('UNBLOCK_BY_STORE',) + SMALL),
        ('R9: reset after the try', ('RESET_AFTER_TRY',) + SMALL),
        ('R19: a timer without the lock', ('NO_LOCK', 'EVENTS=0', 'OPS=0', 'CLOSES=0')),
        ('R25: the shared timer wakes the reader only',
         ('SHARED_WAKES_ONE', 'EVENTS=0', 'CLOSES=0') + BOTH),
        ('R26: a moved timer keeps its seq', ('NO_SEQ_BUMP',) + SMALL),
        ('R27: a timer that does not look at its seq', ('NO_SEQ',) + SMALL),
        ('R28: a past deadline wakes nobody', ('PAST_IS_SILENT',) + SMALL),
        ('R31: not counted before runnable', ('COUNT_FIRST',) + SMALL),
    )),
    'netpoll_reuse': ((
        ('late events, delivered by another thread', ()),
        ('late events of the lane itself', ('SAME_LANE',)),
    ), (
        ('R14: open keeps the error', ('ERR_IS_KEPT',)),
        ('R20: an error without a look at the seq', ('NO_SEQ_IN_ERR',)),
        ('R21: fdseq does not grow', ('NO_BUMP',)),
        ('R21: an event without a tag', ('NO_TAG', 'SAME_LANE')),
        ('R21: a pd serves a sock and then an fd', ('MIXED_KINDS',)),
    )),
    'fd_mutex': ((
        ('three users, one of them cut off, and a close', ()),
        ('two users, two turns each', TWO + ('OPS=2',)),
    ), (
        ('R53: a hand-over after the close keeps its reference', ('GRANT_IS_LOST',) + TWO),
        ('R53: a waiter that does not look at `closed`', ('NO_LOOK_AT_CLOSED',) + TWO),
        ('R53: close wakes nobody', ('NOBODY_IS_WOKEN',) + TWO),
        ('R53: the closer told after its reference', ('CLOSER_AFTER_DECREF',) + TWO),
        ('R52: a cut takes a waiter that was chosen', ('CUT_UNCOUNTED',) + TWO),
        ('R53: a waiter that does not hold the memory', ('NO_HOLD',) + TWO),
        ('R53: a cut of a waiter that was told and holds no more', ('HOLD_UNTIL_PARKED',) + TWO),
    )),
    'lane_sleep': ((
        ('two lanes post, a third thread stops, a monitor looks', ()),
        ('the same with fence and load for the locked look', ('BREAK_BY_FENCE',) + ONE),
    ), (
        ('no fence before the last look', ('NO_FENCE',) + ONE),
        ('no last look', ('NO_LOOK',) + ONE),
        ('the last look before `sleeping`', ('LOOK_BEFORE_SLEEPING',) + ONE),
        ('break by a plain load', ('BREAK_BY_LOAD',) + ONE),
        ('R36: the monitor drains the eventfd', ('MONITOR_DRAINS',) + ONE),
        ('R36: wake_sig reset before the read', ('RESET_BEFORE_READ',) + ONE),
        ('R36: wake_sig never reset', ('NO_RESET',) + ONE),
        ('R36: the eventfd edge-triggered', ('EDGE',) + ONE),
        ('lane_destroy() waits for no lane_stop()', ('NO_STOPPERS',) + ONE),
    )),
    'lane_search': ((
        ('two goroutines, two lanes that search', ()),
        ('the same, one may search at a time', ('LIMIT=1',)),
        ('three lanes, one of which sleeps', THREE + (LONG,)),
    ), (
        ('R48: the flag dropped after the last look', ('FLAG_AFTER_LOOK',) + THREE),
        ('R48: no look after the flag, and work of its own', ('NO_LOOK_AFTER_FLAG',) + THREE),
        ('R48: no look before it sleeps', ('NO_LOOK',)),
        ('R47: idle before `sleeping`', ('IDLE_BEFORE_SLEEPING',)),
        ('R47: idle by a plain store', ('IDLE_BY_STORE',)),
        ('R47: push without a fence', ('NO_PUSH_FENCE',)),
        ('R47: who found work wakes no other', ('NO_WAKE_NEXT',)),
        ('R47: who is woken and has work of its own passes nothing on', ('NO_PASS_ON', 'WORK=1')),
    )),
    'movable_wake': ((
        ('two that hand a token to and fro, while their stacks are walked', ()),
    ), (
        ('both publish themselves at one place', ('ONE_PLACE', 'DUMPS=0')),
        ('the look for the token before it is published', ('LOOK_FIRST', 'DUMPS=0')),
        ('R4: who is still leaving is pushed', ('READY_AT_ONCE', 'DUMPS=0')),
        ('R4: landed by a plain store', ('LANDED_BY_STORE', 'DUMPS=0')),
        ('ready by a load, then a store', ('READY_BY_LOAD', 'DUMPS=0')),
        ('a stack walked without taking g', ('HOLD_BY_LOAD',)),
        ('a dump gives g back by a plain store', ('LET_GO_BY_STORE',)),
        ('a ready that came meanwhile is lost', ('READY_IS_LOST',)),
    )),
}
SHOWN = ('GRANT_IS_LOST', 'NO_RECHECK', 'NO_SEQ', 'NO_FENCE', 'MONITOR_DRAINS', 'FLAG_AFTER_LOOK',
         'IDLE_BEFORE_SLEEPING', 'ONE_PLACE')

STEP = re.compile(r'^\s*((?:the_)?\w+: .*)$')


def run(cmd, cwd):
    p = subprocess.run(cmd, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=500)
    return p.returncode, p.stdout.decode(errors='replace')


def verify(cc, model, macros, fault):
    """(stored states or 0, depth, the broken assertion or '', the way there, all output)."""
    defs = ['-D' + m for m in macros]
    with tempfile.TemporaryDirectory(prefix='parklane-spin-') as d:
        for name in os.listdir(HERE):
            if name.endswith('.pml'):
                shutil.copy(os.path.join(HERE, name), d)
        source = model + '.pml'
        status, out = run(['spin', '-a'] + defs + [source], d)
        # A fault: breadth first, so that the first way found is the shortest.
        how = ['-O0', '-DBFS'] if fault else ['-O2']
        if status == 0:
            status, text = run([cc, '-w', '-DSAFETY', '-DCOLLAPSE', '-DVECTORSZ=512', '-o', 'pan',
                                'pan.c'] + how, d)
            out += text
        if status:
            return 0, 0, '', [], out
        # -E: a waiter may wait for ever; that it may not wait in vain is the judge's to say.
        status, text = run(['./pan', '-E', '-m1000000', '-w22'], d)
        out += text
        states = re.search(r'(\d+) states, stored', text)
        depth = re.search(r'depth reached (\d+)', text)
        broken = re.search(r'pan:\d+: (.*?) \(at depth', text)
        if 'Search not completed' in text and not broken:
            states = None
        way = []
        if broken:
            _, text = run(['spin', '-t'] + defs + [source], d)
            way = [m.group(1) for m in map(STEP.match, text.split('\n')) if m]
            way = [w for w in way if not w.startswith(('spin:', 'proc'))]
    broken = re.sub(r'assertion violated\s*', '', broken.group(1)) if broken else ''
    return (int(states.group(1)) if states else 0, int(depth.group(1)) if depth else 0,
            broken.replace(' ', ''), way, out)


def report(n, model, says, macros, fault, answer, verbose):
    """Print one case; True if it is as it must be."""
    states, depth, broken, way, out = answer
    ok = states > 0 and bool(broken) == fault
    how = '%d states, depth %d' % (states, depth)
    if fault:
        how = 'caught: ' + broken + ', ' + how if broken else 'NOT caught, ' + how
    elif not ok:
        how = broken or 'the search did not end'
    print('%sok %d - %s: %s (%s)' % ('' if ok else 'not ', n, model, says, how))
    if way and (verbose or not fault or macros[0] in SHOWN):
        print('\n'.join('#     ' + w for w in way))
    if not ok and not way:
        print('\n'.join('# ' + line for line in out.split('\n')[-30:]))
    sys.stdout.flush()
    return ok


def main(argv):
    verbose = '-v' in argv
    long = '-l' in argv
    wanted = [a for a in argv if a not in ('-v', '-l')] or list(MODELS)
    cc = os.environ.get('CC', 'gcc').split()[0]
    if not shutil.which('spin') or not shutil.which(cc):
        print('1..0 # skip spin or %s is not installed' % cc)
        return 0
    jobs = [(model, says, macros, fault) for model in wanted
            for fault in (False, True) for says, macros in MODELS[model][fault]
            if long or LONG not in macros]
    print('1..%d' % len(jobs))
    good = True
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = [pool.submit(verify, cc, j[0], j[2], j[3]) for j in jobs]
        for n, (job, answer) in enumerate(zip(jobs, answers), 1):
            good = report(n, *job, answer.result(), verbose) and good
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
