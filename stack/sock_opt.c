/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * setsockopt and getsockopt, as Linux answers them: which values are refused and with what,
 * what a value is rounded to, what a short or long buffer gets. What an option then does stands
 * where it is done; here are only the effects of the moment it changes.
 */
#include <limits.h>
#include <string.h>

#include "stack/tcp_guard.h"

#define SOCK_MIN_SNDBUF   4608u /* Linux, on 64 bits */
#define SOCK_MIN_RCVBUF   2304u
#define SOCK_MAX_BUF      (1u << 30)
#define MAX_TCP_KEEP_S    32767
#define MAX_TCP_COUNT     127
#define MAX_TCP_WINDOW    32767
#define TCP_MIN_MSS       88
#define TCP_LINGER2_MAX_S 120
#define INET_ECN_MASK     3

static bool is_closed_or_listens(const struct tcp_sock *tp)
{
	return (1u << tp->sk.sk_state) & (1u << TCP_CLOSE | 1u << TCP_LISTEN);
}

/* ---- SOL_SOCKET ---- */

/* doubled - Linux doubles what the user says, because it counts truesize as we do. */
static uint32_t doubled(int val, uint32_t max, uint32_t least)
{
	uint32_t n = val < 0 ? max : min_t(uint32_t, (uint32_t)val, max);

	return max_t(uint32_t, 2 * n, least);
}

static void set_sndbuf(struct sock *sk, int val, uint32_t max)
{
	tcp_sk(sk)->opt.userlocks |= SK_SNDBUF_LOCK;
	sk->sk_sndbuf = doubled(val, max, SOCK_MIN_SNDBUF);
	tcp_reset_lowat(tcp_sk(sk));
	tcp_maybe_write_space(tcp_sk(sk));
}

static void set_rcvbuf(struct sock *sk, int val, uint32_t max)
{
	tcp_sk(sk)->opt.userlocks |= SK_RCVBUF_LOCK;
	sk->sk_rcvbuf = doubled(val, max, SOCK_MIN_RCVBUF);
}

/* set_rcvlowat - Linux tcp_set_rcvlowat: no more than half of what the buffer may become, or a
 * reader would wait for what the window never lets in; and the buffer becomes it, unless the user
 * chose its size. */
static void set_rcvlowat(struct tcp_sock *tp, int val)
{
	uint32_t n = val < 0 ? INT_MAX : max_t(uint32_t, (uint32_t)val, 1);
	bool locked = tp->opt.userlocks & SK_RCVBUF_LOCK;
	struct sock *sk = &tp->sk;

	n = min_t(uint32_t, n, (locked ? sk->sk_rcvbuf : tcp_stack(tp)->cfg.tcp_rmem[2]) / 2);
	sk->sk_rcvlowat = n;
	tcp_data_ready(tp);
	if (locked || 2 * n <= sk->sk_rcvbuf)
		return;
	sk->sk_rcvbuf = 2 * n;
	if (tp->window_clamp)
		tp->window_clamp = max_t(uint32_t, tp->window_clamp, n);
}

static int set_linger(struct sock_options *o, const void *val, uint32_t len)
{
	struct sk_linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	o->linger_on = l.l_onoff != 0;
	if (o->linger_on)
		o->linger_s = (uint16_t)min_t(unsigned, (unsigned)l.l_linger, UINT16_MAX);
	return 0;
}

static int set_socket(struct tcp_sock *tp, int name, int val, const void *raw, uint32_t len)
{
	struct sock *sk = &tp->sk;

	switch (name) {
	case SK_SO_REUSEADDR:
		tcp_port_set_reuse(tp, TCP_REUSE_ADDR, val != 0);
		return 0;
	case SK_SO_REUSEPORT:
		tcp_port_set_reuse(tp, TCP_REUSE_PORT, val != 0);
		return 0;
	case SK_SO_SNDBUF:
		set_sndbuf(sk, val, sk->sk_stack->cfg.wmem_max);
		return 0;
	case SK_SO_SNDBUFFORCE:
		set_sndbuf(sk, max_t(int, val, 0), SOCK_MAX_BUF);
		return 0;
	case SK_SO_RCVBUF:
		set_rcvbuf(sk, val, sk->sk_stack->cfg.rmem_max);
		return 0;
	case SK_SO_RCVBUFFORCE:
		set_rcvbuf(sk, max_t(int, val, 0), SOCK_MAX_BUF);
		return 0;
	case SK_SO_KEEPALIVE:
		tp->opt.keepalive = val != 0;
		tcp_keepalive_restart(tp);
		return 0;
	case SK_SO_OOBINLINE:
		return val ? 0 : -EINVAL;
	case SK_SO_LINGER:
		return set_linger(&tp->opt, raw, len);
	case SK_SO_RCVLOWAT:
		set_rcvlowat(tp, val);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_socket(struct tcp_sock *tp, int name, int *ret_val)
{
	struct sock *sk = &tp->sk;

	switch (name) {
	case SK_SO_REUSEADDR:
		*ret_val = tp->opt.reuseaddr;
		return 0;
	case SK_SO_REUSEPORT:
		*ret_val = tp->opt.reuseport;
		return 0;
	case SK_SO_TYPE:
		*ret_val = SK_SOCK_STREAM;
		return 0;
	case SK_SO_PROTOCOL:
		*ret_val = IPPROTO_TCP_;
		return 0;
	case SK_SO_DOMAIN:
		*ret_val = sk->sk_family;
		return 0;
	case SK_SO_ERROR:
		*ret_val = -sock_error(sk);
		if (!*ret_val) {
			*ret_val = tp->err_soft;
			tp->err_soft = 0;
		}
		return 0;
	case SK_SO_SNDBUF:
		*ret_val = (int)sk->sk_sndbuf;
		return 0;
	case SK_SO_RCVBUF:
		*ret_val = (int)sk->sk_rcvbuf;
		return 0;
	case SK_SO_KEEPALIVE:
		*ret_val = tp->opt.keepalive;
		return 0;
	case SK_SO_OOBINLINE:
	case SK_SO_SNDLOWAT:
		*ret_val = 1;
		return 0;
	case SK_SO_RCVLOWAT:
		*ret_val = (int)sk->sk_rcvlowat;
		return 0;
	case SK_SO_ACCEPTCONN:
		*ret_val = sk->sk_state == TCP_LISTEN;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* ---- SOL_IP ---- */

static int set_ip(struct tcp_sock *tp, int name, int val)
{
	struct sock *sk = &tp->sk;

	switch (name) {
	case SK_IP_TOS:
		sk->sk_tos = (uint8_t)((val & ~INET_ECN_MASK) | (sk->sk_tos & INET_ECN_MASK));
		return 0;
	case SK_IP_TTL:
		if (val != -1 && (val < 1 || val > 255))
			return -EINVAL;
		sk->sk_ttl = val == -1 ? SK_DEFAULT_TTL : (uint8_t)val;
		return 0;
	case SK_IP_MTU_DISCOVER:
		if (val < SK_PMTUDISC_DONT || val > SK_PMTUDISC_OMIT)
			return -EINVAL;
		tp->pmtudisc = (uint8_t)val;
		/* what a router said counts no more */
		if (tp->pmtu && val >= SK_PMTUDISC_PROBE)
			tcp_mtu_init(tp);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_ip(const struct tcp_sock *tp, int name, int *ret_val)
{
	switch (name) {
	case SK_IP_TOS:
		*ret_val = tp->sk.sk_tos;
		return 0;
	case SK_IP_TTL:
		*ret_val = tp->sk.sk_ttl;
		return 0;
	case SK_IP_MTU_DISCOVER:
		*ret_val = tp->pmtudisc;
		return 0;
	case SK_IP_MTU:
		if (is_closed_or_listens(tp))
			return -ENOTCONN;
		*ret_val = (int)tcp_path_mtu(tp);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* ---- SOL_TCP ---- */

/* tcp_push_pending - what Nagle or the cork held back leaves at this turn's output. */
static void tcp_push_pending(struct tcp_sock *tp)
{
	if (tp->send_head && !is_closed_or_listens(tp))
		tcp_output_mark(tp);
}

static void set_nodelay(struct tcp_sock *tp, bool on)
{
	if (!on) {
		tp->nonagle &= (uint8_t)~TCP_NAGLE_OFF;
		return;
	}
	tp->nonagle |= TCP_NAGLE_OFF | TCP_NAGLE_PUSH;
	tcp_push_pending(tp);
}

static void set_cork(struct tcp_sock *tp, bool on)
{
	if (on) {
		tp->nonagle |= TCP_NAGLE_CORK;
		return;
	}
	tp->nonagle &= (uint8_t)~TCP_NAGLE_CORK;
	if (tp->nonagle & TCP_NAGLE_OFF)
		tp->nonagle |= TCP_NAGLE_PUSH;
	tcp_push_pending(tp);
}

static void set_quickack(struct tcp_sock *tp, int val)
{
	tp->pingpong = !val;
	if (!val || !tp->ack_pending)
		return;
	tp->ack_pending |= TCP_ACK_NOW;
	tcp_output_mark(tp);
	if (!(val & 1))
		tp->pingpong = true;
}

/* What a count of SYN-ACKs means in seconds: 1, 2, 4 ... with rto_max as the ceiling. */
static unsigned synack_period(const struct tcp_sock *tp, unsigned nr)
{
	uint64_t max = tcp_stack(tp)->cfg.rto_max / NSEC_PER_SEC, t = 1, sum = 0;

	for (; nr; nr--) {
		sum += t;
		t = min_t(uint64_t, 2 * t, max_t(uint64_t, max, 1));
	}
	return (unsigned)min_t(uint64_t, sum, INT_MAX);
}

static uint8_t secs_to_synacks(const struct tcp_sock *tp, int secs)
{
	unsigned nr = 0;

	while (secs > 0 && nr < UINT8_MAX && (int)synack_period(tp, nr) < secs)
		nr++;
	return (uint8_t)nr;
}

static int set_window_clamp(struct tcp_sock *tp, int val)
{
	if (!val) {
		if (tp->sk.sk_state != TCP_CLOSE)
			return -EINVAL;
		tp->window_clamp = 0;
		return 0;
	}
	/* as ints, like Linux: less than nothing is the least */
	tp->window_clamp = (uint32_t)max_t(int, val, (int)(SOCK_MIN_RCVBUF / 2));
	return 0;
}

static int set_congestion(struct tcp_sock *tp, const void *val, uint32_t len)
{
	const struct tcp_congestion_ops *ca;
	char name[SK_CA_NAME_MAX] = "";

	if (len < 1)
		return -EINVAL;
	memcpy(name, val, min_t(uint32_t, len, sizeof(name) - 1));
	ca = tcp_cong_find(name);
	if (!ca)
		return -ENOENT;
	tcp_cong_set(tp, ca);
	return 0;
}

/* The options that are a number within limits, and nothing happens when they change. */
static const struct {
	uint8_t name, size;
	uint16_t off;
	int min, max;
} numbers[] = {
#define NUMBER(name, field, min, max)                                                              \
	{                                                                                          \
		name, sizeof(((struct sock_options *)0)->field),                                   \
			offsetof(struct sock_options, field), min, max                             \
	}
	NUMBER(SK_TCP_KEEPIDLE, keepidle, 1, MAX_TCP_KEEP_S),
	NUMBER(SK_TCP_KEEPINTVL, keepintvl, 1, MAX_TCP_KEEP_S),
	NUMBER(SK_TCP_KEEPCNT, keepcnt, 1, MAX_TCP_COUNT),
	NUMBER(SK_TCP_SYNCNT, syn_retries, 1, MAX_TCP_COUNT),
	NUMBER(SK_TCP_USER_TIMEOUT, user_timeout, 0, INT_MAX),
	NUMBER(SK_TCP_INQ, inq, 0, 1),
#undef NUMBER
};

/* number - read (set NULL) or write one of them. 0; -EINVAL; -ENOPROTOOPT none of them. */
static int number(struct tcp_sock *tp, int name, const int *set, int *ret_val)
{
	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint8_t *p = (uint8_t *)&tp->opt + numbers[i].off;
		uint32_t v = 0;

		if (numbers[i].name != name)
			continue;
		if (!set) {
			/* narrower fields are the low bytes, or we would be on a big-endian
			 * machine, which be16() rules out as well */
			memcpy(&v, p, numbers[i].size);
			*ret_val = (int)v;
			return 0;
		}
		if (*set < numbers[i].min || *set > numbers[i].max)
			return -EINVAL;
		v = (uint32_t)*set;
		memcpy(p, &v, numbers[i].size);
		return 0;
	}
	return -ENOPROTOOPT;
}

static int set_keepidle(struct tcp_sock *tp, int val)
{
	int err = number(tp, SK_TCP_KEEPIDLE, &val, NULL);

	if (!err)
		tcp_keepalive_restart(tp);
	return err;
}

static int set_tcp(struct tcp_sock *tp, int name, int val)
{
	switch (name) {
	case SK_TCP_NODELAY:
		set_nodelay(tp, val != 0);
		return 0;
	case SK_TCP_CORK:
		set_cork(tp, val != 0);
		return 0;
	case SK_TCP_QUICKACK:
		set_quickack(tp, val);
		return 0;
	case SK_TCP_MAXSEG:
		if (val && (val < TCP_MIN_MSS || val > MAX_TCP_WINDOW))
			return -EINVAL;
		tp->opt.user_mss = (uint16_t)val;
		return 0;
	case SK_TCP_LINGER2:
		tp->opt.linger2 = val < 0 ? -1 : min_t(int, val, TCP_LINGER2_MAX_S);
		return 0;
	case SK_TCP_DEFER_ACCEPT:
		tp->opt.defer_accept = secs_to_synacks(tp, val);
		return 0;
	case SK_TCP_WINDOW_CLAMP:
		return set_window_clamp(tp, val);
	case SK_TCP_KEEPIDLE:
		return set_keepidle(tp, val);
	case SK_TCP_NOTSENT_LOWAT:
		tp->opt.notsent_lowat = (uint32_t)val;
		tcp_reset_lowat(tp);
		tcp_maybe_write_space(tp);
		return 0;
	case SK_TCP_TIMESTAMP:
		return -EPERM;
	default:
		return number(tp, name, &val, NULL);
	}
}

static int get_linger2(const struct tcp_sock *tp)
{
	if (tp->opt.linger2)
		return tp->opt.linger2;
	return (int)(tcp_stack(tp)->cfg.fin_timeout / NSEC_PER_SEC);
}

static int get_tcp(struct tcp_sock *tp, int name, int *ret_val)
{
	switch (name) {
	case SK_TCP_NODELAY:
		*ret_val = !!(tp->nonagle & TCP_NAGLE_OFF);
		return 0;
	case SK_TCP_CORK:
		*ret_val = !!(tp->nonagle & TCP_NAGLE_CORK);
		return 0;
	case SK_TCP_QUICKACK:
		*ret_val = !tp->pingpong;
		return 0;
	case SK_TCP_MAXSEG:
		*ret_val = tp->opt.user_mss && is_closed_or_listens(tp) ? tp->opt.user_mss
									: tp->mss_cache;
		return 0;
	case SK_TCP_LINGER2:
		*ret_val = get_linger2(tp);
		return 0;
	case SK_TCP_SYNCNT:
		*ret_val =
			tp->opt.syn_retries ? tp->opt.syn_retries : tcp_stack(tp)->cfg.syn_retries;
		return 0;
	case SK_TCP_DEFER_ACCEPT:
		*ret_val = (int)synack_period(tp, tp->opt.defer_accept);
		return 0;
	case SK_TCP_WINDOW_CLAMP:
		*ret_val = (int)tp->window_clamp;
		return 0;
	case SK_TCP_NOTSENT_LOWAT:
		*ret_val = (int)tp->opt.notsent_lowat;
		return 0;
	case SK_TCP_TIMESTAMP:
		*ret_val = (int)tcp_ts_now(tcp_stack(tp), tp->tsoffset);
		return 0;
	default:
		return number(tp, name, NULL, ret_val);
	}
}

/* ---- the two calls ---- */

int sock_setopt(struct sock *sk, int level, int name, const void *val, uint32_t len)
{
	struct tcp_sock *tp = tcp_sk(sk);
	int v = 0;

	if (level == SK_SOL_TCP && name == SK_TCP_CONGESTION)
		return set_congestion(tp, val, len);
	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	else if (level == SK_SOL_IP && len)
		v = *(const uint8_t *)val;
	else
		return -EINVAL;
	switch (level) {
	case SK_SOL_SOCKET:
		return set_socket(tp, name, v, val, len);
	case SK_SOL_IP:
		return set_ip(tp, name, v);
	case SK_SOL_TCP:
		return set_tcp(tp, name, v);
	default:
		return -ENOPROTOOPT;
	}
}

/* give - n bytes of src, or as many as were asked for. */
static int give(void *val, uint32_t *len, const void *src, uint32_t n)
{
	*len = min_t(uint32_t, *len, n);
	memcpy(val, src, *len);
	return 0;
}

int sock_getopt(struct sock *sk, int level, int name, void *val, uint32_t *len)
{
	struct tcp_sock *tp = tcp_sk(sk);
	int v = 0, err;

	if (level == SK_SOL_SOCKET && name == SK_SO_LINGER) {
		struct sk_linger l = {tp->opt.linger_on, tp->opt.linger_s};

		return give(val, len, &l, sizeof(l));
	}
	if (level == SK_SOL_TCP && name == SK_TCP_INFO) {
		struct sk_tcp_info info;

		tcp_get_info(tp, &info);
		return give(val, len, &info, sizeof(info));
	}
	if (level == SK_SOL_TCP && name == SK_TCP_CONGESTION) {
		char ca[SK_CA_NAME_MAX] = "";

		memcpy(ca, tp->ca->name, strnlen(tp->ca->name, sizeof(ca) - 1));
		return give(val, len, ca, sizeof(ca));
	}
	if (level == SK_SOL_SOCKET)
		err = get_socket(tp, name, &v);
	else if (level == SK_SOL_IP)
		err = get_ip(tp, name, &v);
	else if (level == SK_SOL_TCP)
		err = get_tcp(tp, name, &v);
	else
		err = -ENOPROTOOPT;
	if (err)
		return err;
	/* ip(7): one byte is enough for what fits it */
	if (level == SK_SOL_IP && *len && *len < sizeof(v) && v >= 0 && v <= UINT8_MAX) {
		uint8_t b = (uint8_t)v;

		return give(val, len, &b, 1);
	}
	return give(val, len, &v, sizeof(v));
}

int64_t sock_inq(const struct sock *sk)
{
	const struct tcp_sock *tp = container_of(sk, const struct tcp_sock, sk);

	if (sk->sk_state == TCP_LISTEN)
		return -EINVAL;
	if (sk->sk_state == TCP_SYN_SENT || sk->sk_state == TCP_SYN_RECV)
		return 0;
	return tp->rcv_nxt - tp->copied_seq - tp->fin_rcvd;
}

int64_t sock_outq(const struct sock *sk, bool not_sent)
{
	const struct tcp_sock *tp = container_of(sk, const struct tcp_sock, sk);

	if (sk->sk_state == TCP_LISTEN)
		return -EINVAL;
	if (sk->sk_state == TCP_SYN_SENT || sk->sk_state == TCP_SYN_RECV ||
	    sk->sk_state == TCP_CLOSE)
		return 0;
	return tp->write_seq - (not_sent ? tp->snd_nxt : tp->snd_una);
}
