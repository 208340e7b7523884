/* SPDX-License-Identifier: BSD-3-Clause */
/* README's example of channels, select and a ctx, with a program around it: the squares of the
 * numbers below its argument, added up by two goroutines. */
#include <stdio.h>
#include <stdlib.h>
#include <parklane/parklane.h>

struct job {
	struct pl_chan *todo, *done;
	struct pl_wait_group workers;
};

static void work(void *arg)
{
	struct job *j = arg;
	uint64_t n;

	while (pl_chan_recv(j->todo, &n) == 1) {
		n *= n;
		if (pl_chan_send(j->done, &n) < 0)
			break; /* the ctx ended */
	}
	pl_wait_group_done(&j->workers);
}

static int run_job(struct job *j, uint64_t from, uint64_t to, uint64_t *sum)
{
	struct pl_ctx *ctx, *outer;
	uint64_t got, missing = to - from;
	int i = 0;

	if (pl_ctx_with_deadline(pl_ctx_self(), pl_now() + 1000000000, &ctx) < 0)
		return -1;
	outer = pl_ctx_enter(ctx); /* reaches every call that waits ... */
	for (int w = 0; w < 2; w++) {
		pl_wait_group_add(&j->workers, 1);
		if (pl_go_ctx(ctx, work, j) < 0) /* ... and those of the workers */
			pl_wait_group_done(&j->workers);
	}
	while (missing && i >= 0) {
		struct pl_select_case c[] = {
			{from < to ? j->todo : NULL, PL_SELECT_SEND, &from, 0},
			{j->done, PL_SELECT_RECV, &got, 0},
		};
		i = pl_select(c, 2, false);
		if (i == 0)
			from++;
		if (i == 1) {
			*sum += got;
			missing--;
		}
	}
	pl_ctx_leave(outer);
	pl_ctx_cancel(ctx, 0);           /* the workers go home, */
	pl_wait_group_wait(&j->workers); /* and look at the job no more */
	pl_ctx_put(ctx);
	return i < 0 ? i : 0; /* -ETIME: a second was not enough */
}

static void main_job(void *arg)
{
	uint64_t sum = 0;
	struct job j = {0};

	if (pl_chan_make(sizeof(uint64_t), 0, 0, &j.todo) == 0 &&
	    pl_chan_make(sizeof(uint64_t), 0, 0, &j.done) == 0 &&
	    run_job(&j, 0, *(const uint64_t *)arg, &sum) == 0)
		printf("%llu\n", (unsigned long long)sum);
	pl_chan_put(j.todo);
	pl_chan_put(j.done);
}

int main(int argc, char **argv)
{
	struct pl_options opt = {0};
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;

	if (pl_run(&opt, main_job, &n) < 0) {
		fprintf(stderr, "job: %s\n", pl_last_error());
		return 1;
	}
	return 0;
}
