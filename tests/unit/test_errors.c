/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include <errno.h>

#include <parklane/conn.h>

#include "poller/errors.h"

Test(errors, test_errors_every_documented_one_has_a_row)
{
	/* those that conn.h names */
	static const int documented[] = {
		EBADF,         ETIME,        ECONNRESET, EPIPE,        EHOSTUNREACH,
		ENETUNREACH,   EXDEV,        EINVAL,     EAFNOSUPPORT, EADDRINUSE,
		EADDRNOTAVAIL, EMFILE,       ENOBUFS,    ENODEV,       EACCES,
		ENFILE,        ECONNREFUSED, ETIMEDOUT,  ENOTCONN,     ENOPROTOOPT,
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
	cr_assert_str_eq(pl_strerror(-EXFULL), "unknown error");
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
