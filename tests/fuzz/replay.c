/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target over files, once each: for compilers without a fuzzer, for coverage, and for
 * whoever looks at a finding (FUZZ_VERBOSE=1 tells what happens). Names each file before it runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int main(int argc, char **argv)
{
	static uint8_t buf[1u << 20];
	bool help = argc == 2 && !strcmp(argv[1], "--help");

	if (argc < 2 || help) {
		fprintf(help ? stdout : stderr,
			"usage: [FUZZ_VERBOSE=1] %s FILE...: run each input once, and tell what "
			"happens\n",
			argv[0]);
		return help ? 0 : 2;
	}
	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "re");
		size_t n;

		if (!f) {
			perror(argv[i]);
			return 2;
		}
		n = fread(buf, 1, sizeof(buf), f);
		if (ferror(f)) {
			perror(argv[i]);
			return 2;
		}
		fclose(f);
		printf("%s\n", argv[i]);
		(void)fflush(stdout);
		/* a copy, so that a sanitizer sees who reads on */
		uint8_t *copy = malloc(n ? n : 1);

		if (!copy)
			return 2;
		for (size_t k = 0; k < n; k++)
			copy[k] = buf[k];
		(void)LLVMFuzzerTestOneInput(copy, n);
		free(copy);
	}
	return 0;
}
