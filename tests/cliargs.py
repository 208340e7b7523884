# SPDX-License-Identifier: BSD-3-Clause
"""Arguments of the tests' own commands: what is wrong is told in one line that says where help is."""

import argparse


class Parser(argparse.ArgumentParser):
    """Help shows the description as it stands."""

    def __init__(self, **kwargs):
        kwargs.setdefault('formatter_class', argparse.RawDescriptionHelpFormatter)
        super().__init__(**kwargs)

    def error(self, message):
        shown = ''.join(c if c.isprintable() else '?' for c in message)
        self.exit(2, '%s: %s; %s --help tells more\n' % (self.prog.split()[-1], shown, self.prog))
