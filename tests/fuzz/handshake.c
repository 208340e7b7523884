/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer: the option parser, against a second reader that was written from RFC 9293 3.2 alone;
 * and SYN cookies there and back: the peer's ACK comes changed or not, soon or late. Unchanged and
 * in time it makes the connection that the SYN asked for; after two minutes it never does.
 */
#include "fuzz.h"

#define COOKIE_SOON (60 * NSEC_PER_SEC)
#define COOKIE_LATE (120 * NSEC_PER_SEC)

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* RFC 9293 3.2 and 3.7.1, 7323 2.2 and 3.2, 2018 2 and 3: the last of each kind counts, what is
 * malformed ends the list, an option of another length than its own is skipped. */
static void second_reader(const uint8_t *p, unsigned n, bool syn, struct tcp_options *o)
{
	unsigned i = 0;

	memset(o, 0, sizeof(*o));
	while (i < n && p[i] != 0) {
		const uint8_t *v = p + i + 2;
		unsigned len;

		if (p[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= n || (len = p[i + 1]) < 2 || i + len > n)
			return;
		i += len;
		if (v[-2] == 2 && len == 4 && syn)
			o->mss = (uint16_t)(v[0] << 8 | v[1]);
		if (v[-2] == 3 && len == 3 && syn) {
			o->wscale_ok = true;
			o->snd_wscale = min_t(uint8_t, v[0], 14);
		}
		if (v[-2] == 4 && len == 2 && syn)
			o->sack_ok = true;
		if (v[-2] == 8 && len == 10) {
			o->saw_tstamp = true;
			o->ts_val = get32(v);
			o->ts_ecr = get32(v + 4);
		}
		if (v[-2] != 5 || len < 10 || (len - 2) % 8 || len > 34)
			continue;
		o->nr_sacks = (uint8_t)((len - 2) / 8);
		for (unsigned k = 0; k < o->nr_sacks; k++, v += 8) {
			o->sack[k].start = get32(v);
			o->sack[k].end = get32(v + 4);
		}
	}
}

static bool same(const struct tcp_options *a, const struct tcp_options *b)
{
	if (a->mss != b->mss || a->wscale_ok != b->wscale_ok || a->sack_ok != b->sack_ok ||
	    a->saw_tstamp != b->saw_tstamp || a->nr_sacks != b->nr_sacks ||
	    (a->wscale_ok && a->snd_wscale != b->snd_wscale) ||
	    (a->saw_tstamp && (a->ts_val != b->ts_val || a->ts_ecr != b->ts_ecr)))
		return false;
	for (unsigned i = 0; i < a->nr_sacks; i++)
		if (a->sack[i].start != b->sack[i].start || a->sack[i].end != b->sack[i].end)
			return false;
	return true;
}

/* The options at the end of a buffer of just that size. */
static void read_options(struct fuzz *z, const uint8_t *opt, unsigned n, bool syn,
			 struct tcp_options *ret)
{
	struct sk_buff *skb = skb_alloc(&z->st->cache, z->pool->buf_size - TCP_HLEN - n);
	struct tcp_options second;

	if (!skb)
		fuzz_fail("no skb");
	skb->transport_header = (uint16_t)(skb->data - skb->head);
	memset(skb_put(skb, TCP_HLEN), 0, TCP_HLEN);
	memcpy(skb_put(skb, n), opt, n);
	skb->tcp.hdr_len = (uint16_t)(TCP_HLEN + n);
	tcp_parse_options(skb, ret, syn);
	second_reader(opt, n, syn, &second);
	if (!same(ret, &second))
		fuzz_fail("options are read otherwise: mss %u ws %u %u sack %u ts %u blocks %u",
			  ret->mss, ret->wscale_ok, ret->snd_wscale, ret->sack_ok, ret->saw_tstamp,
			  ret->nr_sacks);
	if (n >= TCP_TS_ALIGNED && tcp_fast_ts(skb) &&
	    (!ret->saw_tstamp || (skb->tcp.ts_val != ret->ts_val && n == TCP_TS_ALIGNED)))
		fuzz_fail("the fast path reads another timestamp");
	skb_free(skb);
}

/* Padded to words, as a header has them. */
static unsigned take_options(struct fuzz_in *in, uint8_t *opt)
{
	const uint8_t *raw;
	unsigned n = in_bytes(in, min_t(unsigned, in_u8(in), 40), &raw);

	memset(opt, 0, 40);
	memcpy(opt, raw, n);
	return (n + 3) & ~3u;
}

/* What the connection has is what the SYN offered, and the stack is set to agree to. */
static void judge_child(const struct fuzz *z, const struct fuzz_conn *fc,
			const struct tcp_options *o)
{
	const struct tcp_sock *tp = tcp_sk(fc->c.sk);
	const struct stack_config *cfg = &z->st->cfg;
	unsigned mss = max_t(unsigned, o->mss ? o->mss : TCP_MSS_DEFAULT, TCP_MIN_SND_MSS);

	if (tp->peer_mss > mss)
		fuzz_fail("MSS %u, but the SYN said %u", tp->peer_mss, mss);
	if (tp->tstamp_ok && !(cfg->timestamps && o->saw_tstamp))
		fuzz_fail("timestamps that the SYN did not ask for");
	if (tp->sack_ok && !(cfg->sack && o->sack_ok))
		fuzz_fail("SACK that the SYN did not ask for");
	if (tp->wscale_ok &&
	    (!(cfg->window_scaling && o->wscale_ok) || tp->snd_wscale != o->snd_wscale))
		fuzz_fail("window scale %u that the SYN did not ask for", tp->snd_wscale);
	if (!tp->tstamp_ok)
		return;
	/* then the cookie's timestamp carries the others */
	if ((cfg->sack && o->sack_ok && !tp->sack_ok) ||
	    (cfg->window_scaling && o->wscale_ok && !tp->wscale_ok))
		fuzz_fail("an option was lost on the way through the cookie");
}

static void cookie(struct fuzz *z, struct fuzz_in *in, const uint8_t *opt, unsigned optlen)
{
	uint8_t how = in_u8(in), opt2[40];
	struct fuzz_conn *fc = fuzz_syn(z, 0, fuzz_peer(0), 5000);
	struct seg s = {.flags = SYN, .seq = in_u32(in), .opt = opt, .optlen = optlen};
	struct tcp_options o, o2;
	uint64_t wait = in_u8(in) * NSEC_PER_SEC;
	bool changed = false;

	z->f->in_head = z->f->in_tail; /* the SYN with our own options instead */
	read_options(z, opt, optlen, true, &o);
	if (how & 1)
		s.flags |= ECE | CWR;
	fuzz_seg(z, fc, &s);
	fuzz_turn(z, 1000);
	s = (struct seg){.flags = ACK, .seq = s.seq + 1, .ack = fc->nums.snd_nxt};
	fuzz_turn(z, wait);
	if (how & 2) {
		uint32_t seq = in_u32(in), ack = in_u32(in);

		changed |= seq || ack;
		s.seq += seq;
		s.ack ^= ack;
	}
	if (how & 4) {
		s.optlen = take_options(in, opt2);
		s.opt = opt2;
		read_options(z, opt2, s.optlen, false, &o2);
		changed = true;
	}
	if (how & 8)
		s.flags ^= in_u8(in);
	changed |= s.flags != ACK;
	s.len = how & 16 ? in_u8(in) : 0;
	fuzz_seg(z, fc, &s);
	fuzz_turn(z, 1000);
	fuzz_accept(z);
	if (!fc->c.sk && !changed && wait < COOKIE_SOON)
		fuzz_fail("a cookie's ACK was refused after %u s", (unsigned)(wait / NSEC_PER_SEC));
	if (fc->c.sk && wait > COOKIE_LATE)
		fuzz_fail("a cookie was good for %u s", (unsigned)(wait / NSEC_PER_SEC));
	if (fc->c.sk && !changed)
		judge_child(z, fc, &o);
	fuzz_read(z, fc, 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz z;
	struct stack_config cfg;
	struct tcp_options o;
	uint8_t opt[40];
	unsigned n;

	fuzz_config(&in, &cfg);
	cfg.syncookies = 2;
	cfg.max_socks = 64;
	fuzz_begin(&z, &cfg, 128, NETDEV_F_TX_SG);
	z.f->tight_rx = true;
	fuzz_listen(&z, 8);
	n = take_options(&in, opt);
	read_options(&z, opt, n, false, &o);
	cookie(&z, &in, opt, n);
	fuzz_end(&z);
	return 0;
}
