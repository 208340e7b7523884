/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcap: a decorator that writes every frame of any netdev, both ways and whole, into a
 * pcap file with nanoseconds (magic 0xa1b23c4d) that wireshark and tcpdump read. A
 * debugging aid: frames are sent one by one, and the file is written by the lane itself
 * through a buffer of bounded size.
 */
#ifndef DRIVERS_PCAP_H
#define DRIVERS_PCAP_H

#include "stack/netdev.h"

struct pcap_config {
	const char *path;
	uint64_t (*now)(void *ctx); /* ns since 1970, or of virtual time: the time stamps */
	void *now_ctx;
	/* One line, once, when the file cannot be written any more (disk full); the capture
	 * stops, the device goes on. May be NULL. */
	void (*report)(void *ctx, const char *line);
	void *report_ctx;
};

/*
 * pcap_wrap - write what passes `inner` to a file, created or emptied. inner belongs to the
 * new device and is closed with it. A frame that the device is to finish (CHECKSUM_PARTIAL)
 * stands in the file with good checksums; the frame itself is not touched. `cfg` is copied
 * but for what it points to but path. 0; -errno of opening the file, with one line in err,
 * and inner stays the caller's; -ENOMEM.
 */
MUST_USE int pcap_wrap(struct netdev *inner, const struct pcap_config *cfg, struct netdev **ret_dev,
		       char *err, size_t errlen);

#endif
