/* SPDX-License-Identifier: BSD-3-Clause */
/* The text form of faults, "loss=0.02,tx.dup=0.1,seed=7", with refusals that say what to
 * write instead. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/fault.h"

static const char *const kind_names[FAULT_KINDS] = {
	[FAULT_LOSS] = "loss",
	[FAULT_DUP] = "dup",
	[FAULT_REORDER] = "reorder",
	[FAULT_CORRUPT] = "corrupt",
};

const char *fault_kind_name(enum fault_kind kind)
{
	return kind_names[kind];
}

static int refuse(char *err, size_t errlen, const char *item, int len)
{
	(void)snprintf(err, errlen,
		       "fault '%.*s': want loss|dup|reorder|corrupt=0..1, with rx. or tx. in front "
		       "for one direction, or seed=N; separate with commas",
		       len, item);
	return -EINVAL;
}

static int parse_seed(const char *value, uint64_t *ret_seed)
{
	char *end;

	if (*value < '0' || *value > '9')
		return -EINVAL;
	errno = 0;
	*ret_seed = strtoull(value, &end, 0);
	return errno || *end ? -EINVAL : 0;
}

static int parse_probability(const char *value, double *ret_p)
{
	char *end;
	double p = strtod(value, &end);

	/* written so that nan is refused too */
	if (end == value || *end || !(p >= 0 && p <= 1))
		return -EINVAL;
	*ret_p = p;
	return 0;
}

static int parse_fault(const char *key, const char *value, struct fault_spec *spec)
{
	bool rx = true, tx = true;
	double p;

	if (strncmp(key, "rx.", 3) == 0)
		tx = false;
	else if (strncmp(key, "tx.", 3) == 0)
		rx = false;
	if (!rx || !tx)
		key += 3;
	if (parse_probability(value, &p) < 0)
		return -EINVAL;
	for (unsigned k = 0; k < FAULT_KINDS; k++) {
		if (strcmp(key, kind_names[k]) != 0)
			continue;
		if (rx)
			spec->p[FAULT_RX][k] = p;
		if (tx)
			spec->p[FAULT_TX][k] = p;
		return 0;
	}
	return -EINVAL;
}

static int parse_item(const char *item, size_t len, struct fault_spec *spec)
{
	char text[64];
	char *value;

	if (len >= sizeof(text))
		return -EINVAL;
	memcpy(text, item, len);
	text[len] = 0;
	value = strchr(text, '=');
	if (!value)
		return -EINVAL;
	*value++ = 0;
	if (strcmp(text, "seed") == 0)
		return parse_seed(value, &spec->seed);
	return parse_fault(text, value, spec);
}

int fault_parse(const char *text, struct fault_spec *ret_spec, char *err, size_t errlen)
{
	struct fault_spec spec = {.seed = 1};

	for (;;) {
		size_t len = strcspn(text, ",");

		if (parse_item(text, len, &spec) < 0)
			return refuse(err, errlen, text, (int)min_t(size_t, len, 60));
		if (!text[len])
			break;
		text += len + 1;
	}
	*ret_spec = spec;
	return 0;
}
