/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Code addresses to names: elfutils' libdw, which knows static functions (.symtab) and lines
 * (DWARF), where it was there at build time; dladdr(3), which knows exported ones, otherwise.
 * Separate debug files are not searched for: that may ask a server.
 */
#include "poller/symbols.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *name_into(const char *name, uintptr_t fn, char *buf, size_t size)
{
	if (name)
		(void)snprintf(buf, size, "%s", name);
	else
		(void)snprintf(buf, size, "0x%" PRIxPTR, fn);
	return buf;
}

#ifdef HAVE_LIBDW
#include <elfutils/libdwfl.h>

struct symbols {
	Dwfl *dwfl;
};

static int no_debug_file(Dwfl_Module *mod, void **data, const char *name, Dwarf_Addr base,
			 const char *file, const char *link, GElf_Word crc, char **ret_name)
{
	(void)mod, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc;
	(void)ret_name;
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = no_debug_file,
};

struct symbols *symbols_open(void)
{
	struct symbols *sy = calloc(1, sizeof(*sy));

	if (!sy)
		return NULL;
	sy->dwfl = dwfl_begin(&callbacks);
	/* Without it, or without /proc, addresses are printed bare. */
	if (sy->dwfl) {
		(void)dwfl_linux_proc_report(sy->dwfl, getpid());
		(void)dwfl_report_end(sy->dwfl, NULL, NULL);
	}
	return sy;
}

void symbols_close(struct symbols *sy)
{
	if (sy && sy->dwfl)
		dwfl_end(sy->dwfl);
	free(sy);
}

static void print_line(Dwfl_Module *mod, FILE *f, uintptr_t at)
{
	Dwfl_Line *line = dwfl_module_getsrc(mod, at);
	const char *src = NULL;
	int nr = 0;

	if (line)
		src = dwfl_lineinfo(line, NULL, &nr, NULL, NULL, NULL);
	if (!src)
		return;
	while (strncmp(src, "../", 3) == 0) /* how a build folder sees its sources */
		src += 3;
	fprintf(f, "  %s:%d", src, nr);
}

void symbols_print(struct symbols *sy, FILE *f, uintptr_t pc)
{
	/* The call itself: behind one that never returns stands another function. */
	uintptr_t at = pc - 1;
	Dwfl_Module *mod = sy->dwfl ? dwfl_addrmodule(sy->dwfl, at) : NULL;
	const char *name;
	GElf_Off off;
	GElf_Sym sym;

	name = mod ? dwfl_module_addrinfo(mod, at, &off, &sym, NULL, NULL, NULL) : NULL;
	if (!name) {
		fprintf(f, "0x%" PRIxPTR, pc);
		return;
	}
	fprintf(f, "%s+0x%" PRIx64, name, (uint64_t)off + 1);
	print_line(mod, f, at);
}

const char *symbols_name(struct symbols *sy, uintptr_t fn, char *buf, size_t size)
{
	Dwfl_Module *mod = sy->dwfl ? dwfl_addrmodule(sy->dwfl, fn) : NULL;
	const char *name = mod ? dwfl_module_addrname(mod, fn) : NULL;

	return name_into(name, fn, buf, size);
}
#else
struct symbols {
	char none;
};

struct symbols *symbols_open(void)
{
	return calloc(1, sizeof(struct symbols));
}

void symbols_close(struct symbols *sy)
{
	free(sy);
}

void symbols_print(struct symbols *sy, FILE *f, uintptr_t pc)
{
	Dl_info i = {0};

	(void)sy;
	if (!dladdr((void *)(pc - 1), &i) || !i.dli_fname) {
		fprintf(f, "0x%" PRIxPTR, pc);
		return;
	}
	/* With the file's own address: addr2line(1) takes that. */
	fprintf(f, "%s+0x%" PRIxPTR " (%s+0x%" PRIxPTR ")", i.dli_sname ? i.dli_sname : "?",
		i.dli_saddr ? pc - (uintptr_t)i.dli_saddr : 0, i.dli_fname,
		pc - (uintptr_t)i.dli_fbase);
}

const char *symbols_name(struct symbols *sy, uintptr_t fn, char *buf, size_t size)
{
	Dl_info i = {0};

	(void)sy;
	/* dladdr() names the nearest exported one below: not this one, if that begins elsewhere */
	if (!dladdr((void *)fn, &i) || (uintptr_t)i.dli_saddr != fn)
		i.dli_sname = NULL;
	return name_into(i.dli_sname, fn, buf, size);
}
#endif
