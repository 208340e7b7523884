/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Coroutine stacks and their guards. Stacks come from one MAP_NORESERVE arena without huge
 * pages: a parked goroutine costs the pages that it touched, which is one. The first frame is
 * in coro_<arch>.c, the switch in switch_<arch>.S.
 */
#include "poller/coro.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

/* A guard by mprotect cuts one mapping into three. */
#define MAPS_PER_GUARD 2u
/* What vm.max_map_count leaves to the rest of the process: libraries, threads, the heap's own
 * mappings. Beyond the limit any malloc() may fail, and not only the next goroutine. */
#define MAPS_FOR_OTHERS 8192u

static uint32_t maps_used; /* (a) by the guards of all arenas of the process */

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static bool guard_put(uint8_t *guard, bool by_madvise)
{
	if (by_madvise)
		return madvise(guard, CORO_GUARD_SIZE, MADV_GUARD_INSTALL) == 0;
	return mprotect(guard, CORO_GUARD_SIZE, PROT_NONE) == 0;
}

/*
 * Does the kernel know MADV_GUARD_INSTALL, and does it guard? Old kernels refuse the value,
 * but a sandbox may accept and ignore it: so the proof is a copy out of the guard, which must
 * fail with EFAULT.
 */
static bool guard_proven(const struct coro_arena *a)
{
	bool ok = false;
	int fd;

	if (!guard_put(a->base, true))
		return false;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return false;
	ok = write(fd, a->base + CORO_GUARD_SIZE - 8, 8) < 0 && errno == EFAULT;
	close(fd);
	return ok;
}

/* map_limit - how many maps guards may take: most of vm.max_map_count. */
static uint32_t map_limit(void)
{
	unsigned long max = 65530; /* the kernel's default, where /proc is not to be seen */
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");

	if (f) {
		if (fscanf(f, "%lu", &max) != 1)
			max = 65530;
		fclose(f);
	}
	max = min_t(unsigned long, max, INT32_MAX);
	return (uint32_t)(max - min_t(unsigned long, max / 2, MAPS_FOR_OTHERS));
}

int coro_arena_init(struct coro_arena *a, uint32_t nr, size_t stack_size)
{
	size_t page = page_size(), stack = (stack_size + page - 1) & ~(page - 1);
	void *p = MAP_FAILED;

	if (nr == 0 || stack_size < CORO_STACK_MIN || stack_size > (size_t)1 << 30 ||
	    CORO_GUARD_SIZE % page)
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	/* An odd number of pages: the hot top pages of many stacks spread over all the sets of
	 * a physically or virtually indexed L2 instead of sharing a few. */
	a->slot_size = CORO_GUARD_SIZE + stack;
	if (a->slot_size / page % 2 == 0)
		a->slot_size += page;
	for (; nr > 0; nr /= 2) {
		p = mmap(NULL, nr * a->slot_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
		if (p != MAP_FAILED)
			break;
	}
	if (p == MAP_FAILED)
		return -ENOMEM;
	a->base = p;
	a->nr_slots = nr;
	/* Refused only by kernels without transparent huge pages, which need no telling. */
	(void)madvise(p, nr * a->slot_size, MADV_NOHUGEPAGE);
	a->guard_by_madvise = guard_proven(a);
	a->map_limit = map_limit();
	return 0;
}

void coro_arena_fini(struct coro_arena *a)
{
	if (a->base)
		munmap(a->base, a->nr_slots * a->slot_size);
	__atomic_fetch_sub(&maps_used, a->nr_maps, __ATOMIC_RELAXED);
	memset(a, 0, sizeof(*a));
}

struct coro_stack coro_arena_stack(const struct coro_arena *a, uint32_t index)
{
	uint8_t *slot = a->base + (size_t)index * a->slot_size;

	return (struct coro_stack){
		.lo = slot + CORO_GUARD_SIZE,
		.hi = slot + a->slot_size,
		.index = index,
	};
}

/* maps_take - room for one more guard by mprotect among the process's maps. */
static bool maps_take(struct coro_arena *a)
{
	uint32_t n = __atomic_add_fetch(&maps_used, MAPS_PER_GUARD, __ATOMIC_RELAXED);

	if (n > a->map_limit) {
		__atomic_fetch_sub(&maps_used, MAPS_PER_GUARD, __ATOMIC_RELAXED);
		return false;
	}
	a->nr_maps += MAPS_PER_GUARD;
	return true;
}

int coro_arena_carve(struct coro_arena *a, struct coro_stack *ret_stack)
{
	struct coro_stack s;

	if (a->nr_carved == a->nr_slots)
		return -ENOMEM;
	if (!a->guard_by_madvise && !maps_take(a))
		return -ENOMEM;
	s = coro_arena_stack(a, a->nr_carved);
	/* What maps_take() took is kept on failure: the kernel may have split half of it. */
	if (!guard_put(s.lo - CORO_GUARD_SIZE, a->guard_by_madvise))
		return -ENOMEM;
	a->nr_carved++;
	*ret_stack = s;
	return 0;
}

void coro_arena_release(const struct coro_arena *a, uint32_t index)
{
	struct coro_stack s = coro_arena_stack(a, index);

	/* Private anonymous memory: this cannot fail, but for a caller that locked it in. */
	(void)madvise(s.lo, (size_t)(s.hi - s.lo), MADV_DONTNEED);
}

int64_t coro_arena_slot(const struct coro_arena *a, uintptr_t addr, bool *ret_in_guard)
{
	uintptr_t base = (uintptr_t)a->base;
	size_t off;

	if (!base || addr < base || addr >= base + a->nr_slots * a->slot_size)
		return -1;
	off = addr - base;
	*ret_in_guard = off % a->slot_size < CORO_GUARD_SIZE;
	return (int64_t)(off / a->slot_size);
}

bool coro_shadow_stack(void)
{
	return coro_shadow_stack_probe();
}
