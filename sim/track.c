/* SPDX-License-Identifier: BSD-3-Clause */
/* track: placeholder */
#include <stdlib.h>

#include "sim/sim_int.h"

struct sim_track {
	struct sim_world *w;
};

struct sim_track *sim_track_create(struct sim_world *w, uint64_t seed)
{
	struct sim_track *t = calloc(1, sizeof(*t));

	(void)seed;
	if (t)
		t->w = w;
	return t;
}

void sim_track_destroy(struct sim_track *t)
{
	free(t);
}

unsigned sim_track_frame(struct sim_track *t, int end, uint8_t *frame, unsigned len, unsigned room)
{
	(void)t;
	(void)end;
	(void)frame;
	(void)room;
	return len;
}
