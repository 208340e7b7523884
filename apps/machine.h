/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine and the build that a measurement comes from: what every JSON's `meta` begins with. */
#ifndef APPS_MACHINE_H
#define APPS_MACHINE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct machine {
	char cpu[96], kernel[96], date[40], commit[48]; /* date: UTC, ISO 8601 */
	unsigned cpus;
	uint64_t seed; /* of this run's payload, fresh; below 2^63, as JSON's integers are signed */
};

/* machine_read - everything of *m; what cannot be known says so. */
void machine_read(struct machine *m);
/* machine_json - a new object: machine, kernel, commit, cpus, date, seed; the caller's. */
json_t *machine_json(const struct machine *m);
/* machine_line - the value of the first line of a file that begins with key ("key : value"), or the
 * whole first line if key is "". out stays as it is when there is none. */
void machine_line(const char *path, const char *key, char *out, size_t size);

#endif
