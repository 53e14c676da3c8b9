/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors that are collected instead of ending the work at the first: what a preflight (--check) tells. Each keeps all that
 * struct err has: the task, the object, the reason and what helps.
 */
#ifndef CR_BASE_FINDINGS_H
#define CR_BASE_FINDINGS_H

#include "common/base/err.h"

struct arena;

struct finding {
	enum err_kind kind;
	int errnum; /* 0 when none applies */
	pid_t pid;  /* 0 when no task is concerned */
	const char *comm, *object, *reason, *hint; /* "" when there is none */
};

/* Zeroed is empty. Equal ones are kept once. */
struct findings {
	struct finding *v;
	size_t n, cap;
	struct arena *arena;
	void *known; /* tsearch(3) tree of them */
};

/* Takes what e says; e is empty again. */
void findings_take(struct findings *f, struct err *e);
/* The same where there is no error yet. object and hint may be NULL. */
void findings_add(struct findings *f, enum err_kind kind, pid_t pid, const char *object, const char *hint, const char *fmt,
		  ...) printf_like(6, 7);
/* For people a line each (nothing when there are none), or one JSON array of objects {pid, comm, object, reason, errno, hint}. */
void findings_print(const struct findings *f, bool json, FILE *out);
void findings_release(struct findings *f);
#define cleanup_findings cleanup(findings_release)

/* How a part of a preflight tells: object may be NULL. */
typedef void (*finding_fn)(void *ctx, const char *object, const char *reason);

/* Where findings are collected (f is not NULL) an error becomes one of them, and the work goes on: gives 0 then, else ret. */
static inline int findings_note(struct findings *f, int ret, struct err *e)
{
	if (f && ret < 0) {
		findings_take(f, e);
		return 0;
	}
	return ret;
}

#endif
