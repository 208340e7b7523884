/* SPDX-License-Identifier: BSD-3-Clause */
/* The pictures of compare's page. */
#ifndef APPS_CMP_PLOT_H
#define APPS_CMP_PLOT_H

#include <stdio.h>

#include "apps/compare.h"

/* Of each set, "#rrggbb": in pictures and tables alike. */
extern const char *const cmp_colours[SET_MAX];

/* cmp_picture - run what draw() writes through gnuplot, and put the picture into the page under its
 * title and text. 0; -ENOENT gnuplot is not installed; -EIO it failed; -errno. */
MUST_USE int cmp_picture(FILE *page, const struct cmp *c, void (*draw)(FILE *, const struct cmp *),
			 const char *title, const char *text);

/* gnuplot scripts, each after the common settings. rr: round trips of 1 connection; cycles by step;
 * requests/s against connections. Streams: rates; cycles by step. */
void draw_cdf(FILE *f, const struct cmp *c);
void draw_cycles(FILE *f, const struct cmp *c);
void draw_curve(FILE *f, const struct cmp *c);
void draw_stream_rates(FILE *f, const struct cmp *c);
void draw_stream_cycles(FILE *f, const struct cmp *c);

#endif
