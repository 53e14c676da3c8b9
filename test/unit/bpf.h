/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BPF iterators, for unit tests of what uses them. */
#ifndef CR_TEST_UNIT_BPF_H
#define CR_TEST_UNIT_BPF_H

#include <string.h>
#include <sys/capability.h>

#include "common/bpf/iter.h"

/* Whether they can be had here; where not, it says why. path: of a field that each kernel has. */
static inline bool bpf_can_iterate(enum iter_kind kind, const char *path)
{
	struct iter_rows rows = { 0 };
	struct err err = ERR_INIT;
	struct iter it;
	int ret = iter_load(kind, &path, 1, 1, &it, &err);

	if (!ret)
		ret = iter_read(&it, getpid(), &rows, &err);
	iter_rows_free(&rows);
	iter_close(&it);
	if (ret)
		print_message("BPF iterators: %s: %s\n", err.reason, strerror(err.errnum));
	return !ret;
}

/* Effective capabilities of this thread, and of those it makes. */
static inline void bpf_allowed(bool yes)
{
	const cap_value_t caps[] = { CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN };
	cap_t now = cap_get_proc();

	assert_non_null(now);
	assert_int_equal(cap_set_flag(now, CAP_EFFECTIVE, 3, caps, yes ? CAP_SET : CAP_CLEAR), 0);
	assert_int_equal(cap_set_proc(now), 0);
	cap_free(now);
}

#endif
