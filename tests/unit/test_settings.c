/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of settings: defaults, limits, and values to and from text. */
#include <criterion/criterion.h>
#include <errno.h>

#include "stack/stack.h"

static struct stack_config cfg_default(void)
{
	struct stack_config cfg;

	stack_config_init(&cfg);
	return cfg;
}

static const struct stack_setting *find(const char *name)
{
	const struct stack_setting *s = stack_setting_find(name);

	cr_assert(s, "%s", name);
	return s;
}

Test(settings, test_settings_defaults_are_in_range_and_in_the_stacks_unit)
{
	struct stack_config cfg = cfg_default();

	cr_assert_null(stack_settings_bad(&cfg));
	cr_assert_eq(cfg.rto_min, 200 * NSEC_PER_MSEC);
	cr_assert_eq(cfg.msl2, 60 * NSEC_PER_SEC);
	cr_assert(cfg.port_range[0] == 32768 && cfg.port_range[1] == 60999);
	cr_assert_eq(cfg.sack, 1);
}

Test(settings, test_settings_names_and_texts_are_whole)
{
	for (unsigned i = 0; i < stack_settings_nr; i++) {
		const struct stack_setting *s = &stack_settings[i];

		cr_assert_eq(stack_setting_find(s->name), s, "%s stands twice", s->name);
		cr_assert(*s->text && *s->source && !strchr(s->text, '|'), "%s", s->name);
		cr_assert(s->nr && s->nr <= SETTING_VALUES_MAX, "%s", s->name);
		cr_assert(s->size == 1 || s->size == 2 || s->size == 4 || s->size == 8);
		/* a value within the range can be stored */
		cr_assert(s->size == 8 || s->max >> (8 * s->size) == 0, "%s", s->name);
	}
	cr_assert_null(stack_setting_find("tcp_nonsense"));
}

Test(settings, test_settings_each_default_is_read_back_from_its_text)
{
	for (unsigned i = 0; i < stack_settings_nr; i++) {
		const struct stack_setting *s = &stack_settings[i];
		struct stack_config cfg = cfg_default(), zero;
		char text[64], again[64];

		memset(&zero, 0, sizeof(zero));
		cr_assert_gt(stack_setting_format(s, NULL, text, sizeof(text)), 0);
		cr_assert_eq(stack_setting_set(s, &zero, text), 0, "%s=%s", s->name, text);
		(void)stack_setting_format(s, &zero, again, sizeof(again));
		cr_assert_str_eq(text, again, "%s", s->name);
		(void)stack_setting_format(s, &cfg, again, sizeof(again));
		cr_assert_str_eq(text, again, "%s", s->name);
	}
}

Test(settings, test_settings_value_beyond_its_range_is_refused_and_changes_nothing)
{
	static const struct {
		const char *name, *value;
		int err;
	} bad[] = {
		{"tcp_sack", "2", -ERANGE},
		{"tcp_sack", "", -EINVAL},
		{"tcp_sack", "1 ", -EINVAL},
		{"tcp_sack", "-1", -EINVAL},
		{"tcp_sack", "0x1", -EINVAL},
		{"tcp_sack", "1 1", -EINVAL},
		{"tcp_sack", "18446744073709551617", -ERANGE},
		{"max_socks", "0", -ERANGE},
		{"ip_local_port_range", "5", -EINVAL},
		{"ip_local_port_range", "5 4", -ERANGE},
		{"ip_local_port_range", "1024 70000", -ERANGE},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct stack_config cfg = cfg_default(), was = cfg;

		cr_assert_eq(stack_setting_set(find(bad[i].name), &cfg, bad[i].value), bad[i].err,
			     "%s=%s", bad[i].name, bad[i].value);
		cr_assert_eq(memcmp(&cfg, &was, sizeof(cfg)), 0);
	}
}

Test(settings, test_settings_pair_is_taken_with_blank_or_comma)
{
	struct stack_config cfg = cfg_default();

	cr_assert_eq(stack_setting_set(find("ip_local_port_range"), &cfg, "1024\t65535"), 0);
	cr_assert(cfg.port_range[0] == 1024 && cfg.port_range[1] == 65535);
	cr_assert_eq(stack_setting_set(find("ip_local_port_range"), &cfg, "7,7"), 0);
	cr_assert(cfg.port_range[0] == 7 && cfg.port_range[1] == 7);
}

Test(settings, test_stack_create_field_out_of_range_einval_and_named)
{
	struct skb_pool *pool = skb_heap_pool_create(8, 256);
	struct stack *st = NULL;

	for (unsigned i = 0; i < stack_settings_nr; i++) {
		const struct stack_setting *s = &stack_settings[i];
		struct stack_config cfg = cfg_default();

		/* all bits: beyond the range unless the field's type is the range */
		if (s->size != 8 && s->max >= UINT64_MAX >> (64 - 8 * s->size))
			continue;
		memset((uint8_t *)&cfg + s->offset, 0xff, s->size);
		cr_assert_eq(stack_settings_bad(&cfg), s, "%s", s->name);
		cr_assert_eq(stack_create(&cfg, pool, &st), -EINVAL);
	}
	cr_assert_null(st);
	skb_pool_destroy(pool);
}
