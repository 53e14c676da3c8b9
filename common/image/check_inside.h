/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the check: what is defined and referred to, over all images. */
#ifndef CR_IMAGE_CHECK_INSIDE_H
#define CR_IMAGE_CHECK_INSIDE_H

#include "common/image/chain.h"
#include "common/image/check.h"
#include "inventory.pb-c.h"
#include "mm.pb-c.h"
#include "pstree.pb-c.h"

/* Numbers that one image defines and others refer to. */
enum check_space {
	SPACE_TASK,	/* pid in pstree */
	SPACE_LEADER,	/* pid whose core has the state of a task */
	SPACE_THREAD,	/* tid whose core has that of a thread only */
	SPACE_FILE,	/* type << 32 | id */
	SPACE_FILE_ID,	/* id, whatever its type */
	SPACE_TTY_INFO,
	SPACE_MEMFD,	/* inode_id */
	SPACE_UNIX,	/* inode */
	SPACE_CGROUP_SET,
	SPACE_SECCOMP,	/* index */
	SPACE_MOUNT,	/* namespace << 32 | id */
	SPACE_MOUNT_ID, /* id in any namespace */
	SPACE_FD,	/* files id << 32 | fd, to find doubles */
	SPACE_PIPE_DATA,
	SPACE_FIFO_DATA,
	SPACE_REMAP,
	SPACE_IMAGE,	/* + image_kind: an image by its number */
};

struct check_item {
	unsigned space;
	uint64_t key;
	uint32_t file; /* index of the image that says so */
	uint32_t entry;
};
struct check_list {
	struct check_item *v;
	size_t n, cap;
};

struct check_image {
	enum image_kind kind;
	unsigned long id;
	char name[64];
	bool both; /* plain and compressed */
};

/* What is known of one address space and one page set, by pid or shmem id. */
struct check_mm {
	unsigned long pid;
	VmaEntry *vmas;
	size_t n;
};
struct check_pages {
	enum image_kind kind;
	unsigned long id;
	struct page_set set;
	bool damaged;
};

struct check {
	struct image_dir *dir;
	check_fn fn;
	void *arg;
	struct check_result *res;
	unsigned threads;
	struct check_image *images;
	size_t nimages, images_cap;
	struct check_list defs, refs;
	struct check_mm *mms;
	size_t nmms, mms_cap;
	struct check_pages *pages;
	size_t npages, pages_cap;
	struct arena *arena;	   /* the inventory */
	InventoryEntry *inventory; /* NULL when there is none that can be read */
	PstreeEntry **tree;	   /* by pid; NULL before somebody asks */
	size_t ntree;
	bool has_files;		   /* files.img is there */
	/* the entry that is being looked at */
	uint32_t image, entry;
};

/* A finding about the entry (0: the whole) of an image. */
void check_say(struct check *c, const char *file, long entry, const char *fmt, ...) printf_like(4, 5);
void check_here(struct check *c, const char *fmt, ...) printf_like(2, 3); /* about the current entry */
void check_def(struct check *c, unsigned space, uint64_t key);
void check_ref(struct check *c, unsigned space, uint64_t key);
void check_need(struct check *c, enum image_kind kind, unsigned long id); /* a reference to a whole image */

/* One entry of an image of any kind: what it defines, refers to, and says that cannot be (check_entry.c). */
void check_entry(struct check *c, const struct check_image *img, const ProtobufCMessage *msg);
/* Doubles, and references that lead nowhere (check_refs.c). */
void check_references(struct check *c);
bool check_has_image(const struct check *c, enum image_kind kind, unsigned long id); /* after check_references() */
/* Page sets against their pages files, address spaces and parents (check_pages.c). */
int check_page_sets(struct check *c, struct err *err);

#endif
