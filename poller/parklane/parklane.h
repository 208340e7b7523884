/* SPDX-License-Identifier: BSD-3-Clause */
/* All of Parklane's public interface. */
#ifndef PARKLANE_PARKLANE_H
#define PARKLANE_PARKLANE_H

#include <parklane/blocking.h>
#include <parklane/chan.h>
#include <parklane/conn.h>
#include <parklane/ctx.h>
#include <parklane/go.h>
#include <parklane/local.h>
#include <parklane/run.h>
#include <parklane/sync.h>
#include <parklane/ticker.h>

#endif
