/* SPDX-License-Identifier: BSD-3-Clause */
/* What a wire tells at its start and at its end. */
#ifndef APPS_WIRE_REPORT_H
#define APPS_WIRE_REPORT_H

#include "apps/wire_run.h"

/* wire_say_start - one line on stderr that scripts wait for, and one for each direction. */
void wire_say_start(const struct wrun_config *cfg, const struct wtap tap[static 2]);
/* wire_say_end - the counters, as text on f. */
void wire_say_end(const struct wrun_result *res, const struct wtap tap[static 2], FILE *f);
/* wire_json - the same and the seed as one JSON object on stdout. 0; -ENOMEM; -EIO. */
MUST_USE int wire_json(const struct wrun_config *cfg, const struct wrun_result *res,
		       const struct wtap tap[static 2]);

#endif
