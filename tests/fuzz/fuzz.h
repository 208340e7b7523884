/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzzers of the stack share: an input read byte by byte (zeros behind its end, so that
 * each input means something), a stack on a device of paper with a fake clock, memory that fails
 * on demand, and judges: the invariants of sim/tcp_check.h after each turn, each frame that the
 * stack sends, and at the end that nothing is left. A broken promise prints one line and aborts.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "stack/tcp_guard.h"
#include "tests/unit/fake_netdev.h"
#include "tests/unit/seg_frame.h"

/* The entry that libFuzzer, AFL++'s driver and replay.c call; each target has one. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_in {
	const uint8_t *p;
	size_t n; /* bytes left */
};

static inline uint8_t in_u8(struct fuzz_in *in)
{
	if (!in->n)
		return 0;
	in->n--;
	return *in->p++;
}

static inline uint16_t in_u16(struct fuzz_in *in)
{
	uint16_t hi = in_u8(in);

	return (uint16_t)(hi << 8 | in_u8(in));
}

static inline uint32_t in_u32(struct fuzz_in *in)
{
	uint32_t hi = in_u16(in);

	return hi << 16 | in_u16(in);
}

/* in_bytes - at most n of what is left; *ret_p shows them. Returns how many. */
static inline unsigned in_bytes(struct fuzz_in *in, unsigned n, const uint8_t **ret_p)
{
	n = min_t(unsigned, n, (unsigned)in->n);
	*ret_p = in->p;
	in->p += n;
	in->n -= n;
	return n;
}

#define FUZZ_CONNS 8
#define FUZZ_PORT  7 /* of the listener */
#define FUZZ_AWAY  16

/* The numbers of a connection as the stack has them, not relative. */
struct fuzz_nums {
	uint32_t rcv_nxt, rcv_edge, copied_seq;
	uint32_t snd_una, snd_nxt, write_seq;
	uint16_t mss;
};

#define FUZZ_SPANS 256

struct fuzz_span {
	uint32_t start, end;
};

struct fuzz_spans {
	struct fuzz_span s[FUZZ_SPANS]; /* in any order, none touches another */
	unsigned nr;
	bool full; /* there were more: any number may be in one */
};

/* What the peer of a 4-tuple remembers (witness.c). */
struct fuzz_witness {
	struct fuzz_spans once, twice; /* numbers that it sent at all; more than once */
	uint16_t lport;
	uint32_t ack, edge, fin, tsval, tsecr; /* of the stack's segments so far, if it has_... */
	bool has_ack, has_edge, has_fin, has_ts;
	const struct tcp_sock *tp; /* who had it before this turn, if both sides were open */
	uint64_t sk_seq;
	uint32_t una;
};

/* A 4-tuple and its peer, who is the input. The numbers of c are not relative: iss = irs = 0. */
struct fuzz_conn {
	struct conn c; /* c.sk: NULL while the user has none */
	const struct seg_peer *peer;
	struct fuzz_witness *w; /* NULL: none */
	struct fuzz_nums nums;  /* as last seen */
	uint32_t edge;          /* right edge of the largest window that the peer offered */
	bool has_edge;          /* it is known */
	bool used;
};

struct fuzz {
	struct stack *st;
	struct skb_pool *pool;
	struct fake_netdev *f;
	uint64_t now;
	unsigned seen;  /* frames of f->out that were judged */
	unsigned turns; /* so far: an input may take FUZZ_TURNS */
	unsigned naps;  /* turns in a row for a timer that was due already */
	bool ecn, bind; /* the next peer wants ECN; our next user binds its port */
	bool abrupt;    /* the stack ends with all that is open */
	bool mute;      /* nobody answers ARP */
	bool hidden;    /* some of what was sent was lost before we saw it */
	unsigned asked; /* the turn of our last ARP request: who waits for its answer leaves late */
	bool blind;     /* no witnesses: not all that comes is told to them */
	struct sock *listener;
	struct sk_buff *away[FUZZ_AWAY]; /* on their way to another lane, which is us again */
	unsigned nr_away;
	struct fuzz_conn conn[FUZZ_CONNS];
	struct fuzz_witness witness[2][FUZZ_CONNS]; /* of passive and active opens, by slot */
};

#define FUZZ_TURNS 3000

/* ---- mem.c ---- */
/* fuzz_fail - the stack broke a promise. */
__attribute__((noreturn)) PRINTF_FMT(1, 2) void fuzz_fail(const char *fmt, ...);
/* fuzz_say - with FUZZ_VERBOSE in the environment: what happens at `now`, for whoever replays. */
PRINTF_FMT(2, 3) void fuzz_say(uint64_t now, const char *fmt, ...);
/* fuzz_memory - a fresh pool of nr skbs at most, and *ret_ops for stack_config.mem. */
struct skb_pool *fuzz_memory(unsigned nr, struct stack_mem_ops *ret_ops);
/* fuzz_memory_end - the stack is gone: is something left? */
void fuzz_memory_end(void);
/* fuzz_skbs_used - skbs that somebody holds, the lane's cache among them. */
unsigned fuzz_skbs_used(void);
/* fuzz_fail_next - after `after` more allocations of skbs the next `nr` find none. */
void fuzz_fail_next(struct stack *st, unsigned after, unsigned nr);
/* fuzz_fail_memory - the next nr of what the stack takes in larger pieces. */
void fuzz_fail_memory(unsigned nr);

/* ---- fuzz.c ---- */
/* fuzz_config - settings as the input has them, four bytes. */
void fuzz_config(struct fuzz_in *in, struct stack_config *cfg);
/* fuzz_begin - a stack at SEG_OUR with at most nr_skbs buffers; features as NETDEV_F_*. */
void fuzz_begin(struct fuzz *z, const struct stack_config *cfg, unsigned nr_skbs,
		uint32_t features);
/* fuzz_end - close all, let time pass until all is over, and see that nothing is left. */
void fuzz_end(struct fuzz *z);
/* fuzz_inject - one frame comes; at the next turn. */
void fuzz_inject(struct fuzz *z, const uint8_t *frame, unsigned len, enum skb_csum csum);
/* fuzz_inject_cut - the same in two fragments, the second one from byte `at` of the payload on. */
void fuzz_inject_cut(struct fuzz *z, uint8_t *frame, unsigned len, unsigned at);
/* fuzz_turn - a turn `ns` later, and more while there is something to do; checked. */
void fuzz_turn(struct fuzz *z, uint64_t ns);
/* fuzz_run - turns for `ns`, from timer to timer, at most `timers` of them. */
void fuzz_run(struct fuzz *z, uint64_t ns, unsigned timers);

/* ---- conns.c ---- */
/* fuzz_peer - one of some peers. */
const struct seg_peer *fuzz_peer(unsigned i);
/* fuzz_conn_nums - look the numbers up again; NULL: the connection is nowhere, they are old. */
const struct tcp_node *fuzz_conn_nums(struct fuzz *z, struct fuzz_conn *fc);
/* fuzz_sent - the stack sent s to fc's peer, or to nobody whom we know: NULL. */
void fuzz_sent(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s);
/* fuzz_find - whose peer is at (ip, fport), with our lport? NULL: nobody's. */
struct fuzz_conn *fuzz_find(struct fuzz *z, uint32_t ip, uint16_t fport, uint16_t lport);
/* fuzz_seg - the peer of fc sends s; the next turn takes it. cut: in two fragments, if not 0. */
void fuzz_seg(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s);
void fuzz_seg_cut(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s, unsigned cut);
void fuzz_listen(struct fuzz *z, unsigned backlog);
/* fuzz_syn - a peer of that kind begins at slot i, from ISN isn. */
struct fuzz_conn *fuzz_syn(struct fuzz *z, unsigned i, const struct seg_peer *p, uint32_t isn);
/* fuzz_passive - the whole handshake, and accept. */
struct fuzz_conn *fuzz_passive(struct fuzz *z, unsigned i, const struct seg_peer *p, uint32_t isn);
/* fuzz_connect - our user connects; fuzz_active - and the peer agrees. */
struct fuzz_conn *fuzz_connect(struct fuzz *z, unsigned i, const struct seg_peer *p);
struct fuzz_conn *fuzz_active(struct fuzz *z, unsigned i, const struct seg_peer *p, uint32_t isn);
/* fuzz_accept - whoever waits; nobody's is closed again. */
void fuzz_accept(struct fuzz *z);
/* fuzz_write, fuzz_read - by the user of fc, checked: n bytes at most. */
void fuzz_write(struct fuzz *z, struct fuzz_conn *fc, unsigned n, bool more);
void fuzz_read(struct fuzz *z, struct fuzz_conn *fc, unsigned n);
/* fuzz_ack - the peer acknowledges up to `ack` with flags beside ACK and len bytes at rcv_nxt. */
void fuzz_ack(struct fuzz *z, struct fuzz_conn *fc, uint8_t flags, uint32_t ack, unsigned len);

/* ---- decent.c ---- */
/* fuzz_decent - from now on nothing fails and all peers are decent: does each connection that is
 * open get on? */
void fuzz_decent(struct fuzz *z);

/* ---- witness.c ---- */
/* fuzz_witness_in - the peer sent s. */
void fuzz_witness_in(struct fuzz_witness *w, const struct seg *s);
/* fuzz_witness_look - a turn begins: who is open? */
void fuzz_witness_look(struct fuzz *z);
/* fuzz_late - what is sent now may have waited for its neighbour, and been right when it was
 * made. */
bool fuzz_late(const struct fuzz *z);
/* fuzz_witness_out - the stack sent s to fc's peer: judge it. s->optlen is its options' length. */
void fuzz_witness_out(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s);

#endif
