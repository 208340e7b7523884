/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of settings.h made into data, and a value's way between text and field. Numbers are
 * kept as the stack uses them: times in ns, whatever unit Linux's sysctl of the name has.
 */
#include "stack/settings.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stack/stack.h"

#define UNPAREN(...)   __VA_ARGS__
#define FIELD_SIZE(f)  sizeof(((struct stack_config *)0)->f)
#define WHERE(type, f) .offset = offsetof(struct stack_config, f), .size = sizeof(type)
#define ROW(type, f, n_)                                                                           \
	{                                                                                          \
		.name = n_, WHERE(type, f), .nr = (uint8_t)(FIELD_SIZE(f) / sizeof(type))

#define ROW_ONE(type, f, n_, d, u, lo, hi, src, txt)                                               \
	ROW(type, f, n_), .def = {d}, .unit = SETTING_##u, .min = lo, .max = hi, .source = src,    \
			  .text = txt                                                              \
	}                                                                                          \
	,
#define ROW_MANY(type, f, n, n_, d, u, lo, hi, src, txt)                                           \
	ROW(type, f, n_), .def = {UNPAREN d}, .unit = SETTING_##u, .min = lo, .max = hi,           \
			  .source = src, .text = txt                                               \
	}                                                                                          \
	,
#define ROW_WORD(f, n_, d, w, src, txt)                                                            \
	ROW(uint8_t, f, n_), .def = {d}, .unit = SETTING_WORD, .max = 255, .words = w,             \
			     .source = src, .text = txt                                            \
	}                                                                                          \
	,

const struct stack_setting stack_settings[] = {STACK_SETTINGS(ROW_ONE, ROW_MANY, ROW_WORD)};
const unsigned stack_settings_nr = ARRAY_SIZE(stack_settings);

static const struct {
	const char *name;
	uint64_t scale; /* of the field against the unit */
} units[] = {
	[SETTING_FLAG] = {"", 1},
	[SETTING_COUNT] = {"", 1},
	[SETTING_BYTES] = {"bytes", 1},
	[SETTING_S] = {"s", NSEC_PER_SEC},
	[SETTING_MS] = {"ms", NSEC_PER_MSEC},
	[SETTING_US] = {"us", NSEC_PER_USEC},
	[SETTING_WORD] = {"", 1},
};

const char *setting_unit_name(enum setting_unit unit)
{
	return units[unit].name;
}

const struct stack_setting *stack_setting_find(const char *name)
{
	for (unsigned i = 0; i < stack_settings_nr; i++) {
		if (!strcmp(stack_settings[i].name, name))
			return &stack_settings[i];
	}
	return NULL;
}

/* ---- fields ---- */

static uint64_t field_get(const struct stack_setting *s, const struct stack_config *cfg, unsigned i)
{
	const uint8_t *p = (const uint8_t *)cfg + s->offset + (size_t)i * s->size;
	uint64_t v = 0;

	memcpy(&v, p, s->size); /* little-endian, as all that Parklane runs on */
	return v;
}

static void field_set(const struct stack_setting *s, struct stack_config *cfg, const uint64_t *v)
{
	for (unsigned i = 0; i < s->nr; i++) {
		uint64_t scaled = v[i] * units[s->unit].scale;

		memcpy((uint8_t *)cfg + s->offset + (size_t)i * s->size, &scaled, s->size);
	}
}

void stack_settings_default(struct stack_config *cfg)
{
	for (unsigned i = 0; i < stack_settings_nr; i++)
		field_set(&stack_settings[i], cfg, stack_settings[i].def);
}

/* words_count, word_at - of "a bc d". */
static unsigned words_count(const char *words)
{
	unsigned n = 1;

	for (; *words; words++)
		n += *words == ' ';
	return n;
}

static const char *word_at(const char *words, uint64_t i, int *ret_len)
{
	while (i--)
		words += strcspn(words, " ") + 1;
	*ret_len = (int)strcspn(words, " ");
	return words;
}

const struct stack_setting *stack_settings_bad(const struct stack_config *cfg)
{
	for (unsigned i = 0; i < stack_settings_nr; i++) {
		const struct stack_setting *s = &stack_settings[i];
		uint64_t scale = units[s->unit].scale, least = s->min * scale;

		for (unsigned k = 0; k < s->nr; k++) {
			uint64_t v = field_get(s, cfg, k);

			if (v < least || v > s->max * scale ||
			    (s->words && v >= words_count(s->words)))
				return s;
			least = v;
		}
	}
	return NULL;
}

/* ---- text ---- */

static bool is_gap(char c)
{
	return c == ',' || isspace((unsigned char)c);
}

/* parse_numbers - exactly s->nr of them. 0; -EINVAL; -ERANGE. */
static int parse_numbers(const struct stack_setting *s, const char *p, uint64_t *v)
{
	uint64_t least = s->min;

	for (unsigned i = 0; i < s->nr; i++) {
		uint64_t n = 0;

		if (i && !is_gap(*p))
			return -EINVAL;
		while (i && is_gap(*p))
			p++;
		if (!isdigit((unsigned char)*p))
			return -EINVAL;
		for (; isdigit((unsigned char)*p); p++) {
			/* beyond every max, and never an overflow */
			if (n <= UINT32_MAX)
				n = n * 10 + (uint64_t)(*p - '0');
		}
		if (n < least || n > s->max)
			return -ERANGE;
		least = v[i] = n;
	}
	return *p ? -EINVAL : 0;
}

static int parse_word(const struct stack_setting *s, const char *value, uint64_t *v)
{
	for (unsigned i = 0; i < words_count(s->words); i++) {
		int len;
		const char *w = word_at(s->words, i, &len);

		if (strlen(value) == (size_t)len && !memcmp(w, value, (size_t)len)) {
			*v = i;
			return 0;
		}
	}
	return -EINVAL;
}

int stack_setting_set(const struct stack_setting *s, struct stack_config *cfg, const char *value)
{
	uint64_t v[SETTING_VALUES_MAX];
	int err = s->words ? parse_word(s, value, v) : parse_numbers(s, value, v);

	if (!err)
		field_set(s, cfg, v);
	return err;
}

int stack_setting_format(const struct stack_setting *s, const struct stack_config *cfg, char *buf,
			 size_t size)
{
	int n = 0;

	for (unsigned i = 0; i < s->nr; i++) {
		uint64_t v = cfg ? field_get(s, cfg, i) / units[s->unit].scale : s->def[i];
		size_t at = min_t(size_t, (size_t)n, size);
		int len;

		if (s->words) {
			const char *w = word_at(s->words, v, &len);

			return snprintf(buf, size, "%.*s", len, w);
		}
		n += snprintf(buf + at, size - at, i ? " %" PRIu64 : "%" PRIu64, v);
	}
	return n;
}
