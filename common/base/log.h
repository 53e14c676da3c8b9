/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Details for those who ask (-v, --log-file). Nothing that a user must know is only here:
 * failures travel in struct err. The logger adds the newline; callers never do.
 */
#ifndef CR_BASE_LOG_H
#define CR_BASE_LOG_H

#include <stdio.h>

#include "common/base/err.h"
#include "common/base/util.h"

enum log_level { LOG_ERROR = 1, LOG_WARN = 2, LOG_INFO = 3, LOG_DEBUG = 4 };

struct log {
	FILE *file;	   /* where lines go; NULL drops everything. Owned when owned is set. */
	bool owned;
	enum log_level level; /* lines above it are dropped */
	bool json;	   /* --log-format=json: one object a line */
	const char *prog;
	uint64_t start_ns; /* CLOCK_MONOTONIC of log_open, lines show the time since */
};

/* path NULL: stderr, "-": stdout. Fills *log; level is CRIU's -v count (0 = errors, 1 errors, 2 warnings, 3 info, 4 debug). */
int log_open(struct log *log, const char *prog, const char *path, int level, bool json, struct err *err);
void log_close(struct log *log);
void log_line(const struct log *log, enum log_level level, const char *fmt, ...) printf_like(3, 4);

static inline bool log_on(const struct log *log, enum log_level level)
{
	return log && log->file && level <= log->level;
}

/* Arguments are not evaluated when the level is off: a debug line in a hot loop costs one branch. */
#define log_at(l, lv, ...) do { if (log_on(l, lv)) log_line(l, lv, __VA_ARGS__); } while (0)
#define log_warn(l, ...) log_at(l, LOG_WARN, __VA_ARGS__)
#define log_info(l, ...) log_at(l, LOG_INFO, __VA_ARGS__)
#define log_debug(l, ...) log_at(l, LOG_DEBUG, __VA_ARGS__)

#endif
