/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `--set NAME=VALUE` and pl_options.set: a setting of the stack's table by its name, with an
 * error in one line that says what would have been right.
 */
#include "apps/open.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stack/stack.h"

#define NAME_MAX_LEN 40
#define NEAR_MAX     3

/* distance - letters to insert, leave out or change from a to b (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
	size_t nb = strlen(b);
	unsigned row[NAME_MAX_LEN + 1];

	if (nb > NAME_MAX_LEN)
		return UINT32_MAX;
	for (unsigned j = 0; j <= nb; j++)
		row[j] = j;
	for (; *a; a++) {
		unsigned diagonal = row[0]++;

		for (unsigned j = 1; j <= nb; j++) {
			unsigned change = diagonal + (*a != b[j - 1]);

			diagonal = row[j];
			row[j] = min_t(unsigned, change, min_t(unsigned, row[j], row[j - 1]) + 1);
		}
	}
	return row[nb];
}

/* near_names - up to NEAR_MAX names like `name`, nearest first, "a, b or c" into buf. False:
 * none. */
static bool near_names(const char *name, char *buf, size_t size)
{
	const struct stack_setting *best[NEAR_MAX + 1];
	unsigned far[NEAR_MAX + 1], n = 0, limit = (unsigned)strlen(name) / 3 + 1;
	size_t at = 0;

	for (unsigned i = 0; i < stack_settings_nr; i++) {
		const struct stack_setting *s = &stack_settings[i];
		unsigned d =
			strlen(name) > 2 && strstr(s->name, name) ? 1 : distance(name, s->name);
		unsigned k = n;

		if (d > limit)
			continue;
		for (; k && far[k - 1] > d; k--) {
			far[k] = far[k - 1];
			best[k] = best[k - 1];
		}
		far[k] = d;
		best[k] = s;
		n = min_t(unsigned, n + 1, NEAR_MAX);
	}
	for (unsigned k = 0; k < n; k++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s",
				       !k          ? ""
				       : k + 1 < n ? ", "
						   : " or ",
				       best[k]->name);
	return n > 0;
}

static int no_such_setting(const char *name)
{
	char near[NEAR_MAX * (NAME_MAX_LEN + 4)];

	if (strlen(name) <= NAME_MAX_LEN && near_names(name, near, sizeof(near)))
		return open_error(-EINVAL, "--set %s: there is no such setting; did you mean %s?",
				  options_shown(name), near);
	return open_error(-EINVAL,
			  "--set %.40s: there is no such setting; 'parklane settings' lists them",
			  options_shown(name));
}

static int bad_value(const struct stack_setting *s, const char *value)
{
	const char *unit = setting_unit_name(s->unit), *gap = *unit ? " " : "";

	if (s->words)
		return open_error(-EINVAL, "--set %s=%s: it is one of these: %s", s->name, value,
				  s->words);
	if (s->nr > 1)
		return open_error(-EINVAL,
				  "--set %s=%s: give %u numbers from %" PRIu64 " to %" PRIu64
				  "%s%s, none less than the one before it",
				  s->name, value, s->nr, s->min, s->max, gap, unit);
	return open_error(-EINVAL, "--set %s=%s: it is %" PRIu64 " to %" PRIu64 "%s%s", s->name,
			  value, s->min, s->max, gap, unit);
}

/* set_one - "NAME=VALUE". */
static int set_one(struct stack_config *cfg, const char *text)
{
	const char *eq = strchr(text, '=');
	char name[NAME_MAX_LEN + 2];
	const struct stack_setting *s;

	if (!eq || eq == text)
		return open_error(-EINVAL, "--set %.60s: give NAME=VALUE, as in tcp_sack=0",
				  options_shown(text));
	(void)snprintf(name, sizeof(name), "%.*s", (int)min_t(long, eq - text, 1000), text);
	s = stack_setting_find(name);
	if (!s)
		return no_such_setting(name);
	return stack_setting_set(s, cfg, eq + 1) ? bad_value(s, eq + 1) : 0;
}

int options_settings(const char *const *set, struct stack_config *cfg)
{
	int err = 0;

	for (; !err && set && *set; set++)
		err = set_one(cfg, *set);
	if (!err && cfg->rto_min > cfg->rto_max)
		err = open_error(-EINVAL, "--set: tcp_rto_min_us is beyond tcp_rto_max_ms");
	return err;
}
