/* SPDX-License-Identifier: BSD-3-Clause */
/* The records of a pcap file. */
#include "drivers/pcap_file.h"

#include <errno.h>

#include "stack/base/clock.h"

#define PCAP_MAGIC_NS   0xa1b23c4du
#define PCAP_LINK_ETHER 1
#define PCAP_SNAPLEN    (65535u + 14u)

struct pcap_file_header {
	uint32_t magic;
	uint16_t major, minor;
	int32_t zone;
	uint32_t sigfigs, snaplen, linktype;
};

struct pcap_record {
	uint32_t sec, nsec, caplen, len;
};

static int failed(void)
{
	return errno ? -errno : -EIO;
}

int pcap_file_open(const char *path, char *buffer, size_t size, FILE **ret_file)
{
	static const struct pcap_file_header hdr = {
		.magic = PCAP_MAGIC_NS,
		.major = 2,
		.minor = 4,
		.snaplen = PCAP_SNAPLEN,
		.linktype = PCAP_LINK_ETHER,
	};
	FILE *f = fopen(path, "we");
	int err;

	if (!f)
		return failed();
	if (buffer)
		(void)setvbuf(f, buffer, _IOFBF, size);
	if (fwrite(&hdr, sizeof(hdr), 1, f) != 1 || fflush(f) != 0) {
		err = failed();
		(void)fclose(f);
		return err;
	}
	*ret_file = f;
	return 0;
}

int pcap_file_write(FILE *file, const void *frame, uint32_t len, uint64_t now)
{
	const struct pcap_record rec = {
		.sec = (uint32_t)(now / NSEC_PER_SEC),
		.nsec = (uint32_t)(now % NSEC_PER_SEC),
		.caplen = len,
		.len = len,
	};

	if (fwrite_unlocked(&rec, sizeof(rec), 1, file) == 1 &&
	    fwrite_unlocked(frame, len, 1, file) == 1)
		return 0;
	return failed();
}
