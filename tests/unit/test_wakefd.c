/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wake-up fd: how often it is written, and that a break in the midst of a drain is not the
 * last. read and write are our own here, so that the test sees each, and comes in between.
 */
#include <criterion/criterion.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "poller/wakefd.h"

static struct wakefd w;
static unsigned nr_writes;
static bool break_in_read;

ssize_t write(int fd, const void *buf, size_t n)
{
	nr_writes += fd == w.fd;
	return syscall(SYS_write, fd, buf, n);
}

ssize_t read(int fd, void *buf, size_t n)
{
	if (fd == w.fd && break_in_read)
		wakefd_brk(&w);
	return syscall(SYS_read, fd, buf, n);
}

static bool readable(void)
{
	struct pollfd p = {.fd = w.fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void setup(void)
{
	cr_assert_eq(wakefd_init(&w, EFD_NONBLOCK), 0);
	nr_writes = 0;
}

static void teardown(void)
{
	wakefd_fini(&w);
	w.fd = -1;
}

Test(wakefd, test_wakefd_R35_many_breaks_are_one_write, .init = setup, .fini = teardown)
{
	for (unsigned round = 1; round <= 3; round++) {
		for (unsigned i = 0; i < 5; i++)
			wakefd_brk(&w);
		cr_assert_eq(nr_writes, round);
		cr_assert(readable());
		wakefd_drain(&w);
		cr_assert_not(readable());
	}
}

/* Were the word reset before the read, this break would write, its write be read away, and the word
 * say for ever that the fd is written. */
Test(wakefd, test_wakefd_R36_break_amid_a_drain_leaves_the_next_one_able_to_wake, .init = setup,
     .fini = teardown)
{
	wakefd_brk(&w);
	break_in_read = true;
	wakefd_drain(&w);
	break_in_read = false;
	wakefd_brk(&w);
	cr_assert(readable());
}
