/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the stacks of a lane's goroutines lie: on the NUMA node of its cpu, by libnuma, if that was
 * there at build time and the machine has more than one node; else where the kernel puts them.
 */
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
#endif
