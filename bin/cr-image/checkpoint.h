/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole checkpoint for those who look at it. Unlike the model of a restore it takes everything that the format allows (trees,
 * zombies, namespaces, other architectures, parents), verifies only what it needs for its own safety, and loads memory
 * only when somebody asks. Messages live in the checkpoint's arena.
 */
#ifndef CR_IMAGE_CHECKPOINT_H
#define CR_IMAGE_CHECKPOINT_H

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/image/image.h"
#include "core.pb-c.h"
#include "fdinfo.pb-c.h"
#include "fs.pb-c.h"
#include "inventory.pb-c.h"
#include "memfd.pb-c.h"
#include "mm.pb-c.h"
#include "mnt.pb-c.h"
#include "pagemap.pb-c.h"
#include "pstree.pb-c.h"

#define CKPT_PAGE 4096u

enum { CKPT_ALIVE = 1, CKPT_ZOMBIE = 2, CKPT_STOPPED = 3 }; /* task_core_entry.task_state */

/* Bits of vma_entry.status. */
enum {
	CKPT_VMA_VSYSCALL = 0x4, CKPT_VMA_VDSO = 0x8, CKPT_VMA_HEAP = 0x20, CKPT_VMA_FILE_PRIVATE = 0x40,
	CKPT_VMA_FILE_SHARED = 0x80, CKPT_VMA_ANON_SHARED = 0x100, CKPT_VMA_ANON_PRIVATE = 0x200, CKPT_VMA_SYSVIPC = 0x400,
	CKPT_VMA_VVAR = 0x1000, CKPT_VMA_AIO = 0x2000, CKPT_VMA_MEMFD = 0x4000, CKPT_VMA_GUARD = 0x10000,
};

/* Pages one behind the other, and where their content is. */
struct ckpt_run {
	uint64_t addr, pages;
	uint64_t off;	     /* in the pages image, bytes */
	struct raw *content; /* NULL: it is in no directory of the chain, */
	bool zero;	     /* or nothing but zeros */
	bool cow;	     /* it is the parent process's: only while sets are put together */
	bool parent;	     /* it comes from an older checkpoint */
};

/* A page set: the runs of a pagemap, ascending, parents resolved. */
struct ckpt_pages {
	enum image_kind kind;
	unsigned long id;
	bool absent, cow; /* cow: there are such runs */
	struct ckpt_run *runs;
	size_t n;
	uint64_t stored, parent, missing; /* pages, by where they are */
};

struct ckpt_thread {
	uint32_t tid;
	CoreEntry *core; /* NULL: the image is not there */
};

struct ckpt_task {
	uint32_t pid, ppid, pgid, sid;
	unsigned depth;	    /* in the tree */
	unsigned state;	    /* CKPT_* or what the image says */
	const char *comm;
	struct ckpt_thread *threads; /* the leader first */
	size_t nthreads;
	TaskKobjIdsEntry *ids; /* these are NULL when there is no such image: zombies, pre-dumps */
	MmEntry *mm;
	FsEntry *fs;
	VmaEntry **vmas; /* of mm, sorted; guards are left out */
	size_t nvmas;
	FdinfoEntry **fds;
	size_t nfds;
	struct ckpt_pages *pages; /* NULL until asked for */
};

struct ckpt {
	struct arena *arena;
	struct image_dir *dir;
	const char *path;
	InventoryEntry *inventory; /* may be NULL */
	struct ckpt_task *tasks;   /* in the order of the tree */
	struct ckpt_task **by_pid;
	size_t ntasks;
	FileEntry **files; /* by id */
	size_t nfiles;
	struct memory *memory; /* checkpoint_mem.c */
};

/* Reads all but memory. What is damaged is an error with image, entry and byte; what may be absent is NULL. */
int ckpt_open(const char *path, struct ckpt **c, struct err *err);
void ckpt_free(struct ckpt *c);
void ckpt_freep(struct ckpt **c);
#define cleanup_ckpt cleanup(ckpt_freep)

struct ckpt_task *ckpt_task(const struct ckpt *c, uint32_t pid); /* NULL when there is none */
/* The task of --pid, or the only task that has memory; ERR_USAGE names the choice. */
int ckpt_pick(const struct ckpt *c, int64_t pid, struct ckpt_task **task, struct err *err);
/* NULL when there is none. */
const FileEntry *ckpt_file(const struct ckpt *c, uint32_t id);
/* The name of what a file is: a path, "pipe:[12]", "socket:[3]". Arena memory, with raw bytes as the image has them. */
const char *ckpt_file_name(const struct ckpt *c, const FileEntry *file);
/* The name of a mapping as /proc/PID/maps would show it: a path, "[heap]", "[stack]", "". Arena memory. */
const char *ckpt_vma_name(const struct ckpt *c, const struct ckpt_task *t, const VmaEntry *vma);
VmaEntry *ckpt_vma_at(const struct ckpt_task *t, uint64_t addr); /* NULL when nothing is mapped there */
/* "rwxp" and so on. */
void ckpt_vma_perms(const VmaEntry *vma, char out[5]);
bool ckpt_vma_shared(const VmaEntry *vma);

/* ---- memory (checkpoint_mem.c) ---- */

/* Page sets stay the checkpoint's. An absent pagemap is a set without runs. */
int ckpt_pages(struct ckpt *c, struct ckpt_task *t, struct ckpt_pages **pages, struct err *err);
int ckpt_shmem(struct ckpt *c, uint64_t shmid, struct ckpt_pages **pages, struct err *err);

enum ckpt_content {
	CKPT_STORED,  /* in a pages image */
	CKPT_ZERO,    /* never written: reads as zeros */
	CKPT_FILE,    /* unchanged page of the mapped file */
	CKPT_MISSING, /* should be there: of a lazy dump, or a parent that lacks it */
	CKPT_KERNEL,  /* the kernel's own page, never dumped */
};
struct ckpt_span {
	enum ckpt_content what;
	uint64_t addr, len; /* in the task */
	uint64_t off;	    /* CKPT_STORED: in content; CKPT_FILE: in the file */
	struct raw *content;
	bool parent;
};
/* Bytes of a pages image. */
int ckpt_raw_read(struct raw *raw, uint64_t off, void *buf, size_t n, struct err *err);
/* Calls f for every part of [from, to) that the mapping covers, ascending, until it returns something else than 0. */
typedef int (*ckpt_span_fn)(const struct ckpt_span *s, void *data, struct err *err);
int ckpt_spans(struct ckpt *c, struct ckpt_task *t, const VmaEntry *vma, uint64_t from, uint64_t to, ckpt_span_fn f,
	       void *data, struct err *err);
/* Bytes of a task's memory as far as they are stored or zero: how many could be read is the result. */
ssize_t ckpt_read(struct ckpt *c, struct ckpt_task *t, uint64_t addr, void *buf, size_t n, struct err *err);
/* How much of a mapping is where, in bytes, by enum ckpt_content; parent: the part of the stored that an older checkpoint has. */
struct ckpt_sizes { uint64_t by[CKPT_KERNEL + 1], parent; };
int ckpt_sizes(struct ckpt *c, struct ckpt_task *t, const VmaEntry *vma, struct ckpt_sizes *sizes, struct err *err);

void ckpt_memory_free(struct memory *m);

#endif
