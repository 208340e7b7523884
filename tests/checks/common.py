# SPDX-License-Identifier: BSD-3-Clause
"""What the checks share: where the sources are, C without comments, TAP."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOMS = ('stack', 'poller', 'drivers', 'sim', 'apps', 'tests')


def sources(exts=('.c', '.h', '.S'), rooms=ROOMS):
    """Paths of the project's sources below `rooms`, relative to ROOT, sorted."""
    found = []
    for room in rooms:
        for folder, _, names in os.walk(os.path.join(ROOT, room)):
            for name in names:
                if name.endswith(tuple(exts)):
                    found.append(os.path.relpath(os.path.join(folder, name), ROOT))
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8', errors='replace') as f:
        return f.read()


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip_comments(text):
    """text without comments and with empty strings; line numbers stay."""
    def blank(match):
        token = match.group(0)
        if token[0] in '"\'':
            return token[0] + token[0]
        return ' ' + '\n' * token.count('\n')
    return TOKEN.sub(blank, text)


def defines(path, name):
    """Does this C file define the function: its name on a line that begins with its type?"""
    return re.search(r'^[a-zA-Z_][\w\s*(),]*?\b%s\(' % re.escape(name), strip_comments(read(path)),
                     re.M)


def unit_tests():
    """The full name of each Criterion test."""
    found = set()
    for path in sources(('.c', '.h'), ('tests',)):
        found |= set(re.findall(r'\bTest\(\w+,\s*(test_\w+)', read(path)))
    return found


class Tap:
    """One case after another; finish() gives the exit status."""

    def __init__(self):
        self.n = self.failed = 0
        print('TAP version 13')

    def case(self, name, faults):
        """faults: a list of lines; empty is a pass."""
        self.n += 1
        print('%sok %d - %s' % ('not ' if faults else '', self.n, name))
        for fault in faults:
            print('# ' + fault)
        self.failed += bool(faults)

    def finish(self):
        print('1..%d' % self.n)
        sys.exit(1 if self.failed else 0)
