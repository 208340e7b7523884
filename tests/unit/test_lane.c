/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lane: its configuration, the order of a turn's steps, idling, stop and break, what it
 * does to its thread, and its clock.
 */
#include "poller_env.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "poller/ledger.h"
#include "poller/parklane/go.h"

static void lane_defaults(struct lane_config *cfg)
{
	lane_config_init(cfg);
	cfg->max_g = 256;
}

static int create_with(void (*change)(struct lane_config *cfg))
{
	struct lane_config cfg;
	struct lane *l = NULL;
	int err;

	lane_defaults(&cfg);
	change(&cfg);
	err = lane_create(&cfg, &l);
	cr_assert((err == 0) == (l != NULL));
	lane_destroy(l);
	return err;
}

static void cpu_99999(struct lane_config *cfg)
{
	cfg->cpu = 99999;
}

static void no_gs(struct lane_config *cfg)
{
	cfg->max_g = 0;
}

static void tiny_stack(struct lane_config *cfg)
{
	cfg->stack_size = 4096;
}

static void virt_without_clock(struct lane_config *cfg)
{
	cfg->virt = true;
}

static void nap_zero(struct lane_config *cfg)
{
	cfg->nap_ns = 0;
}

static void nothing_special(struct lane_config *cfg)
{
	(void)cfg;
}

Test(lane, test_lane_create_refuses_bad_config)
{
	cr_assert_eq(create_with(cpu_99999), -EINVAL);
	cr_assert_eq(create_with(no_gs), -EINVAL);
	cr_assert_eq(create_with(tiny_stack), -EINVAL);
	cr_assert_eq(create_with(virt_without_clock), -EINVAL);
	cr_assert_eq(create_with(nap_zero), -EINVAL);
	cr_assert_eq(create_with(nothing_special), 0);
}

/* ---- a turn's steps ---- */

static char steps[64];
static unsigned nr_steps;

static void step(char c)
{
	if (nr_steps < sizeof(steps) - 1)
		steps[nr_steps++] = c;
	steps[nr_steps] = '\0';
}

static int log_poll(struct netpoll_backend *nb, int64_t delay_ns)
{
	(void)nb;
	cr_assert_eq(delay_ns, 0, "a device is never waited for in poll()");
	step('p');
	return 0;
}

static unsigned log_timers(struct netpoll_backend *nb, uint64_t now)
{
	cr_assert_eq(now, lane_now(nb->lane));
	step('t');
	return 0;
}

static unsigned log_output(struct netpoll_backend *nb, uint64_t now)
{
	cr_assert_eq(now, lane_now(nb->lane));
	step('o');
	return 0;
}

static uint64_t next_event;

static uint64_t log_next(struct netpoll_backend *nb)
{
	(void)nb;
	return next_event;
}

static int device_fd = -EOPNOTSUPP;

static int log_sleep_fd(struct netpoll_backend *nb)
{
	(void)nb;
	return device_fd;
}

static const struct netpoll_ops log_ops = {
	.name = "log",
	.poll = log_poll,
	.timers = log_timers,
	.output = log_output,
	.next_timer = log_next,
	.sleep_fd = log_sleep_fd,
};

static void log_env(struct env *e)
{
	struct lane_config cfg;

	*e = (struct env){.now = 1000};
	lane_defaults(&cfg);
	cfg.virt = true;
	cfg.clock = env_clock;
	cfg.clock_ctx = e;
	cr_assert_eq(lane_create(&cfg, &e->lane), 0);
	e->fake = (struct netpoll_backend){.ops = &log_ops, .lane = e->lane, .local = true};
	cr_assert_eq(lane_add_backend(e->lane, &e->fake), 0);
}

static void step_arg(void *arg)
{
	step(*(char *)arg);
}

Test(lane, test_lane_turn_polls_then_timers_then_gs_then_output)
{
	struct env e;

	log_env(&e);
	env_go(&e, step_arg, "a");
	env_go(&e, step_arg, "b");
	env_turns(&e, 2);
	cr_assert_str_eq(steps, "ptabopto");
	env_fini(&e);
}

static void advances(void *arg)
{
	struct env *e = arg;

	e->now += 500;
	cr_assert_eq(pl_now(), e->now - 500, "as of this turn");
}

Test(lane, test_lane_output_sees_the_time_after_the_gs)
{
	struct env e;

	log_env(&e);
	env_go(&e, advances, &e);
	env_turns(&e, 1);
	cr_assert_eq(lane_now(e.lane), 1500);
	env_fini(&e);
}

static void sleeps_long(void *arg)
{
	(void)arg;
	pl_sleep(5000);
}

Test(lane, test_lane_virtual_idle_tells_the_earliest_of_all_timers)
{
	struct env e;
	int64_t timeout;

	log_env(&e);
	next_event = 0;
	cr_assert_eq(lane_prepare_sleep(e.lane, &timeout), 0);
	cr_assert_eq(timeout, -1);
	env_go(&e, sleeps_long, NULL);
	cr_assert_eq(lane_prepare_sleep(e.lane, &timeout), -EAGAIN, "a g can run");
	env_turns(&e, 1);
	cr_assert_eq(lane_prepare_sleep(e.lane, &timeout), 0);
	cr_assert_eq(timeout, 5000);
	next_event = 1700;
	cr_assert_eq(lane_prepare_sleep(e.lane, &timeout), 0);
	cr_assert_eq(timeout, 700);
	next_event = 10;
	cr_assert_eq(lane_prepare_sleep(e.lane, &timeout), 0);
	cr_assert_eq(timeout, 0);
	cr_assert_lt(lane_fd(e.lane), 0);
	env_fini(&e);
}

static void parks_for_ever(void *arg)
{
	(void)arg;
	sched_park(NULL, NULL, WAIT_SEMA);
	cr_assert(false, "nobody wakes it");
}

Test(lane, test_lane_destroy_drops_parked_gs)
{
	struct env e;

	log_env(&e);
	for (int i = 0; i < 20; i++) {
		env_go(&e, parks_for_ever, NULL);
		env_go(&e, sleeps_long, NULL);
	}
	env_turns(&e, 1);
	cr_assert_eq(lane_nr_g(e.lane), 40);
	env_fini(&e);
}

/* ---- real lanes ---- */

static struct lane *real;

static void real_lane(enum lane_idle idle, enum ledger_mode led, int cpu)
{
	struct lane_config cfg;

	lane_defaults(&cfg);
	cfg.idle = idle;
	cfg.ledger = led;
	cfg.cpu = cpu;
	cr_assert_eq(lane_create(&cfg, &real), 0);
}

static void returns(void *arg)
{
	(*(int *)arg)++;
}

Test(lane, test_lane_run_ends_when_no_goroutine_is_left)
{
	int n = 0;

	real_lane(LANE_IDLE_AUTO, LEDGER_SAMPLED, -1);
	cr_assert_eq(lane_run(real), 0);
	cr_assert_eq(lane_go(real, returns, &n, "returns"), 0);
	cr_assert_eq(lane_go(real, returns, &n, "returns"), 0);
	cr_assert_eq(lane_run(real), 0);
	cr_assert_eq(n, 2);
	lane_destroy(real);
}

static void *stops_soon(void *arg)
{
	usleep(5000);
	lane_stop(arg);
	return NULL;
}

/* A lane without a device sleeps whatever --idle says; another thread's stop wakes it. */
static void stop_while_asleep(enum lane_idle idle)
{
	pthread_t t;

	real_lane(idle, LEDGER_SAMPLED, -1);
	cr_assert_eq(lane_go(real, parks_for_ever, NULL, "parks"), 0);
	cr_assert_eq(pthread_create(&t, NULL, stops_soon, real), 0);
	cr_assert_eq(lane_run(real), 0);
	pthread_join(t, NULL);
	cr_assert_leq(real->led.ev[LEDGER_EV_TURNS], 8, "it did not spin");
	cr_assert_geq(real->led.ev[LEDGER_EV_SLEEPS], 1);
	lane_destroy(real);
}

Test(lane, test_lane_stop_wakes_a_sleeping_lane)
{
	stop_while_asleep(LANE_IDLE_AUTO);
}

Test(lane, test_lane_without_a_device_never_spins)
{
	stop_while_asleep(LANE_IDLE_SPIN);
}

static void stops_itself(void *arg)
{
	(void)arg;
	pl_lane_stop();
	for (;;)
		pl_yield();
}

Test(lane, test_lane_stop_from_a_goroutine_ends_after_this_turn)
{
	real_lane(LANE_IDLE_AUTO, LEDGER_SAMPLED, -1);
	cr_assert_eq(lane_go(real, stops_itself, NULL, "stops"), 0);
	cr_assert_eq(lane_run(real), 0);
	cr_assert_eq(real->led.ev[LEDGER_EV_TURNS], 1);
	cr_assert(lane_stopping(real));
	lane_destroy(real);
}

static void with_device(struct netpoll_backend *nb, int fd)
{
	device_fd = fd;
	next_event = 0;
	*nb = (struct netpoll_backend){.ops = &log_ops, .lane = real, .local = true};
	cr_assert_eq(lane_add_backend(real, nb), 0);
}

Test(lane, test_lane_prepare_sleep_with_a_device_that_must_be_polled_is_eopnotsupp)
{
	struct netpoll_backend nb;
	int64_t timeout;

	real_lane(LANE_IDLE_SPIN, LEDGER_SAMPLED, -1);
	with_device(&nb, -EOPNOTSUPP);
	cr_assert_eq(lane_prepare_sleep(real, &timeout), -EOPNOTSUPP);
	lane_destroy(real);
}

Test(lane, test_lane_fd_tells_of_the_device_and_of_a_break)
{
	struct netpoll_backend nb;
	struct pollfd p;
	int64_t timeout;
	uint64_t v = 1;
	int fd = eventfd(0, EFD_NONBLOCK);

	real_lane(LANE_IDLE_SLEEP, LEDGER_SAMPLED, -1);
	with_device(&nb, fd);
	p = (struct pollfd){.fd = lane_fd(real), .events = POLLIN};
	cr_assert_eq(lane_prepare_sleep(real, &timeout), 0);
	cr_assert_eq(timeout, -1);
	cr_assert_eq(poll(&p, 1, 0), 0);
	cr_assert_eq(write(fd, &v, 8), 8);
	cr_assert_eq(poll(&p, 1, 0), 1);
	cr_assert_eq(read(fd, &v, 8), 8);
	cr_assert_eq(poll(&p, 1, 0), 0);
	lane_break(real);
	cr_assert_eq(poll(&p, 1, 0), 1);
	lane_destroy(real);
	close(fd);
}

Test(lane, test_lane_break_of_an_awake_lane_costs_nothing)
{
	real_lane(LANE_IDLE_AUTO, LEDGER_SAMPLED, -1);
	lane_break(real);
	cr_assert_eq(real->kernel->ops->poll(real->kernel, 0), 0);
	lane_destroy(real);
}

/* Sleeps of a lane whose clock says that it has been empty for so long. Only the decision is
 * looked at: the device's fd is readable, so that a sleep ends at once. */
static uint64_t sleeps_after(enum lane_idle idle, int fd, uint64_t empty_ns)
{
	struct env e = {.now = 1000};
	struct lane_config cfg;
	struct netpoll_backend nb;
	uint64_t n;

	lane_defaults(&cfg);
	cfg.idle = idle;
	cfg.clock = env_clock;
	cfg.clock_ctx = &e;
	cr_assert_eq(lane_create(&cfg, &real), 0);
	with_device(&nb, fd);
	cr_assert_eq(lane_go(real, parks_for_ever, NULL, "parks"), 0);
	for (int i = 0; i < 2; i++)
		lane_turn(real, true);
	cr_assert_eq(real->led.ev[LEDGER_EV_SLEEPS], 0, "not right after work");
	e.now += empty_ns;
	lane_turn(real, true);
	n = real->led.ev[LEDGER_EV_SLEEPS];
	lane_turn(real, false);
	cr_assert_eq(real->led.ev[LEDGER_EV_SLEEPS], n, "may_sleep is obeyed");
	lane_destroy(real);
	return n;
}

Test(lane, test_lane_idle_policy_by_device)
{
	int fd = eventfd(1, EFD_NONBLOCK);

	cr_assert_eq(sleeps_after(LANE_IDLE_SPIN, -EOPNOTSUPP, 9999999), 0);
	cr_assert_eq(sleeps_after(LANE_IDLE_SPIN, fd, 9999999), 0);
	cr_assert_eq(sleeps_after(LANE_IDLE_NAP, -EOPNOTSUPP, 999999), 0);
	cr_assert_eq(sleeps_after(LANE_IDLE_NAP, -EOPNOTSUPP, 1000000), 1);
	cr_assert_eq(sleeps_after(LANE_IDLE_AUTO, -EOPNOTSUPP, 999999), 0);
	cr_assert_eq(sleeps_after(LANE_IDLE_AUTO, -EOPNOTSUPP, 1000000), 1);
	cr_assert_eq(sleeps_after(LANE_IDLE_SLEEP, -EOPNOTSUPP, 1000000), 1, "naps");
	cr_assert_eq(sleeps_after(LANE_IDLE_AUTO, fd, 19999), 0);
	cr_assert_eq(sleeps_after(LANE_IDLE_AUTO, fd, 20000), 1);
	cr_assert_eq(sleeps_after(LANE_IDLE_SLEEP, fd, 20000), 1);
	close(fd);
}

/* ---- the thread ---- */

static void looks_at_thread(void *arg)
{
	cpu_set_t set;
	sigset_t mask;

	(void)arg;
	sched_getaffinity(0, sizeof(set), &set);
	cr_assert_eq(CPU_COUNT(&set), 1);
	cr_assert(CPU_ISSET(0, &set));
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	cr_assert(sigismember(&mask, SIGUSR1));
	cr_assert(sigismember(&mask, SIGALRM));
	cr_assert_not(sigismember(&mask, SIGINT));
	cr_assert_not(sigismember(&mask, SIGTERM));
	cr_assert_not(sigismember(&mask, SIGSEGV));
}

Test(lane, test_lane_pins_and_masks_its_thread_and_puts_it_back)
{
	cpu_set_t before, after;
	sigset_t mask;

	sched_getaffinity(0, sizeof(before), &before);
	real_lane(LANE_IDLE_AUTO, LEDGER_SAMPLED, 0);
	cr_assert_eq(lane_go(real, looks_at_thread, NULL, "looks"), 0);
	cr_assert_eq(lane_run(real), 0);
	lane_destroy(real);
	sched_getaffinity(0, sizeof(after), &after);
	cr_assert(CPU_EQUAL(&before, &after));
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	cr_assert_not(sigismember(&mask, SIGUSR1));
}

/* ---- the clock ---- */

Test(lane, test_lane_clock_follows_the_system_and_never_goes_back)
{
	uint64_t last = 0;

	real_lane(LANE_IDLE_AUTO, LEDGER_SAMPLED, -1);
	for (int i = 0; i < 300000; i++) {
		uint64_t t = lane_clock(real);

		cr_assert_geq(t, last);
		last = t;
		if (i % 1000 == 0)
			tsc_clock_resync(&real->clock, ledger_tsc());
		if (i % 30000 == 0) {
			uint64_t a = tsc_mono_ns(), b = lane_clock(real), c = tsc_mono_ns();

			cr_assert_geq(b + 1000000, a);
			cr_assert_leq(b, c + 1000000);
		}
	}
	lane_destroy(real);
}

/* The system's clock is ahead or behind of ours: no jump back, and it meets in the end. */
Test(lane, test_lane_clock_first_reading_after_a_long_sleep_is_not_the_one_before)
{
	struct timespec second = {.tv_sec = 1};
	struct tsc_clock c;
	uint64_t before;

	tsc_clock_init(&c);
	for (int i = 0; i < 2; i++) {
		before = tsc_clock_ns(&c, ledger_tsc());
		nanosleep(&second, NULL);
		cr_assert_geq(tsc_clock_ns(&c, ledger_tsc()), before + 900000000);
	}
}

Test(lane, test_lane_clock_makes_good_what_it_is_off)
{
	struct tsc_clock c;
	uint64_t t, last;

	tsc_clock_init(&c);
	if (c.ghz == 0.0)
		cr_skip("no invariant TSC");
	c.ns0 += 300000; /* ours is ahead */
	last = tsc_clock_ns(&c, ledger_tsc());
	tsc_clock_resync(&c, ledger_tsc());
	t = tsc_clock_ns(&c, ledger_tsc());
	cr_assert_geq(t, last);
	cr_assert_lt(t - last, 1000000);
	cr_assert_lt((double)c.mult, 4294967296.0 / c.ghz, "runs slower now");
	c.ns0 = 1; /* hopelessly behind */
	c.last = 1;
	tsc_clock_resync(&c, ledger_tsc());
	t = tsc_clock_ns(&c, ledger_tsc());
	cr_assert_lt(tsc_mono_ns() - t, 1000000, "jumps forward");
}
