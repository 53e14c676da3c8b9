/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of common/mm share among themselves; nothing outside includes this but tests. */
#ifndef CR_MM_PRIVATE_H
#define CR_MM_PRIVATE_H

#include <sys/uio.h>

#include "common/file/file.h"
#include "common/mm/mm.h"
#include "vma.pb-c.h"

#define PAGE_BYTES 4096ul
/* One past the last address that a task of four-level page tables can map. */
#define TASK_END 0x7ffffffff000ul

/* vma_entry.status */
enum {
	VS_REGULAR = 0x1, VS_VSYSCALL = 0x4, VS_VDSO = 0x8, VS_HEAP = 0x20, VS_FILE_PRIVATE = 0x40,
	VS_FILE_SHARED = 0x80, VS_ANON_SHARED = 0x100, VS_ANON_PRIVATE = 0x200, VS_SYSV = 0x400, VS_VVAR = 0x1000,
	VS_AIO = 0x2000, VS_MEMFD = 0x4000,
	VS_GUARD = 0x10000,
};
/* vma_entry.flags, the kernel's MAP_*; not all libc headers have them. */
enum {
	VM_FLAG_SHARED = 1, VM_FLAG_PRIVATE = 2, VM_FLAG_DROPPABLE = 8, VM_FLAG_ANON = 0x20, VM_FLAG_GROWSDOWN = 0x100,
	VM_FLAG_LOCKED = 0x2000, VM_FLAG_NORESERVE = 0x4000, VM_FLAG_HUGETLB = 0x40000,
};
/* The size of huge pages as a power of two is in the uppermost bits of such flags (0: the default, of 2 MiB). */
#define VM_FLAG_HUGE_SHIFT 26
#define VM_FLAGS_HUGE ((uint64_t)VM_FLAG_HUGETLB | 0x3full << VM_FLAG_HUGE_SHIFT)
static inline uint64_t huge_page_bytes(uint64_t flags)
{
	unsigned shift = flags >> VM_FLAG_HUGE_SHIFT & 0x3f;

	return !(flags & VM_FLAG_HUGETLB) ? PAGE_BYTES : 1ull << (shift ? shift : 21);
}
/* vma_entry.vm_flags_extra */
enum { VMX_SEALED = 1, VMX_LOCKONFAULT = 2 };
/* pagemap_entry.flags */
enum { PME_PARENT = 1, PME_LAZY = 2, PME_PRESENT = 4 };

/* One object of shared memory: what shared anonymous mappings, memfd mappings and memfd descriptors refer to. */
struct mm_object {
	uint64_t ino;	  /* on the kernel's own mount */
	uint64_t page;	  /* bytes: huge pages or not */
	uint32_t shmid;	  /* names its page set */
	uint32_t inode_id; /* in memfd.img; 0 = shared anonymous memory */
	uint64_t size;
	struct dump_task *task; /* whose /proc/PID has */
	const char *link;  /* where its content can be read */
	bool segment;	   /* of System V; shmid is its id */
	uint32_t views;	   /* mappings of it in the tree */
	uint32_t file_id[2]; /* MEMFD entries made for mappings: read-only, read-write */
};

struct mm_objects {
	struct { dev_t dev; uint64_t page; } domains[7]; /* mounts of the kernel's own, by the size of their pages */
	size_t ndomains;
	struct mm_object *v; /* arena, grows by doubling */
	size_t n, cap;
	struct id_map by_ino; /* index in v */
	uint32_t last_shmid, last_inode_id, last_pages_id;
};

/* One address space. */
struct mm_dump {
	VmaEntry **vmas; /* without guards; each with the maps it stands for */
	const struct proc_map **maps; /* of each of vmas, the first it stands for */
	size_t nvmas;
	MmEntry *entry;
	uint64_t locked_kb; /* sum over locked mappings */
};

/* Inode numbers of System V segments are their ids, on the same mounts as all others'. */
#define SYSV_DOMAIN 7
struct mm_object *sysv_collect(struct dump *d, const struct proc_map *m);
/* Once all tasks' mappings are known: refuses a segment that others use, writes what it is. */
int sysv_put(struct dump *d, struct mm_object *o, struct err *err);
int mm_objects_start(struct dump *d, struct err *err);
/* Which mount this is, for pages of this size: negative if none of the kernel's own. */
int mm_domain(struct dump *d, dev_t dev, uint64_t page);
/* The object with this inode, made when it is new. */
struct mm_object *mm_object(struct dump *d, int domain, uint64_t ino);
/* Makes it a memfd inode with a record in memfd.img: fd is any descriptor of it, name is what readlink says. */
int mm_object_memfd(struct dump *d, struct mm_object *o, int fd, const char *name, struct err *err);

/* Says what one mapping is, from its line of smaps alone. Pure; refuses what cannot come back. */
int vma_classify(const struct proc_map *map, bool shmem, VmaEntry *e, struct err *err);

/* ---- restore ---- */

/* A vdso is two pages, or three; an image may claim anything. */
#define VDSO_BYTES_MAX (64ul << 10)

struct vdso_area { uint64_t start, len; };
/* vdso and vvar of this process: a restored child has them at the same places. */
struct vdso_here {
	struct vdso_area vvar[4]; /* ascending */
	size_t nvvar;
	struct vdso_area vdso;
	const void *image; /* the vdso itself; it is mapped here */
	struct vdso_area *maps; /* all mappings of this process, arena */
	size_t nmaps;
};
int vdso_here(struct arena *arena, struct vdso_here *here, struct err *err);

/* plan_hole() with what it would read from this process. Pure. */
int plan_hole_at(const struct model *m, const struct vdso_here *here, struct plan *plan, struct err *err);
/* plan_mm() with what it would read from this process. Pure. */
int plan_mm_at(const struct model *m, const struct model_task *task, const struct vdso_here *here, struct plan *plan,
	       struct plan_task *pt, struct err *err);

const MemfdInodeEntry *memfd_inode(const struct model *m, uint32_t id);
/* Its seals cannot be added before the task has its mappings. */
bool memfd_seals_late(const struct model *m, const MemfdInodeEntry *e);

/* The slot that a mapping of MEMFD entry id is made from. The entry may say less than the mapping needs (peers
 * write the entries of shared anonymous memory as read-only): then it is the inode's own description, open for
 * both. */
int memfd_map_slot(const struct model *m, struct plan *plan, uint32_t id, int access, uint32_t *slot, struct err *err);
/* The slot of an inode that was planned already. */
bool memfd_inode_slot(struct plan *plan, const MemfdInodeEntry *e, uint32_t *slot);

/* Ranges in use, sorted and merged, to find room between them. */
struct ranges { struct vdso_area *v; size_t n, cap; };
void ranges_add(struct ranges *r, uint64_t start, uint64_t len);
void ranges_sort(struct ranges *r);
/* The middle of the largest gap, page aligned; 0 when there is no gap of len bytes. *room is the gap's whole length. */
uint64_t ranges_gap(const struct ranges *r, uint64_t len, uint64_t *room);
void ranges_release(struct ranges *r);

struct mm_plan;
/*
 * Shared anonymous memory, made by the controller: a file without a name, open for both, that every task maps. What
 * one task maps once, whole, and with little in it, is made by its own mmap and needs no descriptor.
 */
bool shmem_is_direct(const struct model *m, const VmaEntry *v);
int shmem_slot(const struct model *m, struct plan *plan, uint64_t shmid, uint32_t *slot, struct err *err);
/* Steps of the controller that make such memory of size bytes; flags: MAP_NORESERVE, MAP_HUGETLB with its size. It stays
 * mapped at *at until shmem_unmap(). */
int shmem_make(struct plan *plan, uint32_t slot, uint64_t size, uint64_t flags, uint64_t *at, struct err *err);
void shmem_unmap(struct plan *plan, uint64_t at, uint64_t size);
/* Where the controller may map len bytes while its program runs. */
int controller_room(struct plan *plan, uint64_t len, uint64_t align, uint64_t *at, struct err *err);
/* Steps of the controller that write the pages of an object, which is size bytes long, through a descriptor. */
void shmem_content(struct plan *plan, const struct model_pages *pages, uint64_t size, uint32_t slot);
/* The same through a mapping of the whole object at `at`. */
void shmem_mapped_content(struct plan *plan, const struct model_pages *pages, uint64_t at, uint64_t size);

/* What is mapped there stays mapped in the controller, until shmem_finish() takes it away. */
void shmem_keep(struct plan *plan, uint64_t at, uint64_t size);

/* System V segments: the controller's share, the task's, the protection that a mapping has at first. */
int sysv_map(struct mm_plan *mp, const VmaEntry *v, const struct model_shmem *s, struct err *err);
int sysv_attached_prot(const VmaEntry *v);
void sysv_preflight(const struct model *m, finding_fn report, void *ctx);
void sysv_undo(const struct plan *plan);

/* preadv calls over ranges that follow each other in one image; one call takes UIO_MAXIOV ranges at most. */
#define READ_IOVS 1024
struct reader {
	struct program *prog;
	int phase;
	uint32_t slot; /* the image */
	size_t n;
	uint64_t off, total; /* of the call being collected */
	struct iovec v[READ_IOVS]; /* room that need not be clear */
};
/* len bytes at off of the image go to addr. */
void reader_add(struct reader *r, uint64_t addr, uint64_t len, uint64_t off);
void reader_flush(struct reader *r);
/* The pages of an object of which the first len bytes are mapped at `at`. */
void reader_pages(struct reader *r, struct plan *plan, const struct model_pages *pages, uint64_t at, uint64_t len);

/* Protection keys that an address space of an image has. */
struct pkeys {
	bool any;	    /* something has to be done about them */
	uint32_t allocated; /* by the program: bit N for key N */
	uint32_t exec_only; /* the kernel's own for mappings that may only be executed; 0: none */
};

/* What plan_mm_at() and its parts hand to each other. */
struct mm_plan {
	const struct model *m;
	const struct model_task *task;
	const struct vdso_here *here;
	struct plan *plan;
	struct plan_task *pt;
	struct program *prog;
	struct ranges used; /* target and own mappings, hole, parking places */
	uint64_t park;	    /* where vvar and vdso wait */
	const VmaEntry *vdso, *vvar; /* of the image, NULL when it has none */
	bool *kept; /* of task->mm->vmas: inherited from the parent, pages and all; arena */
	bool keep_vdso;	    /* the running vdso goes to the old place */
	bool direct;	    /* at once: nothing of it is in the way there */
	struct pkeys keys;
};
/* Whether a mapping of the image is made anew. */
bool plan_is_mapped(const struct mm_plan *mp, const VmaEntry *v);
/* Where vvar and vdso of a bare process are: where the root will have them, if they can go there at once, or else `park`. */
void plan_vdso_bare(const struct model *m, const struct vdso_here *here, uint64_t park, struct vdso_here *bare);
/* Steps from the one place to the other. */
void plan_vdso_move(struct program *p, int phase, const struct vdso_here *from, const struct vdso_here *to);
int plan_vdso_choose(struct mm_plan *mp, struct err *err);
void plan_vdso_away(struct mm_plan *mp);
int plan_vdso_place(struct mm_plan *mp, struct err *err);
int plan_mappings(struct mm_plan *mp, struct err *err);
/* NUMA policies of mappings: the questions, the answers into the entries, the steps. */
struct policy_questions { struct data_ref data; struct step_ref first; size_t n; }; /* of the mappings that may have one, in order */
void vma_policies_ask(struct dump *d, struct program *prog, struct policy_questions *q);
void vma_policies_read(struct dump *d, const struct program *answers, const struct policy_questions *q);
int plan_policies(struct mm_plan *mp, struct err *err);
/* Protection keys (pkey.c): the questions, and the answers into the entry, whose mappings have theirs already. */
struct pkey_questions { bool asked; struct step_ref first; };
void pkeys_ask(struct dump *d, struct program *prog, struct pkey_questions *q);
int pkeys_dump(const struct program *answers, const struct pkey_questions *q, MmEntry *mm, struct err *err);
/* What an address space of the image has of them. Pure; refuses values that no kernel has. */
int pkeys_find(const MmEntry *mm, struct pkeys *out, struct err *err);
/* The same, and that this host has keys, if any are needed. */
int pkeys_need(const MmEntry *mm, struct pkeys *out, struct err *err);
/* Around the steps of TASK_PROTECT that protect mappings: pkeys_protect() is true when it has added that of v. */
void pkeys_begin(struct mm_plan *mp);
bool pkeys_protect(struct mm_plan *mp, const VmaEntry *v);
void pkeys_end(struct mm_plan *mp);
/* Contexts of io_setup(2). What is skipped of a ring's content is the kernel's own: its head. */
#define AIO_RING_HEAD 32
int aio_dump(struct dump *d, MmEntry *mm, struct err *err);
int plan_aio(struct mm_plan *mp, struct err *err);
int plan_content(struct mm_plan *mp, struct err *err);
void plan_protect(struct mm_plan *mp);

/* Copies of pages of files (file_copy_restore.c): what the controller is to make. */
int plan_copies(struct mm_plan *mp, struct err *err);
/* Their ranges, ascending, of a mapping that has some. */
struct copies_walk { const VmaEntry *vma; size_t i; uint64_t at; };
void copies_begin(struct copies_walk *w, const VmaEntry *v);
bool copies_next(struct copies_walk *w, uint64_t *start, uint64_t *end);

/*
 * Memory that is filled through a userfaultfd (fill.c). plan_fills(): which, before pages are listed; then the steps that make the
 * descriptor and, in build.c, close it.
 */
void plan_fills(struct mm_plan *mp);
void plan_fill_begin(struct mm_plan *mp);
struct fill {
	int uffd; /* -1: nothing is filled this way */
	pid_t pid;
	bool *ours; /* by plan_pages.fill */
};
/* Number: of the descriptor in the task, or negative. Without it, or what it takes, all is the other way's: no error. */
void fill_open(struct fill *f, const struct plan_task *pt, pid_t pid, int number);
void fill_close(struct fill *f);
/* Pages that are f->ours. Several threads may do this. */
int fill_copy(const struct fill *f, uint64_t addr, const char *from, size_t len, struct err *err);

/* Memory that stays shared with the parent: which mappings, all else unmapped, what differs put right. Nothing for a
 * task that is no copy of its parent. */
void plan_cow_choose(struct mm_plan *mp);
void plan_cow_unmap(struct mm_plan *mp, uint64_t hole_end);
void plan_cow_prepare(struct mm_plan *mp);
/* Is addr in one of the mappings that were kept? The answer holds up to *end. */
bool plan_cow_keeps(const struct mm_plan *mp, uint64_t addr, uint64_t *end);

#endif
