/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The netpoller under stress: four lanes, pairs of goroutines that send each other words through
 * kernel fds (socket pairs, pipes, eventfds), each end on a lane of its own choice; deadlines set
 * at random and moved by others, ends closed by other lanes, fds and pds used again at once. Until
 * so many parks have been. Before that a few goroutines hop about between lanes that have nothing
 * else to do, and sleep. Then: no waiter is left in any count, no end of a pair was forgotten
 * (a watchdog looks), and no pd that was new ever heard of anything.
 *
 * usage: tsan_stress [PARKS [SEED]]. Prints TAP; the seed, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "poller/group.h"
#include "poller/lane_int.h"
#include "poller/parklane/go.h"
#include "stack/base/bug.h"
#include "stack/base/clock.h"

#define LANES      4u
#define PAIRS      256u
#define ROUNDS     200u
#define DISTURBERS 16u /* of each lane */
#define CHAINS     3u  /* fewer than lanes: so these sleep between two hops */
#ifdef __SANITIZE_THREAD__
#define HOPS 500u /* each makes a fibre there */
#else
#define HOPS 20000u
#endif
#define STUCK_S    20u          /* no end of a pair rests that long, also under TSan */
#define POISON     (1ull << 40) /* into an eventfd, which knows no end of file */
#define GONE       (-EPIPE)
#define WAIT_SHORT (100 * NSEC_PER_USEC)

enum kind { SOCKETS, PIPES, EVENTFDS, KINDS };

/* One end of a pair, in one of its lives. All of it its lane's but `beats`, and
 * kind, rd, wr, life before the life begins. */
struct end {
	struct pair *pair;
	unsigned lane, no; /* (c) */
	uint32_t life;     /* counted, so that a killer who comes late kills nobody else */
	int rd, wr;
	struct poll_desc *pd; /* NULL between two lives */
	bool evicted;
	uint64_t rnd;
	uint64_t beats; /* (a) something happened */
};

struct pair {
	enum kind kind;
	struct end end[2];
	uint32_t alive; /* (a) ends of this life that go on */
	bool over;      /* (a) */
};

static struct tally {
	uint64_t words, timeouts, kills, moves, lives, other_parks;
} tally[LANES]; /* (o) of each lane */

static struct lane_group *grp;
static struct lane *lanes[LANES];
static struct pair pairs[PAIRS];
static uint64_t want_parks, seed, faults; /* faults: (a) */
static uint32_t ended;                    /* (a) pairs and disturbers */
static bool enough;                       /* (a) */
static uint64_t hops;                     /* (a) of goroutines that only hop, and pairs begun */

static uint64_t rnd(uint64_t *s, uint64_t below)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s % below;
}

static struct tally *my_tally(void)
{
	return &tally[lane_index(lane_self())];
}

static void fault(const struct end *e, const char *what, int64_t value)
{
	printf("# fault: %s (%lld): pair %d end %u, kind %d, life %u\n", what, (long long)value,
	       (int)(e->pair - pairs), e->no, e->pair->kind, e->life);
	__atomic_fetch_add(&faults, 1, __ATOMIC_RELAXED);
}

static void rest(uint64_t ns)
{
	my_tally()->other_parks++;
	pl_sleep((int64_t)ns);
}

static void go_on(unsigned lane, void (*fn)(void *arg), void *arg)
{
	if (lane != lane_index(lane_self()))
		my_tally()->other_parks++;
	BUG_ON(lane_group_go(lane, fn, arg, "stress") != 0);
}

/* ---- fds ---- */

static void make_fds(struct pair *p)
{
	int a[2], b[2];

	switch (p->kind) {
	case SOCKETS:
		BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, a) != 0);
		p->end[0].rd = p->end[0].wr = a[0];
		p->end[1].rd = p->end[1].wr = a[1];
		return;
	case PIPES:
		BUG_ON(pipe2(a, O_NONBLOCK | O_CLOEXEC) || pipe2(b, O_NONBLOCK | O_CLOEXEC));
		p->end[0].rd = a[0];
		p->end[1].wr = a[1];
		p->end[1].rd = b[0];
		p->end[0].wr = b[1];
		return;
	default:
		for (unsigned i = 0; i < 2; i++) {
			p->end[i].rd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
			p->end[1 - i].wr = dup(p->end[i].rd);
			BUG_ON(p->end[i].rd < 0 || p->end[1 - i].wr < 0);
		}
	}
}

static void close_fds(struct end *e)
{
	uint64_t poison = POISON;

	if (e->pair->kind == EVENTFDS)
		BUG_ON(write(e->wr, &poison, sizeof(poison)) != sizeof(poison));
	(void)close(e->rd);
	if (e->wr != e->rd)
		(void)close(e->wr);
}

static int try_send(struct end *e, uint64_t word)
{
	ssize_t n = e->pair->kind == SOCKETS ? send(e->wr, &word, sizeof(word), MSG_NOSIGNAL)
					     : write(e->wr, &word, sizeof(word));

	if (n == sizeof(word))
		return 0;
	if (n >= 0 || (errno != EPIPE && errno != ECONNRESET))
		fault(e, "send", n < 0 ? errno : n);
	return GONE;
}

/* 1 a word; -EAGAIN; GONE. */
static int try_recv(struct end *e, uint64_t *ret)
{
	ssize_t n = read(e->rd, ret, sizeof(*ret));

	if (n == sizeof(*ret))
		return *ret >= POISON ? GONE : 1;
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (n > 0 || (n < 0 && errno != ECONNRESET))
		fault(e, "recv", n < 0 ? errno : n);
	return GONE;
}

/* ---- one end ---- */

static void beat(struct end *e)
{
	__atomic_store_n(&e->beats, e->beats + 1, __ATOMIC_RELAXED);
}

/* Half of the waits have no deadline: only the event can end those, or a close. */
static void random_deadline(struct end *e)
{
	uint64_t what = rnd(&e->rnd, 32), now = lane_clock(e->pd->lane);
	unsigned mode = rnd(&e->rnd, 2) ? NETPOLL_READ : NETPOLL_READ | NETPOLL_WRITE;
	uint64_t when = what < 16 ? 0 : what < 31 ? now + 1 + rnd(&e->rnd, WAIT_SHORT) : 1;

	netpoll_set_deadline(e->pd, when, mode);
}

/* 1; GONE; -EBADF this end was closed. */
static int recv_word(struct end *e, uint64_t *ret)
{
	int err;

	random_deadline(e);
	for (;;) {
		err = netpoll_reset(e->pd, NETPOLL_READ);
		while (!err) {
			err = try_recv(e, ret);
			beat(e);
			if (err != -EAGAIN)
				return err;
			err = netpoll_wait(e->pd, NETPOLL_READ);
		}
		if (err != -ETIME)
			return err;
		my_tally()->timeouts++;
		random_deadline(e);
	}
}

/* The write side: writable or too late, and nothing else. */
static int await_room(struct end *e)
{
	int err;

	netpoll_set_deadline(e->pd, lane_clock(e->pd->lane) + 1 + rnd(&e->rnd, WAIT_SHORT),
			     NETPOLL_WRITE);
	err = netpoll_reset(e->pd, NETPOLL_WRITE);
	if (!err)
		err = netpoll_wait(e->pd, NETPOLL_WRITE);
	beat(e);
	if (err && err != -ETIME && err != -EBADF)
		fault(e, "wait for room", err);
	return err == -EBADF ? err : 0;
}

/* A pd that is new, on an fd number that is not, and nobody has sent: nothing but its deadline may
 * end the wait. What else does comes from the life before. */
static int be_quiet(struct end *e)
{
	int err;

	netpoll_set_deadline(e->pd, lane_clock(e->pd->lane) + 1 + rnd(&e->rnd, WAIT_SHORT),
			     NETPOLL_READ);
	err = netpoll_reset(e->pd, NETPOLL_READ);
	if (!err)
		err = netpoll_wait(e->pd, NETPOLL_READ);
	beat(e);
	if (err != -ETIME && err != -EBADF)
		fault(e, "stale event", err);
	return err == -EBADF ? err : 0;
}

static int exchange(struct end *e, uint32_t n)
{
	uint64_t word = (uint64_t)(e->life & 0x7fff) << 16 | (n + 1), got;
	int err = 0;

	if (rnd(&e->rnd, 16) == 0)
		err = await_room(e);
	if (!err && e->no == 0)
		err = try_send(e, word);
	if (err)
		return err;
	err = recv_word(e, &got);
	if (err != 1)
		return err;
	if (got != word)
		fault(e, "another word", (int64_t)got);
	my_tally()->words++;
	return e->no == 1 ? try_send(e, word) : 0;
}

static void first_end(void *arg);
static void second_end(void *arg);

/* The last of both begins the next life, on the first one's lane. */
static void part(struct end *e)
{
	struct pair *p = e->pair;

	if (!e->evicted)
		netpoll_evict(e->pd);
	netpoll_close(e->pd);
	e->pd = NULL;
	close_fds(e);
	beat(e);
	my_tally()->lives++;
	if (__atomic_fetch_sub(&p->alive, 1, __ATOMIC_SEQ_CST) == 1)
		go_on(p->end[0].lane, first_end, p);
}

static int live(struct end *e)
{
	uint32_t rounds = e->pair->end[0].life % ROUNDS;
	int err = 0;

	for (uint32_t n = 0; n <= rounds && !err; n++)
		err = exchange(e, n);
	return err;
}

static bool come(struct end *e)
{
	int err = netpoll_open(lane_kernel_backend(lane_self()), e->rd, NULL, &e->pd);

	e->evicted = false;
	e->life++;
	if (err)
		fault(e, "netpoll_open", err);
	return !err;
}

static void second_end(void *arg)
{
	struct end *e = &((struct pair *)arg)->end[1];

	BUG_ON(!come(e));
	(void)live(e);
	part(e);
}

static void first_end(void *arg)
{
	struct pair *p = arg;
	struct end *e = &p->end[0];
	int err;

	if (e->life == 0)
		__atomic_fetch_add(&hops, 1, __ATOMIC_RELAXED);
	if (__atomic_load_n(&enough, __ATOMIC_RELAXED)) {
		__atomic_store_n(&p->over, true, __ATOMIC_RELAXED);
		__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
		return;
	}
	p->kind = (enum kind)rnd(&e->rnd, KINDS);
	__atomic_store_n(&p->alive, 2, __ATOMIC_SEQ_CST);
	make_fds(p);
	BUG_ON(!come(e));
	err = be_quiet(e);
	go_on(p->end[1].lane, second_end, p);
	if (!err)
		(void)live(e);
	part(e);
}

/* ---- who disturbs: ends are closed, and their deadlines moved, from any lane ---- */

struct blow {
	struct end *end;
	uint64_t rnd;
};

/* On the lane of the end. */
static void strike(void *arg)
{
	struct blow b = *(struct blow *)arg;
	struct end *e = b.end;

	free(arg);
	if (!e->pd || e->evicted)
		return;
	if (rnd(&b.rnd, 4) == 0) {
		e->evicted = true;
		netpoll_evict(e->pd);
		my_tally()->kills++;
		return;
	}
	netpoll_set_deadline(e->pd,
			     rnd(&b.rnd, 3) ? lane_clock(e->pd->lane) + rnd(&b.rnd, WAIT_SHORT) : 1,
			     rnd(&b.rnd, 2) ? NETPOLL_READ : NETPOLL_READ | NETPOLL_WRITE);
	my_tally()->moves++;
}

static void disturb(void *arg)
{
	uint64_t s = seed + 7919 * (1 + (uint64_t)(uintptr_t)arg);

	while (!__atomic_load_n(&enough, __ATOMIC_RELAXED)) {
		struct blow *b = malloc(sizeof(*b));
		struct end *e = &pairs[rnd(&s, PAIRS)].end[rnd(&s, 2)];

		BUG_ON(!b);
		*b = (struct blow){e, s | 1};
		go_on(e->lane, strike, b);
		if (rnd(&s, 16) == 0)
			rest(1 + rnd(&s, WAIT_SHORT));
	}
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
}

/* ---- hops: each wakes a lane that sleeps, or meets it while it falls asleep ---- */

struct chain {
	uint64_t rnd;
	uint32_t left; /* goes from lane to lane with the goroutine */
};

static struct chain chain[CHAINS];
static uint32_t chains = CHAINS; /* (a) that hop on */
static bool begun;               /* (a) all pairs are on their way */

static void begin(void)
{
	for (unsigned n = 0; n < LANES * DISTURBERS; n++)
		go_on(n % LANES, disturb, (void *)(uintptr_t)n);
	for (unsigned n = 0; n < PAIRS; n++)
		go_on(pairs[n].end[0].lane, first_end, &pairs[n]);
	__atomic_store_n(&begun, true, __ATOMIC_SEQ_CST);
}

static void hop(void *arg)
{
	struct chain *c = arg;

	__atomic_fetch_add(&hops, 1, __ATOMIC_RELAXED);
	if (c->left-- > 0)
		go_on((unsigned)rnd(&c->rnd, LANES), hop, c);
	else if (__atomic_fetch_sub(&chains, 1, __ATOMIC_SEQ_CST) == 1)
		begin();
}

/* ---- lanes and the watchdog ---- */

static void *lane_thread(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	struct lane_config cfg;
	int err;

	lane_config_init(&cfg);
	cfg.cpu = (int)(i % (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
	err = lane_create(&cfg, &lanes[i]);
	if (!err) {
		lane_join(lanes[i], grp, i);
		for (unsigned n = 0; n < CHAINS && !err && i == 0; n++) {
			chain[n] = (struct chain){seed + 31 * n + 1, HOPS};
			err = lane_go(lanes[i], hop, &chain[n], "hop");
		}
	}
	err = lane_group_meet(grp, err);
	if (!err)
		err = lane_run(lanes[i]);
	return (void *)(intptr_t)lane_group_meet(grp, err);
}

static uint64_t parks_so_far(void)
{
	struct ledger_report rep;
	uint64_t n = 0;

	for (unsigned i = 0; i < LANES; i++) {
		struct lane *l = lane_group_lane(grp, i);

		if (!l)
			continue;
		lane_ledger_report(l, &rep);
		n += rep.ev[LEDGER_EV_PARKS];
	}
	return n;
}

/* stuck - the first end that has rested since long, whatever the others do; NULL none. */
static const struct end *stuck(uint64_t now)
{
	static uint64_t seen[PAIRS][2], since[PAIRS][2];

	for (unsigned i = 0; i < PAIRS; i++)
		for (unsigned k = 0; k < 2; k++) {
			const struct end *e = &pairs[i].end[k];
			uint64_t b = __atomic_load_n(&e->beats, __ATOMIC_RELAXED);

			if (b != seen[i][k] || !since[i][k]) {
				seen[i][k] = b;
				since[i][k] = now;
			}
			if (now - since[i][k] > STUCK_S * NSEC_PER_SEC &&
			    !__atomic_load_n(&pairs[i].over, __ATOMIC_RELAXED))
				return e;
		}
	return NULL;
}

/* at_rest - nothing hops and nobody ends since long: a message was lost. Between the hops and the
 * ends it is the pairs that are looked at, for as long as it takes. */
static bool at_rest(bool hopping, bool ending, uint64_t now)
{
	static uint64_t seen, since;
	uint64_t n = __atomic_load_n(&hops, __ATOMIC_RELAXED) +
		     __atomic_load_n(&ended, __ATOMIC_SEQ_CST);

	if (n != seen || !since || (!hopping && !ending)) {
		seen = n;
		since = now;
	}
	return now - since > STUCK_S * NSEC_PER_SEC;
}

static bool watch(void)
{
	struct timespec tick = {.tv_nsec = 20 * (long)NSEC_PER_MSEC};

	while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) < PAIRS + LANES * DISTURBERS) {
		bool ending = __atomic_load_n(&enough, __ATOMIC_RELAXED), hopping;
		const struct end *e;

		nanosleep(&tick, NULL);
		hopping = !__atomic_load_n(&begun, __ATOMIC_SEQ_CST);
		e = hopping ? NULL : stuck(tsc_mono_ns());
		if (parks_so_far() >= want_parks)
			__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
		if (e) {
			printf("# nothing happens any more: pair %d end %u, lane %u, kind %d, life "
			       "%u\n",
			       (int)(e->pair - pairs), e->no, e->lane, e->pair->kind, e->life);
			return false;
		}
		if (at_rest(hopping, ending, tsc_mono_ns())) {
			printf("# a message was lost: %llu hops, %u ended\n",
			       (unsigned long long)hops, ended);
			return false;
		}
	}
	return true;
}

static void say(uint64_t parks, double seconds)
{
	struct tally t = {0};

	for (unsigned i = 0; i < LANES; i++) {
		t.words += tally[i].words;
		t.timeouts += tally[i].timeouts;
		t.kills += tally[i].kills;
		t.moves += tally[i].moves;
		t.lives += tally[i].lives;
		t.other_parks += tally[i].other_parks;
	}
	printf("# %llu parks (%llu of them not on a pd) in %.1f s: %llu words, %llu deadlines, "
	       "%llu closes by others, %llu deadlines moved by others, %llu fds opened\n",
	       (unsigned long long)parks, (unsigned long long)t.other_parks, seconds,
	       (unsigned long long)t.words, (unsigned long long)t.timeouts,
	       (unsigned long long)t.kills, (unsigned long long)t.moves,
	       (unsigned long long)t.lives);
}

static void set_out(void)
{
	for (unsigned i = 0; i < PAIRS; i++)
		for (unsigned k = 0; k < 2; k++)
			pairs[i].end[k] = (struct end){.pair = &pairs[i],
						       .no = k,
						       .lane = (k ? i / LANES : i) % LANES,
						       .rnd = seed + 104729 * (2 * i + k + 1)};
}

int main(int argc, char **argv)
{
	uint64_t t0 = tsc_mono_ns();
	pthread_t t[LANES];
	int64_t waiters = 0;
	bool woken;

	want_parks = argc > 1 ? strtoull(argv[1], NULL, 0) : 10000000;
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t0 % 1000000007;
	printf("1..3\n# seed %llu, %llu parks, %u pairs on %u lanes\n", (unsigned long long)seed,
	       (unsigned long long)want_parks, PAIRS, LANES);
	(void)fflush(stdout);
	(void)signal(SIGPIPE, SIG_IGN); /* pipes know no MSG_NOSIGNAL */
	set_out();
	BUG_ON(lane_group_create(LANES, &grp) != 0);
	for (uintptr_t i = 0; i < LANES; i++)
		BUG_ON(pthread_create(&t[i], NULL, lane_thread, (void *)i) != 0);
	woken = watch();
	printf("%sok 1 - stress: nobody sleeps who should have been woken\n", woken ? "" : "not ");
	if (!woken) {
		(void)fflush(stdout);
		_exit(1);
	}
	lane_group_stop(grp);
	for (unsigned i = 0; i < LANES; i++)
		(void)pthread_join(t[i], NULL);
	say(parks_so_far(), (double)(tsc_mono_ns() - t0) / 1e9);
	for (unsigned i = 0; i < LANES; i++) {
		waiters += llabs((long long)lane_kernel_backend(lanes[i])->waiters);
		lane_destroy(lanes[i]);
	}
	lane_group_destroy(grp);
	printf("%sok 2 - stress: no waiter is left in the counts\n", waiters ? "not " : "");
	printf("%sok 3 - stress: no stale event, word or error\n", faults ? "not " : "");
	return waiters || faults;
}
