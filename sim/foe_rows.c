/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows of the hostile host, in the order of docs/tcp-matrix.md, which has no B23. */
#include "sim/foe.h"

/* clang-format off */
const struct foe_row foe_rows[] = {
	{"B1", "RST in the window", foe_b1, 0},
	{"B2", "RST at RCV.NXT, and outside the window", foe_b2, 0},
	{"B3", "SYN in a synchronised state", foe_b3, 0},
	{"B4", "data whose ACK is too old or beyond SND.NXT", foe_b4, 0},
	{"B5", "RSTs and SYNs over many connections", foe_b5, 0},
	{"B6", "LAND", foe_b6, 0},
	{"B7", "bad sources and destinations", foe_b7, 0},
	{"B8", "odd flags to LISTEN, CLOSED, ESTABLISHED", foe_b8, 0},
	{"B9", "odd answers to a SYN", foe_b9, 0},
	{"B10", "split handshake", foe_b10, 0},
	{"B11", "SYN flood", foe_b11, FOE_FLOOD},
	{"B12", "accept queue full, then data", foe_b12, FOE_BACKLOG},
	{"B13", "headers that lie", foe_b13, 0},
	{"B14", "padding behind the IP length", foe_b14, 0},
	{"B15", "options without sense", foe_b15, 0},
	{"B16", "bad checksums", foe_b16, 0},
	{"B17", "MSS 0, 1, 48, 65535", foe_b17, 0},
	{"B18", "SACKs of ever other holes", foe_b18, FOE_SACK | FOE_TS | FOE_WSCALE},
	{"B19", "SACK blocks that lie", foe_b19, FOE_SACK | FOE_WSCALE},
	{"B20", "single bytes in reverse", foe_b20, 0},
	{"B21", "overlaps with other bytes", foe_b21, 0},
	{"B22", "fragments", foe_b22, 0},
	{"B24", "ICMP unreachable", foe_b24, 0},
	{"B25", "ICMP fragmentation needed that lies", foe_b25, 0},
	{"B26", "urgent pointers", foe_b26, 0},
	{"B27", "window scales 15 and 255", foe_b27, FOE_WSCALE},
	{"B28", "timestamps old, new, missing, jumping", foe_b28, FOE_TS},
	{"B29", "windows of zero and of one byte, taken back", foe_b29, 0},
	{"B30", "ACKs of unsent data, divided, doubled", foe_b30, 0},
	{"B31", "FIN with a gap, data beyond, FIN again", foe_b31, 0},
	{"B32", "old data, RST and SYN to TIME-WAIT", foe_b32, 0},
	{"B33", "forty connections sampled", foe_b33, 0},
	{"B34", "port 0, data on a SYN, keepalive probes", foe_b34, 0},
};
/* clang-format on */
const unsigned foe_rows_nr = ARRAY_SIZE(foe_rows);
