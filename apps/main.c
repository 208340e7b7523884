/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program: finds the command and hands it the rest of the arguments. Commands live in
 * files of their own.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "apps/cli.h"

static int cmd_help(int argc, char **argv);

static const struct {
	const char *name, *does;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"echo", "answer every connection with what it sends", cmd_echo},
	{"bench", "measure a server: bench rr; goroutines: bench park", cmd_bench},
	{"stat", "look into a running lane", cmd_stat},
	{"sim", "run worlds of hosts over bad links, from seeds", cmd_sim},
	{"wire", "join two tap devices by a slow and lossy link", cmd_wire},
	{"compare", "kernel and bypass side by side, on this machine", cmd_compare},
	{"settings", "list what --set can set", cmd_settings},
	{"help", "this text", cmd_help},
};

static void print_help(FILE *f)
{
	fputs("usage: parklane COMMAND [OPTION...]\n\n", f);
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].does);
	fputs("\n'parklane COMMAND --help' lists a command's options; --version prints the "
	      "version.\n",
	      f);
}

static int cmd_help(int argc, char **argv)
{
	char *help[] = {argv[argc > 1], "--help", NULL};

	/* "help echo" is "echo --help" */
	for (unsigned i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++) {
		if (commands[i].run != cmd_help && !strcmp(argv[1], commands[i].name))
			return commands[i].run(2, help);
	}
	if (argc > 1 && strcmp(argv[1], "help") && argv[1][0] != '-')
		cli_usage("unknown command '%s'; 'parklane help' lists them", argv[1]);
	print_help(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	/* A reader that goes away (`parklane stat | head`) is an error of write, not our end. */
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		return cli_flush(cmd_help(1, argv));
	if (!strcmp(name, "--version")) {
		puts(CLI_VERSION);
		return cli_flush(0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(name, commands[i].name))
			return cli_flush(commands[i].run(argc - 1, argv + 1));
	}
	if (!*name)
		cli_usage("no command given; 'parklane help' lists them");
	cli_usage("unknown command '%s'; 'parklane help' lists them", name);
}
