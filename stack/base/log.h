/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stack's log: formatted into a small buffer and handed to a sink that the owner
 * supplied. Never on the hot path; libraries log at debug only (style.md, systemd).
 */
#ifndef STACK_BASE_LOG_H
#define STACK_BASE_LOG_H

#include "stack/base/compiler.h"

enum log_level {
	LOG_LVL_ERR,
	LOG_LVL_WARN,
	LOG_LVL_INFO,
	LOG_LVL_DEBUG,
};

/* A sink: `fn` gets one line without newline. (c) after init. fn == NULL drops all. */
struct log_sink {
	void (*fn)(void *ctx, enum log_level lvl, const char *line);
	void *ctx;
	enum log_level max;
};

/* log_to - format and hand one line (cut at 255 bytes) to the sink, if its level allows. */
COLD void log_to(const struct log_sink *sink, enum log_level lvl, const char *fmt, ...)
	PRINTF_FMT(3, 4);

#endif
