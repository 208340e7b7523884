/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pcap decorator (draft-ietf-opsawg-pcap). Queues of several lanes share the file: each
 * record is written under the FILE's own lock. That is a lock on the packet path, which
 * style rule 20 forbids, in a tool that exists to slow down and look.
 */
#include "drivers/pcap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/frame.h"
#include "drivers/pcap_file.h"
#include "stack/base/clock.h"

#define PCAP_BUFFER    (256u * 1024u)
#define PCAP_FRAME_MAX (65535u + ETH_HLEN)

struct pcap_dev {
	struct netdev dev;
	struct netdev *inner;   /* (c) */
	struct pcap_config cfg; /* (c) */
	FILE *file;             /* its own lock covers what follows */
	bool stopped;           /* (a) by an error; read before the lock */
	uint64_t flushed;       /* ns */
	uint8_t scratch[PCAP_FRAME_MAX];
	char buffer[PCAP_BUFFER];
};

static struct pcap_dev *to_pcap(struct netdev *dev)
{
	return container_of(dev, struct pcap_dev, dev);
}

static void stop(struct pcap_dev *p, int error)
{
	char line[160];

	if (__atomic_exchange_n(&p->stopped, true, __ATOMIC_RELAXED) || !p->cfg.report)
		return;
	(void)snprintf(line, sizeof(line), "%s: capture stopped: %s", p->cfg.path, strerror(error));
	p->cfg.report(p->cfg.report_ctx, line);
}

/* Under the file's lock. */
static int write_record(struct pcap_dev *p, const uint8_t *frame, uint32_t len, uint64_t now)
{
	int err = pcap_file_write(p->file, frame, len, now);

	if (err)
		return err;
	/* once a second, so that a reader who follows the file sees something */
	if (now - p->flushed < NSEC_PER_SEC)
		return 0;
	p->flushed = now;
	return fflush_unlocked(p->file) == 0 ? 0 : -errno;
}

static void capture(struct pcap_dev *p, const uint8_t *frame, uint32_t len)
{
	int err;

	if (READ_ONCE(p->stopped))
		return;
	flockfile(p->file);
	err = write_record(p, frame, len, p->cfg.now(p->cfg.now_ctx));
	if (err)
		stop(p, -err);
	funlockfile(p->file);
}

static unsigned pcap_rx_burst(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
			      struct sk_buff **skbs, unsigned n)
{
	struct pcap_dev *p = to_pcap(dev);
	unsigned got = netdev_rx_burst(p->inner, queue, cache, skbs, n);

	WRITE_ONCE(dev->tx_off, READ_ONCE(p->inner->tx_off));
	for (unsigned i = 0; i < got; i++) {
		struct sk_buff *skb = skbs[i];

		skb->dev = dev;
		flockfile(p->file);
		if (!skb->frag)
			capture(p, skb->data, skb->len);
		else if (skb_copy_bits(skb, 0, p->scratch,
				       min_t(unsigned, skb->len, PCAP_FRAME_MAX)) == 0)
			capture(p, p->scratch, min_t(unsigned, skb->len, PCAP_FRAME_MAX));
		funlockfile(p->file);
	}
	return got;
}

/*
 * One by one: only what the device took belongs into the file, and then it is no longer
 * there to be read. So the frame is copied first, and written afterwards.
 */
static unsigned pcap_tx_burst(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	struct pcap_dev *p = to_pcap(dev);
	unsigned i, took = 1;

	for (i = 0; i < n && took; i += took) {
		unsigned len = min_t(unsigned, skbs[i]->len, PCAP_FRAME_MAX);

		flockfile(p->file);
		(void)skb_copy_bits(skbs[i], 0, p->scratch, len);
		if (skbs[i]->ip_summed == CHECKSUM_PARTIAL)
			frame_finish_csum(p->scratch, len);
		took = netdev_tx_burst(p->inner, queue, &skbs[i], 1);
		if (took)
			capture(p, p->scratch, len);
		funlockfile(p->file);
	}
	return i;
}

static int pcap_get_fd(struct netdev *dev, uint16_t queue)
{
	struct netdev *inner = to_pcap(dev)->inner;

	return inner->ops->get_fd(inner, queue);
}

static uint64_t pcap_next_event(struct netdev *dev)
{
	struct netdev *inner = to_pcap(dev)->inner;

	return inner->ops->next_event(inner);
}

static void pcap_get_stats(struct netdev *dev, struct netdev_stats *ret_stats)
{
	struct netdev *inner = to_pcap(dev)->inner;

	inner->ops->get_stats(inner, ret_stats);
}

static bool pcap_link_up(struct netdev *dev)
{
	struct netdev *inner = to_pcap(dev)->inner;

	return inner->ops->link_up(inner);
}

static void pcap_close(struct netdev *dev)
{
	struct pcap_dev *p = to_pcap(dev);

	if (fclose(p->file) != 0)
		stop(p, errno);
	p->inner->ops->close(p->inner);
	free((char *)p->cfg.path);
	free(p);
}

static const struct netdev_ops pcap_ops = {
	.rx_burst = pcap_rx_burst,
	.tx_burst = pcap_tx_burst,
	.get_fd = pcap_get_fd,
	.next_event = pcap_next_event,
	.get_stats = pcap_get_stats,
	.link_up = pcap_link_up,
	.close = pcap_close,
};

int pcap_wrap(struct netdev *inner, const struct pcap_config *cfg, struct netdev **ret_dev,
	      char *err, size_t errlen)
{
	struct pcap_dev *p = calloc(1, sizeof(*p));
	int ret = -ENOMEM;

	if (p) {
		p->cfg = *cfg;
		p->cfg.path = strdup(cfg->path);
		if (p->cfg.path)
			ret = pcap_file_open(cfg->path, p->buffer, sizeof(p->buffer), &p->file);
	}
	if (ret < 0) {
		(void)snprintf(err, errlen, "pcap file '%s': %s", cfg->path, strerror(-ret));
		if (p)
			free((char *)p->cfg.path);
		free(p);
		return ret;
	}
	p->dev = *inner;
	p->dev.ops = &pcap_ops;
	p->inner = inner;
	*ret_dev = &p->dev;
	return 0;
}
