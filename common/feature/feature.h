/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this kernel, these privileges and this host can do. Each feature is a row of one table with a probe that does the
 * smallest real operation; nothing is decided by a version number. cr-check prints the table, the engines ask for single
 * rows, and both say the same sentence about what is not there.
 */
#ifndef CR_FEATURE_FEATURE_H
#define CR_FEATURE_FEATURE_H

#include "common/base/err.h"

enum feature_state {
	FEATURE_OK,
	FEATURE_MISSING,       /* the kernel does not have it */
	FEATURE_NO_PERMISSION, /* the kernel may have it, but this process may not use it */
	FEATURE_UNKNOWN,       /* the probe could not tell; the text says why */
};

enum feature_level {
	FEATURE_REQUIRED,     /* no dump or restore works without */
	FEATURE_EXTRA,	      /* only what some programs need */
	FEATURE_EXPERIMENTAL, /* new in kernels, or of use to few */
};

/* What the user wants to do; the table is shown in this order. */
enum feature_group {
	GROUP_DUMP, GROUP_RESTORE, GROUP_MEMORY, GROUP_INCREMENTAL, GROUP_LAZY, GROUP_CONTAINER, GROUP_TCP, GROUP_NETWORK,
	GROUP_UNPRIVILEGED, GROUP_COUNT
};

#define FEATURE_WHY_MAX 192

struct probe;
struct feature {
	const char *name;     /* stable; CRIU's name where CRIU has the feature */
	const char *what_for;
	const char *hint;     /* what has it: a kernel, an option of it; NULL when there is no choice */
	enum feature_level level;
	enum feature_group group;
	void (*probe)(struct probe *p, int arg);
	int arg;
	unsigned limit_ms; /* 0: the usual time limit */
};

const struct feature *feature_table(size_t *n);
const struct feature *feature_find(const char *name); /* NULL when there is no such row */
const char *feature_group_title(enum feature_group group); /* for people: "Dump a process" */
const char *feature_group_key(enum feature_group group);   /* for programs: "dump", stable */
const char *feature_state_word(enum feature_state state); /* "ok", "missing", "no permission", "unknown" */

/*
 * Runs the probe in a child process with a time limit: it leaves nothing behind and cannot hang or crash the caller. why gets
 * the reason, or for FEATURE_OK a detail such as a size ("" when there is none). Reaps exactly its own child.
 */
enum feature_state feature_probe(const struct feature *f, char *why, size_t size);

struct feature_result {
	enum feature_state state;
	char why[FEATURE_WHY_MAX];
	unsigned us; /* how long it took, with its child process */
};

/* The same for n rows, some at a time: most probes wait for the kernel more than they compute. out[i] belongs to rows[i]. */
void feature_probe_many(const struct feature *const *rows, size_t n, struct feature_result *out);

/* "missing: NAME (WHAT FOR): WHY", one line without newline. */
void feature_sentence(const struct feature *f, enum feature_state state, const char *why, char *buf, size_t size);

/* What to do about that state, NULL when there is nothing. */
const char *feature_hint(const struct feature *f, enum feature_state state);

/* 0, or ERR_FEATURE with the sentence and the hint; -EOPNOTSUPP or, when forbidden, -EPERM. An unknown name is -EINVAL. */
int feature_need(const char *name, struct err *err);

/*
 * For a call that has failed with errnum: when that can mean that the kernel lacks the feature or withholds it, the answer
 * of feature_need(); else 0, and the caller tells its own error. So nothing is probed while all is well.
 */
int feature_blame(const char *name, int errnum, struct err *err);

/* What nothing that this group is about (and that of memory) can do without, if it is not here. */
struct findings;
void features_check(struct findings *found, enum feature_group group);

/*
 * 0 when all of caps[0..n) (CAP_*) are in the effective set, else -EPERM and one line that names every missing one, with what
 * it is for: for a single one exactly the sentence that cr-check has for it.
 * CAP_SYS_ADMIN counts for CAP_CHECKPOINT_RESTORE, as it does in the kernel.
 */
int privileges_need(const int *caps, size_t n, struct err *err);

#endif
