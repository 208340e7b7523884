/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that is no Parklane stack, and means harm: it sits at one host's plug, the prey's, so that
 * no frame of its is lost, late or out of order, and it knows all numbers of the prey's
 * connections. It is a peer of its own, or a man on the side of the others. What it does is one
 * script a row of "Bad input" (docs/tcp-matrix.md): a goroutine of a lane without a stack. Sequence
 * numbers are relative to each side's initial one, as in packetdrill: the SYN is 0, the first
 * byte 1.
 */
#ifndef SIM_FOE_H
#define SIM_FOE_H

#include "sim/sim_int.h"
#include "stack/tcp_int.h"

#define FOE_CONNS     64u
#define FOE_PORT      20000u /* its connection n has port FOE_PORT + n */
#define FOE_FRAME_MAX 2048u
#define FOE_GARBAGE   0xee

#define FIN TCPF_FIN
#define SYN TCPF_SYN
#define RST TCPF_RST
#define PSH TCPF_PSH
#define ACK TCPF_ACK
#define URG TCPF_URG

struct sim_foe;

/* A segment: of the foe's to send, or of the prey's as it came. */
struct foe_seg {
	uint8_t flags;
	uint32_t seq, ack; /* relative */
	unsigned len;
	bool garbage;    /* in: no byte of the stream's */
	uint32_t bad[2]; /* in: none from bad[0] on and before bad[1], relative */
	bool no_ts, bad_csum;
	int win;             /* as it stands; in: 0 = the connection's, -1 = really 0 */
	uint32_t tsval;      /* in: 0 = the connection's */
	const uint8_t *opt;  /* in: raw options instead */
	unsigned optlen;     /* bytes of them; 0 with opt: none at all */
	unsigned nr_sacks;   /* in */
	uint32_t sack[2][4]; /* in: relative, start and end */
	uint16_t urg;
};

/* What the prey's program does with a connection of the foe's. */
struct foe_guest {
	uint32_t write;  /* bytes that it sends */
	uint32_t read;   /* bytes after which it closes; 0: at the end of the stream */
	bool deaf;       /* does not read as long as this holds */
	bool open, over; /* accepted or connected; closed */
	bool eof;
	int rerr, werr; /* -errno */
	uint64_t rcvd, sent;
};

/* A connection, as the foe sees it. */
struct foe_conn {
	struct sim_foe *f;
	struct foe_guest *guest; /* NULL: somebody honest's connection */
	uint32_t addr;           /* network order: the foe's, or that of the honest peer */
	uint16_t port, lport;    /* ours, the prey's; 0 any */
	uint32_t iss, irs;       /* ours, the prey's */
	bool known;              /* irs is */
	bool active;             /* the prey dials */
	bool ts, sack;
	uint32_t tsval, tsecr; /* ours at the beginning; the prey's last one */
	uint16_t win;
	uint8_t wscale;
	uint32_t nxt;                                   /* our next byte, relative */
	uint32_t got;                                   /* of the prey's, in order: relative */
	uint32_t top;                                   /* ... behind the highest that came */
	uint32_t ack;                                   /* it acknowledged, relative */
	uint32_t ack_sent;                              /* the highest ACK of foe_ack() */
	uint32_t una;                                   /* of the others': SND.UNA, relative */
	uint32_t acks, rsts, synacks, syns, fins, segs; /* that came; pure ACKs; with data */
	unsigned longest;                               /* payload */
	uint64_t last_ns;                               /* when the last one came */
	struct foe_seg last;
	uint16_t last_id; /* IP ID of it */
};

struct sim_foe {
	struct sim_world *w;
	struct sim_host *prey;
	const struct foe_row *row;
	struct lane *lane;
	uint64_t due;
	struct sim_rng rng;
	bool over;     /* the script has ended */
	bool hold;     /* the prey's listener accepts nobody */
	bool arp_mute; /* strangers answer no ARP */
	uint64_t trouble;
	uint64_t in, out;        /* frames */
	uint64_t answers;        /* of these, without payload */
	uint64_t strange;        /* frames to an address of no host; ARP aside */
	uint64_t icmps;          /* ICMP, to whomever but honest hosts */
	struct foe_conn *dialed; /* the prey is to dial it, or has */
	bool dial;
	unsigned nr_conns;
	struct foe_conn conn[FOE_CONNS];
	struct foe_guest guest[FOE_CONNS];
};

/* What the world must be like for a row. */
#define FOE_SACK    1u
#define FOE_TS      2u
#define FOE_BACKLOG 4u /* a short one */
#define FOE_FLOOD   8u /* SYN cookies may have to help out */
#define FOE_WSCALE  16u

struct foe_row {
	const char *name, *what;
	void (*run)(struct sim_foe *f);
	unsigned wants;
};

/* ---- foe.c ---- */
/* foe_must - the prey has to do so, if it had memory and a device that works all the time. */
void foe_must(struct sim_foe *f, bool ok, const char *what);
/* foe_never - the prey may not, whatever it lacks. */
void foe_never(struct sim_foe *f, bool bad, const char *what);
/* foe_sleep - ns. foe_settle - until the prey has seen all that was sent. */
void foe_sleep(uint64_t ns);
void foe_settle(struct sim_foe *f);
/* foe_until - until cond, looked at now and then; at most `ns`. */
#define foe_until(f, cond, ns)                                                                     \
	({                                                                                         \
		uint64_t __end = (f)->w->now + (ns), __nap = (f)->prey->plan->turn_ns;             \
                                                                                                   \
		while (!(cond) && (f)->w->now < __end) {                                           \
			foe_sleep(__nap);                                                          \
			__nap = min_t(uint64_t, 2 * __nap, NSEC_PER_MSEC);                         \
		}                                                                                  \
		(cond);                                                                            \
	})

/* ---- foe_seg.c ---- */
/* foe_build - s of c as a frame; its length. */
unsigned foe_build(const struct foe_conn *c, const struct foe_seg *s, uint8_t *frame);
/* foe_frame - it comes to the prey now; waits while many are before it. */
void foe_frame(struct sim_foe *f, const void *frame, unsigned len);
void foe_emit(struct foe_conn *c, const struct foe_seg *s);
#define foe_send(c, ...) foe_emit(c, &(const struct foe_seg){__VA_ARGS__})
/* foe_sum - TCP's checksum, and the IP header's, right again. */
void foe_sum(uint8_t *frame);
/* foe_ip - a frame from saddr to daddr (network order) with so much payload; its length. */
unsigned foe_ip(const struct sim_foe *f, uint8_t *frame, uint32_t saddr, uint32_t daddr,
		uint8_t proto, const void *payload, unsigned len);
static inline struct iphdr_ *foe_iph(uint8_t *frame)
{
	return (struct iphdr_ *)(frame + ETH_HLEN);
}

static inline struct tcphdr_ *foe_th(uint8_t *frame)
{
	return (struct tcphdr_ *)(frame + ETH_HLEN + IP_HLEN);
}

/* foe_addr - 10.0.0.`last`, network order; foe_mine - the foe's own. */
static inline uint32_t foe_addr(unsigned last)
{
	return 10u | last << 24;
}

static inline uint32_t foe_mine(void)
{
	return foe_addr(66);
}

/* ---- foe_conn.c ---- */
/* foe_conn - a new one, as the foe; all it offers is drawn. */
struct foe_conn *foe_conn(struct sim_foe *f);
/* foe_syn - its SYN, with what it offers. */
void foe_syn(struct foe_conn *c, uint8_t flags, uint32_t ack);
/* foe_open - the handshake with the prey's listener, until its program has the connection. */
bool foe_open(struct foe_conn *c);
/* foe_dialed - the prey's program dials; c saw its SYN. foe_accept - and all the rest. */
bool foe_dialed(struct foe_conn *c);
bool foe_accept(struct foe_conn *c);
/* foe_tp - the prey's socket, NULL none. */
struct tcp_sock *foe_tp(const struct foe_conn *c);
/* foe_data - the next n bytes of the stream, in order, window or no; foe_ack - of all in order. */
void foe_data(struct foe_conn *c, unsigned n);
void foe_ack(struct foe_conn *c);
/* foe_room - bytes that the prey's window lets pass. */
uint32_t foe_room(const struct foe_conn *c);
/* foe_works - bytes still get to the prey's program, if the connection is there. */
void foe_works(struct foe_conn *c);
/* foe_pull - acknowledge what comes until `bytes` are there, at most ns. */
bool foe_pull(struct foe_conn *c, uint32_t bytes, uint64_t ns);
/* foe_alive - the connection must be ESTABLISHED; says if it is. */
bool foe_alive(struct foe_conn *c);
/* foe_nr_honest - the prey's established connections with others. foe_honest - one of them, by
 * chance, as c: what is sent by it is spoofed. False: there is none, or frames are before us. */
unsigned foe_nr_honest(const struct sim_foe *f);
bool foe_honest(struct sim_foe *f, struct foe_conn *ret_c);

/* ---- foe_rows.c and the scripts ---- */
extern const struct foe_row foe_rows[];
extern const unsigned foe_rows_nr;

void foe_b1(struct sim_foe *f);
void foe_b2(struct sim_foe *f);
void foe_b3(struct sim_foe *f);
void foe_b4(struct sim_foe *f);
void foe_b5(struct sim_foe *f);
void foe_b6(struct sim_foe *f);
void foe_b7(struct sim_foe *f);
void foe_b8(struct sim_foe *f);
void foe_b9(struct sim_foe *f);
void foe_b10(struct sim_foe *f);
void foe_b11(struct sim_foe *f);
void foe_b12(struct sim_foe *f);
void foe_b13(struct sim_foe *f);
void foe_b14(struct sim_foe *f);
void foe_b15(struct sim_foe *f);
void foe_b16(struct sim_foe *f);
void foe_b17(struct sim_foe *f);
void foe_b18(struct sim_foe *f);
void foe_b19(struct sim_foe *f);
void foe_b20(struct sim_foe *f);
void foe_b21(struct sim_foe *f);
void foe_b22(struct sim_foe *f);
void foe_b24(struct sim_foe *f);
void foe_b25(struct sim_foe *f);
void foe_b26(struct sim_foe *f);
void foe_b27(struct sim_foe *f);
void foe_b28(struct sim_foe *f);
void foe_b29(struct sim_foe *f);
void foe_b30(struct sim_foe *f);
void foe_b31(struct sim_foe *f);
void foe_b32(struct sim_foe *f);
void foe_b33(struct sim_foe *f);
void foe_b34(struct sim_foe *f);

#endif
