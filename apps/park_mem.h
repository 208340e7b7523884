/* SPDX-License-Identifier: BSD-3-Clause */
/* park_bytes() in processes of their own, so that no sample finds what another left. */
#ifndef APPS_PARK_MEM_H
#define APPS_PARK_MEM_H

#include <stdbool.h>

#include "stack/base/compiler.h"

#define PARK_MEM_RUNS 3u
#define PARK_MEM_TCP  100000u /* with sockets: enough for the figure, and quick */

/* park_mem_fits - as many of n goroutines as the machine has memory for. */
unsigned park_mem_fits(unsigned n);
/* park_mem_sample - see park_bytes(). 0; -errno with one line in what[size]. */
MUST_USE int park_mem_sample(unsigned n, bool sockets, double *ret_bytes, char *what,
			     unsigned size);

#endif
