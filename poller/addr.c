/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses as text, both ways. Strict: four decimal octets without leading zeros (which
 * some read as octal), a decimal port, nothing around them. No names, no IPv6 yet.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <parklane/conn.h>

/* parse_num - a decimal number of 1..max_digits digits and at most max; the end, or NULL. */
static const char *parse_num(const char *s, unsigned max_digits, uint32_t max, uint32_t *ret)
{
	const char *start = s;
	uint32_t v = 0;

	while (*s >= '0' && *s <= '9' && (unsigned)(s - start) < max_digits)
		v = v * 10 + (uint32_t)(*s++ - '0');
	if (s == start || (*start == '0' && s - start > 1) || v > max)
		return NULL;
	*ret = v;
	return s;
}

PL_API int pl_addr_parse(const char *s, struct pl_addr *ret_addr)
{
	struct pl_addr a = {.family = PL_AF_INET};
	uint8_t octet[4] = {0};
	const char *colon;
	uint32_t v;

	if (!s || !ret_addr)
		return -EINVAL;
	colon = strchr(s, ':');
	if (s[0] == '[' || (colon && strchr(colon + 1, ':')))
		return -EAFNOSUPPORT;
	for (int i = colon == s ? 4 : 0; i < 4; i++) {
		s = parse_num(s, 3, 255, &v);
		if (!s || *s != (i < 3 ? '.' : ':'))
			return -EINVAL;
		octet[i] = (uint8_t)v;
		s += i < 3;
	}
	if (!colon || s != colon)
		return -EINVAL;
	s = parse_num(colon + 1, 5, 65535, &v);
	if (!s || *s)
		return -EINVAL;
	memcpy(&a.v4, octet, sizeof(octet));
	a.port = (uint16_t)v;
	*ret_addr = a;
	return 0;
}

PL_API char *pl_addr_format(const struct pl_addr *a, char *buf, size_t size)
{
	const uint8_t *o = a ? a->v6 : NULL; /* the first four bytes are v4's */

	if (!buf || !size)
		return buf;
	if (!a)
		snprintf(buf, size, "?");
	else if (a->family == PL_AF_INET)
		snprintf(buf, size, "%u.%u.%u.%u:%u", o[0], o[1], o[2], o[3], a->port);
	else
		snprintf(buf, size, "?:%u", a->port);
	return buf;
}
