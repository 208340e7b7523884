/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one conn test-suite: cases over the public API that must come out the same on every
 * backend. A test file per backend supplies an environment and instantiates the list.
 */
#ifndef TESTS_CONN_SUITE_H
#define TESTS_CONN_SUITE_H

#include <stdbool.h>
#include <stdint.h>

#include <parklane/conn.h>

struct lane;

/* Of a lane that plays the suite: a thousand connections have two gs each. The default's reserve of
 * address space is free, but not under qemu-user: it books each page, for a second a lane. */
#define CONN_MAX_G 4096

struct conn_env {
	struct lane *srv, *cli; /* may be one and the same */
	enum pl_net net;
	uint32_t srv_ip;     /* network order: where servers listen */
	uint32_t foreign_ip; /* network order: not an address of srv */
	/* run - both lanes until no goroutine is left (0) or nothing moves any more (-ETIME). */
	int (*run)(struct conn_env *e);
	/* pds - poll_descs in use on both lanes; the suite wants 0 after each case. */
	unsigned (*pds)(struct conn_env *e);
	unsigned nr_fail;
	char first_fail[1000]; /* the first ones, as text */
};

#define CONN_SUITE(X)                                                                              \
	X(echo)                                                                                    \
	X(mebibyte_both_ways_through_tiny_buffers)                                                 \
	X(half_close_gives_eof_and_answer)                                                         \
	X(data_and_fin_together_are_both_seen)                                                     \
	X(fin_after_short_read_is_seen)                                                            \
	X(write_after_reset_says_epipe)                                                            \
	X(read_in_reset_says_econnreset)                                                           \
	X(bytes_before_reset_are_read)                                                             \
	X(end_of_stream_outlives_reset)                                                            \
	X(parked_write_in_reset_ends)                                                              \
	X(parked_write_of_nothing_yet_in_reset_says_econnreset)                                    \
	X(R56_dial_refused)                                                                        \
	X(options_before_the_syn)                                                                  \
	X(options_before_the_bind)                                                                 \
	X(listen_control_shares_a_port)                                                            \
	X(R56_dial_deadline)                                                                       \
	X(read_deadline_and_moved)                                                                 \
	X(write_deadline_and_moved)                                                                \
	X(accept_deadline_and_moved)                                                               \
	X(R28_deadline_in_the_past_wakes_at_once)                                                  \
	X(R10_deadline_moved_while_parked_is_silent)                                               \
	X(R29_expired_deadline_beats_data)                                                         \
	X(R53_close_wakes_reader)                                                                  \
	X(R53_close_wakes_writer)                                                                  \
	X(R53_close_wakes_accepter)                                                                \
	X(R53_close_wakes_queue_of_readers)                                                        \
	X(use_after_close_says_ebadf)                                                              \
	X(use_after_close_of_a_connection_says_ebadf)                                              \
	X(R52_two_readers_take_turns)                                                              \
	X(vectors_of_buffers)                                                                      \
	X(R55_raw_needs_a_kernel_fd_by_readiness)                                                  \
	X(R54_zero_length_read)                                                                    \
	X(R54_write_8_mib_to_slow_reader)                                                          \
	X(thousand_connections)                                                                    \
	X(backlog_holds_unaccepted)                                                                \
	X(address_in_use)                                                                          \
	X(server_comes_back)                                                                       \
	X(bad_addresses)                                                                           \
	X(addresses_of_both_ends_match)                                                            \
	X(options_and_wrong_kind)                                                                  \
	X(options_are_linux_s)                                                                     \
	X(options_of_listener_are_inherited)                                                       \
	X(options_tell_of_connection)                                                              \
	X(lengths_of_queues)                                                                       \
	X(ctx_ends_read_write_and_the_wait_for_them)                                               \
	X(ctx_deadline_ends_accept)                                                                \
	X(R56_ctx_ends_dial)                                                                       \
	X(another_lane_is_refused)                                                                 \
	X(R11_deadlines_lose_no_byte)                                                              \
	X(R11_accept_deadlines_lose_no_connection)                                                 \
	X(random_calls_by_seed)

#define X(name) void conn_case_##name(struct conn_env *e);
CONN_SUITE(X)
#undef X

/* conn_suite_end - what must hold after every case: no goroutine, conn, waiter or pd left. */
void conn_suite_end(struct conn_env *e);

#endif
