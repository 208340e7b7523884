/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What AddressSanitizer is told of memory that goes round in lists of our own, where malloc and
 * free cannot tell it. Empty in all other builds.
 */
#ifndef STACK_BASE_ASAN_H
#define STACK_BASE_ASAN_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define BASE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BASE_ASAN 1
#endif
#endif

#ifdef BASE_ASAN
/* as <sanitizer/asan_interface.h> declares them */
void __asan_poison_memory_region(const volatile void *p, size_t n);
void __asan_unpoison_memory_region(const volatile void *p, size_t n);
#endif

/* asan_poison - whoever touches n bytes at p is reported, until asan_unpoison. p a multiple of
 * 8. */
static inline void asan_poison(const void *p, size_t n)
{
#ifdef BASE_ASAN
	__asan_poison_memory_region(p, n);
#else
	(void)p;
	(void)n;
#endif
}

static inline void asan_unpoison(const void *p, size_t n)
{
#ifdef BASE_ASAN
	__asan_unpoison_memory_region(p, n);
#else
	(void)p;
	(void)n;
#endif
}

#endif
