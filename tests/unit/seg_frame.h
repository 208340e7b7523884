/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments as frames: built by hand, and taken apart by a reader of its own, since the stack's
 * is under test. Numbers are relative to each side's initial sequence number (the SYN is 0, the
 * first byte 1). Knows no test framework: seg.h's bench and the fuzzers share it.
 */
#ifndef TESTS_UNIT_SEG_FRAME_H
#define TESTS_UNIT_SEG_FRAME_H

#include "fake_netdev.h"
#include "stack/tcp_int.h"

#define SEG_OUR  fake_ip(10, 0, 0, 2)
#define SEG_PEER fake_ip(10, 0, 0, 1)
#define SEG_PORT 7
#define SEG_MS   NSEC_PER_MSEC

#define FIN TCPF_FIN
#define SYN TCPF_SYN
#define RST TCPF_RST
#define PSH TCPF_PSH
#define ACK TCPF_ACK
#define URG TCPF_URG
#define ECE TCPF_ECE
#define CWR TCPF_CWR

/* How the peer that opens or answers is: what its SYN offers. */
struct seg_peer {
	uint16_t mss; /* 0 = no option */
	int wscale;   /* -1 = no option */
	bool ts, sack;
	uint16_t win;         /* of its SYN and, as it stands, of every segment after it */
	uint32_t iss;         /* the peer's; 0 = 1000 */
	uint32_t our_iss_end; /* not 0: our ISS is moved so that ISS + 1 is this */
};

struct bench;

/* One connection as the peer sees it. */
struct conn {
	struct bench *b;
	struct sock *sk; /* NULL before accept */
	uint32_t peer_ip;
	uint16_t lport, fport; /* ours, the peer's */
	uint32_t iss, irs;     /* the peer's, ours */
	uint16_t win;
	bool ts;
	uint32_t tsval; /* the peer's clock: what its next segment says */
	uint32_t tsecr; /* our last timestamp */
};

/* A segment: of the peer's to send, or of ours as parsed. seq and ack are relative. */
struct seg {
	uint8_t flags;
	uint32_t seq, ack;
	unsigned len;
	const void *data; /* in: NULL = the stream's pattern at seq */
	int win;          /* in: 0 = conn's, -1 = really 0 */
	uint16_t urg;
	bool no_ts; /* in: leave the timestamp away */
	bool bad_csum;
	uint8_t tos;           /* of the IP header */
	bool ts;               /* out: had one */
	uint32_t tsval, tsecr; /* in: 0 = the conn's */
	unsigned nr_sacks;
	uint32_t sack[8];      /* relative: pairs of start and end */
	const uint8_t *opt;    /* in: raw options instead of all above */
	unsigned optlen;       /* out as well */
	struct tcp_options o;  /* out: as parsed, for SYNs */
	uint16_t sport, dport; /* out */
	uint8_t ttl;           /* out */
	uint8_t bytes[1500];   /* out */
};

extern const struct seg_peer seg_plain; /* MSS 1460, window 65535, no other option */
extern const struct seg_peer seg_full;  /* MSS 1460, wscale 7, TS, SACK */

/* seg_build - the frame of s; returns its length. */
unsigned seg_build(struct conn *c, const struct seg *s, uint8_t *frame);
/* seg_syn_options - what p offers in a SYN, to o[40]; returns the bytes, a multiple of 4. */
unsigned seg_syn_options(const struct conn *c, const struct seg_peer *p, uint8_t *o);
/* seg_is_tcp - is it a TCP segment at all? */
bool seg_is_tcp(const uint8_t *frame, unsigned len);
/* seg_parse - a TCP frame of len bytes that the stack sent; rel NULL: numbers as they are. NULL, or
 * what is wrong with it. */
const char *seg_parse(const uint8_t *frame, unsigned len, const struct conn *rel, struct seg *ret);
/* tcp_frame_sum - the TCP checksum right again after a test wrote into the frame. */
void tcp_frame_sum(uint8_t *frame);

/* seg_pattern - the byte at `off` of a stream. */
static inline uint8_t seg_pattern(uint32_t off)
{
	return (uint8_t)(off * 2654435761u >> 13);
}

#endif
