/* SPDX-License-Identifier: BSD-3-Clause */
/* Request and response: one outstanding request of cfg->size bytes on each connection, every answer
 * compared with what was sent. */
#ifndef APPS_RR_H
#define APPS_RR_H

#include "apps/load.h"

/* rr_run - as load_run; units are answers, hist their round trips. */
void rr_run(const struct load_config *cfg, struct load_result *res);

#endif
