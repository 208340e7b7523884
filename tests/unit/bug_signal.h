/* SPDX-License-Identifier: BSD-3-Clause */
/* What the trap at the end of bug_fatal() raises. */
#ifndef TESTS_UNIT_BUG_SIGNAL_H
#define TESTS_UNIT_BUG_SIGNAL_H

#include <signal.h>

#if defined(__aarch64__)
#define BUG_SIGNAL SIGTRAP
#else
#define BUG_SIGNAL SIGILL
#endif

#endif
