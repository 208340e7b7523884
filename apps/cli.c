/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arguments of the commands. argp does the parsing; its own error text (two lines, no
 * advice) is switched off and replaced by one line that says what to do.
 */
#include "apps/cli.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/fault.h"
#include "stack/base/bug.h"

enum {
	KEY_HELP = '?',
	KEY_VERSION = 0x200,
};

static _Noreturn void vfail(int status, const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("parklane: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	exit(status);
}

void cli_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(2, fmt, ap);
}

void cli_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(1, fmt, ap);
}

int cli_flush(int status)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	/* A reader that has enough, as head, wants no line. */
	if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLERR))
		fputs("parklane: cannot write all of the output: has its disk room?\n", stderr);
	return status ? status : 1;
}

unsigned long cli_uint(const char *option, const char *s, unsigned long lo, unsigned long hi)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || errno || *end || v < lo || v > hi)
		cli_usage("%s %s: give a number from %lu to %lu", option, options_shown(s), lo, hi);
	return v;
}

double cli_seconds(const char *option, const char *s, double lo, double hi)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || *end || !(v >= lo && v <= hi))
		cli_usage("%s %s: give seconds from %g to %g", option, options_shown(s), lo, hi);
	return v;
}

static error_t lane_parse(int key, char *arg, struct argp_state *state)
{
	struct lane_args *args = state->input;

	if (key == ARGP_KEY_END) {
		struct fault_spec faults;
		char why[160];

		if (options_end(args))
			cli_usage("%s", pl_last_error());
		if (args->opt.fault && fault_parse(args->opt.fault, &faults, why, sizeof(why)))
			cli_usage("%s", why);
		return 0;
	}
	for (const struct argp_option *o = lane_options; o->name; o++) {
		if (o->key != key)
			continue;
		if (options_set(args, key, arg))
			cli_usage("%s", pl_last_error());
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp lane_argp = {.options = lane_options, .parser = lane_parse};
const struct argp_child lane_child[] = {{&lane_argp, 0, "Lane options:", 1}, {0}};

const struct argp_child *cli_one_lane(void)
{
	static struct argp_option options[24];
	static const struct argp argp = {.options = options, .parser = lane_parse};
	static const struct argp_child child[] = {{&argp, 0, "Lane options:", 1}, {0}};
	unsigned n = 0;

	for (const struct argp_option *o = lane_options; o->name; o++, n++) {
		BUG_ON(n + 1 >= ARRAY_SIZE(options));
		options[n] = *o;
		if (!strcmp(o->name, "lanes"))
			options[n].flags |= OPTION_HIDDEN;
		if (!strcmp(o->name, "cpu")) {
			options[n].arg = "N";
			options[n].doc = "Pin the lane to this cpu (default: not pinned)";
		}
	}
	return child;
}

struct wrap {
	const char *name;
	void *input;
	const char *word; /* the last one that is no option nor an option's */
};

/* argp would put the words of args_doc behind the options, and those of children again. */
static void print_usage(const char *name, const char *words)
{
	const char *lead = "Usage:";

	for (const char *w = words ? words : ""; w; lead = "  or: ") {
		int len = (int)strcspn(w, "\n");

		printf("%s %s%s%.*s [OPTION...]\n", lead, name, len ? " " : "", len, w);
		w = w[len] ? w + len + 1 : NULL;
	}
}

/* takes_value - whether `name`, "port", is an option of argp or its children that needs a value. */
static bool takes_value(const struct argp *argp, const char *name)
{
	const struct argp_option *o = argp->options;

	for (; o && o->name; o++) {
		if (o->arg && !strcmp(name, o->name))
			return true;
	}
	for (const struct argp_child *c = argp->children; c && c->argp; c++) {
		if (takes_value(c->argp, name))
			return true;
	}
	return false;
}

static error_t wrap_parse(int key, char *arg, struct argp_state *state)
{
	struct wrap *w = state->input;
	int at = state->next;

	switch (key) {
	case ARGP_KEY_ARG:
		w->word = arg; /* ours is asked first */
		return ARGP_ERR_UNKNOWN;
	case ARGP_KEY_INIT:
		state->child_inputs[0] = w->input;
		return 0;
	case KEY_HELP:
		print_usage(w->name, state->root_argp->args_doc);
		argp_help(state->root_argp, stdout,
			  ARGP_HELP_PRE_DOC | ARGP_HELP_LONG | ARGP_HELP_POST_DOC, (char *)w->name);
		exit(cli_flush(0));
	case KEY_VERSION:
		puts(CLI_VERSION);
		exit(cli_flush(0));
	case ARGP_KEY_ERROR:
		/* An option was passed by already, a stray word was not. */
		if (at > 0 && (at >= state->argc ||
			       (state->argv[at - 1][0] == '-' && state->argv[at] != w->word)))
			at--;
		if (at == state->argc - 1 && !strncmp(state->argv[at], "--", 2) &&
		    takes_value(state->root_argp, &state->argv[at][2]))
			cli_usage("%s needs a value; '%s --help' says which", state->argv[at],
				  w->name);
		cli_usage("%s: unknown or misplaced; '%s --help' lists the options",
			  options_shown(state->argv[at]), w->name);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void cli_parse(const struct argp *argp, const char *name, int argc, char **argv, void *input)
{
	static const struct argp_option options[] = {
		{"help", KEY_HELP, NULL, 0, "This text", -1},
		{"version", KEY_VERSION, NULL, 0, "The program's version", -1},
		{0},
	};
	/* Only outer has the text: argp prints what stands behind the options for each child
	 * again. */
	struct argp inner = *argp;
	const struct argp_child children[] = {{&inner, 0, NULL, 0}, {0}};
	const struct argp outer = {.options = options,
				   .parser = wrap_parse,
				   .children = children,
				   .args_doc = argp->args_doc,
				   .doc = argp->doc};
	struct wrap w = {.name = name, .input = input};

	inner.doc = NULL;
	if (argp_parse(&outer, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &w))
		cli_usage("'%s --help' lists the options", name);
}
