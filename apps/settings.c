/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `parklane settings`: what `--set NAME=VALUE` takes, from the stack's own table, for a reader or
 * as the page docs/settings.md, which a check compares with it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "apps/cli.h"

struct settings_args {
	bool markdown;
};

enum {
	KEY_MARKDOWN = 1,
};

static error_t settings_parse(int key, char *arg, struct argp_state *state)
{
	struct settings_args *a = state->input;

	(void)arg;
	if (key != KEY_MARKDOWN)
		return ARGP_ERR_UNKNOWN;
	a->markdown = true;
	return 0;
}

static const struct argp_option settings_options[] = {
	{"markdown", KEY_MARKDOWN, NULL, 0, "As the page docs/settings.md", 0},
	{0},
};
static const struct argp settings_argp = {
	.options = settings_options,
	.parser = settings_parse,
	.doc = "List what --set NAME=VALUE can set: name, default, range and meaning.",
};

/* range_of - "0 to 255 s", or the words. */
static void range_of(const struct stack_setting *s, char *buf, size_t size)
{
	const char *unit = setting_unit_name(s->unit);

	if (s->words)
		(void)snprintf(buf, size, "%s", s->words);
	else
		(void)snprintf(buf, size, "%" PRIu64 " to %" PRIu64 "%s%s", s->min, s->max,
			       *unit ? " " : "", unit);
}

static void print_table(void)
{
	for (unsigned i = 0; i < stack_settings_nr; i++) {
		const struct stack_setting *s = &stack_settings[i];
		char def[64], range[80];

		(void)stack_setting_format(s, NULL, def, sizeof(def));
		range_of(s, range, sizeof(range));
		printf("%s=%s\n\t%s.\n\t%s; %s\n", s->name, def, s->text, range, s->source);
	}
}

/* What a reader of the table looks for and does not find. */
static void print_left_out(void)
{
	puts("\n## No `tcp_mem`\n\n"
	     "Linux bounds the memory of all TCP sockets by three numbers: below the first "
	     "nothing\n"
	     "is done, from the second on sockets are under pressure, beyond the third they get\n"
	     "no more. Here the buffers themselves are the bound. A lane's packets and all queues\n"
	     "live on a pool that is made at its start and never grows, so a number of pages "
	     "could\n"
	     "only be wrong: less than that wastes memory which nothing else uses, more does not\n"
	     "exist. The three levels are shares of the pool, for unread data (two fifths) and "
	     "for\n"
	     "unacknowledged data (a fifth) apart, so that who does not read stops nobody who\n"
	     "writes:\n\n"
	     "| level | unread data | unacknowledged data |\n"
	     "| --- | --- | --- |\n"
	     "| up to half of it | `tcp_rmem[2]` | `tcp_wmem[2]` |\n"
	     "| from there, as Linux under pressure | no buffer grows; windows of a 16th of "
	     "the buffer or 4 `tcp_rmem[0]`, whichever is more | no buffer grows; a 16th of it "
	     "or 64 KiB, whichever is more |\n"
	     "| beyond it, up to a tenth or a fourth more | `tcp_rmem[0]` | `tcp_wmem[0]` |\n"
	     "| beyond that, up to a third or half more | one buffer, if it has none | the same |\n"
	     "\n"
	     "(`tcp_rmem_fits` and `tcp_wmem_fits` in `stack/`, and `test_tcp_mem.c`.)");
}

static void print_markdown(void)
{
	puts("# Settings\n\n"
	     "Each can be given to the commands as `--set NAME=VALUE`, to `pl_run` in\n"
	     "`pl_options.set`, and to a stack of one's own in `struct stack_config`. Names,\n"
	     "units and meanings are those of Linux's sysctl where it has one of the name. This\n"
	     "page is written by `parklane settings --markdown`; a check fails when it is stale.\n"
	     "\n"
	     "| name | default | unit | range | source | what |\n"
	     "| --- | --- | --- | --- | --- | --- |");
	for (unsigned i = 0; i < stack_settings_nr; i++) {
		const struct stack_setting *s = &stack_settings[i];
		const char *unit = setting_unit_name(s->unit);
		char def[64];

		(void)stack_setting_format(s, NULL, def, sizeof(def));
		printf("| `%s` | %s | %s | ", s->name, def, *unit ? unit : "-");
		if (s->words)
			printf("%s", s->words);
		else
			printf("%" PRIu64 " to %" PRIu64, s->min, s->max);
		printf(" | %s | %s |\n", s->source, s->text);
	}
	print_left_out();
}

int cmd_settings(int argc, char **argv)
{
	struct settings_args a = {0};

	cli_parse(&settings_argp, "parklane settings", argc, argv, &a);
	if (a.markdown)
		print_markdown();
	else
		print_table();
	return 0;
}
