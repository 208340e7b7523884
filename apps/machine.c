/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine and the build that a measurement comes from. */
#include "apps/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "apps/tsc.h"

void machine_line(const char *path, const char *key, char *out, size_t size)
{
	char line[512];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		char *v = line;

		if (*key) {
			if (strncmp(line, key, strlen(key)))
				continue;
			v = strchr(line, ':');
			v = v ? v + 1 + strspn(v + 1, " \t") : line;
		}
		v[strcspn(v, "\n")] = '\0';
		snprintf(out, size, "%.*s", (int)size - 1, v);
		break;
	}
	if (f)
		fclose(f);
}

void machine_read(struct machine *m)
{
	time_t now = time(NULL);
	struct utsname u;
	struct tm tm;

	*m = (struct machine){.cpu = "unknown cpu"};
	machine_line("/proc/cpuinfo", "model name", m->cpu, sizeof(m->cpu));
	if (!uname(&u))
		snprintf(m->kernel, sizeof(m->kernel), "%s", u.release);
	if (gmtime_r(&now, &tm))
		strftime(m->date, sizeof(m->date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(m->commit, sizeof(m->commit), "%s", PARKLANE_COMMIT);
	m->cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (getrandom(&m->seed, sizeof(m->seed), 0) != sizeof(m->seed))
		m->seed = mono_ns();
	m->seed >>= 1;
}

json_t *machine_json(const struct machine *m)
{
	return json_pack("{s:s s:s s:s s:i s:s s:I}", "machine", m->cpu, "kernel", m->kernel,
			 "commit", m->commit, "cpus", (int)m->cpus, "date", m->date, "seed",
			 (json_int_t)m->seed);
}
