/* SPDX-License-Identifier: BSD-3-Clause */
/* libparklane-pkt.so: the stack is made, packetdrill's table filled; packets and time. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pkt/pkt.h"

#define POOL_SKBS 16384
/* sk_sndbuf and sk_rcvbuf count buffers: small ones cost about as much a byte as the kernel's do,
 * and scripts that fill them see the same */
#define BUF_SIZE 1280

struct pkt_world pkt_world = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.wake = PTHREAD_COND_INITIALIZER,
	.quiet = PTHREAD_COND_INITIALIZER,
	/* a wall clock's size: 0 would look like "never" to some */
	.now = 1000000 * NSEC_PER_SEC,
};

long pkt_answer(struct pkt_world *w, long r)
{
	pkt_turn(w);
	pkt_unlock(w);
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

static int call_netdev_send(void *ud, const void *buf, size_t n)
{
	struct pkt_world *w = ud;

	pkt_lock(w);
	pkt_dev_push(w, buf, n);
	return (int)pkt_answer(w, 0);
}

static int call_netdev_receive(void *ud, void *buf, size_t *n, long long *ret_usecs)
{
	struct pkt_world *w = ud;
	struct pkt_frame *f;
	uint64_t until;
	size_t len;

	pkt_lock(w);
	until = w->now + PKT_PATIENCE;
	while (!(f = pkt_dev_pop(w)) && w->now < until)
		(void)pkt_step(w, until);
	if (!f) {
		/* packetdrill has a word for an empty packet and says which line waited for it */
		fprintf(stderr, "parklane-pkt: no packet left within %llu s\n",
			(unsigned long long)(PKT_PATIENCE / NSEC_PER_SEC));
		*n = 0;
		return (int)pkt_answer(w, 0);
	}
	len = f->len - ETH_HLEN;
	*n = min_t(size_t, *n, len);
	memcpy(buf, f->bytes + ETH_HLEN, *n);
	*ret_usecs = (long long)(f->ns / NSEC_PER_USEC);
	free(f);
	return (int)pkt_answer(w, 0);
}

static int call_usleep(void *ud, useconds_t usecs)
{
	struct pkt_world *w = ud;
	uint64_t until;

	pkt_lock(w);
	until = w->now + usecs * NSEC_PER_USEC;
	while (w->now < until)
		(void)pkt_step(w, until);
	(void)pkt_answer(w, 0);
	pkt_let_end(w);
	return 0;
}

static int call_gettimeofday(void *ud, struct timeval *ret_tv, void *tz)
{
	struct pkt_world *w = ud;
	uint64_t us;

	(void)tz;
	pkt_lock(w);
	us = pkt_clock_ns(w) / NSEC_PER_USEC;
	pkt_unlock(w);
	ret_tv->tv_sec = (time_t)(us / 1000000);
	ret_tv->tv_usec = (suseconds_t)(us % 1000000);
	return 0;
}

static void call_free(void *ud)
{
	struct pkt_world *w = ud;
	struct pkt_frame *f;

	pkt_lock(w);
	for (int i = 0; i < PKT_FDS; i++)
		(void)pkt_close(w, PKT_FD_BASE + i);
	stack_destroy(w->st);
	w->st = NULL;
	/* each buffer came back, or this says how many did not */
	skb_pool_destroy(w->pool);
	while ((f = pkt_dev_pop(w)) != NULL)
		free(f);
	pkt_unlock(w);
}

static void die(const char *what, int err)
{
	fprintf(stderr, "parklane-pkt: %s: %s\n", what, strerror(-err));
	exit(EXIT_FAILURE);
}

struct flags {
	uint32_t ip, mask; /* network order */
	uint16_t mtu;
};

static struct flags parse_flags(const char *text)
{
	struct flags f = {
		.ip = inet_addr("192.168.0.1"), .mask = inet_addr("255.255.0.0"), .mtu = 1500};
	char buf[128], *save, *p;

	(void)snprintf(buf, sizeof(buf), "%s", text ? text : "");
	for (p = strtok_r(buf, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		if (!strncmp(p, "ip=", 3))
			f.ip = inet_addr(p + 3);
		else if (!strncmp(p, "mask=", 5))
			f.mask = inet_addr(p + 5);
		else if (!strncmp(p, "mtu=", 4))
			f.mtu = (uint16_t)atoi(p + 4);
		else
			die(p, -EINVAL);
	}
	return f;
}

static void world_init(struct pkt_world *w, const struct flags *f)
{
	/* any neighbour of ours will do: the device answers for all */
	uint32_t host_max = f->ip | ~f->mask, gw = host_max & ~htonl(1);
	struct stack_config cfg;
	int err;

	stack_config_init(&cfg);
	/* runs replay: the seed is no secret here */
	memset(cfg.seed, 7, sizeof(cfg.seed));
	w->pool = skb_heap_pool_create(POOL_SKBS, BUF_SIZE);
	if (!w->pool)
		die("buffers", -ENOMEM);
	err = stack_create(&cfg, w->pool, &w->st);
	if (err)
		die("stack_create", err);
	(void)stack_rx(w->st, w->now, 1);
	pkt_dev_init(w, f->mtu);
	err = stack_attach(w->st, &w->dev, 0, f->ip, (unsigned)__builtin_popcount(f->mask), gw);
	if (err)
		die("stack_attach", err);
	pkt_sysctl_sync(w);
	pkt_turn(w);
}

void packetdrill_interface_init(const char *flags, struct pkt_ifc *ifc)
{
	struct flags f = parse_flags(flags);

	/* the commands that a script runs are none of ours */
	(void)unsetenv("LD_PRELOAD");
	world_init(&pkt_world, &f);
	*ifc = (struct pkt_ifc){
		.userdata = &pkt_world,
		.free = call_free,
		.netdev_send = call_netdev_send,
		.netdev_receive = call_netdev_receive,
		.usleep = call_usleep,
		.gettimeofday = call_gettimeofday,
	};
	pkt_sock_calls(ifc);
	pkt_io_calls(ifc);
	pkt_poll_calls(ifc);
	pkt_opt_calls(ifc);
}
