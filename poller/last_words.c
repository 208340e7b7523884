/* SPDX-License-Identifier: BSD-3-Clause */
/* See last_words.h. */
#include "poller/last_words.h"

#include <unistd.h>
#include <unwind.h>

#include "poller/lane_int.h"
#include "poller/symbols.h"
#include "stack/base/bug.h"

/* ---- one line without stdio: the heap may be what broke ---- */

struct line {
	char buf[256];
	size_t n;
};

static void line_str(struct line *ln, const char *s)
{
	while (*s && ln->n < sizeof(ln->buf) - 1)
		ln->buf[ln->n++] = *s++;
}

static void line_num(struct line *ln, uint64_t v)
{
	char d[21];
	int i = sizeof(d) - 1;

	d[i] = '\0';
	do {
		d[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	line_str(ln, &d[i]);
}

static void line_put(struct line *ln)
{
	ln->buf[ln->n++] = '\n'; /* line_str() leaves room for it */
	(void)!write(STDERR_FILENO, ln->buf, ln->n);
}

/* ---- where it stood ---- */

/* Frames of one return address in a row are one line: an overflow is mostly a recursion. */
#define FRAMES_FIRST 16u
#define FRAMES_LAST  8u

struct frame {
	uintptr_t at, pc; /* where the call stands, where it returns to */
	uint64_t times;
};

struct trace {
	uintptr_t lo, hi; /* guard and stack */
	bool in_handler;  /* it is a signal's frame that ends ours, else bug_fatal()'s */
	bool in_g;        /* our own frames are behind us */
	uint64_t nr;
	struct frame first[FRAMES_FIRST], last[FRAMES_LAST]; /* [nr % FRAMES_LAST] */
};

static struct frame *frame_of(struct trace *t, uint64_t i)
{
	return i < FRAMES_FIRST ? &t->first[i] : &t->last[i % FRAMES_LAST];
}

/* ours_end - is this frame the goroutine's? The kernel's stands between a handler's and those of
 * what was interrupted; bug_fatal()'s is the last of ours. */
static bool ours_end(struct trace *t, struct _Unwind_Context *ctx, bool interrupted)
{
	uintptr_t fn;

	if (t->in_handler)
		return t->in_g = interrupted;
	fn = _Unwind_GetRegionStart(ctx);
	t->in_g = fn == (uintptr_t)bug_fatal || fn == (uintptr_t)bug_misuse;
	return false;
}

/* The CFA is that of the frame below. Below what was interrupted lies the kernel's frame, whose CFA
 * libgcc puts at the interrupted sp on x86-64, and on the handler's own stack on aarch64. */
static _Unwind_Reason_Code note_frame(struct _Unwind_Context *ctx, void *arg)
{
	struct trace *t = arg;
	uintptr_t cfa = _Unwind_GetCFA(ctx), pc;
	int interrupted = 0;

	pc = _Unwind_GetIPInfo(ctx, &interrupted);
	if (!t->in_g && !ours_end(t, ctx, interrupted))
		return _URC_NO_REASON;
	if (!pc || (!interrupted && (cfa < t->lo || cfa > t->hi)))
		return _URC_END_OF_STACK;
	if (t->nr && frame_of(t, t->nr - 1)->pc == pc) {
		frame_of(t, t->nr - 1)->times++;
		return _URC_NO_REASON;
	}
	*frame_of(t, t->nr) = (struct frame){pc - !interrupted, pc, 1};
	t->nr++;
	return _URC_NO_REASON;
}

static void report_frame(const struct frame *f)
{
	struct line ln = {.n = 0};

	line_str(&ln, "    ");
	ln.n += symbols_raw(f->at, f->pc, &ln.buf[ln.n], sizeof(ln.buf) - 64);
	if (f->times > 1) {
		line_str(&ln, "  (");
		line_num(&ln, f->times);
		line_str(&ln, " times)");
	}
	line_put(&ln);
}

/* libgcc's unwinder asks _dl_find_object() for its tables, which takes no lock. */
void words_frames(const struct g *g, bool in_handler)
{
	struct trace t = {.hi = UINTPTR_MAX, .in_handler = in_handler};

	if (g) {
		t.lo = (uintptr_t)g->stack.lo - CORO_GUARD_SIZE;
		t.hi = (uintptr_t)g->stack.hi;
	}
	(void)_Unwind_Backtrace(note_frame, &t);
	for (uint64_t i = 0; i < t.nr; i++) {
		if (i == FRAMES_FIRST && t.nr > FRAMES_FIRST + FRAMES_LAST) {
			struct line ln = {.n = 0};
			uint64_t from = t.nr - FRAMES_LAST;

			line_str(&ln, "    ... ");
			line_num(&ln, from - i);
			line_str(&ln, " more ...");
			line_put(&ln);
			i = from;
		}
		report_frame(frame_of(&t, i));
	}
}

static void line_goroutine(struct line *ln, const struct g *g)
{
	line_str(ln, "parklane: goroutine ");
	line_num(ln, g->id);
	line_str(ln, " (");
	line_str(ln, g->name ? g->name : "?");
	line_str(ln, ")");
}

void words_goroutine(const struct g *g, const char *rest)
{
	struct line ln = {.n = 0};

	line_goroutine(&ln, g);
	line_str(&ln, rest);
	line_put(&ln);
}

void words_goroutine_num(const struct g *g, const char *rest, uint64_t n, const char *unit)
{
	struct line ln = {.n = 0};

	line_goroutine(&ln, g);
	line_str(&ln, rest);
	line_num(&ln, n);
	line_str(&ln, unit);
	line_put(&ln);
}

static void words_bug(const char *msg)
{
	static uint32_t speaking; /* (a) 1: a thread is at it already, or this one again */
	struct line ln = {.n = 0};
	const struct g *g;

	line_str(&ln, msg);
	line_put(&ln);
	if (__atomic_exchange_n(&speaking, 1, __ATOMIC_RELAXED))
		return;
	g = lane_forked();
	if (g)
		words_goroutine(g, LANE_FORK_RULE);
	else if ((g = sched_self()))
		words_goroutine(g, " stood here:");
	words_frames(g, false);
}

/* Not a lane's affair to install: a call that comes before all lanes has last words, too. */
static __attribute__((constructor)) void words_init(void)
{
	bug_set_handler(words_bug);
}
