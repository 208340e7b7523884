/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For flood.py: SYNs from addresses that nobody has (198.18.0.0/15, RFC 2544) at a steady rate, as
 * frames, so that the kernel's own stack plays no part. Each has another source and the options of
 * Linux's SYN. Plays the router behind which these addresses would be, too: answers ARP for it and
 * takes no notice of what comes. Prints one JSON object at the end: frames sent, frames that the
 * interface refused, seconds.
 */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAMES   8192 /* built once; each time round with another port */
#define BATCH    64
#define OPT_LEN  20
#define NSEC     1000000000ull
#define SPOOFED  0xc6120000u /* 198.18.0.0/15 */
#define SPOOF_NR 0x20000u

static const uint8_t our_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 0x66};

struct frame {
	uint8_t eth[ETH_HLEN];
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t opt[OPT_LEN];
} __attribute__((packed));

struct args {
	const char *iface, *dst_ip, *router;
	struct ether_addr dst_mac;
	long rate, port;
	double seconds;
};

static struct frame frames[FRAMES];

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

/* sum16 - RFC 1071, n even, unfolded. */
static uint32_t sum16(const void *p, unsigned n)
{
	const uint8_t *b = p;
	uint32_t sum = 0;

	for (unsigned i = 0; i < n; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void build(const struct args *a, unsigned i, struct frame *f)
{
	/* mss 1460, sackOK, TS, nop, wscale 7 */
	static const uint8_t opt[OPT_LEN] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0,
					     0, 1, 0, 0,   0, 0, 1, 3,  3, 7};
	const uint16_t tcp_len = sizeof(f->tcp) + OPT_LEN;
	uint32_t pseudo;

	memcpy(f->eth, &a->dst_mac, ETH_ALEN);
	memcpy(f->eth + ETH_ALEN, our_mac, ETH_ALEN);
	f->eth[12] = ETHERTYPE_IP >> 8;
	f->ip = (struct iphdr){.version = 4,
			       .ihl = 5,
			       .ttl = 64,
			       .protocol = IPPROTO_TCP,
			       .tot_len = htons(sizeof(f->ip) + tcp_len),
			       .saddr = htonl(SPOOFED + i * 2654435761u % SPOOF_NR),
			       .daddr = inet_addr(a->dst_ip)};
	f->ip.check = fold(sum16(&f->ip, sizeof(f->ip)));
	f->tcp = (struct tcphdr){.source = htons((uint16_t)(1024 + i)),
				 .dest = htons((uint16_t)a->port),
				 .seq = htonl(i * 2246822519u),
				 .doff = tcp_len / 4,
				 .syn = 1,
				 .window = htons(64240)};
	memcpy(f->opt, opt, OPT_LEN);
	pseudo = sum16(&f->ip.saddr, 8) + IPPROTO_TCP + tcp_len;
	f->tcp.check = fold(pseudo + sum16(&f->tcp, tcp_len));
}

/* another - the same frame from the next port, its checksum by RFC 1624 3. */
static void another(struct frame *f)
{
	uint16_t old = ntohs(f->tcp.source), port = (uint16_t)(old + 1);

	f->tcp.source = htons(port);
	f->tcp.check = fold((uint16_t)~ntohs(f->tcp.check) + (uint32_t)(uint16_t)~old + port);
}

/* open_iface - a socket that gets frames of `proto` alone: 0 none. */
static int open_iface(const char *name, uint16_t proto)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(proto),
				 .sll_ifindex = (int)if_nametoindex(name)};
	int on = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);

	if (fd < 0 || !ll.sll_ifindex || bind(fd, (struct sockaddr *)&ll, sizeof(ll)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0) {
		fprintf(stderr, "synflood: %s: %s\n", name, strerror(errno));
		exit(EXIT_FAILURE);
	}
	return fd;
}

/* play_router - RFC 826, for one request, if one came. */
static void play_router(int fd, in_addr_t router)
{
	struct {
		uint8_t eth[ETH_HLEN];
		struct ether_arp arp;
	} f, r;

	if (recv(fd, &f, sizeof(f), 0) != sizeof(f) || f.arp.ea_hdr.ar_op != htons(ARPOP_REQUEST) ||
	    memcmp(f.arp.arp_tpa, &router, sizeof(router)) != 0)
		return;
	r = f;
	memcpy(r.eth, f.eth + ETH_ALEN, ETH_ALEN);
	memcpy(r.eth + ETH_ALEN, our_mac, ETH_ALEN);
	r.arp.ea_hdr.ar_op = htons(ARPOP_REPLY);
	memcpy(r.arp.arp_sha, our_mac, ETH_ALEN);
	memcpy(r.arp.arp_spa, f.arp.arp_tpa, sizeof(router));
	memcpy(r.arp.arp_tha, f.arp.arp_sha, ETH_ALEN);
	memcpy(r.arp.arp_tpa, f.arp.arp_spa, sizeof(router));
	(void)!send(fd, &r, sizeof(r), 0);
}

/* send_batch - n frames from `at` on; how many the interface took. */
static unsigned send_batch(int fd, unsigned at, unsigned n)
{
	struct iovec iov[BATCH];
	struct mmsghdr msg[BATCH];
	int sent;

	memset(msg, 0, sizeof(msg));
	for (unsigned i = 0; i < n; i++) {
		struct frame *f = &frames[(at + i) % FRAMES];

		another(f);
		iov[i] = (struct iovec){f, sizeof(*f)};
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	sent = sendmmsg(fd, msg, n, MSG_DONTWAIT);
	return sent > 0 ? (unsigned)sent : 0;
}

static void flood(const struct args *a)
{
	int fd = open_iface(a->iface, 0),
	    arp = a->router ? open_iface(a->iface, ETHERTYPE_ARP) : -1;
	in_addr_t router = a->router ? inet_addr(a->router) : 0;
	uint64_t from = now_ns(), end = from + (uint64_t)(a->seconds * 1e9), now, done = 0,
		 sent = 0;

	while ((now = now_ns()) < end) {
		uint64_t due = (now - from) * (uint64_t)a->rate / NSEC;

		if (due < done + BATCH) {
			struct timespec ts = {.tv_nsec = BATCH / 2 * (long)NSEC / a->rate};

			if (a->router)
				play_router(arp, router);
			(void)nanosleep(&ts, NULL);
			continue;
		}
		sent += send_batch(fd, (unsigned)(done % FRAMES), BATCH);
		done += BATCH;
	}
	printf("{\"sent\": %llu, \"refused\": %llu, \"seconds\": %.3f}\n", (unsigned long long)sent,
	       (unsigned long long)(done - sent), (double)(now - from) / 1e9);
}

static long number(const char *arg, long min, long max, struct argp_state *state)
{
	char *end;
	long n = strtol(arg, &end, 10);

	if (*end || end == arg || n < min || n > max)
		argp_error(state, "'%s': want a number from %ld to %ld", arg, min, max);
	return n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'i':
		a->iface = arg;
		return 0;
	case 'm':
		if (!ether_aton_r(arg, &a->dst_mac))
			argp_error(state, "'%s': no MAC address", arg);
		return 0;
	case 'd':
		a->dst_ip = arg;
		return 0;
	case 'R':
		a->router = arg;
		return 0;
	case 'p':
		a->port = number(arg, 1, 65535, state);
		return 0;
	case 'r':
		a->rate = number(arg, 1, 10000000, state);
		return 0;
	case 's':
		a->seconds = (double)number(arg, 1, 3600, state);
		return 0;
	case ARGP_KEY_END:
		if (!a->iface || !a->dst_ip || !a->port)
			argp_error(state, "--iface, --dst and --port are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"iface", 'i', "NAME", 0, "Send into this interface", 0},
		{"mac", 'm', "MAC", 0, "The frames' destination (default: broadcast)", 0},
		{"dst", 'd', "A.B.C.D", 0, "The SYNs' destination", 0},
		{"port", 'p', "P", 0, "Its port", 0},
		{"router", 'R', "A.B.C.D", 0, "Answer ARP for this address", 0},
		{"rate", 'r', "N", 0, "Frames a second (default: 100000)", 0},
		{"seconds", 's', "S", 0, "For so long (default: 10)", 0},
		{0},
	};
	static const struct argp argp = {
		options, parse, NULL, "SYNs from addresses that nobody has.", NULL, NULL, NULL};
	struct args a = {.rate = 100000, .seconds = 10};
	memset(&a.dst_mac, 0xff, sizeof(a.dst_mac));
	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return EXIT_FAILURE;
	for (unsigned i = 0; i < FRAMES; i++)
		build(&a, i, &frames[i]);
	flood(&a);
	return EXIT_SUCCESS;
}
