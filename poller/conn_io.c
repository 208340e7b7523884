/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads and writes of the conn API: the direction's lock (R52, R54) around the reset/try/wait
 * loop (R9, R10).
 */
#include <errno.h>

#include <parklane/conn.h>

#include "poller/conn_int.h"
#include "poller/errors.h"

/* One try moves at most this much: Linux cuts there too, and it keeps ssize_t positive. */
#define CONN_TRY_MAX ((size_t)1 << 30)

/* conn_read_end - a try that brought neither bytes nor -EAGAIN: the same story on both
 * networks, and the same again at the next call. Linux reports a reset once, then 0. */
static COLD ssize_t conn_read_end(struct pl_conn *c, ssize_t n)
{
	if (c->rflags & CONN_F_EOF)
		return 0;
	if (n == 0 && !conn_noted_reset(c)) {
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

/*
 * conn_read_locked - R9's loop. After a short read the stream was empty, so that without a
 * new edge since the next read parks at once, which saves the try that would say -EAGAIN;
 * no reset then, because that would forget the edge. A hang-up that came before the short
 * read will give no further edge: pd->hup forbids the short cut.
 */
static ssize_t conn_read_locked(struct pl_conn *c, void *buf, size_t len)
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
		n = c->ops->read(c, buf, len);
		if (likely(n > 0)) {
			if ((size_t)n < len && !READ_ONCE(c->pd->hup))
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

PL_API ssize_t pl_read(struct pl_conn *c, void *buf, size_t len)
{
	ssize_t n;

	if (unlikely(!conn_usable(c)))
		return -EXDEV;
	if (unlikely(!fd_mutex_lock(&c->fdmu, FDM_READ)))
		return conn_refused();
	n = conn_read_locked(c, buf, len);
	if (unlikely(fd_mutex_unlock(&c->fdmu, FDM_READ)))
		conn_destroy(c);
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

static ssize_t conn_write_locked(struct pl_conn *c, const char *buf, size_t len)
{
	size_t done = 0, want;
	bool waited = c->ops->completion;
	ssize_t n;
	int err;

	if (unlikely(c->kind & CONN_K_LISTENER))
		return -ENOTCONN;
	err = netpoll_reset(c->pd, NETPOLL_WRITE);
	while (likely(!err) && done < len) {
		want = min_t(size_t, len - done, CONN_TRY_MAX);
		n = c->ops->write(c, buf + done, want);
		if (likely(n == (ssize_t)want)) {
			done += want;
			continue;
		}
		if (n > 0) {
			done += (size_t)n;
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
	ssize_t n;

	if (unlikely(!conn_usable(c)))
		return -EXDEV;
	if (unlikely(!fd_mutex_lock(&c->fdmu, FDM_WRITE)))
		return conn_refused();
	n = conn_write_locked(c, buf, len);
	if (unlikely(fd_mutex_unlock(&c->fdmu, FDM_WRITE)))
		conn_destroy(c);
	return n;
}
