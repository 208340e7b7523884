/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef APPS_BENCH_PARK_H
#define APPS_BENCH_PARK_H

/* cmd_bench_park - `parklane bench park`; argv[0] is "park". Returns the exit status. */
int cmd_bench_park(int argc, char **argv);

#endif
