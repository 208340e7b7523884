/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL start-up. The arguments are made from our options: one lcore on a cpu that the
 * caller may use, memory as large as the pools, no files left behind (--in-memory with
 * hugepages; --no-huge refuses that and gets --no-shconf and a file prefix of its own).
 */
#include "drivers/dpdk_eal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

#define MIB          (1024u * 1024u)
#define CHATTER_SIZE 16384u
#define EAL_ARGS_MAX 16
#define FILE_PREFIX  "parklane" /* and the pid: the name of our runtime folder */
/* EAL's own: malloc heap, ethdev and ring structures, memif and tap queues. */
#define EAL_OWN_MEM (64u * MIB)

static struct {
	enum { EAL_NEVER, EAL_RUNNING, EAL_STOPPED } state;
	bool verbose;
	FILE *log;           /* what rte_log writes to */
	int saved[2], memfd; /* while quiet */
	size_t len;
	char chatter[CHATTER_SIZE];
} eal = {.saved = {-1, -1}, .memfd = -1};

/* Keeps the newest bytes: PMDs may go on talking while the program runs. */
static void chatter_add(const char *p, size_t n)
{
	if (n > CHATTER_SIZE) {
		p += n - CHATTER_SIZE;
		n = CHATTER_SIZE;
	}
	if (eal.len + n > CHATTER_SIZE) {
		size_t keep = CHATTER_SIZE - n;

		if (keep > eal.len)
			keep = eal.len;
		memmove(eal.chatter, eal.chatter + eal.len - keep, keep);
		eal.len = keep;
	}
	memcpy(eal.chatter + eal.len, p, n);
	eal.len += n;
}

static ssize_t log_write(void *cookie, const char *buf, size_t n)
{
	(void)cookie;
	chatter_add(buf, n);
	if (eal.verbose)
		(void)!write(STDERR_FILENO, buf, n);
	return (ssize_t)n;
}

static void capture_log(void)
{
	static const cookie_io_functions_t io = {.write = log_write};

	if (eal.log)
		return;
	eal.log = fopencookie(NULL, "w", io);
	if (!eal.log)
		return;
	setvbuf(eal.log, NULL, _IONBF, 0);
	(void)rte_openlog_stream(eal.log);
}

void dpdk_quiet_begin(void)
{
	if (eal.verbose)
		return;
	eal.memfd = memfd_create("parklane-chatter", MFD_CLOEXEC);
	if (eal.memfd < 0)
		return;
	(void)fflush(stdout);
	(void)fflush(stderr);
	for (int i = 0; i < 2; i++) {
		eal.saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 3);
		if (eal.saved[i] >= 0)
			(void)dup2(eal.memfd, i + 1);
	}
}

void dpdk_quiet_end(void)
{
	char buf[1024];
	ssize_t n;

	if (eal.memfd < 0)
		return;
	(void)fflush(stdout);
	(void)fflush(stderr);
	for (int i = 0; i < 2; i++) {
		if (eal.saved[i] < 0)
			continue;
		(void)dup2(eal.saved[i], i + 1);
		(void)close(eal.saved[i]);
		eal.saved[i] = -1;
	}
	(void)lseek(eal.memfd, 0, SEEK_SET);
	while ((n = read(eal.memfd, buf, sizeof(buf))) > 0)
		chatter_add(buf, (size_t)n);
	(void)close(eal.memfd);
	eal.memfd = -1;
}

/* The line that ends at `end`, without blanks at its end: its start, *end moved. */
static size_t line_before(size_t *end)
{
	size_t start;

	while (*end && isspace((unsigned char)eal.chatter[*end - 1]))
		--*end;
	for (start = *end; start && eal.chatter[start - 1] != '\n';)
		start--;
	return start;
}

/* What EAL adds to every refused device, after the line that tells why. */
static bool line_says_nothing(size_t start, size_t end)
{
	static const char *const empty[] = {"EAL: Failed to attach device",
					    "EAL: Driver cannot attach"};

	for (unsigned i = 0; i < ARRAY_SIZE(empty); i++) {
		size_t len = strlen(empty[i]);

		if (end - start >= len && memcmp(eal.chatter + start, empty[i], len) == 0)
			return true;
	}
	return false;
}

const char *dpdk_last_words(char *buf, size_t len)
{
	size_t end = eal.len, start = line_before(&end), n;

	while (start && line_says_nothing(start, end)) {
		end = start;
		start = line_before(&end);
	}
	n = min_t(size_t, end - start, len - 1);
	for (size_t i = 0; i < n; i++) {
		char c = eal.chatter[start + i];

		buf[i] = c;
		if (!isprint((unsigned char)c))
			buf[i] = ' ';
	}
	buf[n] = 0;
	return buf;
}

/* Bytes in free hugepages of every size; *ret_page gets the smallest size in KiB. */
static uint64_t huge_free(unsigned *ret_page)
{
	static const unsigned size_kib[] = {2048, 1048576};
	uint64_t sum = 0;

	*ret_page = size_kib[0];
	for (unsigned i = 0; i < ARRAY_SIZE(size_kib); i++) {
		char path[96];
		uint64_t nr = 0;
		FILE *f;

		(void)snprintf(path, sizeof(path),
			       "/sys/kernel/mm/hugepages/hugepages-%ukB/free_hugepages",
			       size_kib[i]);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%" SCNu64, &nr) == 1)
			sum += nr * size_kib[i] * 1024;
		(void)fclose(f);
	}
	return sum;
}

/* MemAvailable in bytes; UINT64_MAX if the kernel does not tell. */
static uint64_t machine_available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	uint64_t kib = 0, ret = UINT64_MAX;
	char line[128];

	if (!f)
		return ret;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			ret = kib * 1024;
	(void)fclose(f);
	return ret;
}

/* The number in a file of a control group; false if there is none ("max"). */
static bool group_value(const char *group, const char *file, uint64_t *ret)
{
	char path[PATH_MAX];
	bool ok;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s", group, file) >= (int)sizeof(path))
		return false;
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fscanf(f, "%" SCNu64, ret) == 1;
	(void)fclose(f);
	return ok;
}

/*
 * What our control group and those above it leave, in bytes: version 2 ("0::/path") or
 * version 1's memory controller. Beyond it the kernel kills without a word. In a container
 * the path may be the host's, which is not seen: walking up ends at the mount, which is.
 */
static uint64_t group_available(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	uint64_t ret = UINT64_MAX, max, used;
	char line[PATH_MAX], dir[PATH_MAX + 32];

	while (f && fgets(line, sizeof(line), f)) {
		char *v1 = strstr(line, ":memory:/"), *path = v1 ? v1 + 8 : line + 3;
		size_t root;

		if (!v1 && strncmp(line, "0::/", 4) != 0)
			continue;
		path[strcspn(path, "\n")] = 0;
		root = strlen(v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup");
		(void)snprintf(dir, sizeof(dir), "/sys/fs/cgroup%s%s", v1 ? "/memory" : "", path);
		for (;;) {
			if (group_value(dir, v1 ? "memory.limit_in_bytes" : "memory.max", &max) &&
			    group_value(dir, v1 ? "memory.usage_in_bytes" : "memory.current",
					&used))
				ret = min_t(uint64_t, ret, max > used ? max - used : 0);
			if (strlen(dir) <= root)
				break;
			*strrchr(dir, '/') = 0;
		}
	}
	if (f)
		(void)fclose(f);
	return ret;
}

/* What RLIMIT_AS leaves, in bytes. */
static uint64_t limit_available(void)
{
	struct rlimit lim;
	uint64_t pages = 0;
	FILE *f;

	if (getrlimit(RLIMIT_AS, &lim) < 0 || lim.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	f = fopen("/proc/self/statm", "re");
	if (f) {
		(void)!fscanf(f, "%" SCNu64, &pages);
		(void)fclose(f);
	}
	pages *= (uint64_t)sysconf(_SC_PAGESIZE);
	return lim.rlim_cur > pages ? lim.rlim_cur - pages : 0;
}

/* 0 if `need` bytes of normal pages may be had, else -ENOMEM with a line in err. */
static int check_memory(uint64_t need, char *err, size_t errlen)
{
	const struct {
		uint64_t bytes;
		const char *where, *advice;
	} room[] = {
		{machine_available(), "of memory are available", "free some"},
		{group_available(), "are left to this control group", "raise its memory limit"},
		{limit_available(), "of address space are left", "raise 'ulimit -v'"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(room); i++) {
		if (need <= room[i].bytes)
			continue;
		(void)snprintf(err, errlen,
			       "a pool of %" PRIu64 " MiB does not fit: %" PRIu64 " MiB %s: %s",
			       need / MIB, room[i].bytes / MIB, room[i].where, room[i].advice);
		return -ENOMEM;
	}
	return 0;
}

/* 1 with hugepages, 0 without, or -errno with a line in err. */
static int choose_memory(const struct dpdk_eal_config *cfg, uint64_t need, char *err, size_t errlen)
{
	unsigned page;
	uint64_t huge = cfg->huge == DPDK_HUGE_NONE ? 0 : huge_free(&page);

	if (cfg->huge != DPDK_HUGE_NONE && huge >= need)
		return 1;
	if (cfg->huge == DPDK_HUGE_NEED) {
		(void)snprintf(err, errlen,
			       "hugepages: %" PRIu64 " MiB needed, %" PRIu64
			       " MiB free; try: echo %" PRIu64
			       " > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
			       need / MIB, huge / MIB, need / (2 * MIB) + 1);
		return -ENOENT;
	}
	if (check_memory(need, err, errlen) < 0)
		return -ENOMEM;
	if (eal.verbose)
		(void)fprintf(stderr, "parklane: no free hugepages: running on normal pages\n");
	return 0;
}

static int first_cpu(const cpu_set_t *set)
{
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, set))
			return i;
	return 0;
}

/* The pid of a runtime folder named as run_init() names ours; 0 if it is not one. */
static pid_t owner_of(const char *name)
{
	size_t len = strlen(FILE_PREFIX);
	char *end;
	long pid;

	if (strncmp(name, FILE_PREFIX, len) != 0 || !isdigit((unsigned char)name[len]))
		return 0;
	errno = 0;
	pid = strtol(name + len, &end, 10);
	return errno || *end || pid <= 0 || pid > INT_MAX ? 0 : (pid_t)pid;
}

void dpdk_remove_orphans(const char *parent)
{
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d && fd >= 0)
		(void)close(fd);
	while (d && (e = readdir(d))) {
		pid_t pid = owner_of(e->d_name);

		/* The kernel refuses a link, a file, and a folder with something in it. */
		if (pid && kill(pid, 0) < 0 && errno == ESRCH)
			(void)unlinkat(fd, e->d_name, AT_REMOVEDIR);
	}
	if (d)
		(void)closedir(d);
}

/* Made by EAL even where it shares nothing with other processes; empty, and left behind. */
static void remove_runtime_dir(void)
{
	const char *dir = rte_eal_get_runtime_dir();
	char parent[PATH_MAX];
	char *slash;

	if (!dir || !*dir || rmdir(dir) < 0)
		return;
	(void)snprintf(parent, sizeof(parent), "%s", dir);
	slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = 0;
		dpdk_remove_orphans(parent);
		(void)rmdir(parent);
	}
}

static int run_init(const struct dpdk_eal_config *cfg, uint64_t need, bool huge, int cpu)
{
	char lcores[24], mem[24], prefix[32];
	const char *arg[EAL_ARGS_MAX] = {"parklane", "--lcores",      lcores, "-m",
					 mem,        "--file-prefix", prefix, "--no-telemetry"};
	char *argv[EAL_ARGS_MAX + 1] = {NULL}, *own[EAL_ARGS_MAX];
	int n = 8, ret;

	(void)snprintf(lcores, sizeof(lcores), "0@%d", cpu);
	(void)snprintf(mem, sizeof(mem), "%" PRIu64, need / MIB);
	(void)snprintf(prefix, sizeof(prefix), FILE_PREFIX "%d", (int)getpid());
	if (huge) {
		arg[n++] = "--in-memory";
	} else {
		arg[n++] = "--no-huge";
		arg[n++] = "--no-shconf";
	}
	if (cfg->pci) {
		arg[n++] = "-a";
		arg[n++] = cfg->pci;
	} else {
		arg[n++] = "--no-pci";
	}
	for (int i = 0; i < n; i++)
		argv[i] = own[i] = strdup(arg[i]);
	ret = rte_eal_init(n, argv);
	/* EAL reorders argv[], and writes into it; it keeps copies of what it needs */
	for (int i = 0; i < n; i++)
		free(own[i]);
	remove_runtime_dir();
	return ret;
}

int dpdk_eal_start(const struct dpdk_eal_config *cfg, char *err, size_t errlen)
{
	uint64_t need = ((uint64_t)cfg->mem_bytes + EAL_OWN_MEM + MIB - 1) / MIB * MIB;
	char words[160];
	cpu_set_t cpus;
	int ret, huge;

	if (eal.state == EAL_RUNNING)
		return 0;
	if (eal.state == EAL_STOPPED) {
		(void)snprintf(err, errlen, "DPDK can be started only once in a process");
		return -EBUSY;
	}
	eal.verbose = cfg->verbose;
	huge = choose_memory(cfg, need, err, errlen);
	if (huge < 0)
		return huge;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		CPU_ZERO(&cpus);
	capture_log();
	dpdk_quiet_begin();
	ret = run_init(cfg, need, huge, first_cpu(&cpus));
	dpdk_quiet_end();
	if (CPU_COUNT(&cpus))
		(void)sched_setaffinity(0, sizeof(cpus), &cpus);
	if (ret < 0) {
		eal.state = EAL_STOPPED;
		if (rte_errno == ENOMEM)
			(void)snprintf(err, errlen,
				       "DPDK did not get its %" PRIu64 " MiB of memory: raise "
				       "'ulimit -v' or free some; --verbose shows all",
				       need / MIB);
		else
			(void)snprintf(
				err, errlen, "DPDK did not start: %s (%s); --verbose shows all",
				rte_strerror(rte_errno), dpdk_last_words(words, sizeof(words)));
		return rte_errno == ENOMEM ? -ENOMEM : -EIO;
	}
	eal.state = EAL_RUNNING;
	return 0;
}

void dpdk_eal_stop(void)
{
	if (eal.state != EAL_RUNNING)
		return;
	dpdk_quiet_begin();
	(void)rte_eal_cleanup();
	dpdk_quiet_end();
	eal.state = EAL_STOPPED;
}

int dpdk_thread_register(void)
{
	if (eal.state != EAL_RUNNING || rte_lcore_id() != LCORE_ID_ANY)
		return 0;
	return rte_thread_register() < 0 ? -ENOMEM : 0;
}

void dpdk_thread_unregister(void)
{
	if (eal.state == EAL_RUNNING && rte_lcore_id() != LCORE_ID_ANY &&
	    rte_lcore_id() != rte_get_main_lcore())
		rte_thread_unregister();
}
