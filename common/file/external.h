/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is given from outside instead of being dumped and made again: --external TYPE[ID] and --external TYPE[ID]:VALUE name
 * such resources, --inherit-fd fd[N]:KEY gives a descriptor for one at the restore. KEY is the text that stands for the
 * resource in the images ("pipe:[4711]", "tty[8803:1b]", a path without its leading slash, ...).
 */
#ifndef CR_FILE_EXTERNAL_H
#define CR_FILE_EXTERNAL_H

#include "common/base/err.h"
#include "common/base/log.h"

struct external { const char *type, *id, *value; bool used; }; /* value: "" when there is none */
struct inherited { const char *key; int fd; bool used; };

struct externals {
	struct external *v;
	size_t n;
	struct inherited *fds;
	size_t nfds;
};

/* Both read one value of their option, as given, and add it to e. ERR_USAGE: the form is wrong, the type is not known, the
 * descriptor is no number, or the key was given before. */
int external_add(struct externals *e, const char *text, struct err *err);
int inherited_add(struct externals *e, const char *text, struct err *err);
/* One value of --ext-unix-sk: inodes with commas between them, or nothing, which allows all. The same as --external unix[INODE]. */
int external_add_sockets(struct externals *e, const char *text, struct err *err);
/* All of them must be open in this process (ERR_USAGE), asked before we open anything ourselves. */
int inherited_check(const struct externals *e, struct err *err);
/* Closes them: once the tasks have theirs, ours would keep pipes and sockets open for nothing. */
void inherited_close(struct externals *e);
void externals_release(struct externals *e);
#define cleanup_externals cleanup(externals_release)

/* NULL when the resource was not named; it counts as used then. e may be NULL. By several threads at once, too. */
const struct external *external_find(const struct externals *e, const char *type, const char *id);
/* A warning for each one that nothing was: a slip of the pen, or a resource that no task has any more. */
void externals_tell_unused(const struct externals *e, const struct log *log);
/* The descriptor given for the key, which counts as used then; -1 when there is none. e may be NULL. */
int inherited_find(const struct externals *e, const char *key);

/* The text by which --external and --inherit-fd name an open file that has no other: "file[mnt_id:inode]", and that within the brackets. */
#define EXTERNAL_FILE_MAX 48
void external_file_id(int mnt_id, uint64_t ino, char id[EXTERNAL_FILE_MAX]);

#endif
