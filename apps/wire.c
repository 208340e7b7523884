/* SPDX-License-Identifier: BSD-3-Clause */
/* `parklane wire`: two taps, and between them in real time the link that the simulator uses. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli.h"
#include "apps/wire_arg.h"
#include "apps/wire_report.h"
#include "apps/wire_run.h"
#include "drivers/pcap_file.h"

#define SECONDS_MAX 1e6

/* The keys of paths are WARG_RATE and so on, from here. */
#define KEY_PATH 0x100

enum {
	KEY_TAP = 1,
	KEY_IP,
	KEY_SEED,
	KEY_CUT,
	KEY_SECONDS,
	KEY_SPIN,
	KEY_PCAP,
	KEY_VERBOSE,
	KEY_JSON,
};

struct wire_args {
	struct wrun_config run;
	struct wtap tap[2];
	struct wtap_ip ip[2];
	const char *pcap;
	unsigned taps;
	bool json, rate, queue;
};

static volatile bool stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = true;
}

static void take_tap(struct wire_args *a, const char *arg)
{
	if (a->taps == 2)
		cli_usage("--tap %s: a wire has two ends, --tap A --tap B", arg);
	if (wtap_name(&a->tap[a->taps++], arg))
		cli_usage("--tap %s: give a device's name of at most 15 characters, as in wa, or "
			  "wa@red for one in namespace red",
			  options_shown(arg));
}

static void take_ip(struct wire_args *a, const char *arg)
{
	if (!a->taps || a->ip[a->taps - 1].text)
		cli_usage("--ip %s: one address, behind the --tap that it is for", arg);
	if (wtap_cidr(arg, &a->ip[a->taps - 1]))
		cli_usage("--ip %s: give address and prefix, as in 10.78.0.1/24",
			  options_shown(arg));
}

static void take_cut(struct wire_args *a, const char *arg)
{
	struct wrun_cut *c = &a->run.cut[a->run.nr_cuts];
	const char *colon = strchr(arg, ':');
	char at[32] = "";

	if (a->run.nr_cuts++ == WRUN_CUTS)
		cli_usage("--cut %s: at most %d cuts", arg, WRUN_CUTS);
	if (colon && colon - arg < (long)sizeof(at))
		memcpy(at, arg, (size_t)(colon - arg));
	if (!warg_time(at, &c->at) || !warg_time(colon + 1, &c->until))
		cli_usage("--cut %s: give when and how long, as in 2s:500ms (each at most 3600s)",
			  options_shown(arg));
	c->until += c->at;
}

static void take_path(struct wire_args *a, enum warg_what what, const char *name, const char *arg)
{
	if (!warg_path(what, arg, a->run.path))
		cli_usage("--%s %s: give it as in %s; two with a comma between are A to B, B to A",
			  name, options_shown(arg), warg_example(what));
	a->rate |= what == WARG_RATE;
	a->queue |= what == WARG_QUEUE;
}

static bool same_tap(const struct wtap *a, const struct wtap *b)
{
	return !strcmp(a->name, b->name) && !strcmp(a->netns, b->netns);
}

/* check - what only shows when all is known. A value of 0 for both ways is no "unlimited" that the
 * user can see, nor a wire that is cut. */
static void check(const struct wire_args *a)
{
	const struct wire_path *p = a->run.path;
	bool rate = p[0].rate || p[1].rate;

	if (a->taps < 2)
		cli_usage("give the two ends, --tap A --tap B: devices that are made if there are "
			  "none");
	if (same_tap(&a->tap[0], &a->tap[1]))
		cli_usage("--tap %s: both ends are the same tap; give two names", a->tap[0].name);
	if (a->rate && !rate)
		cli_usage("--rate 0: leave --rate out for no limit; --cut lets nothing pass");
	if (a->queue && !p[0].queue_bytes && !p[0].queue_frames && !p[1].queue_bytes &&
	    !p[1].queue_frames)
		cli_usage("--queue 0: leave --queue out for what the rate sends in a round trip, "
			  "and --rate for no queue at all");
	if ((p[0].mark_bytes || p[1].mark_bytes) && !rate)
		cli_usage("--mark is about the queue in front of a rate: give --rate as well");
}

/* default_queue - a queue that holds what the rate sends in a round trip, as routers are sized; not
 * less than 64 frames. */
static void default_queue(struct wire_path path[static 2])
{
	double rtt = (double)(path[0].delay + path[1].delay) / 1e9;

	for (int i = 0; i < 2; i++) {
		double bytes = (double)path[i].rate / 8 * rtt;

		if (path[i].rate && !path[i].queue_bytes && !path[i].queue_frames)
			path[i].queue_bytes = (uint32_t)(bytes < 96e3  ? 96e3
							 : bytes > 1e9 ? 1e9
								       : bytes);
	}
}

/* clang-format off: a row for each option */
static const struct argp_option wire_options[] = {
	{0, 0, 0, 0, "The ends:", 1},
	{"tap", KEY_TAP, "NAME[@NETNS]", 0,
	 "A tap device, twice. It is made if there is none, and ends then with the wire. NETNS: a "
	 "name of 'ip netns', a process number, or a path",
	 0},
	{"ip", KEY_IP, "A.B.C.D/LEN", 0, "Address of the kernel's side of the --tap before it", 0},
	{0, 0, 0, 0,
	 "The link; a second value behind a comma is that from B to A, and 0 there: as if not "
	 "given (default: perfect):",
	 2},
	{"rate", KEY_PATH + WARG_RATE, "RATE", 0,
	 "1gbit, 10mbit, 56kbit: of Ethernet header and payload", 0},
	{"delay", KEY_PATH + WARG_DELAY, "TIME", 0,
	 "20ms, 150us: one way, so a round trip has it twice", 0},
	{"jitter", KEY_PATH + WARG_JITTER, "TIME", 0, "0 to so much more delay, in order", 0},
	{"queue", KEY_PATH + WARG_QUEUE, "SIZE", 0,
	 "Frames, or 64kb, 2mb: in front of the rate, drop-tail (default: what the rate sends in "
	 "both delays, at least 96kb)",
	 0},
	{"loss", KEY_PATH + WARG_LOSS, "CHANCE", 0, "0.1%: each frame by itself", 0},
	{"burst", KEY_PATH + WARG_BURST, "ENTER:LEAVE[:LOSS]", 0,
	 "0.1%:20%: chances for a frame to begin and to end a bad time, and to be lost in it "
	 "(100%)",
	 0},
	{"reorder", KEY_PATH + WARG_REORDER, "CHANCE:TIME", 0,
	 "1%:3ms: to come so much later, overtaken by others", 0},
	{"dup", KEY_PATH + WARG_DUP, "CHANCE", 0, "To come twice", 0},
	{"corrupt", KEY_PATH + WARG_CORRUPT, "CHANCE", 0, "One wrong bit in an IPv4 packet", 0},
	{"mtu", KEY_PATH + WARG_MTU, "BYTES[:icmp]", 0,
	 "Larger packets are dropped; with :icmp their sender is told", 0},
	{"mark", KEY_PATH + WARG_MARK, "SIZE", 0,
	 "ECN: mark what can be from so much in the queue on", 0},
	{"cut", KEY_CUT, "AT:TIME", 0,
	 "2s:500ms: no frame passes from then on for so long; several times", 0},
	{0, 0, 0, 0, "The run:", 3},
	{"seed", KEY_SEED, "N", 0,
	 "What chance draws from: the same one loses the same frames (default: 1)", 0},
	{"seconds", KEY_SECONDS, "SEC", 0, "End by itself (default: at Ctrl-C)", 0},
	{"spin", KEY_SPIN, NULL, 0, "Never sleep: takes a cpu, for the last microseconds", 0},
	{"pcap", KEY_PCAP, "FILE[,FILE]", 0, "Write what passes A's tap, and B's, both ways", 0},
	{"verbose", KEY_VERBOSE, NULL, 0, "A line on stderr for each frame that is lost", 0},
	{"json", KEY_JSON, NULL, 0, "The counters at the end as JSON on stdout", 0},
	{0},
};
/* clang-format on */

static error_t wire_parse(int key, char *arg, struct argp_state *state)
{
	struct wire_args *a = state->input;

	if (key >= KEY_PATH && key < KEY_PATH + WARG_NR) {
		const struct argp_option *o = wire_options;

		while (o->key != key)
			o++;
		take_path(a, (enum warg_what)(key - KEY_PATH), o->name, arg);
		return 0;
	}
	switch (key) {
	case KEY_TAP:
		take_tap(a, arg);
		return 0;
	case KEY_IP:
		take_ip(a, arg);
		return 0;
	case KEY_SEED:
		a->run.seed = cli_uint("--seed", arg, 0, INT64_MAX);
		return 0;
	case KEY_CUT:
		take_cut(a, arg);
		return 0;
	case KEY_SECONDS:
		a->run.run_ns = (uint64_t)(cli_seconds("--seconds", arg, 0.001, SECONDS_MAX) * 1e9);
		return 0;
	case KEY_SPIN:
		a->run.spin = true;
		return 0;
	case KEY_PCAP:
		a->pcap = arg;
		return 0;
	case KEY_VERBOSE:
		a->run.verbose = stderr;
		return 0;
	case KEY_JSON:
		a->json = true;
		return 0;
	case ARGP_KEY_END:
		check(a);
		default_queue(a->run.path);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp wire_argp = {
	.options = wire_options,
	.parser = wire_parse,
	.args_doc = "--tap A --tap B",
	.doc = "A link between two tap devices of this machine, slow, narrow and bad as told, "
	       "until Ctrl-C. Any program of the kernel's side meets it; 'parklane ... --dev "
	       "net_af_packet0,iface=A' puts Parklane's stack on one. It needs root.",
};

static void open_pcap(struct wire_args *a)
{
	char *names = strdup(a->pcap), *rest = names;

	for (int i = 0; i < 2 && rest; i++) {
		const char *name = strsep(&rest, ",");
		int err = names ? pcap_file_open(name, NULL, 0, &a->run.pcap[i]) : -ENOMEM;

		if (err)
			cli_die("pcap file '%s': %s", name, strerror(-err));
	}
	if (rest)
		cli_usage("--pcap %s: two files at most, for A and for B", a->pcap);
	free(names);
}

static int close_pcap(struct wire_args *a)
{
	int status = 0;

	for (int i = 0; i < 2; i++) {
		if (a->run.pcap[i] && (ferror(a->run.pcap[i]) | fclose(a->run.pcap[i]))) {
			fprintf(stderr, "parklane: the pcap file is not whole: %s\n",
				strerror(errno ? errno : EIO));
			status = 1;
		}
	}
	return status;
}

static void open_ends(struct wire_args *a)
{
	char err[256];

	for (int i = 0; i < 2; i++) {
		if (wtap_open(&a->tap[i], err, sizeof(err)) ||
		    (a->ip[i].text && wtap_address(&a->tap[i], &a->ip[i], err, sizeof(err))))
			cli_die("%s", err);
	}
}

int cmd_wire(int argc, char **argv)
{
	/* a second Ctrl-C ends it the hard way */
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	static struct wire_args a = {.run.seed = 1};
	static struct wrun_result res;
	char err[256];
	int status;

	cli_parse(&wire_argp, "parklane wire", argc, argv, &a);
	open_ends(&a);
	if (a.pcap)
		open_pcap(&a);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	wire_say_start(&a.run, a.tap);
	status = wrun(&a.run, a.tap, &stop, &res, err, sizeof(err)) ? 1 : 0;
	if (status)
		fprintf(stderr, "parklane: the wire ends: %s\n", err);
	status |= close_pcap(&a);
	wtap_close(&a.tap[0]);
	wtap_close(&a.tap[1]);
	if (!a.json) {
		wire_say_end(&res, a.tap, stdout);
		return status;
	}
	if (wire_json(&a.run, &res, a.tap))
		cli_die("cannot write the counters");
	return status;
}
