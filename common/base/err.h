/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The error object. A function that can fail takes a struct err last, fills it once, and
 * returns a negative errno. Callers add what they know (which task, which object) on the way
 * up; only main() prints it, as one line:
 *
 *	cr-dump: pid 4711 (redis-server): fd 7: REASON: strerror; HINT
 *
 * An err is a plain value without allocations: it needs no release.
 */
#ifndef CR_BASE_ERR_H
#define CR_BASE_ERR_H

#include <stdio.h>
#include <sys/types.h>

#include "common/base/util.h"

/* What a caller of the binary can act on; each value is the exit code of the process. */
enum err_kind {
	ERR_NONE = 0,
	ERR_FAILED = 1,  /* a system call or the work itself failed; target unharmed */
	ERR_USAGE = 2,   /* wrong usage or configuration; nothing was touched */
	ERR_FEATURE = 3, /* this kernel, host or these privileges lack something */
	ERR_IMAGE = 4,   /* an image is missing, damaged or contradictory */
	ERR_REFUSED = 5, /* the target holds state that cannot be brought back */
};

struct err {
	enum err_kind kind;
	int errnum;	   /* errno value, 0 when none applies */
	pid_t pid;	   /* task concerned, 0 when none */
	char comm[16];	   /* its name, when known */
	char object[192];  /* "fd 7", "mapping 7f00...-7f01...", "core-12.img: entry 1", may be empty */
	char reason[512];
	char hint[256];	   /* option or action that helps, may be empty */
};

#define ERR_INIT { .kind = ERR_NONE }

/* Fills e with a reason. errnum 0 means that no errno belongs to it. Returns -errnum, or -EINVAL for errnum 0.
 * The first error wins: a filled err is left as it is. */
int err_set(struct err *e, enum err_kind kind, int errnum, const char *fmt, ...) printf_like(4, 5);

/* err_set(e, ERR_FAILED, errno, ...): the usual form right after a failed system call. */
int err_sys(struct err *e, const char *fmt, ...) printf_like(2, 3);
int err_image(struct err *e, const char *fmt, ...) printf_like(2, 3);  /* ERR_IMAGE, no errno */
int err_refuse(struct err *e, const char *fmt, ...) printf_like(2, 3); /* ERR_REFUSED, no errno */

/* Adds context on the way up. Each keeps what is already there: the task that is named first stays, objects are
 * put in front ("files.img: entry 3" then "fd 7: files.img: entry 3"). All return ret so that
 * `return err_task(e, pid, comm, ret);` reads well. */
int err_task(struct err *e, pid_t pid, const char *comm, int ret);
int err_object(struct err *e, int ret, const char *fmt, ...) printf_like(3, 4);
int err_hint(struct err *e, int ret, const char *fmt, ...) printf_like(3, 4);

/* Writes the one line (with newline) to f. prog is the name of the binary. json: as one JSON object instead. */
void err_print(const struct err *e, const char *prog, bool json, FILE *f);

#endif
