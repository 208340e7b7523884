#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a script can see of the style: lengths, SPDX lines, comments, sequence numbers.

usage: style.py. The limits are style.md's: functions of at most 80 lines, files of at most
600, lines of at most 100 columns (a tab is 8), one SPDX line, no // comments, sequence numbers compared by before()/after() only, every
tests/unit/test_*.c listed exactly once.
"""

import re

from common import Tap, read, sources, strip_comments

MAX_FUNCTION = 80
MAX_FILE = 600
MAX_COLUMNS = 100
SPDX = 'SPDX-License-Identifier: BSD-3-Clause'
# A sequence number by RFC 9293's names, or an skb's: compared modulo 2^32, never with <.
SEQ = (r'(?:\b(?:\w+(?:->|\.))*(?:snd_(?:una|nxt|wl1|wl2|up|sml)|rcv_(?:nxt|wup|up)|'
       r'(?:tcp\.|cb\.)?(?:end_seq|ack_seq|seq)|copied_seq|write_seq|pushed_seq|high_seq|'
       r'retrans_stamp_seq|high_rxt|recover|iss|irs)\b)')
RAW = re.compile(SEQ + r'\s*(?:<=?|>=?)(?![<>=])\s*\S|[^-<>=]\s(?:<=?|>=?)\s*' + SEQ)


def functions(path):
    """(name, first line, lines) of each function body: a '{' in column 0 up to its '}'."""
    lines, start = strip_comments(read(path)).split('\n'), None
    for n, line in enumerate(lines, 1):
        if line.startswith('{'):
            start = n
        elif line.startswith('}') and start:
            head = ' '.join(lines[max(0, start - 6):start - 1])
            names = re.findall(r'(\w+)\s*\(', head)
            yield (names[-1] if names else '?'), start, n - start + 1
            start = None


def check_lengths(tap, files):
    long_functions, long_files = [], []
    for path in files:
        n = read(path).count('\n')
        if n > MAX_FILE:
            long_files.append('%s: %d lines' % (path, n))
        long_functions += ['%s:%d: %s() has %d lines' % (path, at, name, size)
                           for name, at, size in functions(path) if size > MAX_FUNCTION]
    tap.case('test_style_functions_at_most_%d_lines' % MAX_FUNCTION, long_functions)
    tap.case('test_style_files_at_most_%d_lines' % MAX_FILE, long_files)


def wide_lines(path):
    """The numbers of lines beyond MAX_COLUMNS. clang-format breaks code and leaves comments and
    strings. A table's row may be as long as it is: it stands under clang-format off, begins with a
    brace, a macro's name or a string, and reads worse in two lines."""
    table = False
    for n, line in enumerate(read(path).split('\n'), 1):
        m = re.search(r'/\* clang-format (off|on) \*/', line)
        if m:
            table = m.group(1) == 'off'
        elif len(line.expandtabs(8)) > MAX_COLUMNS and not (
                table and re.match(r'\s*(\{|"|[A-Z_]+\()', line)):
            yield n


def check_columns(tap, files):
    wide = ['%s:%d' % (path, n) for path in files for n in wide_lines(path)]
    tap.case('test_style_lines_at_most_%d_columns' % MAX_COLUMNS, wide)


def check_text(tap, files):
    spdx, slashes = [], []
    for path in files:
        text = read(path)
        if text.split('\n', 2)[:2].count('') == 2 or SPDX not in '\n'.join(text.split('\n')[:2]):
            spdx.append('%s: no SPDX line at the top' % path)
        elif text.count('SPDX-License' + '-Identifier:') != 1 and path.endswith(('.c', '.h', '.S')):
            spdx.append('%s: more than one SPDX line' % path)
        if path.endswith(('.c', '.h')):
            code = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"',
                          lambda m: '\n' * m.group(0).count('\n'), text, flags=re.S)
            slashes += ['%s:%d: // comment' % (path, n)
                        for n, line in enumerate(code.split('\n'), 1) if '//' in line]
    tap.case('test_style_one_spdx_line_per_file', spdx)
    tap.case('test_style_no_slash_comments', slashes)


def check_seq(tap):
    raw = []
    for path in sources(('.c', '.h'), ('stack',)):
        if not re.search(r'(^|/)tcp[_.]', path):
            continue
        for n, line in enumerate(strip_comments(read(path)).split('\n'), 1):
            # What a cast to a signed type or a difference makes is no longer a sequence number.
            if RAW.search(line) and not re.search(r'\(int(32_t)?\)', line):
                raw.append('%s:%d: %s' % (path, n, line.strip()))
    tap.case('test_style_sequence_numbers_by_before_and_after', raw)


def check_listed(tap):
    listed = re.findall(r"'(?:[\w/]*/)?(test_\w+)(?:\.c)?'", read('tests/unit/meson.build'))
    faults = []
    for path in sources(('.c',), ('tests',)):
        m = re.match(r'tests/unit/(test_\w+)\.c$', path)
        if m and listed.count(m.group(1)) != 1:
            faults.append('%s is listed %d times in tests/unit/meson.build'
                          % (path, listed.count(m.group(1))))
    tap.case('test_style_each_unit_test_is_listed_once', faults)


def main():
    tap = Tap()
    code = sources(('.c', '.h', '.S'))
    check_lengths(tap, [p for p in code if not p.endswith('.S')])
    check_columns(tap, code + sources(('.cc',)))
    check_text(tap, code + sources(('.py', '.sh', 'meson.build')) +
               ['meson.build', 'meson_options.txt', 'run', '.ci/run', 'tests/runner'])
    check_seq(tap)
    check_listed(tap)
    tap.finish()


main()
