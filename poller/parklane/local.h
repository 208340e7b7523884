/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values of a goroutine: what thread-locals are to threads. (Those themselves may not be used
 * across a call that parks: another goroutine runs on the same thread meanwhile.)
 */
#ifndef PARKLANE_LOCAL_H
#define PARKLANE_LOCAL_H

#include <parklane/go.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PL_KEYS_MAX 128u

/* pl_key_make - a new key, for the whole process and for good. destroy(value), unless NULL, is
 * called inside a goroutine that ends with a value other than NULL, and may use all calls; it is
 * not called for those that are still alive when their lane is destroyed. Any thread. 0; -EAGAIN
 * all PL_KEYS_MAX are taken; -EINVAL ret_key NULL. */
PL_API int pl_key_make(void (*destroy)(void *value), unsigned *ret_key);
/* pl_local_set - the calling goroutine's value of key; the old one is not destroyed. 0; -EINVAL
 * no such key; -ENOMEM; -EXDEV the caller is no goroutine. */
PL_API int pl_local_set(unsigned key, void *value);
/* pl_local_get - NULL: never set here, or no such key, or the caller is no goroutine. */
PL_API void *pl_local_get(unsigned key);

#ifdef __cplusplus
}
#endif
#endif
