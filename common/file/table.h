/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open file descriptions of a checkpoint: which descriptors are one description (kcmp, ordered, never pair by pair),
 * their ids, and the descriptor tables of tasks. Mapped files, the executable, cwd and root take ids from here too.
 */
#ifndef CR_FILE_TABLE_H
#define CR_FILE_TABLE_H

#include <sys/stat.h>

#include "common/dump/dump.h"
#include "common/restore/model.h"
#include "common/restore/plan.h"

struct file_table *file_table_new(void);
void file_table_free(struct file_table *t);
/* The checkpoint is whole: names that --link-remap gave to files stay. */
void file_links_keep(struct file_table *t);

/* All descriptors of the task: writes fdinfo-F and file entries. */
/* Before anything runs in the tasks: reads all tables, and refuses what cannot come back in any way or is lost by being looked
 * at longer. */
int files_look(struct dump *d, struct err *err);
int files_dump(struct dump *d, struct err *err);
/*
 * A REG entry for a file that is not a descriptor: link is a magic link of the task such as "exe", "cwd", "root",
 * "map_files/START-END", relative to /proc/PID. open_flags are those a restorer opens it with (O_RDONLY, O_RDWR,
 * O_RDONLY|O_DIRECTORY, O_PATH). Deleted files become ghosts. Equal files with equal flags share one id.
 */
int file_dump_path(struct dump *d, const char *link, int open_flags, uint32_t *id, struct err *err);
/* The same in two parts: what /proc tells of the link (arena memory; d->files has no part in it), and the entry. */
struct path_seen { const char *target; struct stat st; };
int file_see_path(struct dump *d, const char *link, struct path_seen **out, struct err *err);
int file_dump_seen(struct dump *d, const char *link, const struct path_seen *seen, int open_flags, uint32_t *id, struct err *err);
/* A fresh id (memfd files of shared anonymous memory, ...), and an entry for it into files.img. */
uint32_t file_new_id(struct dump *d);
void file_put(struct dump *d, const FileEntry *entry);

/*
 * Restore. plan_files() adds: the controller's steps for every description that the task's table refers to, the task's
 * dup3 steps (TASK_FILES), what only the task can do with its descriptors (epoll targets, timers, signal owners), and
 * the final close_range steps (TASK_CLOSE). cwd, root and umask are fs_kind's (common/file/fs.c).
 */
int plan_files(const struct model *m, const struct model_task *task, struct plan *plan, struct plan_task *pt,
	       struct err *err);
/* A slot that holds REG (or MEMFD) file id open as its entry says, or, when that access does not suffice, with
 * open_flags (what an mmap needs beyond the entry); asked for twice, it is made once. Used by mappings, exe, cwd, root.
 */
int plan_file_slot(const struct model *m, struct plan *plan, FdTypes type, uint32_t id, int open_flags,
		   uint32_t *slot, struct err *err);

/* A restored job learns that the caller's terminal has another size than the one it had: SIGWINCH to its foreground group. */
void tty_resized(const struct model *m, struct plan *plan);

/*
 * Preflight: does the file of each REG entry that something refers to exist here, with the same size, mode
 * (unless skip_rwx) and build-id (unless size_only)? All findings go through report; the result is their number.
 * These are the checks of the format; content, owner and times are not checked.
 */
struct files_check { bool skip_rwx, size_only, held; const struct plan *plan; };
int files_preflight(const struct model *m, const struct files_check *check,
		    finding_fn report, void *ctx);

#endif
