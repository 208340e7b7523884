/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pcap file with nanoseconds (draft-ietf-opsawg-pcap, magic 0xa1b23c4d), as wireshark and tcpdump
 * read it. No locks: one writer at a time.
 */
#ifndef DRIVERS_PCAP_FILE_H
#define DRIVERS_PCAP_FILE_H

#include <stdint.h>
#include <stdio.h>

#include "stack/base/compiler.h"

/* pcap_file_open - create or empty it, and write its header. buffer[size] is stdio's and lives as
 * long as the file; NULL: one of its own. Owned by the caller, who ends it by fclose(). 0;
 * -errno. */
MUST_USE int pcap_file_open(const char *path, char *buffer, size_t size, FILE **ret_file);
/* pcap_file_write - one whole frame at `now`, ns. 0; -errno, then the file is not to be used on. */
MUST_USE int pcap_file_write(FILE *file, const void *frame, uint32_t len, uint64_t now);

#endif
