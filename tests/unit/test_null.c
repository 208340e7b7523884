/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NULL where a call needs a pointer (go.h): -EINVAL, and a fatal line that names the call where
 * nothing is returned; puts and frees of NULL do nothing. tests/checks/headers.py wants each public
 * call that takes a pointer to be here.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <parklane/parklane.h>

#include "stack/base/bug.h"

#define IS(got, want)                                                                              \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		cr_expect_eq(got_, want_, "%s: %lld, not %lld", #got, got_, want_);                \
	} while (0)
#define REFUSED(call) IS(call, -EINVAL)

/* ---- what returns something ---- */

static void nothing(void *arg)
{
	(void)arg;
}

static ssize_t raw_nothing(int fd, void *arg)
{
	(void)fd;
	(void)arg;
	return 0;
}

static void null_conn(void)
{
	char buf[4] = {0};
	struct iovec iov = {buf, sizeof(buf)};
	uint32_t len = sizeof(buf);
	struct pl_conn *c;
	struct pl_addr a;

	REFUSED(pl_accept(NULL, &c));
	REFUSED(pl_read(NULL, buf, 4));
	REFUSED(pl_write(NULL, buf, 4));
	REFUSED(pl_readv(NULL, &iov, 1));
	REFUSED(pl_writev(NULL, &iov, 1));
	REFUSED(pl_raw_read(NULL, raw_nothing, NULL));
	REFUSED(pl_raw_write(NULL, raw_nothing, NULL));
	REFUSED(pl_shutdown(NULL, 2));
	REFUSED(pl_conn_fd(NULL));
	REFUSED(pl_close(NULL));
	REFUSED(pl_set_deadline(NULL, 1));
	REFUSED(pl_set_read_deadline(NULL, 1));
	REFUSED(pl_set_write_deadline(NULL, 1));
	REFUSED(pl_set_nodelay(NULL, 1));
	REFUSED(pl_setsockopt(NULL, SOL_SOCKET, SO_KEEPALIVE, buf, len));
	REFUSED(pl_getsockopt(NULL, SOL_SOCKET, SO_KEEPALIVE, buf, &len));
	REFUSED(pl_inq(NULL));
	REFUSED(pl_outq(NULL));
	REFUSED(pl_local_addr(NULL, &a));
	REFUSED(pl_peer_addr(NULL, &a));
}

static void null_beside_conn(struct pl_conn *c)
{
	struct iovec iov = {NULL, 4};
	struct iovec none = {NULL, 0};
	uint32_t len = sizeof(int);
	int val;

	REFUSED(pl_accept(c, NULL));
	REFUSED(pl_read(c, NULL, 1));
	REFUSED(pl_write(c, NULL, 1));
	IS(pl_read(c, NULL, 0), 0);
	IS(pl_write(c, NULL, 0), 0);
	REFUSED(pl_readv(c, NULL, 1));
	REFUSED(pl_writev(c, NULL, 1));
	REFUSED(pl_readv(c, &iov, 1));
	REFUSED(pl_writev(c, &iov, 1));
	IS(pl_readv(c, NULL, 0), 0);
	IS(pl_writev(c, NULL, 0), 0);
	IS(pl_writev(c, &none, 1), 0);
	REFUSED(pl_raw_read(c, NULL, NULL));
	REFUSED(pl_raw_write(c, NULL, NULL));
	REFUSED(pl_setsockopt(c, SOL_SOCKET, SO_KEEPALIVE, NULL, len));
	REFUSED(pl_getsockopt(c, SOL_SOCKET, SO_KEEPALIVE, NULL, &len));
	REFUSED(pl_getsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &val, NULL));
	REFUSED(pl_local_addr(c, NULL));
	REFUSED(pl_peer_addr(c, NULL));
	IS(pl_close(c), 0);
}

static void null_addr(void)
{
	struct pl_addr a = {.family = PL_AF_INET, .port = 7};
	struct pl_conn *c;
	char buf[22] = "x";

	REFUSED(pl_addr_parse(NULL, &a));
	REFUSED(pl_addr_parse("1.2.3.4:7", NULL));
	cr_expect_null(pl_addr_format(&a, NULL, sizeof(buf)));
	cr_expect_str_eq(pl_addr_format(&a, buf, 0), "x");
	cr_expect_str_eq(pl_addr_format(NULL, buf, sizeof(buf)), "?");
	REFUSED(pl_listen(PL_NET_KERNEL, NULL, 0, &c));
	REFUSED(pl_listen(PL_NET_KERNEL, &a, 0, NULL));
	REFUSED(pl_listen_control(PL_NET_KERNEL, NULL, 0, NULL, NULL, &c));
	REFUSED(pl_listen_control(PL_NET_KERNEL, &a, 0, NULL, NULL, NULL));
	REFUSED(pl_dial(PL_NET_KERNEL, NULL, 0, &c));
	REFUSED(pl_dial(PL_NET_KERNEL, &a, 0, NULL));
	REFUSED(pl_dial_control(PL_NET_KERNEL, NULL, 0, NULL, NULL, &c));
	REFUSED(pl_dial_control(PL_NET_KERNEL, &a, 0, NULL, NULL, NULL));
	REFUSED(pl_adopt(0, PL_ADOPT_KEEP, NULL));
	REFUSED(pl_resolve(NULL, 7, &a, 1));
	REFUSED(pl_resolve("1.2.3.4", 7, NULL, 1));
}

static void null_go(void)
{
	unsigned key;

	REFUSED(pl_go_named(NULL, NULL, "test"));
	REFUSED(pl_go_movable_named(NULL, NULL, "test"));
	REFUSED(pl_go_on_named(0, NULL, NULL, "test"));
	REFUSED(pl_go_ctx_named(NULL, NULL, NULL, "test"));
	IS(pl_go_named(nothing, NULL, NULL), 0);
	IS(pl_go_movable_named(nothing, NULL, NULL), 0);
	IS(pl_go_on_named(0, nothing, NULL, NULL), 0);
	IS(pl_go_ctx_named(NULL, nothing, NULL, NULL), 0);
	REFUSED(pl_blocking(NULL, NULL));
	REFUSED(pl_blocking_drop(NULL, NULL, nothing));
	REFUSED(pl_blocking_drop(nothing, NULL, NULL));
	REFUSED(pl_key_make(NULL, NULL));
	IS(pl_key_make(NULL, &key), 0);
	IS(pl_local_set(key, NULL), 0);
}

static void null_ctx(void)
{
	struct pl_ctx *ctx;

	REFUSED(pl_ctx_with_cancel(NULL, NULL));
	REFUSED(pl_ctx_with_deadline(NULL, 0, NULL));
	cr_expect_null(pl_ctx_hold(NULL));
	pl_ctx_put(NULL);
	pl_ctx_cancel(NULL, 0);
	IS(pl_ctx_err(NULL), 0);
	IS(pl_ctx_cause(NULL), 0);
	IS(pl_ctx_deadline(NULL), 0);
	cr_expect_null(pl_ctx_enter(NULL));
	pl_ctx_leave(NULL);
	IS(pl_ctx_with_cancel(NULL, &ctx), 0);
	REFUSED(pl_go_ctx_named(ctx, NULL, NULL, "test"));
	pl_ctx_put(ctx);
}

static void null_chan(unsigned flags)
{
	struct pl_select_case k = {.op = PL_SELECT_SEND};
	struct pl_chan *c, *signal;
	int v = 1;

	REFUSED(pl_chan_make(sizeof(int), 1, flags, NULL));
	cr_assert_eq(pl_chan_make(sizeof(int), 1, flags, &c), 0);
	cr_assert_eq(pl_chan_make(0, 1, flags, &signal), 0);
	REFUSED(pl_chan_send(c, NULL));
	REFUSED(pl_chan_try_send(c, NULL));
	k.chan = c;
	REFUSED(pl_select(&k, 1, true));
	REFUSED(pl_select(NULL, 1, true));
	IS(pl_select(NULL, 0, true), -EAGAIN);
	k.chan = NULL;
	IS(pl_select(&k, 1, true), -EAGAIN);
	IS(pl_chan_send(signal, NULL), 0);
	IS(pl_chan_recv(signal, NULL), 1);
	IS(pl_chan_send(c, &v), 0);
	IS(pl_chan_recv(c, NULL), 1);
	IS(pl_chan_try_send(NULL, &v), -EAGAIN);
	IS(pl_chan_try_recv(NULL, &v), -EAGAIN);
	IS(pl_chan_len(NULL), 0);
	IS(pl_chan_cap(NULL), 0);
	REFUSED(pl_chan_close(NULL));
	cr_expect_null(pl_chan_hold(NULL));
	pl_chan_put(NULL);
	pl_chan_put(signal);
	pl_chan_put(c);
}

static void null_ticker(void)
{
	REFUSED(pl_ticker_make(1, 1, NULL));
	cr_expect_null(pl_ticker_chan(NULL));
	REFUSED(pl_ticker_reset(NULL, 1, 1));
	REFUSED(pl_ticker_stop(NULL));
	IS(pl_ticker_free(NULL), 0);
}

static void null_sync(void)
{
	struct pl_mutex m = {0};
	struct pl_cond cond = {0};
	struct pl_once once = {0};

	REFUSED(pl_mutex_lock(NULL));
	REFUSED(pl_mutex_try_lock(NULL));
	REFUSED(pl_rwmutex_lock(NULL));
	REFUSED(pl_rwmutex_rlock(NULL));
	REFUSED(pl_cond_wait(NULL, &m));
	REFUSED(pl_cond_wait(&cond, NULL));
	REFUSED(pl_wait_group_add(NULL, 1));
	REFUSED(pl_wait_group_done(NULL));
	REFUSED(pl_wait_group_wait(NULL));
	REFUSED(pl_once_do(NULL, nothing, NULL));
	REFUSED(pl_once_do(&once, NULL, NULL));
	IS(pl_once_do(&once, nothing, NULL), 0);
}

static void in_goroutine(void *arg)
{
	struct pl_conn *c = NULL;
	int fd[2];

	*(bool *)arg = true;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	IS(pl_adopt(fd[0], 0, &c), 0);
	null_conn();
	null_beside_conn(c);
	null_addr();
	null_go();
	null_ctx();
	null_chan(0);
	null_chan(PL_CHAN_SHARED);
	null_ticker();
	null_sync();
	close(fd[1]);
}

Test(null, test_null_where_a_pointer_is_needed_says_einval, .timeout = 20)
{
	struct pl_options opt = {.lanes = 1};
	bool ran = false;

	cr_expect_eq(pl_run(&opt, in_goroutine, &ran), 0, "%s", pl_last_error());
	cr_expect(ran);
}

Test(null, test_null_outside_of_a_goroutine_says_einval_too, .timeout = 20)
{
	null_conn();
	null_addr();
	null_ticker();
	null_sync();
	REFUSED(pl_go(NULL, NULL));
	REFUSED(pl_blocking(NULL, NULL));
}

Test(null, test_null_of_pl_run_and_its_options_is_told, .timeout = 20)
{
	struct pl_options opt = {0};
	char *argv[] = {(char *)"test", NULL};

	REFUSED(pl_run(NULL, nothing, NULL));
	cr_expect(strstr(pl_last_error(), "opt is NULL"), "%s", pl_last_error());
	REFUSED(pl_run_named(&opt, NULL, NULL, "test"));
	cr_expect(strstr(pl_last_error(), "main_fn is NULL"), "%s", pl_last_error());
	REFUSED(pl_options_argv(NULL, 1, argv));
	cr_expect(strstr(pl_last_error(), "opt is NULL"), "%s", pl_last_error());
	REFUSED(pl_options_argv(&opt, 1, NULL));
	cr_expect(strstr(pl_last_error(), "argv is NULL"), "%s", pl_last_error());
	REFUSED(pl_options_main(NULL, 1, argv));
	REFUSED(pl_options_main(&opt, 1, NULL));
}

/* ---- what returns nothing ---- */

static const char *fatal_call;

/* The last words, in place of bug_fatal()'s trap. */
static void last_words(const char *msg)
{
	_exit(strstr(msg, fatal_call) && strstr(msg, "NULL") ? 0 : 1);
}

static void unlock(void)
{
	pl_mutex_unlock(NULL);
}

static void runlock(void)
{
	pl_rwmutex_runlock(NULL);
}

static void wunlock(void)
{
	pl_rwmutex_unlock(NULL);
}

static void signal_one(void)
{
	pl_cond_signal(NULL);
}

static void signal_all(void)
{
	pl_cond_broadcast(NULL);
}

static void help(void)
{
	pl_options_help(NULL);
}

Test(null, test_null_in_a_call_that_returns_nothing_is_fatal_and_named, .timeout = 20)
{
	static const struct {
		const char *call;
		void (*fn)(void);
	} all[] = {
		{"pl_mutex_unlock:", unlock},       {"pl_rwmutex_runlock:", runlock},
		{"pl_rwmutex_unlock:", wunlock},    {"pl_cond_signal:", signal_one},
		{"pl_cond_broadcast:", signal_all}, {"pl_options_help:", help},
	};
	int status;
	pid_t pid;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		pid = fork();
		cr_assert_geq(pid, 0);
		if (pid == 0) {
			fatal_call = all[i].call;
			bug_set_handler(last_words);
			all[i].fn();
			_exit(2);
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status 0x%x",
			  all[i].call, (unsigned)status);
	}
}

/* The same line must come out where no lane has been made yet. */
Test(null, test_null_before_the_first_lane_has_last_words, .timeout = 20)
{
	char line[256] = "";
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(pipe(fd), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)dup2(fd[1], STDERR_FILENO);
		pl_mutex_unlock(NULL);
		_exit(2);
	}
	close(fd[1]);
	n = read(fd[0], line, sizeof(line) - 1);
	cr_expect_gt(n, 0);
	cr_expect(strstr(line, "pl_mutex_unlock: the mutex is NULL"), "'%s'", line);
	close(fd[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFSIGNALED(status));
}
