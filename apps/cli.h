/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every command of the program shares: arguments by argp with one-line errors, and
 * the exit statuses: 0 done, 1 something failed, 2 wrong usage.
 */
#ifndef APPS_CLI_H
#define APPS_CLI_H

#include <argp.h>

#include "apps/open.h"

#define CLI_VERSION "parklane " PARKLANE_VERSION

/* cli_parse - parse argv by argp (which may name lane_argp as a child) into input. --help and
 * --version print and exit 0; whatever is wrong is one line on stderr and exit 2. name is what
 * stands before the arguments: "parklane echo"; each line of args_doc is one way to go on. */
void cli_parse(const struct argp *argp, const char *name, int argc, char **argv, void *input);

/* lane_child - the lane options as argp's child; its parent's ARGP_KEY_INIT must set
 * state->child_inputs[0] to a struct lane_args. */
extern const struct argp_child lane_child[];

/* cli_one_lane - the same for a command that runs on one lane: --lanes is not offered (but parsed,
 * so that the command can say so), and --cpu takes one number. */
const struct argp_child *cli_one_lane(void);

/* cli_usage - "parklane: ..." on stderr, exit 2. */
_Noreturn void cli_usage(const char *fmt, ...) PRINTF_FMT(1, 2);
/* cli_die - "parklane: ..." on stderr, exit 1. */
_Noreturn void cli_die(const char *fmt, ...) PRINTF_FMT(1, 2);

/* cli_flush - write out what stdout still holds. status; if stdout did not take all, 1 instead of
 * 0, and a line on stderr unless its reader went away. For the end of the program. */
int cli_flush(int status);

/* cli_uint - s as a decimal number lo..hi; else exit 2 naming the option. */
unsigned long cli_uint(const char *option, const char *s, unsigned long lo, unsigned long hi);
/* cli_seconds - s as seconds, lo..hi, fractions allowed; else exit 2. */
double cli_seconds(const char *option, const char *s, double lo, double hi);

/* The commands: argv[0] is the command's own name. Each returns the exit status. */
int cmd_echo(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_sim(int argc, char **argv);
int cmd_wire(int argc, char **argv);
int cmd_settings(int argc, char **argv);

#endif
