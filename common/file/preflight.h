/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is found out about files before a restore makes anything; common to the files that look. */
#ifndef CR_FILE_PREFLIGHT_H
#define CR_FILE_PREFLIGHT_H

#include <fcntl.h>
#include <sys/stat.h>

#include "common/file/file.h"

struct files_check; /* common/file/table.h */

struct look {
	const struct model *m;
	const struct files_check *check;
	finding_fn report;
	void *ctx;
	int count;
	uint8_t *seen; /* by index of m->files: SEEN_* */
	unsigned euid;
	/* The mount that was asked last. */
	bool mount_known;
	uint64_t mount;
	unsigned long mount_flags;
};

enum { SEEN_OPENED = 1, SEEN_MAPPED = 2, SEEN_EXECUTED = 4 };

/* Reports what is in the way; name: of the file. */
void look_found(struct look *f, const char *name, const char *fmt, ...) printf_like(3, 4);
/* stat(2) with attributes and the number of the mount; link: of a symbolic link itself. */
int look_statx(const char *path, bool link, struct statx *st);
/* What this host has against opening this file with these flags. */
void look_opening(struct look *f, const char *path, const struct statx *st, uint32_t flags);
/* The same against mapping it executable, and against its being the executable of a task. */
void look_executable(struct look *f, const char *path, bool is_exe);
/* The places of deleted files, which are made again there for a moment. */
void look_deleted(struct look *f);
/* Whether this may be the file of a socket of the checkpoint, which the restore makes. */
bool look_is_made(const struct model *m, const char *path);
/* The paths that inotify and fanotify watch. */
void look_watched(struct look *f);
/* Devices to which tun files are attached. */
void look_devices(struct look *f);
/* Who has locks here that those of the checkpoint would meet. */
void look_locks(struct look *f);

#endif
