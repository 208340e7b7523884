/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads and writes of the conn API: the direction's lock (R52, R54) around the reset/try/wait
 * loop (R9, R10).
 */
#include <errno.h>
#include <limits.h>

#include <parklane/conn.h>

#include "poller/conn_int.h"
#include "poller/errors.h"
#include "poller/sched.h"

/* One try moves at most this much: Linux cuts there too, and it keeps ssize_t positive. */
#define CONN_TRY_MAX ((size_t)1 << 30)

#define CONN_RUN_MAX 64 /* as many as a turn runs goroutines */

/* conn_read_end - a try that brought neither bytes nor -EAGAIN: the same story on both
 * networks, and the same again at the next call. Linux reports a reset once, then 0. */
static COLD ssize_t conn_read_end(struct pl_conn *c, ssize_t n)
{
	if (c->rflags & CONN_F_EOF)
		return 0;
	if (c->kind & CONN_K_LISTENER)
		return -ENOTCONN;
	if (n == 0 && !conn_noted_reset(c)) {
		if (!(c->kind & CONN_K_LOOSE))
			c->rflags |= CONN_F_EOF;
		return 0;
	}
	if (n == 0)
		return -ECONNRESET;
	n = errtab_norm(ERRTAB_READ, (int)n);
	if (n == -ECONNRESET)
		c->rflags |= CONN_F_RESET;
	return n;
}

/* try_readv - without an op of its own buffer after buffer, as long as there is something. An error
 * behind bytes is for the next call. */
static NOINLINE ssize_t try_readv(struct pl_conn *c, const struct iovec *iov, int nr)
{
	ssize_t done = 0, n = 0;

	if (c->ops->readv)
		return c->ops->readv(c, iov, nr);
	for (int i = 0; i < nr; i++) {
		if (!iov[i].iov_len)
			continue;
		n = c->ops->read(c, iov[i].iov_base, min_t(size_t, iov[i].iov_len, CONN_TRY_MAX));
		if (n > 0)
			done += n;
		/* a try of a completion backend would wait */
		if (n < (ssize_t)iov[i].iov_len || c->ops->completion)
			break;
	}
	if (done && n == -ECONNRESET)
		c->rflags |= CONN_F_RESET;
	return done ? done : n;
}

/*
 * conn_read_locked - R9's loop. After a short read the stream was empty, so that without a
 * new edge since the next read parks at once, which saves the try that would say -EAGAIN;
 * no reset then, because that would forget the edge. A hang-up that came before the short
 * read will give no further edge: pd->hup forbids the short cut.
 */
static ALWAYS_INLINE ssize_t conn_read_locked(struct pl_conn *c, void *buf, size_t len,
					      const struct iovec *iov, int nr)
{
	ssize_t n;
	int err;

	if (unlikely(len == 0))
		return 0;
	if (len > CONN_TRY_MAX)
		len = CONN_TRY_MAX;
	if (likely(c->rflags & CONN_F_RD_DRAINED)) {
		c->rflags &= (uint8_t)~CONN_F_RD_DRAINED;
		err = netpoll_wait(c->pd, NETPOLL_READ);
	} else {
		err = netpoll_reset(c->pd, NETPOLL_READ);
	}
	while (likely(!err)) {
		n = iov ? try_readv(c, iov, nr) : c->ops->read(c, buf, len);
		if (likely(n > 0)) {
			if ((size_t)n < len && !READ_ONCE(c->pd->hup) && !(c->kind & CONN_K_LOOSE))
				c->rflags |= CONN_F_RD_DRAINED;
			ledger_count(conn_led(c), LEDGER_EV_BYTES_COPIED, (uint64_t)n);
			return n;
		}
		if (n != -EAGAIN)
			return conn_read_end(c, n);
		err = netpoll_wait(c->pd, NETPOLL_READ);
	}
	return err;
}

/* conn_begin - before the bytes: 0 and the direction's lock, or -errno. buf: where they are. */
static inline int conn_begin(struct pl_conn *c, enum fdm_dir dir, const void *buf, size_t len)
{
	if (unlikely(!c || (!buf && len) || len > SSIZE_MAX))
		return -EINVAL;
	if (unlikely(!conn_usable(c)))
		return -EXDEV;
	return likely(fd_mutex_lock(&c->fdmu, dir)) ? 0 : conn_refused();
}

/* conn_end - a g whose kernel fd is fed by another cpu may never have to wait: after so many calls
 * in which nobody parked it gives way, or all others of its lane would starve (R40). Stack conns
 * are fed by the turn. */
static inline void conn_end(struct pl_conn *c, enum fdm_dir dir)
{
	bool by_turn = c->pd->backend->local;
	struct lane *self = c->fdmu.local ? c->lane : NULL;
	uint64_t parks;

	if (unlikely(fd_mutex_unlock(&c->fdmu, dir)))
		conn_destroy(c);
	if (by_turn)
		return;
	if (!self)
		self = lane_self();
	parks = self->led.ev[LEDGER_EV_PARKS];
	if (parks != self->io_parks) {
		self->io_parks = parks;
		self->io_run = 0;
	} else if (unlikely(++self->io_run >= CONN_RUN_MAX)) {
		self->io_run = 0;
		sched_yield_();
	}
}

PL_API ssize_t pl_read(struct pl_conn *c, void *buf, size_t len)
{
	ssize_t n = conn_begin(c, FDM_READ, buf, len);

	if (unlikely(n))
		return n;
	n = conn_read_locked(c, buf, len, NULL, 0);
	conn_end(c, FDM_READ);
	return n;
}

/* iov_total - the sum, or SIZE_MAX if that is no sum that a call could return, or NULL one of the
 * buffers. */
static size_t iov_total(const struct iovec *iov, int nr)
{
	size_t sum = 0;

	if (nr < 0 || nr > IOV_MAX || (!iov && nr))
		return SIZE_MAX;
	for (int i = 0; i < nr; i++)
		if (__builtin_add_overflow(sum, iov[i].iov_len, &sum) ||
		    (!iov[i].iov_base && iov[i].iov_len))
			return SIZE_MAX;
	return sum;
}

PL_API ssize_t pl_readv(struct pl_conn *c, const struct iovec *iov, int nr)
{
	size_t len = iov_total(iov, nr);
	ssize_t n = conn_begin(c, FDM_READ, iov, len);

	if (n)
		return n;
	n = conn_read_locked(c, NULL, len, iov, nr);
	conn_end(c, FDM_READ);
	return n;
}

/* conn_write_error - a reset that a write meets at its first try came before the write, so
 * that it is -EPIPE; one that hits a parked write is -ECONNRESET. */
static COLD ssize_t conn_write_error(struct pl_conn *c, int err, bool waited)
{
	err = errtab_norm(ERRTAB_WRITE, err);
	if (err == -ECONNRESET) {
		conn_note_reset(c);
		if (!waited)
			err = -EPIPE;
	}
	return err;
}

/* What is left to write: buf of len, which is the first of iov's nr if there are several. */
struct conn_src {
	const char *buf;
	size_t len;
	const struct iovec *iov;
	int nr;
};

/* src_skip - n bytes are written, and buffers that are empty are none. */
static void src_skip(struct conn_src *s, size_t n)
{
	if (!s->buf && s->nr) {
		s->buf = s->iov->iov_base;
		s->len = s->iov->iov_len;
	}
	while (n >= s->len && s->nr > 1) {
		n -= s->len;
		s->iov++;
		s->nr--;
		s->buf = s->iov->iov_base;
		s->len = s->iov->iov_len;
	}
	s->buf += n;
	s->len -= n;
}

/* try_writev - as many buffers as fit here; *ret_want: their bytes. */
static NOINLINE ssize_t try_writev(struct pl_conn *c, const struct conn_src *s, size_t *ret_want)
{
	struct iovec iov[16];
	size_t want = 0;
	int n = 0;

	for (; n < s->nr && n < (int)ARRAY_SIZE(iov) && want < CONN_TRY_MAX; n++) {
		iov[n] = n ? s->iov[n] : (struct iovec){(void *)s->buf, s->len};
		iov[n].iov_len = min_t(size_t, iov[n].iov_len, CONN_TRY_MAX - want);
		want += iov[n].iov_len;
	}
	*ret_want = want;
	return c->ops->writev(c, iov, n);
}

static ALWAYS_INLINE ssize_t try_write(struct pl_conn *c, const struct conn_src *s,
				       size_t *ret_want)
{
	if (unlikely(s->nr > 1 && c->ops->writev))
		return try_writev(c, s, ret_want);
	*ret_want = min_t(size_t, s->len, CONN_TRY_MAX);
	return c->ops->write(c, s->buf, *ret_want);
}

static ssize_t conn_write_locked(struct pl_conn *c, struct conn_src *src, size_t len)
{
	bool waited = c->ops->completion;
	size_t done = 0, want;
	ssize_t n;
	int err;

	if (unlikely(c->kind & CONN_K_LISTENER))
		return -ENOTCONN;
	err = netpoll_reset(c->pd, NETPOLL_WRITE);
	while (likely(!err) && done < len) {
		n = try_write(c, src, &want);
		if (likely(n > 0)) {
			done += (size_t)n;
			src_skip(src, (size_t)n);
			if (likely((size_t)n == want))
				continue;
		} else if (n != -EAGAIN) {
			err = (int)conn_write_error(c, (int)n, waited);
			break;
		}
		/* short or nothing: the queue is full, and an edge will tell of room */
		err = netpoll_wait(c->pd, NETPOLL_WRITE);
		waited = true;
	}
	if (unlikely(!done))
		return err;
	ledger_count(conn_led(c), LEDGER_EV_BYTES_COPIED, done);
	return (ssize_t)done;
}

PL_API ssize_t pl_write(struct pl_conn *c, const void *buf, size_t len)
{
	struct conn_src src = {.buf = buf, .len = len};
	ssize_t n = conn_begin(c, FDM_WRITE, buf, len);

	if (unlikely(n))
		return n;
	n = conn_write_locked(c, &src, len);
	conn_end(c, FDM_WRITE);
	return n;
}

PL_API ssize_t pl_writev(struct pl_conn *c, const struct iovec *iov, int nr)
{
	size_t len = iov_total(iov, nr);
	struct conn_src src = {.iov = iov, .nr = nr};
	ssize_t n = conn_begin(c, FDM_WRITE, iov, len);

	if (n)
		return n;
	src_skip(&src, 0);
	n = conn_write_locked(c, &src, len);
	conn_end(c, FDM_WRITE);
	return n;
}

/* conn_raw - R55. */
static ssize_t conn_raw(struct pl_conn *c, enum fdm_dir dir, ssize_t (*fn)(int fd, void *arg),
			void *arg)
{
	unsigned mode = dir == FDM_READ ? NETPOLL_READ : NETPOLL_WRITE;
	ssize_t n;
	int err;

	if (!c || !fn)
		return -EINVAL;
	if (!c->ops->shared)
		return fd_mutex_closed(&c->fdmu) ? -EBADF : -EOPNOTSUPP;
	n = conn_begin(c, dir, NULL, 0);
	if (n)
		return n;
	/* fn may leave bytes behind: the next read must try */
	if (dir == FDM_READ)
		c->rflags &= (uint8_t)~CONN_F_RD_DRAINED;
	err = netpoll_reset(c->pd, mode);
	while (!err) {
		n = fn(c->fd, arg);
		if (n != -EAGAIN)
			break;
		err = netpoll_wait(c->pd, mode);
	}
	conn_end(c, dir);
	return err ? err : n;
}

PL_API ssize_t pl_raw_read(struct pl_conn *c, ssize_t (*fn)(int fd, void *arg), void *arg)
{
	return conn_raw(c, FDM_READ, fn, arg);
}

PL_API ssize_t pl_raw_write(struct pl_conn *c, ssize_t (*fn)(int fd, void *arg), void *arg)
{
	return conn_raw(c, FDM_WRITE, fn, arg);
}
