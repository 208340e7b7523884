// SPDX-License-Identifier: BSD-3-Clause
/*
 * A user in C++: the public headers as they are installed, goroutines, channels, select, contexts,
 * and exceptions that stay within a goroutine. Prints TAP.
 */
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

#include <parklane/parklane.h>

static unsigned test_no;

static void result(bool ok, const char *name)
{
	std::printf("%sok %u - %s\n", ok ? "" : "not ", ++test_no, name);
}

struct chan_put {
	void operator()(pl_chan *c) const noexcept
	{
		pl_chan_put(c);
	}
};
using chan_ptr = std::unique_ptr<pl_chan, chan_put>;

static chan_ptr make_chan(std::size_t cap)
{
	pl_chan *c = nullptr;

	if (pl_chan_make(sizeof(std::int64_t), cap, 0, &c))
		throw std::bad_alloc();
	return chan_ptr(c);
}

static void counts(void *arg) noexcept
{
	auto *c = static_cast<pl_chan *>(arg);

	for (std::int64_t i = 1; i <= 100; i++)
		pl_chan_send(c, &i);
	pl_chan_close(c);
}

static void channels()
{
	auto c = make_chan(0);
	std::int64_t v = 0, sum = 0;

	pl_go(counts, c.get());
	while (pl_chan_recv(c.get(), &v) == 1)
		sum += v;
	result(sum == 5050, "channel");
}

static void selects()
{
	auto a = make_chan(1), b = make_chan(1);
	std::int64_t out = 7, in = 0;
	pl_select_case k[] = {
		{a.get(), PL_SELECT_RECV, &in, 0},
		{b.get(), PL_SELECT_SEND, &out, 0},
	};

	result(pl_select(k, 2, false) == 1 && k[1].ret == 0, "select");
	result(pl_select(k, 2, true) == -EAGAIN, "select with a default");
}

// The destructor leaves the ctx however the scope ends.
class in_ctx {
public:
	explicit in_ctx(pl_ctx *c) noexcept : outer(pl_ctx_enter(c))
	{
	}
	~in_ctx()
	{
		pl_ctx_leave(outer);
	}
	in_ctx(const in_ctx &) = delete;
	in_ctx &operator=(const in_ctx &) = delete;

private:
	pl_ctx *outer;
};

static void contexts()
{
	pl_ctx *c = nullptr;
	int err = 0;

	pl_ctx_with_deadline(nullptr, pl_now() + 1000000, &c);
	{
		in_ctx scope(c);

		err = pl_sleep(INT64_C(3600) * 1000000000);
	}
	result(err == -ETIME, "a ctx with a deadline ends a sleep");
	result(pl_sleep(0) == 0, "and is left");
	pl_ctx_put(c);
}

static void thrower(int depth)
{
	std::string unwound(100, 'x');

	if (depth == 0)
		throw std::runtime_error("deep");
	pl_yield();
	thrower(depth - 1);
}

static pl_wait_group catchers;
static int caught;

static void catches(void *) noexcept
{
	bool seen = false;

	try {
		thrower(5);
	} catch (const std::runtime_error &e) {
		seen = std::string(e.what()) == "deep";
	}
	// Parking is fine again once the handler is over.
	pl_yield();
	caught += seen;
	pl_wait_group_done(&catchers);
}

static void exceptions()
{
	pl_wait_group_add(&catchers, 10);
	for (int i = 0; i < 10; i++)
		pl_go(catches, nullptr);
	pl_wait_group_wait(&catchers);
	result(caught == 10, "exceptions within each of ten goroutines");
}

static void main_g(void *) noexcept
{
	channels();
	selects();
	contexts();
	exceptions();
}

int main()
{
	pl_options opt = {};

	std::printf("1..6\n");
	if (pl_run(&opt, main_g, nullptr)) {
		std::fprintf(stderr, "cxx_user: %s\n", pl_last_error());
		return 1;
	}
	return 0;
}
