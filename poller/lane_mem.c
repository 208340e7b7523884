/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a lane's memory lies: on its NUMA node by libnuma, where that was there at build time
 * and the machine has more than one node; the C heap otherwise.
 */
#include <stdlib.h>
#include <string.h>

#include "poller/lane_int.h"

#ifdef HAVE_NUMA
#include <numa.h>

static bool many_nodes(void)
{
	return numa_available() >= 0 && numa_max_node() > 0;
}

int lane_mem_node(int cpu)
{
	return many_nodes() && cpu >= 0 ? numa_node_of_cpu(cpu) : -1;
}

void lane_mem_bind(const struct lane *l, void *p, size_t size)
{
	if (l->node >= 0)
		numa_tonode_memory(p, size, l->node);
}

static void *node_alloc(int node, size_t size)
{
	return numa_alloc_onnode(size, node);
}

static void node_free(void *p, size_t size)
{
	numa_free(p, size);
}
#else
int lane_mem_node(int cpu)
{
	(void)cpu;
	return -1;
}

void lane_mem_bind(const struct lane *l, void *p, size_t size)
{
	(void)l;
	(void)p;
	(void)size;
}

static void *node_alloc(int node, size_t size)
{
	(void)node;
	(void)size;
	return NULL;
}

static void node_free(void *p, size_t size)
{
	(void)p;
	(void)size;
}
#endif

void *lane_alloc(struct lane *l, size_t size)
{
	size_t room = (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	void *p;

	if (room < size || room == 0)
		return NULL;
	if (l->node >= 0)
		return node_alloc(l->node, room); /* fresh pages: zeroed */
	p = aligned_alloc(CACHE_LINE, room);
	if (p)
		memset(p, 0, room);
	return p;
}

void lane_mfree(struct lane *l, void *p, size_t size)
{
	size_t room = (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);

	if (!p)
		return;
	if (l->node >= 0)
		node_free(p, room);
	else
		free(p);
}
