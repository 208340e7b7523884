/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <parklane/conn.h>

#include "poller/errors.h"

Test(errors, test_errors_every_documented_one_has_a_row)
{
	/* those that conn.h names */
	static const int documented[] = {
		EBADF,    ETIME,       ECONNRESET,   EPIPE,      EHOSTUNREACH,  ENETUNREACH,
		EXDEV,    EINVAL,      EAFNOSUPPORT, EADDRINUSE, EADDRNOTAVAIL, EMFILE,
		ENOBUFS,  ENODEV,      EACCES,       ENFILE,     ECONNREFUSED,  ETIMEDOUT,
		ENOTCONN, ENOPROTOOPT, ENOENT,       ENOTTY,     ENOTSOCK,      EPERM,
	};

	for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++) {
		const struct errtab_entry *e = errtab_find(-documented[i]);

		cr_assert_not_null(e, "%d", documented[i]);
		cr_assert_eq(e->err, documented[i]);
		cr_assert_eq(e, errtab_find(documented[i]));
		cr_assert_str_eq(pl_strerror(-documented[i]), e->text);
	}
	cr_assert_null(errtab_find(-EXFULL));
	cr_assert_str_eq(pl_strerror(0), "success");
}

Test(errors, test_errors_text_of_what_no_call_is_documented_with)
{
	cr_assert_str_eq(pl_strerror(-EXFULL), strerrordesc_np(EXFULL));
	cr_assert_str_eq(pl_strerror(EXFULL), strerrordesc_np(EXFULL));
	/* pl_ctx_cancel() takes any value as its cause */
	cr_assert_not_null(strstr(pl_strerror(424242), "cause"));
	cr_assert_not_null(strstr(pl_strerror(-424242), "cause"));
	cr_assert_not_null(strstr(pl_strerror(INT_MAX), "cause"));
	cr_assert_not_null(strstr(pl_strerror(INT_MIN), "cause"));
}

/* What the headers say of a call's -errno, in a word that its text must have. */
Test(errors, test_errors_one_text_holds_for_each_call_that_has_it)
{
	static const struct {
		const char *call;
		int err;
		const char *word;
	} says[] = {
		{"pl_mutex_try_lock", EBUSY, "lock"},
		{"pl_run", EBUSY, "runs lanes"},
		{"pl_chan_try_send", EAGAIN, "wait"},
		{"pl_select", EAGAIN, "wait"},
		{"pl_blocking", EAGAIN, "thread"},
		{"pl_resolve", EAGAIN, "resolver"},
		{"pl_key_make", EAGAIN, "key"},
		{"pl_accept of no listener", EINVAL, "cannot do that"},
		{"pl_go_on", EINVAL, "range"},
		{"pl_close of NULL", EINVAL, "NULL"},
		{"pl_read", EBADF, "closed"},
		{"pl_chan_close", EBADF, "twice"},
		{"pl_adopt", EBADF, "descriptor"},
		{"pl_resolve", EIO, "resolver"},
		{"pl_read", EIO, "descriptor"},
		{"pl_go", ENOMEM, "stacks"},
		{"pl_chan_make", ENOMEM, "memory"},
		{"pl_resolve", ENOENT, "no such host"},
		{"pl_setsockopt", ENOENT, "congestion control"},
		{"pl_resolve", EAFNOSUPPORT, "IPv6"},
		{"pl_dial", EAFNOSUPPORT, "IPv4 only"},
		{"pl_adopt", ENOSPC, "watched"},
		{"pl_dump_goroutines", ENOSPC, "space"},
		{"pl_adopt", EPERM, "pl_blocking"},
		{"pl_adopt on io_uring", EOPNOTSUPP, "lane"},
		{"pl_conn_fd", EOPNOTSUPP, "connection"},
		{"pl_read", EXDEV, "another lane"},
		{"pl_mutex_lock", EXDEV, "no goroutine"},
		{"pl_chan_send", EPIPE, "closed channel"},
		{"pl_write", EPIPE, "reset"},
	};

	for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++)
		cr_assert_not_null(strstr(pl_strerror(-says[i].err), says[i].word), "%s: %s",
				   says[i].call, pl_strerror(-says[i].err));
}

Test(errors, test_errors_R12_deadline_is_not_the_timeout_of_tcp)
{
	cr_assert_neq(errtab_find(ETIME), errtab_find(ETIMEDOUT));
	for (int op = ERRTAB_LISTEN; op <= ERRTAB_OTHER; op++) {
		cr_assert_eq(errtab_norm((enum errtab_op)op, -ETIME), -ETIME);
		cr_assert_eq(errtab_norm((enum errtab_op)op, -EBADF), -EBADF);
	}
}

Test(errors, test_errors_norm_levels_the_kernels_own)
{
	cr_assert_eq(errtab_norm(ERRTAB_ACCEPT, -EPROTO), -ECONNABORTED);
	cr_assert_eq(errtab_norm(ERRTAB_ACCEPT, -EHOSTUNREACH), -ECONNABORTED);
	cr_assert_eq(errtab_norm(ERRTAB_ACCEPT, -EMFILE), -EMFILE);
	cr_assert_eq(errtab_norm(ERRTAB_DIAL, -EHOSTUNREACH), -EHOSTUNREACH);
	cr_assert_eq(errtab_norm(ERRTAB_DIAL, -EAGAIN), -EADDRNOTAVAIL);
	cr_assert_eq(errtab_norm(ERRTAB_READ, -EPIPE), -ECONNRESET);
	cr_assert_eq(errtab_norm(ERRTAB_WRITE, -EPIPE), -EPIPE);
	cr_assert_eq(errtab_norm(ERRTAB_LISTEN, -ENOMEM), -ENOBUFS);
}
