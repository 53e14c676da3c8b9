/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images: the v1.1 container format. One table (kinds.c) says for every kind its file name, magics, message
 * and payload; one reader and one writer serve all kinds.
 */
#ifndef CR_IMAGE_IMAGE_H
#define CR_IMAGE_IMAGE_H

#include <protobuf-c/protobuf-c.h>

#include "common/base/arena.h"
#include "common/base/err.h"

/* Every kind of image, in the order of the table. Names are the format's own, e.g. IMG_PAGEMAP. */
enum image_kind {
#define IMAGE_KIND(id, ...) IMG_##id,
#include "common/image/kinds.inc"
#undef IMAGE_KIND
	IMG_KINDS
};

struct image_kind_info {
	const char *name;    /* "PAGEMAP" */
	const char *pattern; /* "pagemap-%lu.img": at most one number, decimal or hex */
	uint32_t first_magic, magic; /* 0 = that word is absent */
	const ProtobufCMessageDescriptor *message; /* of entries; NULL for raw images */
	const ProtobufCMessageDescriptor *head;	   /* of the first entry where it differs (pagemap_head, ghost_file_entry) */
	int payload; /* enum image_payload: what raw bytes follow an entry */
};
extern const struct image_kind_info image_kinds[IMG_KINDS];

/* File name of an image, e.g. "core-12.img"; the number is ignored when the pattern has none. */
void image_name(enum image_kind kind, unsigned long id, char out[64]);

/* Limits that are checked before memory is allocated for anything from an image. */
#define IMAGE_ENTRY_MAX (64u << 20)   /* one record */
#define IMAGE_PAYLOAD_MAX (1ull << 40) /* raw bytes behind one record (never allocated at once) */

/* ---- reading ---- */

/* A directory of images. (A stream becomes one more implementation behind this type.) */
struct image_dir;
int image_dir_open(const char *path, struct image_dir **dir, struct err *err);
void image_dir_free(struct image_dir *dir);
int image_dir_fd(const struct image_dir *dir);
const char *image_dir_path(const struct image_dir *dir);

struct image_reader;
/* Opens an image and checks its magics. An absent file gives a reader with no entries and image_reader_absent(). */
int image_reader_open(struct image_dir *dir, enum image_kind kind, unsigned long id, struct image_reader **rd,
		      struct err *err);
/* The same from an open file, whose kind is found from its magics when kind is IMG_KINDS. Takes the fd. */
int image_reader_fdopen(int fd, const char *name, enum image_kind kind, struct image_reader **rd, struct err *err);
void image_reader_close(struct image_reader *rd);
void image_reader_closep(struct image_reader **rd);
#define cleanup_reader cleanup(image_reader_closep)
bool image_reader_absent(const struct image_reader *rd);
enum image_kind image_reader_kind(const struct image_reader *rd);
/* Next entry into the arena: 1 and *msg, 0 at the end, or a negative errno with file, entry and offset in err.
 * A payload that was not read is skipped. */
int image_reader_next(struct image_reader *rd, struct arena *arena, ProtobufCMessage **msg, struct err *err);
/* Raw bytes behind the entry just read: how many are left, and reading some of them (n at most that). */
uint64_t image_reader_payload_left(const struct image_reader *rd);
int image_reader_payload(struct image_reader *rd, void *buf, size_t n, struct err *err);
/* Exactly one entry, which must be there: the usual form for core, mm, fs, ids, inventory. */
int image_read_one(struct image_dir *dir, enum image_kind kind, unsigned long id, struct arena *arena,
		   ProtobufCMessage **msg, struct err *err);
/* All entries of a kind without payload. *msgs is an arena array; absent file: 0 entries, *absent set (may be NULL). */
int image_read_all(struct image_dir *dir, enum image_kind kind, unsigned long id, struct arena *arena,
		   ProtobufCMessage ***msgs, size_t *n, bool *absent, struct err *err);
/* A raw image (pages) for random access: *fd is the caller's, *size its length. Absent: -ENOENT in err. */
int image_raw_open(struct image_dir *dir, enum image_kind kind, unsigned long id, int *fd, uint64_t *size,
		   struct err *err);

/* ---- writing ---- */

/*
 * A store collects a checkpoint: entries stay in memory, raw images are unnamed files (O_TMPFILE) in the directory.
 * Nothing has a name before image_store_commit(), which links all and the inventory last: a directory without
 * inventory.img is no checkpoint, and a process killed before leaves no file at all.
 */
struct image_store;
int image_store_open(const char *path, struct image_store **st, struct err *err);
/* Appends one entry; the message is packed at once and stays the caller's. */
void image_store_put(struct image_store *st, enum image_kind kind, unsigned long id, const ProtobufCMessage *msg);
/* Raw bytes right behind the entry just put to that image. */
void image_store_payload(struct image_store *st, enum image_kind kind, unsigned long id, const void *p, size_t n);
/* Makes sure that the image exists even with no entries (seccomp.img). */
void image_store_touch(struct image_store *st, enum image_kind kind, unsigned long id);
/* A raw image: *fd stays the store's; write it in any way before the commit. */
int image_store_raw(struct image_store *st, enum image_kind kind, unsigned long id, int *fd, struct err *err);
/* Total bytes of entries so far (for statistics). */
uint64_t image_store_bytes(const struct image_store *st);
/* Makes all durable and names it. On failure nothing new is left in the directory. */
int image_store_commit(struct image_store *st, struct err *err);
void image_store_free(struct image_store *st); /* without commit: leaves nothing */

#endif
