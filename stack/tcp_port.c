/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Local ports, counted for each by what their holders allow, so that a bind looks at eight
 * numbers and at no socket, however many connections a port has. RFC 6056 (algorithm 3) for the
 * choice of one.
 */
#include <string.h>

#include "stack/tcp_int.h"

/* A port that somebody has: Linux's inet_bind_bucket. */
struct tcp_port {
	struct tcp_port *next;         /* bucket chain */
	uint32_t nr;                   /* of holders; of them by TCP_REUSE_* of theirs: */
	uint32_t others[TCP_REUSE_NR]; /* who does not listen */
	uint32_t listen[TCP_REUSE_NR]; /* who does */
	uint16_t port;
	bool bound; /* a bind came for it: no connect gets it by chance */
};

static struct tcp_port **port_bucket(struct tcp_shard *sh, uint16_t port)
{
	return &sh->ports[port % TCP_PORT_BUCKETS];
}

static struct tcp_port *port_find(const struct tcp_shard *sh, uint16_t port)
{
	struct tcp_port *p = sh->ports[port % TCP_PORT_BUCKETS];

	while (p && p->port != port)
		p = p->next;
	return p;
}

/* port_get - the same, or a new one; NULL: no memory. */
static struct tcp_port *port_get(struct stack *st, uint16_t port)
{
	struct tcp_port **b = port_bucket(st->tcp, port), *p = port_find(st->tcp, port);

	if (p)
		return p;
	p = tcp_slab_get(st, &st->tcp->port_slab);
	if (!p)
		return NULL;
	*p = (struct tcp_port){.next = *b, .port = port};
	*b = p;
	return p;
}

static void port_free(struct tcp_shard *sh, struct tcp_port *p)
{
	struct tcp_port **at = port_bucket(sh, p->port);

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	tcp_slab_put(&sh->port_slab, p);
}

static unsigned reuse_of(const struct tcp_sock *tp)
{
	return (tp->opt.reuseaddr ? TCP_REUSE_ADDR : 0) | (tp->opt.reuseport ? TCP_REUSE_PORT : 0);
}

static uint32_t *count_of(struct tcp_port *p, enum tcp_port_use use, unsigned reuse)
{
	return use == TCP_PORT_LISTEN ? &p->listen[reuse] : &p->others[reuse];
}

static void port_hold(struct tcp_port *p, struct tcp_sock *tp, enum tcp_port_use use)
{
	p->nr++;
	++*count_of(p, use, reuse_of(tp));
	p->bound |= use != TCP_PORT_CONN;
	tp->port = p->port;
	tp->port_use = (uint8_t)use;
}

static void port_drop(struct tcp_shard *sh, uint16_t port, enum tcp_port_use use, unsigned reuse)
{
	struct tcp_port *p = port_find(sh, port);

	BUG_ON(!p || !*count_of(p, use, reuse));
	--*count_of(p, use, reuse);
	if (!--p->nr)
		port_free(sh, p);
}

/* conflict - may nobody with `reuse` have p beside those who have it? */
static bool conflict(const struct tcp_port *p, unsigned reuse)
{
	for (unsigned r = 0; r < TCP_REUSE_NR; r++)
		if ((p->others[r] && !(r & reuse)) ||
		    (p->listen[r] && !(r & reuse & TCP_REUSE_PORT)))
			return true;
	return false;
}

int tcp_port_bind(struct tcp_sock *tp, uint16_t port)
{
	struct tcp_port *p = port_find(tcp_stack(tp)->tcp, port);

	if (p && conflict(p, reuse_of(tp)))
		return -EADDRINUSE;
	p = port_get(tcp_stack(tp), port);
	if (!p)
		return -ENOBUFS;
	port_hold(p, tp, TCP_PORT_BOUND);
	return 0;
}

int tcp_port_listen(struct tcp_sock *tp)
{
	struct tcp_shard *sh = tcp_stack(tp)->tcp;
	struct tcp_port *p = port_find(sh, tp->port);
	struct tcp_sock **b = &sh->listeners[tp->port % TCP_LISTEN_BUCKETS];
	unsigned reuse = reuse_of(tp);
	bool taken;

	p->others[reuse]--;
	taken = conflict(p, reuse);
	p->others[reuse]++;
	if (taken)
		return -EADDRINUSE;
	p->others[reuse]--;
	p->listen[reuse]++;
	tp->port_use = TCP_PORT_LISTEN;
	tp->listen_next = *b;
	*b = tp;
	return 0;
}

int tcp_port_connect(struct tcp_sock *tp)
{
	struct tcp_port *p;

	if (tp->port_use != TCP_PORT_NONE)
		return 0;
	p = port_get(tcp_stack(tp), tp->node.lport);
	if (!p)
		return -ENOBUFS;
	port_hold(p, tp, TCP_PORT_CONN);
	return 0;
}

void tcp_port_child(struct tcp_sock *tp)
{
	port_hold(port_find(tcp_stack(tp)->tcp, tp->node.lport), tp, TCP_PORT_CONN);
}

void tcp_port_put(struct tcp_sock *tp)
{
	enum tcp_port_use use = tp->port_use;

	if (use == TCP_PORT_NONE)
		return;
	tp->port_use = TCP_PORT_NONE;
	port_drop(tcp_stack(tp)->tcp, tp->port, use, reuse_of(tp));
}

void tcp_port_done(struct tcp_sock *tp)
{
	if (tp->port_use == TCP_PORT_CONN)
		tcp_port_put(tp);
}

void tcp_port_set_reuse(struct tcp_sock *tp, unsigned bit, bool on)
{
	uint8_t *flag = bit == TCP_REUSE_ADDR ? &tp->opt.reuseaddr : &tp->opt.reuseport;
	struct tcp_port *p;

	if (tp->port_use == TCP_PORT_NONE) {
		*flag = on;
		return;
	}
	p = port_find(tcp_stack(tp)->tcp, tp->port);
	--*count_of(p, tp->port_use, reuse_of(tp));
	*flag = on;
	++*count_of(p, tp->port_use, reuse_of(tp));
}

void tcp_port_time_wait(struct tcp_tw *tw, const struct tcp_sock *tp)
{
	struct tcp_port *p = port_find(tw->stack->tcp, tw->node.lport);

	tw->reuse = (uint8_t)reuse_of(tp);
	p->nr++;
	p->others[tw->reuse]++;
}

void tcp_port_tw_put(struct stack *st, const struct tcp_tw *tw)
{
	port_drop(st->tcp, tw->node.lport, TCP_PORT_CONN, tw->reuse);
}

/* ---- the choice of one ---- */

/* port_usable - nobody bound it, and the 4-tuple is free or held by a TIME-WAIT that may go. */
static bool port_usable(struct stack *st, uint32_t laddr, uint32_t faddr, uint16_t lport,
			uint16_t fport, struct tcp_tw **ret_tw)
{
	const struct tcp_port *p = port_find(st->tcp, lport);
	struct tcp_node *n;

	/* A listener's port, without a peer, is good on every lane. */
	if (!faddr)
		return !p;
	if ((p && p->bound) || !steer_is_home(st, laddr, faddr, lport, fport))
		return false;
	n = tcp_lookup(st->tcp, laddr, faddr, lport, fport);
	return !n || tcp_tw_may_go(st, n, ret_tw);
}

uint16_t tcp_pick_port(struct stack *st, uint32_t laddr, uint32_t faddr, uint16_t fport,
		       struct tcp_tw **ret_tw)
{
	struct tcp_shard *sh = st->tcp;
	struct tcp_tuple_bytes t = {laddr, faddr, fport};
	uint32_t lo = st->cfg.port_range[0], range = st->cfg.port_range[1] - lo + 1;
	uint32_t offset = (uint32_t)siphash24(sh->port_key, &t, sizeof(t));

	for (uint32_t i = 0; i < range; i++) {
		uint16_t port = (uint16_t)(lo + (offset + sh->port_next++) % range);

		if (port_usable(st, laddr, faddr, port, fport, ret_tw))
			return port;
	}
	return 0;
}

/* ---- listeners ---- */

bool tcp_listen_same(const struct tcp_sock *tp, const struct tcp_sock *lp)
{
	return tp->port == lp->port && tp->sk.sk_local.v4 == lp->sk.sk_local.v4;
}

const struct tcp_sock *tcp_listen_first(const struct tcp_sock *lp)
{
	return tcp_stack(lp)->tcp->listeners[lp->port % TCP_LISTEN_BUCKETS];
}

/* listen_share - of the nr listeners that are where `first` is the one for this peer: Linux
 * reuseport_select_sock. */
static COLD struct tcp_sock *listen_share(const struct tcp_shard *sh, struct tcp_sock *first,
					  unsigned nr, const struct tcp_tuple_bytes *peer)
{
	uint32_t h = (uint32_t)siphash24(sh->port_key, peer, sizeof(*peer));
	uint32_t k = (uint32_t)((uint64_t)h * nr >> 32);
	struct tcp_sock *tp = first;

	while (k) {
		tp = tp->listen_next;
		k -= tcp_listen_same(tp, first);
	}
	return tp;
}

struct tcp_sock *tcp_lookup_listener(const struct tcp_shard *sh, uint32_t laddr, uint16_t lport,
				     uint32_t faddr, uint16_t fport)
{
	struct tcp_sock *tp = sh->listeners[lport % TCP_LISTEN_BUCKETS], *best = NULL;
	unsigned nr = 0;

	for (; tp; tp = tp->listen_next) {
		uint32_t v4 = tp->sk.sk_local.v4;

		if (tp->port != lport || (v4 && v4 != laddr))
			continue;
		if (!best || (v4 && !best->sk.sk_local.v4)) {
			best = tp;
			nr = 1;
		} else {
			nr += tcp_listen_same(tp, best);
		}
	}
	if (unlikely(nr > 1)) {
		struct tcp_tuple_bytes peer = {laddr, faddr, (uint32_t)lport << 16 | fport};

		return listen_share(sh, best, nr, &peer);
	}
	return best;
}

void tcp_listen_remove(struct tcp_shard *sh, struct tcp_sock *tp)
{
	struct tcp_sock **p = &sh->listeners[tp->port % TCP_LISTEN_BUCKETS];

	for (; *p; p = &(*p)->listen_next)
		if (*p == tp) {
			*p = tp->listen_next;
			tp->listen_next = NULL;
			return;
		}
}

void tcp_port_init(struct tcp_shard *sh)
{
	tcp_slab_init(&sh->port_slab, sizeof(struct tcp_port), UINT16_MAX, false);
}
