/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A checkpoint in memory, verified: every reference resolves and every size agrees before any process exists.
 * All messages live in the model's arena. Page contents stay in their images.
 */
#ifndef CR_RESTORE_MODEL_H
#define CR_RESTORE_MODEL_H

#include "common/arch/arch.h"
#include "common/base/arena.h"
#include "common/image/file.h"
#include "cgroup.pb-c.h"
#include "core.pb-c.h"
#include "fdinfo.pb-c.h"
#include "file-lock.pb-c.h"
#include "fs.pb-c.h"
#include "inventory.pb-c.h"
#include "ipc-shm.pb-c.h"
#include "mm.pb-c.h"
#include "pagemap.pb-c.h"
#include "pstree.pb-c.h"
#include "remap-file-path.pb-c.h"
#include "seccomp.pb-c.h"
#include "pipe-data.pb-c.h"
#include "memfd.pb-c.h"
#include "timens.pb-c.h"

#define PAGES_COW 0x10000u /* flag of a pagemap entry: the parent process has these pages at the same addresses */
struct model_pages {		/* one page set: pagemap-X and its pages-Y */
	PagemapEntry **entries; /* sorted, checked: no overlap, sizes agree with the file */
	size_t nentries;
	uint32_t pages_id;
	struct image_file file; /* pages-Y.img; fd -1: there is none, or none yet */
	int fd;			/* the same when it is plain, else -1 */
	uint64_t size;
	const struct manifest_file *want; /* what the manifest says of it; NULL: nothing */
	bool streamed;		/* the content comes when the tasks are there: fd is -1, though there is some */
	bool spooled;		/* it came before and waits in memory; whoever puts it into its place frees it, unless kept is set */
	bool kept;		/* the same content goes to several places */
	struct model_piece *cow; /* what it has of ancestors, ascending */
	size_t ncow;
	/* Of an incremental checkpoint: where the content of each entry is. NULL: in fd, one behind the other. */
	struct model_source *src;
	int *files; /* fd, and the pages files of older checkpoints; owned by the model, but for the first */
	uint32_t *older_ids; /* of those pages files */
	size_t nfiles;
};

struct model_source { uint64_t off; uint32_t file; };
/* The file that has the content of entry i; *off comes as the sum of all entries before, and becomes the place in that file. */
static inline int model_source(const struct model_pages *p, size_t i, uint64_t *off)
{
	if (!p->src)
		return p->fd;
	*off = p->src[i].off;
	return p->files[p->src[i].file];
}

/* Content of a task's memory that stands in the page set of an ancestor. */
struct model_piece {
	uint64_t addr, len, off;
	size_t owner; /* index of that task */
};

struct model_thread {
	pid_t tid;
	CoreEntry *core; /* of the leader: with tc */
	/* thread_info of the image, decoded as it was read; not, where that fails: verify_core() says why. */
	bool decoded;
	struct arch_regs regs;
	struct arch_fpu fpu;
};

struct model_task {
	PstreeEntry *pstree;
	size_t parent; /* index; its own for the root */
	bool lost;     /* model_check(): its images are damaged, and nothing but its ids is known; zombie is set, too */
	bool zombie;   /* nothing is left but its status: one thread whose core has only tc, no ids, mm, fs, files */
	size_t files_owner; /* index of the task whose descriptor table it shares; its own when it has one, and then fds */
	size_t vm_owner;    /* the same for its address space, and then mm and pages */
	size_t fs_owner;    /* the same for working directory, root and umask */
	bool sighand_shared; /* signal handlers with its parent, which has the same address space then */
	TaskKobjIdsEntry *ids;
	struct model_thread *threads; /* leader first */
	size_t nthreads;
	MmEntry *mm;
	FsEntry *fs; /* its own or the owner's */
	FdinfoEntry **fds;
	size_t nfds;
	bool fds_known, pagemap_known; /* read ahead, when there are many tasks */
	ProtobufCMessage **pagemap;
	size_t npagemap;
	struct model_pages pages;
};

/* One object of shared memory. At most one of memfd and segment is set; neither: shared anonymous memory. */
struct model_shmem {
	uint64_t shmid;
	uint64_t size; /* bytes */
	const MemfdInodeEntry *memfd;
	IpcShmEntry *segment;
	const VmaEntry *first; /* one of the mappings that say so themselves (not those of memfds), */
	size_t views;	       /* and how many there are, in all tasks */
	struct model_pages pages;
};

struct model_pipe_data { PipeDataEntry *entry; const void *bytes; bool fifo; };

struct findings; /* common/base/findings.h */
struct chain;

struct model_ipc; /* common/ipc/ipcns.h */

struct model {
	struct arena *arena;
	struct arena *later; /* of tasks whose images a second thread read; NULL when there was none */
	struct arena *beside; /* what a second thread read; NULL when there was none */
	struct image_dir *dir;
	struct chain *chain; /* of dir and its parents; NULL until a page set refers to them */
	InventoryEntry *inventory;
	const TimensEntry *clocks; /* at the dump; NULL when the checkpoint does not tell */
	struct model_task *tasks; /* pre-order, root first */
	size_t ntasks;
	bool consumed; /* pages that came by a stream are in their place, and nowhere else any more */
	uint32_t last_id[4]; /* the highest of an address space, descriptor table, fs, sighand (check_sharing) */
	FileEntry **files; /* sorted by (type, id) */
	size_t nfiles;
	RemapFilePathEntry **remaps;
	size_t nremaps;
	struct model_pipe_data *pipe_data;
	size_t npipe_data;
	MemfdInodeEntry **memfds;
	size_t nmemfds;
	struct model_shmem *shmem; /* sorted by shmid */
	size_t nshmem;
	FileLockEntry **locks;
	size_t nlocks;
	const CgroupEntry *cgroup; /* NULL when there is none */
	struct model_ipc *ipc; /* of a namespace of the tree's own, arena; else NULL */
	struct findings *found; /* of model_check(); else NULL */
	bool glance; /* of model_glance() */
	const SeccompEntry *seccomp; /* NULL when there is none */
};

int model_load(struct image_dir *dir, struct model **m, struct err *err);
/* The same, but what is wrong goes into found, and the rest is read as far as may be: such a model is good for a preflight, and
 * for a plan only when nothing was found. */
int model_check(struct image_dir *dir, struct findings *found, struct model **m, struct err *err);
/* Of a stream that stands before pages: one that knows how many each set has, but not where they are: to try a plan with. */
int model_glance(struct image_dir *dir, struct model **m, struct err *err);
/* Of a stream: reads pages into memory until all sets are there that cannot wait for the tasks; all: all of them. */
int model_spool(struct model *m, bool all, struct err *err);
int model_spool_one(struct model *m, struct err *err); /* the one at which the stream stands */
void model_free(struct model *m);
void model_freep(struct model **m);
#define cleanup_model cleanup(model_freep)

/* NULL when there is none. */
FileEntry *model_file(const struct model *m, FdTypes type, uint32_t id);
const RegFileEntry *model_reg(const struct model *m, uint32_t id);
const RemapFilePathEntry *model_remap(const struct model *m, uint32_t orig_id);
const struct model_shmem *model_shmem(const struct model *m, uint64_t shmid);

#endif
