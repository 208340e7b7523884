/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct sk_buff: one frame's (or one piece of a stream's) metadata, which travels by
 * pointer through all layers. Also its queue, the pool it comes from, the lane's
 * cache in front of the pool, and the reasons for which one is dropped.
 *
 * Where an skb lives is the pool's affair: in front of a heap buffer (skb_heap.c), or in
 * the private area of a DPDK mbuf (drivers/dpdk_mbuf). The stack sees only this.
 *
 * Ownership (architecture.md rules 2 and 3): *_input and *_output functions consume.
 * The end is skb_free() (used) or skb_drop() (lost and counted). Bytes that a device or
 * another skb may still see are never written: skb_writable() tells.
 *
 * Chains are flat: head->frag->frag->... In the head, len, data_len and truesize speak of
 * the whole chain; in a fragment, len is its own linear bytes, data_len is 0 and truesize
 * is its own. skb_trim() and skb_eat() leave truesize alone, so that what a socket was
 * charged for an skb is what it gets back.
 */
#ifndef STACK_SKB_H
#define STACK_SKB_H

#include <stdbool.h>
#include <string.h>

#include "stack/base/asan.h"
#include "stack/base/bug.h"
#include "stack/base/compiler.h"
#include "stack/base/list.h"
#include "stack/base/mlist.h"
#include "stack/base/stat.h"

struct netdev;
struct skb_pool;
struct skb_cache;

/* What is known of the transport and IP checksums (RX), or wanted of the device (TX). */
enum skb_csum {
	CHECKSUM_UNKNOWN, /* RX: verify in software. TX: is complete in the frame */
	CHECKSUM_GOOD,    /* RX: the device verified both */
	CHECKSUM_BAD,     /* RX: the device found one wrong */
	CHECKSUM_PARTIAL, /* TX: the device fills in L4 (pseudo header is there) and IP */
};

/* skb->flags */
#define SKB_F_EXT   0x01u /* bytes are shared or not ours: not writable, not recyclable */
#define SKB_F_MCAST 0x02u /* the frame came to a group or broadcast MAC */
#define SKB_F_LOOP  0x04u /* came through the lane's internal loopback */
#define SKB_F_RTX   0x08u /* this transmission is a retransmission (for traces) */
#define SKB_F_STEER 0x10u /* another lane's shard forwarded it: it goes no further */
#define SKB_F_NO_DF 0x20u /* TX: routers may fragment it */

/* At which layer an skb that was forwarded to another lane goes on. */
enum skb_steer {
	SKB_STEER_ARP,  /* data at the ARP header */
	SKB_STEER_ICMP, /* data at the ICMP header */
	SKB_STEER_TCP,  /* validated: data behind the TCP header, the control block filled */
};

/* TCP control block: what TCP notes on an skb. seq numbers in host order. */
struct tcp_skb_cb {
	uint32_t seq;       /* first octet's sequence number */
	uint32_t end_seq;   /* seq + length, SYN and FIN counted */
	uint16_t tcp_flags; /* TCPF_* */
	uint8_t sacked;     /* TX: TCPCB_* */
	uint8_t retrans;    /* TX: how often retransmitted (saturates) */
	uint8_t has_ts;     /* RX: ts_val and ts_ecr are valid */
	union {
		struct {
			uint32_t ack_seq; /* RX: SEG.ACK */
			uint16_t window;  /* RX: SEG.WND, unscaled */
			uint16_t hdr_len; /* RX: TCP header with options, bytes */
			uint32_t ts_val;  /* RX: SEG.TSval */
			uint32_t ts_ecr;  /* RX: SEG.TSecr */
		};
		struct {
			struct sk_buff *left, *right; /* RX: in the tree of tcp_ofo.c */
		};
		/* TX, sent and not SACKed: on sent_list or lost_list of struct tcp_sock */
		struct list_head link;
		/* TX, SACKed: one farther right in the same run of SACKed skbs, or itself if it
		 * is the last of the run */
		struct sk_buff *run_last;
	};
	uint64_t tx_ns; /* TX: when last transmitted; 0 = never */
};

/* TX: what was known of the path's rate when it was last transmitted (tcp_rate.h). Beside the
 * control block, as nobody needs it to be zero before. */
struct tcp_skb_rate {
	uint32_t delivered;    /* bytes by then */
	bool app_limited;      /* the user had no more to send */
	uint64_t delivered_ns; /* when that was known */
	uint64_t first_tx_ns;  /* when the flight before it began */
};

struct sk_buff {
	/* cache line 0: every packet, both ways */
	union {
		struct {
			struct sk_buff *next, *prev; /* queue link; next also chains a burst */
		};
		struct mnode xlane; /* on its way to another lane */
	};
	uint8_t *head, *data, *tail, *end;
	uint32_t len;         /* bytes in all, fragments included */
	uint32_t data_len;    /* bytes that are in fragments; len - data_len are linear */
	struct sk_buff *frag; /* next fragment, owned by this skb; see "Chains" above */
	/* cache line 1 */
	struct skb_cache *cache; /* the current lane's cache; where skb_free returns it */
	struct netdev *dev;      /* RX: where it came from. TX: where it goes to */
	uint32_t truesize;       /* bytes of memory it pins, metadata included */
	uint16_t network_header; /* offsets from head */
	uint16_t transport_header;
	uint16_t mac_header;
	uint16_t gso_size;  /* TX: segment size for TSO, 0 = none */
	uint8_t ip_summed;  /* enum skb_csum */
	uint8_t flags;      /* SKB_F_* */
	uint8_t lane_queue; /* RX: index of the queue it came by */
	uint8_t steer;      /* enum skb_steer, while it is on its way to another lane */
	uint32_t hash;      /* RX: device's RSS hash, 0 = none; then tcp_ofo.c's priority */
	uint32_t next_hop;  /* TX: IPv4 next hop, network order, while it waits for ARP */
	uint64_t tstamp;    /* RX: lane's now when it was polled */
	struct tcp_skb_cb tcp;
	struct tcp_skb_rate rate;
};

_Static_assert(offsetof(struct sk_buff, cache) == CACHE_LINE, "skb line 0");
_Static_assert(sizeof(struct sk_buff) <= 192, "skb fits three lines of an mbuf's private area");

/* Why an skb was lost. The name is what `parklane stat` and the summary print. */
#define SKB_DROP_REASONS(X)                                                                        \
	X(NOT_SPECIFIED, "not_specified")                                                          \
	X(ETH_SHORT, "eth_short")         /* shorter than an Ethernet header */                    \
	X(ETH_OTHERHOST, "eth_otherhost") /* unicast to another MAC */                             \
	X(ETH_UNKNOWN_TYPE, "eth_unknown_type")                                                    \
	X(ARP_BAD, "arp_bad")                                                                      \
	X(ARP_CONFLICT, "arp_conflict")   /* someone claims our address (RFC 5227) */              \
	X(IP_BAD_HEADER, "ip_bad_header") /* version, IHL, lengths (B13) */                        \
	X(IP_BAD_CSUM, "ip_bad_csum")                                                              \
	X(IP_BAD_SRC, "ip_bad_src") /* B6, B7 */                                                   \
	X(IP_BAD_DST, "ip_bad_dst")                                                                \
	X(IP_NOT_LOCAL, "ip_not_local")                                                            \
	X(IP_FRAGMENT, "ip_fragment")         /* malformed, or came twice */                       \
	X(IP_FRAG_OVERLAP, "ip_frag_overlap") /* and all of its datagram (B22) */                  \
	X(IP_FRAG_LIMIT, "ip_frag_limit")     /* made room for others */                           \
	X(IP_FRAG_TIMEOUT, "ip_frag_timeout")                                                      \
	X(IP_OPTIONS, "ip_options") /* malformed, or a source route */                             \
	X(IP_NO_PROTO, "ip_no_proto")                                                              \
	X(IP_NO_ROUTE, "ip_no_route")                                                              \
	X(IP_TOO_BIG, "ip_too_big")                                                                \
	X(NEIGH_QUEUE_FULL, "neigh_queue_full")                                                    \
	X(NEIGH_FAILED, "neigh_failed")                                                            \
	X(NEIGH_TABLE_FULL, "neigh_table_full")                                                    \
	X(ICMP_BAD, "icmp_bad")                                                                    \
	X(ICMP_IGNORED, "icmp_ignored")                                                            \
	X(ICMP_RATELIMIT, "icmp_ratelimit")                                                        \
	X(NO_MEM, "no_mem")                                                                        \
	X(STEER_FULL, "steer_full") /* the lane that it belongs to is behind */                    \
	X(TX_RING_FULL, "tx_ring_full")                                                            \
	X(LOOPBACK_FULL, "loopback_full")                                                          \
	X(TCP_BAD_HEADER, "tcp_bad_header")                                                        \
	X(TCP_BAD_CSUM, "tcp_bad_csum")                                                            \
	X(TCP_NO_SOCKET, "tcp_no_socket")                                                          \
	X(TCP_FLAGS, "tcp_flags")                                                                  \
	X(TCP_INVALID_SEQ, "tcp_invalid_sequence")                                                 \
	X(TCP_OLD_DATA, "tcp_old_data")                                                            \
	X(TCP_PAWS, "tcp_paws")                                                                    \
	X(TCP_BAD_ACK, "tcp_bad_ack")                                                              \
	X(TCP_OLD_ACK, "tcp_old_ack")                                                              \
	X(TCP_RESET, "tcp_reset")                                                                  \
	X(TCP_ZEROWINDOW, "tcp_zerowindow")                                                        \
	X(TCP_OFO_DROP, "tcp_ofo_drop")                                                            \
	X(TCP_RCVBUF, "tcp_rcvbuf")                                                                \
	X(TCP_LISTEN_OVERFLOW, "tcp_listen_overflow")                                              \
	X(TCP_SYN_OVERFLOW, "tcp_syn_overflow")                                                    \
	X(TCP_CLOSED, "tcp_closed")                                                                \
	X(TCP_AFTER_FIN, "tcp_after_fin")                                                          \
	X(TCP_ABORT_ON_DATA, "tcp_abort_on_data")

enum skb_drop_reason {
#define X(sym, name) SKB_DROP_##sym,
	SKB_DROP_REASONS(X)
#undef X
		SKB_DROP_MAX
};

/* skb_drop_name - the printable name of a reason; "?" for an unknown one. */
const char *skb_drop_name(enum skb_drop_reason r);

/* ---- pool: shared by the lanes of a process, thread-safe through its ops ---- */

struct skb_pool_ops {
	/*
	 * alloc_bulk - up to n skbs, each with refcount 1, empty, data at head. Returns the
	 * number stored in skbs[0..n); 0 when exhausted. Bulk calls only: the lane's cache
	 * stands in front.
	 */
	unsigned (*alloc_bulk)(struct skb_pool *pool, struct sk_buff **skbs, unsigned n);
	/* free_bulk - gives n single skbs (frag == NULL) back; shared bytes live on. */
	void (*free_bulk)(struct skb_pool *pool, struct sk_buff **skbs, unsigned n);
	/*
	 * attach - make `to` (fresh, empty) show the same linear bytes as `from`, which must be
	 * of the same pool, keeping them alive until `to` is freed too. Sets head, data, tail,
	 * end, len of `to`; both become SKB_F_EXT.
	 */
	void (*attach)(struct sk_buff *to, struct sk_buff *from);
	/* shared - true while anyone else still references the linear bytes of skb. */
	bool (*shared)(const struct sk_buff *skb);
	/* avail - how many are free now; an estimate. */
	unsigned (*avail)(const struct skb_pool *pool);
	/* destroy - frees the pool; every skb must be back. */
	void (*destroy)(struct skb_pool *pool);
};

struct skb_pool {
	const struct skb_pool_ops *ops; /* (c) */
	uint32_t nr;                    /* (c) skbs in all */
	uint32_t buf_size;              /* (c) bytes from head to end */
	uint32_t reserve;               /* (c) kept for RX and ACKs (rule 4) */
};

/* skb_heap_pool_create - a pool of `nr` skbs of buf_size bytes from the C heap; NULL if no
 * memory. Thread-safe. For the loop device, the simulator and tests. */
struct skb_pool *skb_heap_pool_create(uint32_t nr, uint32_t buf_size);
void skb_pool_destroy(struct skb_pool *pool);

/* ---- the lane's cache in front of the pool: owner lane only ---- */

#define SKB_CACHE_SIZE 128
#define SKB_CACHE_BULK 64

struct skb_cache {
	struct skb_pool *pool; /* (c) */
	unsigned n;            /* (o) recycled skbs in slot[] */
	unsigned nr_free;      /* (o) skbs in to_free[] */
	uint64_t *drops;       /* (o) counters by reason, SKB_DROP_MAX of them */
	uint64_t alloc_fail;   /* (o) */
	int64_t outstanding;   /* (o) skb_alloc minus skb_free calls, fragments counted; a
				       * driver that takes or gives past the cache adjusts it */
	bool low;              /* (o) only the pool's reserve was left when last looked */
	struct sk_buff *slot[SKB_CACHE_SIZE];
	struct sk_buff *to_free[SKB_CACHE_BULK];
};

void skb_cache_init(struct skb_cache *c, struct skb_pool *pool, uint64_t *drops);
/* skb_cache_flush - hand what waits in to_free[] back to the pool: once per turn. */
void skb_cache_flush(struct skb_cache *c);
/* skb_cache_fini - flush and give every cached skb back. */
void skb_cache_fini(struct skb_cache *c);

/* skb_reset_meta - what a driver calls on RX after it set head, data, tail, end, len: all
 * other metadata as new, for lane cache `c`. */
static inline void skb_reset_meta(struct sk_buff *skb, struct skb_cache *c)
{
	skb->data_len = 0;
	skb->frag = NULL;
	skb->cache = c;
	skb->dev = NULL;
	skb->gso_size = 0;
	skb->ip_summed = CHECKSUM_UNKNOWN;
	skb->flags = 0;
	skb->hash = 0;
	skb->truesize = (uint32_t)(skb->end - skb->head) + (uint32_t)sizeof(*skb);
}

/* skb_hide - while skb waits in slot[], AddressSanitizer reports whoever still looks at it or its
 * bytes; skb_show - no more. */
static inline void skb_hide(const struct sk_buff *skb)
{
	asan_poison(skb->head, (size_t)(skb->end - skb->head));
	asan_poison(skb, sizeof(*skb));
}

static inline void skb_show(const struct sk_buff *skb)
{
	asan_unpoison(skb, sizeof(*skb));
	asan_unpoison(skb->head, (size_t)(skb->end - skb->head));
}

/* skb_prefetch - skb will be written soon: have its lines here, not on the way behind every other
 * store. */
static inline void skb_prefetch(const struct sk_buff *skb)
{
	__builtin_prefetch(skb, 1);
	__builtin_prefetch((const char *)skb + CACHE_LINE, 1);
}

/* __skb_cache_refill - slot[] from the pool; false if it is exhausted (counted). */
bool __skb_cache_refill(struct skb_cache *c);
/* __skb_free_slow - skb_free for chains, shared bytes and a full cache. */
void __skb_free_slow(struct sk_buff *skb);

/* skb_alloc_tx - as skb_alloc, with a control block of anything: a cache line less, for what leaves
 * at once. */
MUST_USE static inline struct sk_buff *skb_alloc_tx(struct skb_cache *c, unsigned headroom)
{
	struct sk_buff *skb;

	if (unlikely(!c->n) && !__skb_cache_refill(c))
		return NULL;
	skb = c->slot[--c->n];
	skb_prefetch(c->slot[c->n ? c->n - 1 : 0]);
	skb_show(skb);
	c->outstanding++;
	skb->next = skb->prev = NULL;
	skb->data = skb->tail = skb->head + headroom;
	skb->len = 0;
	skb_reset_meta(skb, c);
	return skb;
}

/*
 * skb_alloc - an empty skb with `headroom` bytes before data, or NULL (counted in
 * alloc_fail). headroom <= pool->buf_size. The control block is zeroed; tstamp, hash and
 * the header offsets are not. Owner lane.
 */
MUST_USE static inline struct sk_buff *skb_alloc(struct skb_cache *c, unsigned headroom)
{
	struct sk_buff *skb = skb_alloc_tx(c, headroom);

	if (likely(skb))
		memset(&skb->tcp, 0, sizeof(skb->tcp));
	return skb;
}

/* skb_cache_low - only the pool's reserve is left, for RX and ACKs (rule 4). */
bool skb_cache_low(struct skb_cache *c);
/* skb_alloc_reserved - as skb_alloc, but fails while only the pool's reserve is left: for
 * what may wait, such as a user's payload. */
MUST_USE struct sk_buff *skb_alloc_reserved(struct skb_cache *c, unsigned headroom);

/* skb_free - the end of an skb that was used; frees its fragments too. Owner lane. */
static inline void skb_free(struct sk_buff *skb)
{
	struct skb_cache *c = skb->cache;

	if (unlikely(skb->frag || (skb->flags & SKB_F_EXT) || c->n == SKB_CACHE_SIZE)) {
		__skb_free_slow(skb);
		return;
	}
	c->slot[c->n++] = skb;
	c->outstanding--;
	skb_hide(skb);
}

/* skb_drop - the end of an skb that is lost: counts the reason, then as skb_free. */
COLD void skb_drop(struct sk_buff *skb, enum skb_drop_reason reason);

static inline unsigned skb_headlen(const struct sk_buff *skb)
{
	return skb->len - skb->data_len;
}

static inline unsigned skb_headroom(const struct sk_buff *skb)
{
	return (unsigned)(skb->data - skb->head);
}

static inline unsigned skb_tailroom(const struct sk_buff *skb)
{
	return skb->frag ? 0 : (unsigned)(skb->end - skb->tail);
}

/* skb_put - n more bytes at the tail; returns where they start. n <= tailroom. */
static inline uint8_t *skb_put(struct sk_buff *skb, unsigned n)
{
	uint8_t *p = skb->tail;

	BUG_ON(n > skb_tailroom(skb));
	skb->tail += n;
	skb->len += n;
	return p;
}

/* skb_push - n more bytes in front; returns the new data. n <= headroom. */
static inline uint8_t *skb_push(struct sk_buff *skb, unsigned n)
{
	BUG_ON(n > skb_headroom(skb));
	skb->data -= n;
	skb->len += n;
	return skb->data;
}

/* skb_pull - drop n bytes in front; n <= headlen. */
static inline void skb_pull(struct sk_buff *skb, unsigned n)
{
	BUG_ON(n > skb_headlen(skb));
	skb->data += n;
	skb->len -= n;
}

bool __skb_may_pull(struct sk_buff *skb, unsigned n);
/* skb_may_pull - make the first n bytes linear; false if there are fewer, no room behind
 * the linear part, or that part is shared. */
static inline bool skb_may_pull(struct sk_buff *skb, unsigned n)
{
	return likely(n <= skb_headlen(skb)) || __skb_may_pull(skb, n);
}

/* skb_trim - cut skb to `len` bytes in all (no-op if shorter); frees whole fragments. */
void skb_trim(struct sk_buff *skb, unsigned len);
/* skb_eat - drop n bytes in front, through fragments as well; n <= len. */
void skb_eat(struct sk_buff *skb, unsigned n);
/* skb_copy_bits - copy n bytes from offset `off` to dst; 0, or -EINVAL past the end. */
int skb_copy_bits(const struct sk_buff *skb, unsigned off, void *dst, unsigned n);
/* skb_append_frag - hang the chain `frag` behind skb; len, data_len, truesize follow. Consumes
 * frag. */
void skb_append_frag(struct sk_buff *skb, struct sk_buff *frag);
/*
 * skb_ref - a fresh skb that shows bytes [off, off+n) of the chain `skb` without a copy
 * (a chain itself if they span fragments); NULL if the pool is empty. Marks the source
 * SKB_F_EXT. The result is read-only. n > 0, off + n <= len.
 */
MUST_USE struct sk_buff *skb_ref(struct skb_cache *c, struct sk_buff *skb, unsigned off,
				 unsigned n);
/*
 * skb_copy - a fresh, writable skb with the bytes of the chain `skb` and `headroom` before
 * them: a chain itself if they do not fit one buffer, ip_summed and gso_size taken over.
 * NULL if the pool is empty. skb stays the caller's.
 */
MUST_USE struct sk_buff *skb_copy(struct skb_cache *c, const struct sk_buff *skb,
				  unsigned headroom);
/* skb_from_bytes - a fresh skb with the n bytes at p and `headroom` before them, a chain if they do
 * not fit one buffer; NULL if the pool is empty. For devices that copy. */
MUST_USE struct sk_buff *skb_from_bytes(struct skb_cache *c, unsigned headroom, const uint8_t *p,
					unsigned n);
/* skb_writable - true if the linear bytes may be written now. */
static inline bool skb_writable(const struct sk_buff *skb)
{
	return !(skb->flags & SKB_F_EXT) || !skb->cache->pool->ops->shared(skb);
}

/* ---- queue: doubly linked, circular through a head that looks like an skb's links ---- */

struct sk_buff_head {
	struct sk_buff *next, *prev;
	uint32_t qlen;
};

static inline void skb_queue_init(struct sk_buff_head *q)
{
	q->next = q->prev = (struct sk_buff *)q;
	q->qlen = 0;
}

static inline bool skb_queue_empty(const struct sk_buff_head *q)
{
	return q->next == (const struct sk_buff *)q;
}

static inline struct sk_buff *skb_peek(const struct sk_buff_head *q)
{
	return skb_queue_empty(q) ? NULL : q->next;
}

static inline struct sk_buff *skb_peek_tail(const struct sk_buff_head *q)
{
	return skb_queue_empty(q) ? NULL : q->prev;
}

/* skb_queue_next - the one after skb, NULL at the end. */
static inline struct sk_buff *skb_queue_next(const struct sk_buff_head *q,
					     const struct sk_buff *skb)
{
	return skb->next == (const struct sk_buff *)q ? NULL : skb->next;
}

static inline struct sk_buff *skb_queue_prev(const struct sk_buff_head *q,
					     const struct sk_buff *skb)
{
	return skb->prev == (const struct sk_buff *)q ? NULL : skb->prev;
}

static inline void __skb_insert(struct sk_buff_head *q, struct sk_buff *skb, struct sk_buff *prev,
				struct sk_buff *next)
{
	skb->next = next;
	skb->prev = prev;
	next->prev = skb;
	prev->next = skb;
	q->qlen++;
}

static inline void skb_queue_tail(struct sk_buff_head *q, struct sk_buff *skb)
{
	__skb_insert(q, skb, q->prev, (struct sk_buff *)q);
}

static inline void skb_queue_head(struct sk_buff_head *q, struct sk_buff *skb)
{
	__skb_insert(q, skb, (struct sk_buff *)q, q->next);
}

static inline void skb_queue_after(struct sk_buff_head *q, struct sk_buff *prev,
				   struct sk_buff *skb)
{
	__skb_insert(q, skb, prev, prev->next);
}

static inline void skb_unlink(struct sk_buff_head *q, struct sk_buff *skb)
{
	skb->next->prev = skb->prev;
	skb->prev->next = skb->next;
	skb->next = skb->prev = NULL;
	q->qlen--;
}

static inline struct sk_buff *skb_dequeue(struct sk_buff_head *q)
{
	struct sk_buff *skb = skb_peek(q);

	if (skb)
		skb_unlink(q, skb);
	return skb;
}

/* skb_queue_purge - free everything on the queue. */
void skb_queue_purge(struct sk_buff_head *q);

#define skb_queue_walk(q, skb) for (skb = (q)->next; skb != (struct sk_buff *)(q); skb = skb->next)
#define skb_queue_walk_safe(q, skb, tmp)                                                           \
	for (skb = (q)->next, tmp = skb->next; skb != (struct sk_buff *)(q);                       \
	     skb = tmp, tmp = skb->next)

#endif
