/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can be set of a stack, as one table: each row declares a field of struct stack_config
 * and says its name (Linux's sysctl where there is one), default, unit, limits and source.
 * Defaults, range checks, `--set NAME=VALUE`, `parklane settings` and docs/settings.md all come
 * from it. A new setting is a new row and nothing else.
 */
#ifndef STACK_SETTINGS_H
#define STACK_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/base/compiler.h"

struct stack_config;

enum setting_unit {
	SETTING_FLAG, /* 0 or 1, or a mode */
	SETTING_COUNT,
	SETTING_BYTES,
	SETTING_S, /* the field is in ns, as those of the next two */
	SETTING_MS,
	SETTING_US,
	SETTING_WORD, /* one of some names; the field is its index */
};

#define SETTING_VALUES_MAX 3

/*
 * ONE(type, field, name, default, unit, min, max, source, text): a number.
 * MANY(type, field, nr, name, (defaults), unit, min, max, source, text): an array of nr <=
 * SETTING_VALUES_MAX numbers, none less than the one before it, as "4096 131072 6291456".
 * WORD(field, name, default, "words by index", source, text): a uint8_t.
 * Default, min and max are in `unit`; fields of times are uint64_t ns.
 */
/* clang-format off */
#define STACK_SETTINGS(ONE, MANY, WORD)                                                            \
	ONE(uint32_t, max_socks, "max_socks", 65536, COUNT, 1, 1u << 24, "-",                      \
	    "TCP sockets of a lane; their memory is taken as they come")                           \
	ONE(uint32_t, max_syn, "tcp_max_syn_backlog", 4096, COUNT, 0, 1u << 22, "RFC 4987 3",      \
	    "Half-open connections of all listeners of a lane")                                    \
	ONE(uint16_t, somaxconn, "somaxconn", 4096, COUNT, 0, 65535, "-",                          \
	    "Greatest backlog of a listener")                                                      \
	ONE(uint8_t, syncookies, "tcp_syncookies", 1, FLAG, 0, 2, "RFC 4987 3.6",                  \
	    "SYN cookies: 0 never, 1 when a SYN queue is full, 2 for every SYN")                   \
	ONE(uint8_t, abort_on_overflow, "tcp_abort_on_overflow", 0, FLAG, 0, 1, "-",               \
	    "Reset who completes a handshake while the accept queue is full")                      \
	ONE(uint64_t, invalid_ratelimit, "tcp_invalid_ratelimit", 500, MS, 0, 60000, "RFC 5961 7", \
	    "Least time between two answers of a connection to segments that are odd")             \
	ONE(uint32_t, max_tw, "tcp_max_tw_buckets", 32768, COUNT, 0, 1u << 24, "RFC 9293 3.6.1",   \
	    "Connections in TIME-WAIT; beyond it the oldest goes")                                 \
	ONE(uint32_t, max_neigh, "neigh_max", 1024, COUNT, 1, 1u << 20, "RFC 1122 2.3.2.1",        \
	    "Neighbours known by ARP; a quarter is for strangers")                                 \
	ONE(uint32_t, ipfrag_high, "ipfrag_high_thresh", 4194304, BYTES, 0, 1u << 30, "RFC 791 3.2", \
	    "Memory of fragments that wait, at most an eighth of the lane's buffers")              \
	ONE(uint32_t, ipfrag_low, "ipfrag_low_thresh", 3145728, BYTES, 0, 1u << 30, "-",           \
	    "Down to this the oldest datagrams go when that is full")                              \
	ONE(uint64_t, ipfrag_time, "ipfrag_time", 30, S, 1, 120, "RFC 1122 3.3.2",                 \
	    "How long a datagram waits for its fragments; Linux's value, the RFC says 60 to 120")  \
	MANY(uint16_t, port_range, 2, "ip_local_port_range", (32768, 60999), COUNT, 1, 65535,      \
	     "RFC 6056", "Ephemeral ports")                                                        \
	MANY(uint32_t, tcp_rmem, 3, "tcp_rmem", (16384, 131072, 6291456), BYTES, 4096, 1u << 30,   \
	     "-", "Receive buffer of a socket by truesize: what is left of it under pressure, "    \
	     "what it begins with, what it may grow to")                                           \
	MANY(uint32_t, tcp_wmem, 3, "tcp_wmem", (16384, 262144, 8388608), BYTES, 4096, 1u << 30,    \
	     "-", "The same of the send buffer")                                                   \
	ONE(uint32_t, rmem_max, "rmem_max", 4u << 20, BYTES, 4096, 1u << 30, "-",                  \
	    "Most that SO_RCVBUF takes, before it is doubled")                                     \
	ONE(uint32_t, wmem_max, "wmem_max", 4u << 20, BYTES, 4096, 1u << 30, "-",                  \
	    "Most that SO_SNDBUF takes, before it is doubled")                                     \
	ONE(uint32_t, notsent_lowat, "tcp_notsent_lowat", 131072, BYTES, 1, UINT32_MAX, "-",       \
	    "Bytes that may wait unsent before a writer is held; doubled by itself where the "     \
	    "writer comes late to a queue that ran dry, none with SO_SNDBUF set, fixed by "        \
	    "TCP_NOTSENT_LOWAT; Linux's default is no bound: 4294967295")                          \
	ONE(uint8_t, min_tso_segs, "tcp_min_tso_segs", 2, COUNT, 1, 63, "-",                       \
	    "Segments of a burst after which one bears PSH, if its rate asks for no more")         \
	ONE(uint64_t, rto_min, "tcp_rto_min_us", 200000, US, 1000, 120000000, "RFC 6298 2.4",      \
	    "Least retransmission timeout; the RFC's second is too long, as Linux finds")          \
	ONE(uint64_t, rto_max, "tcp_rto_max_ms", 120000, MS, 1000, 120000, "RFC 6298 2.5",         \
	    "Greatest retransmission timeout")                                                     \
	ONE(uint64_t, delack, "tcp_delack_max_us", 40000, US, 0, 500000, "RFC 1122 4.2.3.2",       \
	    "How long an ACK may wait for data to ride on")                                        \
	ONE(uint64_t, tlp_ack_delay, "tcp_tlp_ack_delay_us", 40000, US, 0, 500000, "RFC 8985 7.2", \
	    "How long a peer is thought to delay an ACK of one segment; Linux takes 200 ms")       \
	ONE(uint64_t, msl2, "tcp_timewait_len", 60, S, 0, 3600, "RFC 9293 3.6.1",                  \
	    "Length of TIME-WAIT: two maximum segment lifetimes")                                  \
	ONE(uint8_t, tw_reuse, "tcp_tw_reuse", 1, FLAG, 0, 2, "RFC 6191",                          \
	    "A connect may end a TIME-WAIT with timestamps: 0 never, 1 any, 2 (Linux's default) "  \
	    "of the loopback only")                                                                \
	ONE(uint64_t, tw_reuse_delay, "tcp_tw_reuse_delay", 1000, MS, 1, 60000, "RFC 6191",        \
	    "How old it must be for that")                                                         \
	ONE(uint8_t, rfc1337, "tcp_rfc1337", 1, FLAG, 0, 1, "RFC 1337",                            \
	    "1: a RST does not end a TIME-WAIT; 0 (Linux's default): an exact one does, as "       \
	    "RFC 9293 3.10.7.4 has it")                                                            \
	ONE(uint64_t, fin_timeout, "tcp_fin_timeout", 60, S, 1, 3600, "-",                         \
	    "How long a closed socket waits in FIN-WAIT-2 for the peer's FIN")                     \
	ONE(uint8_t, syn_retries, "tcp_syn_retries", 6, COUNT, 1, 127, "RFC 1122 4.2.3.5",         \
	    "SYNs sent again before a connect fails")                                              \
	ONE(uint8_t, syn_linear_timeouts, "tcp_syn_linear_timeouts", 4, COUNT, 0, 127,             \
	    "RFC 6298 5.5", "SYNs sent again without backoff, beside those of tcp_syn_retries")    \
	ONE(uint8_t, synack_retries, "tcp_synack_retries", 5, COUNT, 0, 255, "RFC 1122 4.2.3.5",   \
	    "SYN-ACKs sent again before a half-open connection is dropped")                        \
	ONE(uint8_t, retries1, "tcp_retries1", 3, COUNT, 1, 255, "RFC 9293 3.8.3",                 \
	    "After so long, counted as tcp_retries2, a black hole is suspected")                   \
	ONE(uint8_t, retries2, "tcp_retries2", 15, COUNT, 0, 255, "RFC 9293 3.8.3",                \
	    "Data is sent again for as long as so many timeouts from 200 ms on last; 15: 924 s")   \
	ONE(uint8_t, orphan_retries, "tcp_orphan_retries", 0, COUNT, 0, 255, "-",                  \
	    "The same for a connection that its user has closed; 0 is 8")                          \
	ONE(uint32_t, max_orphans, "tcp_max_orphans", 32768, COUNT, 0, 1u << 24, "-",              \
	    "Such connections of a lane; beyond it they are reset")                                \
	ONE(uint64_t, keepalive_time, "tcp_keepalive_time", 7200, S, 1, 32767, "RFC 9293 3.8.4",   \
	    "With SO_KEEPALIVE: an idle peer is probed after so long")                             \
	ONE(uint64_t, keepalive_intvl, "tcp_keepalive_intvl", 75, S, 1, 32767, "RFC 9293 3.8.4",   \
	    "Time between two probes that are not answered")                                       \
	ONE(uint8_t, keepalive_probes, "tcp_keepalive_probes", 9, COUNT, 1, 127, "RFC 9293 3.8.4", \
	    "Probes without an answer before the connection ends")                                 \
	ONE(uint16_t, min_pmtu, "min_pmtu", 552, BYTES, 128, 65535, "RFC 1191 3",                  \
	    "Least path MTU that a router is believed")                                            \
	ONE(uint64_t, mtu_expires, "mtu_expires", 600, S, 1, 86400, "RFC 1191 6.3",                \
	    "How long a path MTU is remembered")                                                   \
	ONE(uint32_t, pmtu_max, "pmtu_max", 1024, COUNT, 4, 65536, "RFC 1191 6.3",                 \
	    "Destinations whose path MTU is remembered")                                           \
	ONE(uint8_t, mtu_probing, "tcp_mtu_probing", 0, FLAG, 0, 2, "RFC 4821",                    \
	    "Search the path MTU by probes: 0 never, 1 after a black hole, 2 always")              \
	ONE(uint16_t, base_mss, "tcp_base_mss", 1024, BYTES, 128, 65495, "RFC 4821 7.2",           \
	    "Where that search begins")                                                            \
	ONE(uint16_t, mtu_probe_floor, "tcp_mtu_probe_floor", 48, BYTES, 48, 65495, "RFC 4821 7.7",\
	    "Least MSS that a black hole may lead to")                                             \
	ONE(uint64_t, probe_interval, "tcp_probe_interval", 600, S, 1, 86400, "RFC 4821 7.8",      \
	    "When that search is taken up again")                                                  \
	ONE(uint16_t, probe_threshold, "tcp_probe_threshold", 8, BYTES, 1, 1024, "RFC 4821 7.3",   \
	    "It ends when upper and lower bound are so close")                                     \
	ONE(uint8_t, window_scaling, "tcp_window_scaling", 1, FLAG, 0, 1, "RFC 7323 2",            \
	    "Offer and take window scaling")                                                       \
	ONE(uint8_t, timestamps, "tcp_timestamps", 1, FLAG, 0, 1, "RFC 7323 3",                    \
	    "Offer and take timestamps; their clock has a random offset for each peer")            \
	WORD(congestion_control, "tcp_congestion_control", 0, "cubic reno dctcp",                  \
	     "RFC 9438, 5681, 8257",                                                               \
	     "Congestion control of new sockets")                                                  \
	ONE(uint8_t, ecn, "tcp_ecn", 2, FLAG, 0, 2, "RFC 3168",                                    \
	    "ECN: 0 never, 1 agree and ask for it, 2 agree")                                       \
	ONE(uint8_t, frto, "tcp_frto", 1, FLAG, 0, 2, "RFC 5682",                                  \
	    "Find out whether an RTO came too early, before all is sent again")                    \
	ONE(uint8_t, slow_start_after_idle, "tcp_slow_start_after_idle", 1, FLAG, 0, 1,            \
	    "RFC 5681 4.1", "An RTO of silence takes the congestion window down")                  \
	ONE(uint8_t, sack, "tcp_sack", 1, FLAG, 0, 1, "RFC 2018",                                  \
	    "Offer and take selective acknowledgments")
/* clang-format on */

#define SETTING_ONE(type, field, ...)      type field;
#define SETTING_MANY(type, field, nr, ...) type field[nr];
#define SETTING_WORD_(field, ...)          uint8_t field;
/* The fields, for the inside of struct stack_config. */
#define STACK_SETTINGS_FIELDS STACK_SETTINGS(SETTING_ONE, SETTING_MANY, SETTING_WORD_)

struct stack_setting {
	const char *name, *source, *text;
	const char *words; /* of SETTING_WORD, by index, with blanks between; else NULL */
	uint64_t def[SETTING_VALUES_MAX]; /* in unit, as the next two */
	uint64_t min, max;
	enum setting_unit unit;
	uint16_t offset; /* of the field within struct stack_config */
	uint8_t size;    /* bytes of one of its values */
	uint8_t nr;      /* values */
};

extern const struct stack_setting stack_settings[]; /* in the table's order */
extern const unsigned stack_settings_nr;

/* stack_setting_find - by name; NULL: there is none. */
const struct stack_setting *stack_setting_find(const char *name);

/* stack_setting_set - take `value` as written: as many decimal numbers as the row has, blanks or
 * commas between, or a word. 0; -EINVAL not of that form; -ERANGE beyond min or max, or less than
 * the number before it. *cfg is untouched on failure. */
MUST_USE int stack_setting_set(const struct stack_setting *s, struct stack_config *cfg,
			       const char *value);

/* stack_setting_format - the value in cfg as stack_setting_set() takes it; cfg NULL: the default.
 * Returns the length as snprintf does. */
int stack_setting_format(const struct stack_setting *s, const struct stack_config *cfg, char *buf,
			 size_t size);

/* setting_unit_name - "s", "bytes"; "" for what has none. */
const char *setting_unit_name(enum setting_unit unit);

/* stack_settings_default - give every field of the table its default. */
void stack_settings_default(struct stack_config *cfg);
/* stack_settings_bad - the first setting whose value in cfg is out of range; NULL: none. */
const struct stack_setting *stack_settings_bad(const struct stack_config *cfg);

#endif
