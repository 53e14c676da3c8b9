/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control groups that stand still: nobody in them can be asked anything, and no tracer can change that. */
#ifndef CR_REMOTE_FREEZER_H
#define CR_REMOTE_FREEZER_H

#include "common/base/err.h"

/* Refuses when the group of a task is frozen: text is its /proc/PID/cgroup. 0 also where that cannot be told. */
int freezer_check(const char *text, struct err *err);
/* The same with that file: path is relative to proc_fd. */
int freezer_check_file(int proc_fd, const char *path, struct err *err);
/* Whether the group, a directory of a mounted hierarchy, is frozen: by itself or by one above it. */
bool freezer_is_frozen(const char *dir);

#endif
