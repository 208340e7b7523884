/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include "stack/base/list.h"

struct item {
	int v;
	struct list_head link;
};

Test(list, test_list_splice_appends_in_order)
{
	struct list_head a, b;
	struct item it[4] = {{.v = 0}, {.v = 1}, {.v = 2}, {.v = 3}};
	struct item *pos;
	int want = 0;

	list_init(&a);
	list_init(&b);
	for (int i = 0; i < 4; i++)
		list_add_tail(&it[i].link, i < 2 ? &a : &b);
	list_splice_init(&b, &a);
	cr_assert(list_empty(&b));
	list_for_each_entry (pos, &a, link)
		cr_assert_eq(pos->v, want++);
	cr_assert_eq(want, 4);
}

Test(list, test_list_del_leaves_entry_empty)
{
	struct list_head a;
	struct item it = {.v = 1};

	list_init(&a);
	list_add(&it.link, &a);
	list_del(&it.link);
	cr_assert(list_empty(&a));
	cr_assert(list_empty(&it.link));
}
