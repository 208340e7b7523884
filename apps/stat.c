/* SPDX-License-Identifier: BSD-3-Clause */
/* `parklane stat`: ask a running lane for its counters and sockets, and print them. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "apps/cli.h"
#include "apps/stat_dir.h"
#include "apps/stat_serve.h"

struct stat_args {
	unsigned pid;
	bool json, goroutines, all;
};

enum {
	KEY_PID = 1,
	KEY_JSON,
	KEY_GOROUTINES,
	KEY_ALL,
};

static error_t stat_parse(int key, char *arg, struct argp_state *state)
{
	struct stat_args *a = state->input;

	switch (key) {
	case KEY_PID:
		a->pid = (unsigned)cli_uint("--pid", arg, 1, INT32_MAX);
		return 0;
	case KEY_JSON:
		a->json = true;
		return 0;
	case KEY_GOROUTINES:
		a->goroutines = true;
		return 0;
	case KEY_ALL:
		a->all = true;
		return 0;
	case ARGP_KEY_END:
		if (a->all && !a->goroutines)
			cli_usage("--all goes with --goroutines: give both");
		if (a->json && a->goroutines)
			cli_usage("--goroutines prints text: leave --json out");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option stat_options[] = {
	{"pid", KEY_PID, "N", 0, "The process to look into (default: the only one)", 0},
	{"json", KEY_JSON, NULL, 0, "Print all of it as JSON", 0},
	{"goroutines", KEY_GOROUTINES, NULL, 0,
	 "Print what each goroutine waits for, how long, and where; alike ones together", 0},
	{"all", KEY_ALL, NULL, 0, "With --goroutines: each one", 0},
	{0},
};
static const struct argp stat_argp = {
	.options = stat_options,
	.parser = stat_parse,
	.doc = "Look into a running lane: sockets with state and queues, drops by reason, ring "
	       "overruns; or its goroutines.",
};

/* A connected socket; -errno. */
static int connect_at(const char *folder, unsigned pid)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;
	struct stat st;

	if (fd < 0)
		return -errno;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%.*s/%u.sock", STAT_PATH_MAX, folder, pid);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	err = -errno;
	close(fd);
	if (err != -ECONNREFUSED)
		return err;
	/* Its process was killed. What is in others' folders is theirs to remove. */
	if (lstat(folder, &st) == 0 && st.st_uid == geteuid())
		unlink(sun.sun_path);
	return -ENOENT;
}

static int connect_to(unsigned pid)
{
	struct stat_dir dirs[STAT_DIRS_MAX];
	unsigned nr = stat_dirs_find(dirs);
	int fd = -ENOENT;

	for (unsigned i = 0; i < nr && (fd == -ENOENT || fd == -ENOTDIR); i++)
		fd = connect_at(dirs[i].path, pid);
	return fd;
}

static json_t *fetch(int fd)
{
	FILE *f = fdopen(fd, "r");
	json_t *o;

	(void)shutdown(fd, SHUT_WR); /* the empty request */
	o = f ? json_loadf(f, 0, NULL) : NULL;

	if (f)
		fclose(f);
	else
		close(fd);
	return o;
}

static json_int_t num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* A text of the lane's, which may be another user's: nothing that a terminal would obey. */
static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	for (const char *c = s ? s : ""; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return "?";
	}
	return s ? s : "?";
}

/* The lanes that run here, as this user sees them. */
struct lanes {
	unsigned n, pid; /* pid: the last one's */
	char names[400]; /* "812 (parklane echo, port 7), 911 (first)" */
};

/* port_of - what a process listens on, " port 7"; the kernel's sockets are not the lane's to
 * list. */
static void port_of(const json_t *o, char *buf, size_t size)
{
	const char *local, *colon;
	json_t *k;
	size_t i;

	*buf = '\0';
	json_array_foreach(json_object_get(o, "sockets"), i, k)
	{
		local = str(k, "local");
		colon = strrchr(local, ':');
		if (strcmp(str(k, "state"), "LISTEN") || !colon)
			continue;
		snprintf(buf, size, ", port %.5s", colon + 1);
		return;
	}
}

/* "812 (parklane echo, port 7)"; who is another user's is known by the kernel's name alone. */
static void lanes_note(struct lanes *l, unsigned pid, const json_t *o)
{
	char path[32], comm[32] = "?", port[16], *end = l->names + strlen(l->names);
	size_t room = sizeof(l->names) - (size_t)(end - l->names);
	const char *program = str(o, "program"), *command = str(o, "command");
	FILE *f;

	port_of(o, port, sizeof(port));
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	f = o ? NULL : fopen(path, "re");
	if (f && fgets(comm, sizeof(comm), f))
		comm[strcspn(comm, "\n")] = '\0';
	if (f)
		fclose(f);
	/* Whole names only, and room for the dots that stand for the rest. */
	if (room > 100)
		snprintf(end, room, "%s%u (%.30s%s%.30s%s)", l->n ? ", " : "", pid,
			 o ? program : comm, o && strcmp(program, command) ? " " : "",
			 o && strcmp(program, command) ? command : "", port);
	else if (l->n && strcmp(end - 5, ", ..."))
		snprintf(end, room, ", ...");
}

static bool is_closed_to_us(int fd)
{
	return fd == -EACCES || fd == -EPERM;
}

static void lanes_find_in(struct lanes *l, const char *folder, bool others)
{
	struct dirent **entry;
	int nr = scandir(folder, &entry, NULL, versionsort);
	unsigned pid;

	for (int i = 0; i < nr; i++) {
		int fd = sscanf(entry[i]->d_name, "%u.sock", &pid) == 1 ? connect_at(folder, pid)
									: -ENOENT;
		json_t *o;

		free(entry[i]);
		if (fd < 0 && !(others && is_closed_to_us(fd)))
			continue;
		o = fd >= 0 ? fetch(fd) : NULL;
		l->pid = pid;
		lanes_note(l, pid, o);
		json_decref(o);
		l->n++;
	}
	if (nr >= 0)
		free(entry);
}

static void lanes_find(struct lanes *l)
{
	struct stat_dir dirs[STAT_DIRS_MAX];
	unsigned nr = stat_dirs_find(dirs);

	*l = (struct lanes){0};
	/* Who has none of their own is told of those that only others may ask. */
	for (int others = 0; others < 2 && !l->n; others++)
		for (unsigned i = 0; i < nr; i++)
			lanes_find_in(l, dirs[i].path, others);
}

/* Connect to the one lane that runs, whose pid it tells; says so and ends when there are none or
 * several. */
static int connect_to_only(unsigned *ret_pid)
{
	struct lanes l;

	lanes_find(&l);
	if (l.n == 0)
		cli_die("no lane is running here: start one, such as 'parklane echo --port 7'");
	if (l.n > 1)
		cli_die("several lanes are running; choose one with --pid: %s", l.names);
	*ret_pid = l.pid;
	return connect_to(l.pid);
}

static _Noreturn void die_without_lane(unsigned pid)
{
	struct lanes l;

	lanes_find(&l);
	if (l.n)
		cli_die("process %u runs no lane; these do: %s", pid, l.names);
	cli_die("process %u runs no lane, nor does another; 'parklane echo --port 7' starts one",
		pid);
}

/* copy_dump - the lane's text as it comes. 0; 1 it broke off before its first line. */
static int copy_dump(int fd, bool all)
{
	const char *ask = all ? STAT_ASK_ALL : STAT_ASK_GOROUTINES;
	char buf[4096];
	bool any = false;
	ssize_t n;

	if (send(fd, ask, strlen(ask), MSG_NOSIGNAL) < 0 || shutdown(fd, SHUT_WR) < 0)
		cli_die("the lane gave no answer: it may just have ended");
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		any = true;
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
			return 1;
	}
	close(fd);
	if (!any)
		cli_die("the lane gave no answer: it may just have ended");
	return 0;
}

static json_t *fetch_or_die(int fd)
{
	json_t *o = fetch(fd);

	if (!o)
		cli_die("the lane gave no answer: it may just have ended");
	return o;
}

/* held_by - who kept a sender from sending for most of the time in which it could have. */
static const char *held_by(const json_t *s)
{
	json_int_t busy = num(s, "busy_us"), window = num(s, "window_us");

	if (window > busy / 2)
		return "peer's window";
	return num(s, "sndbuf_us") > busy / 2 ? "its buffer" : "-";
}

static void print_sockets(const json_t *list, bool lanes)
{
	json_t *s;
	size_t i;

	if (!json_array_size(list))
		return;
	printf("%s%-12s %-21s %-21s %8s %8s %8s %8s %8s  %s\n", lanes ? "lane " : "", "state",
	       "local", "peer", "recv-q", "send-q", "cwnd", "srtt us", "retrans", "held by");
	json_array_foreach(list, i, s)
	{
		if (lanes)
			printf("%4" JSON_INTEGER_FORMAT " ", num(s, "lane"));
		printf("%-12s %-21s %-21s %8" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT,
		       str(s, "state"), str(s, "local"), str(s, "peer"), num(s, "recv_q"),
		       num(s, "send_q"));
		/* A listener sends nothing itself. */
		if (!strcmp(str(s, "state"), "LISTEN"))
			printf(" %8s %8s %8s  -\n", "-", "-", "-");
		else
			printf(" %8" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT
			       " %8" JSON_INTEGER_FORMAT "  %s\n",
			       num(s, "cwnd"), num(s, "srtt_us"), num(s, "retrans"), held_by(s));
	}
}

/* print_lanes - whether they share the work. */
static void print_lanes(const json_t *list)
{
	json_t *l;
	size_t i;

	printf("%4s %10s %12s %12s %12s %14s %8s\n", "lane", "goroutines", "turns", "packets in",
	       "packets out", "bytes copied", "steals");
	json_array_foreach(list, i, l)
	{
		const json_t *ev = json_object_get(l, "events");

		printf("%4" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT
		       " %12" JSON_INTEGER_FORMAT,
		       num(l, "lane"), num(l, "goroutines"), num(ev, "turns"));
		if (json_object_get(l, "rx_packets"))
			printf(" %12" JSON_INTEGER_FORMAT " %12" JSON_INTEGER_FORMAT,
			       num(l, "rx_packets"), num(l, "tx_packets"));
		else
			printf(" %12s %12s", "-", "-");
		printf(" %14" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT "\n",
		       num(ev, "bytes_copied"), num(ev, "steals"));
	}
}

/* "a 1, b 2" of what is not 0. */
static void print_counts(const char *title, json_t *o)
{
	const char *key;
	json_t *v;
	bool any = false;

	printf("%s:", title);
	json_object_foreach(o, key, v)
	{
		if (!json_is_integer(v) || !json_integer_value(v))
			continue;
		printf("%s %s %" JSON_INTEGER_FORMAT, any ? "," : "", key, json_integer_value(v));
		any = true;
	}
	puts(any ? "" : " none");
}

/* print_hogs - goroutines that held their lane, if any did. */
static void print_hogs(const json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "name"));

	if (num(o, "count") == 0)
		return;
	printf("lanes were held %" JSON_INTEGER_FORMAT " times, %s goroutine %" JSON_INTEGER_FORMAT
	       " (%s), lane %" JSON_INTEGER_FORMAT ", %.0f ms\n",
	       num(o, "count"),
	       json_is_true(json_object_get(o, "holding")) ? "just now by" : "last by",
	       num(o, "goroutine"), name ? name : "?", num(o, "lane"),
	       json_number_value(json_object_get(o, "held_ms")));
}

static void print_text(const json_t *o)
{
	json_t *dev = json_object_get(o, "device");
	const char *program = str(o, "program"), *command = str(o, "command");
	json_int_t lanes = num(o, "lanes");
	char nr[32] = "";

	if (lanes > 1)
		snprintf(nr, sizeof(nr), "%" JSON_INTEGER_FORMAT " lanes, ", lanes);
	/* "parklane echo", and "first" where pl_run() was called by somebody's program. */
	printf("%s%s%s, pid %" JSON_INTEGER_FORMAT ", %.0f s, %s%" JSON_INTEGER_FORMAT
	       " goroutine%s, %s\n",
	       program, strcmp(program, command) ? " " : "",
	       strcmp(program, command) ? command : "", num(o, "pid"),
	       json_real_value(json_object_get(o, "seconds")), nr, num(o, "goroutines"),
	       num(o, "goroutines") == 1 ? "" : "s", dev ? str(dev, "name") : "kernel sockets");
	if (!dev)
		printf("its sockets are the kernel's: 'ss -tnp' lists them\n");
	print_sockets(json_object_get(o, "sockets"), lanes > 1);
	if (lanes > 1)
		print_lanes(json_object_get(o, "per_lane"));
	if (dev) {
		print_counts("drops", json_object_get(o, "drops"));
		print_counts("device", dev);
		print_counts("stack", json_object_get(o, "stack"));
	}
	print_hogs(json_object_get(o, "hogs"));
	print_counts("lane", json_object_get(o, "events"));
}

int cmd_stat(int argc, char **argv)
{
	struct stat_args a = {0};
	json_t *o;
	int fd;

	cli_parse(&stat_argp, "parklane stat", argc, argv, &a);
	fd = a.pid ? connect_to(a.pid) : connect_to_only(&a.pid);
	if (is_closed_to_us(fd))
		cli_die("process %u is another user's: run stat as that user or root", a.pid);
	if (fd < 0)
		die_without_lane(a.pid);
	if (a.goroutines)
		return copy_dump(fd, a.all);
	o = fetch_or_die(fd);
	if (a.json) {
		json_dumpf(o, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
		putchar('\n');
	} else {
		print_text(o);
	}
	json_decref(o);
	return 0;
}
