/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A name for a code address inside of a signal handler: no heap, lock or stdio. The object is
 * found by _dl_find_object(3), which takes no lock, and its file's symbol table is read where it
 * lies. No lines, and no separate debug files.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "poller/symbols.h"
#include "stack/base/compiler.h"

/* A file, as it is mapped for the search. */
struct file {
	const uint8_t *at;
	size_t size;
};

static bool file_map(const char *path, struct file *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0)
		return false;
	p = fstat(fd, &st) == 0 && st.st_size > 0
		    ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
		    : MAP_FAILED;
	close(fd);
	if (p == MAP_FAILED)
		return false;
	*ret = (struct file){p, (size_t)st.st_size};
	return true;
}

/* within - nr elements of `size` bytes at `off`, or NULL: the file may be another one by now. */
static const void *within(const struct file *f, uint64_t off, uint64_t nr, size_t size)
{
	if (off > f->size || nr > (f->size - off) / size || off % 8)
		return NULL;
	return f->at + off;
}

/* find_in - the function around addr, of one symbol table. NULL: it is not there. */
static const char *find_in(const struct file *f, const ElfW(Shdr) * tab, const ElfW(Shdr) * str,
			   uintptr_t addr, uintptr_t *ret_off)
{
	uint64_t nr = tab->sh_size / sizeof(ElfW(Sym));
	const ElfW(Sym) *sym = within(f, tab->sh_offset, nr, sizeof(*sym));

	if (!sym || str->sh_offset > f->size || str->sh_size > f->size - str->sh_offset)
		return NULL;
	for (uint64_t i = 0; i < nr; i++) {
		const char *name = (const char *)f->at + str->sh_offset + sym[i].st_name;

		if ((sym[i].st_info & 0xf) != STT_FUNC || sym[i].st_shndx == SHN_UNDEF ||
		    addr - sym[i].st_value >= sym[i].st_size || sym[i].st_name >= str->sh_size)
			continue;
		if (!memchr(name, '\0', str->sh_size - sym[i].st_name))
			return NULL;
		*ret_off = addr - sym[i].st_value;
		return name;
	}
	return NULL;
}

/* find - all functions if the file was not stripped of their names, else the exported ones. */
static const char *find(const struct file *f, uintptr_t addr, uintptr_t *ret_off)
{
	const ElfW(Ehdr) *eh = within(f, 0, 1, sizeof(*eh));
	const ElfW(Shdr) * sh;
	const char *name = NULL;

	if (!eh || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_shentsize != sizeof(*sh))
		return NULL;
	sh = within(f, eh->e_shoff, eh->e_shnum, sizeof(*sh));
	for (int type = SHT_SYMTAB; sh && !name; type = SHT_DYNSYM) {
		for (unsigned i = 0; i < eh->e_shnum && !name; i++)
			if (sh[i].sh_type == (unsigned)type && sh[i].sh_link < eh->e_shnum)
				name = find_in(f, &sh[i], &sh[sh[i].sh_link], addr, ret_off);
		if (type == SHT_DYNSYM)
			break;
	}
	return name;
}

static size_t put(char *buf, size_t n, size_t size, const char *s)
{
	while (*s && n + 1 < size)
		buf[n++] = *s++;
	buf[n] = '\0';
	return n;
}

static size_t put_hex(char *buf, size_t n, size_t size, uintptr_t v)
{
	char d[2 * sizeof(v) + 3];
	int i = sizeof(d) - 1;

	d[i] = '\0';
	do {
		d[--i] = "0123456789abcdef"[v % 16];
		v /= 16;
	} while (v);
	d[--i] = 'x';
	d[--i] = '0';
	return put(buf, n, size, &d[i]);
}

size_t symbols_raw(uintptr_t at, uintptr_t pc, char *buf, size_t size)
{
	struct dl_find_object dlfo;
	struct file f;
	const struct link_map *map;
	const char *name;
	uintptr_t off;
	size_t n = 0;

	if (_dl_find_object((void *)at, &dlfo) != 0)
		return put_hex(buf, 0, size, pc);
	map = dlfo.dlfo_link_map;
	if (!file_map(*map->l_name ? map->l_name : "/proc/self/exe", &f))
		return put_hex(buf, 0, size, pc);
	name = find(&f, at - map->l_addr, &off);
	if (name) {
		n = put(buf, 0, size, name);
		n = put(buf, n, size, "+");
		n = put_hex(buf, n, size, off + (pc - at));
	} else {
		n = put_hex(buf, 0, size, pc);
	}
	(void)munmap((void *)f.at, f.size);
	return n;
}
