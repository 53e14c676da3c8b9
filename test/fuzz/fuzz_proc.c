/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All parsers of /proc on any text: no crash, no overrun, and results that hold what the headers promise. */
#include <string.h>

#include "common/proc/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_maps(const struct proc_maps *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].start >= m->v[i].end || (i && m->v[i].start < m->v[i - 1].end) || !m->v[i].name)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_free char *text = xmalloc(size + 1);
	struct proc_status status;
	struct proc_stat stat;
	struct proc_maps maps;
	struct proc_fdinfo fdinfo;
	struct proc_limits limits;
	struct proc_timer *timers;
	struct proc_mount *mounts;
	size_t n;

	memcpy(text, data, size);
	text[size] = 0;
	if (!proc_parse_stat(text, &stat) && strlen(stat.comm) >= sizeof(stat.comm))
		abort();
	if (!proc_parse_status(text, a, &status) && (strlen(status.comm) >= sizeof(status.comm) || status.ngroups > PROC_GROUPS_MAX))
		abort();
	if (!proc_parse_maps(text, a, &maps))
		check_maps(&maps);
	if (!proc_parse_smaps(text, a, &maps))
		check_maps(&maps);
	if (!proc_parse_fdinfo(text, a, &fdinfo) && strcmp(fdinfo.text, text))
		abort();
	(void)proc_parse_limits(text, &limits);
	(void)proc_parse_timers(text, a, &timers, &n);
	if (!proc_parse_mountinfo(text, a, &mounts, &n))
		for (size_t i = 0; i < n; i++)
			if (!mounts[i].point || !mounts[i].super || !mounts[i].optional)
				abort();
	return 0;
}
