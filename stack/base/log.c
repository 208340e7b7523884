/* SPDX-License-Identifier: BSD-3-Clause */
/* Formats one line for the sink that the owner handed in. */
#include "stack/base/log.h"

#include <stdarg.h>
#include <stdio.h>

void log_to(const struct log_sink *sink, enum log_level lvl, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (!sink->fn || lvl > sink->max)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	sink->fn(sink->ctx, lvl, line);
}
