/* SPDX-License-Identifier: BSD-3-Clause */
/* A TCP that only writes down what the layers below tell it. For their unit tests. */
#ifndef TESTS_UNIT_FAKE_TCP_H
#define TESTS_UNIT_FAKE_TCP_H

#include "stack/stack_int.h"

struct fake_tcp {
	unsigned nr_rcv; /* segments that reached tcp_v4_rcv */
	unsigned rcv_len;
	uint8_t rcv[2048]; /* the last one */
	uint8_t rcv_summed, rcv_tos;
	unsigned nr_err;
	uint32_t err_saddr, err_daddr, err_seq, err_mtu;
	uint16_t err_sport, err_dport;
	uint8_t err_type, err_code;
	unsigned nr_neigh_failed;
	uint32_t neigh_failed;
	unsigned nr_output;
	bool has_output;
	int init_err; /* what tcp_shard_init answers */
};

extern struct fake_tcp fake_tcp;

#endif
