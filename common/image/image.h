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

/* The first word of all images but inventory and raw ones, and of files that no restore reads (statistics). */
#define IMAGE_COMMON 0x54564319u
#define IMAGE_SERVICE 0x55105940u

enum image_payload { /* what follows an entry */
	PAYLOAD_NONE,
	PAYLOAD_BYTES,	/* pipe_data_entry: bytes */
	PAYLOAD_LENGTH, /* sk_packet_entry: length bytes */
	PAYLOAD_SHM,	/* ipc_shm_entry: size bytes, zero padded to 4, unless in_pagemaps */
	PAYLOAD_MSG,	/* ipc_msg_entry: qnum times a length word, an ipc_msg and its text, zero padded to 8 */
	PAYLOAD_SEM,	/* ipc_sem_entry: nsems 16-bit values, zero padded to 8 */
	PAYLOAD_GHOST,	/* ghost_file_entry: all to the end of the file; with chunks: len bytes behind each ghost_chunk_entry */
	PAYLOAD_TCP,	/* tcp_stream_entry: inq_len, then outq_len bytes */
	PAYLOAD_BPFMAP, /* bpfmap_data_entry: keys_bytes, then values_bytes */
};

struct image_kind_info {
	const char *name;    /* "PAGEMAP" */
	const char *pattern; /* "pagemap-%lu.img": at most one number, decimal or hex */
	uint32_t first_magic, magic; /* 0 = that word is absent */
	const ProtobufCMessageDescriptor *message; /* of entries; NULL for raw images */
	const ProtobufCMessageDescriptor *head;	   /* of the first entry where it differs (pagemap_head, ghost_file_entry) */
	enum image_payload payload;
};
extern const struct image_kind_info image_kinds[IMG_KINDS];

/* File name of an image, e.g. "core-12.img"; the number is ignored when the pattern has none. */
void image_name(enum image_kind kind, unsigned long id, char out[64]);
/* The reverse: kind and number from a file name without folders, compressed (.zst) or not. IMG_KINDS when it is no image's name. */
enum image_kind image_kind_of_name(const char *file, unsigned long *id);
/* The kind with that name ("CORE"); IMG_KINDS when there is none. Kinds that share their magics share the name of the
 * first of them in JSON, which image_magic_name() gives. */
enum image_kind image_kind_by_name(const char *name);
const char *image_magic_name(enum image_kind kind);
/* Raw bytes that belong to an entry by what the entry says; UINT64_MAX: all to the end of the file. For PAYLOAD_MSG the entry does
 * not say it: 0. */
uint64_t image_payload_size(enum image_kind kind, const ProtobufCMessage *msg);

/*
 * Unpacks a message from hostile bytes into the arena. Beyond what protobuf-c checks: nesting is limited, strings hold no NUL
 * (they would be cut silently), and memory is in proportion to len. NULL and *why when refused.
 */
ProtobufCMessage *image_unpack(const ProtobufCMessageDescriptor *desc, struct arena *arena, const void *bytes, size_t len,
			       const char **why);

/* Limits that are checked before memory is allocated for anything from an image. */
#define IMAGE_ENTRY_MAX (64u << 20)    /* one record */
#define IMAGE_PAYLOAD_MAX (1ull << 40) /* raw bytes behind one record (never allocated at once) */
#define IMAGE_NESTING_MAX 64	       /* messages within messages */
#define IMAGE_STREAM_MAX (1ull << 30)  /* an image that comes from a pipe */

/* ---- reading ---- */

/* A directory of images, or a stream of them. */
struct image_dir;
struct source; /* source.h */
struct manifest_file; /* manifest.h */
struct manifest; /* the same */
struct checkpoint_id; /* the same */
/* Reads the manifest too, when there is one: images are then compared with it as they are opened. */
int image_dir_open(const char *path, struct image_dir **dir, struct err *err);
int image_dir_open_unsealed(const char *path, struct image_dir **dir, struct err *err); /* whatever the manifest says */
/* From a pipe (source.h): fd stays the caller's and must live as long. */
int image_dir_stream(int fd, struct image_dir **dir, struct err *err);
/* Of a stream: the older checkpoint to which this one leaves pages. 1, 0 when there is none. dir must live longer. */
int image_dir_stream_parent(const struct image_dir *dir, struct image_dir **parent);
void image_dir_forget(struct image_dir *dir, const char *name); /* source_forget(); nothing for a directory */
struct source *image_dir_source(const struct image_dir *dir); /* NULL: it is a directory */
/* What the manifest of a directory says of an image; NULL: nothing. */
const struct manifest *image_dir_sealed(const struct image_dir *dir); /* all of it; NULL: there is none, or it does not count */
const struct manifest_file *image_dir_manifest(const struct image_dir *dir, enum image_kind kind, unsigned long id);
void image_dir_free(struct image_dir *dir);
int image_dir_fd(const struct image_dir *dir);
const char *image_dir_path(const struct image_dir *dir);

struct image_reader;
/* Opens an image, compressed or not, and checks its magics. An absent file gives a reader with no entries and image_reader_absent(). */
int image_reader_open(struct image_dir *dir, enum image_kind kind, unsigned long id, struct image_reader **rd,
		      struct err *err);
/* The same from an open file, whose kind is found from its name and magics when kind is IMG_KINDS. Takes the fd, also on
 * failure. A pipe is first taken into memory, because payloads need random access. */
int image_reader_fdopen(int fd, const char *name, enum image_kind kind, struct image_reader **rd, struct err *err);
void image_reader_close(struct image_reader *rd);
void image_reader_closep(struct image_reader **rd);
#define cleanup_reader cleanup(image_reader_closep)
bool image_reader_absent(const struct image_reader *rd);
enum image_kind image_reader_kind(const struct image_reader *rd);
uint64_t image_reader_size(const struct image_reader *rd);
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
/* A raw image (pages) for random access: *fd is the caller's, *size its length. Absent: -ENOENT in err. A compressed one comes out
 * in memory, so ask for its size first where that must agree with something. */
int image_raw_size(struct image_dir *dir, enum image_kind kind, unsigned long id, uint64_t *size, struct err *err);
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
/* One that takes everything and is never committed. */
struct image_store *image_store_nowhere(void);
/* Appends one entry; the message is packed at once and stays the caller's. Threads may fill images of their own side by side; what a
 * commit or a stream does is one thread's. */
void image_store_put(struct image_store *st, enum image_kind kind, unsigned long id, const ProtobufCMessage *msg);
/* Raw bytes right behind the entry just put to that image. */
void image_store_payload(struct image_store *st, enum image_kind kind, unsigned long id, const void *p, size_t n);
/* Makes sure that the image exists even with no entries (seccomp.img). */
void image_store_touch(struct image_store *st, enum image_kind kind, unsigned long id);
/* A raw image: *fd stays the store's; write it in any way before the commit. */
int image_store_raw(struct image_store *st, enum image_kind kind, unsigned long id, int *fd, struct err *err);
/* What became of a raw image: its content's size, the sums of it (sums.h; taken over, NULL: none), and whether the file is compressed. */
void image_store_raw_done(struct image_store *st, enum image_kind kind, unsigned long id, uint64_t size, uint64_t *sums, bool packed);
/* The commit writes a manifest (manifest.h) too, that names this tool. sum_raw: raw images whose sums are not given are read again
 * for them; else it has only their sizes. */
void image_store_seal(struct image_store *st, const char *tool, bool sum_raw);
/* The commit makes a link "parent" to the checkpoint that has the pages which this one leaves to it. */
void image_store_parent(struct image_store *st, const char *path);
/* What its manifest says of it: the run that makes it, and which checkpoint that one is (NULL: not known). */
void image_store_bind(struct image_store *st, const char *run, const struct checkpoint_id *parent);
/* Of a store that is committed. */
void image_store_identify(const struct image_store *st, struct checkpoint_id *id);
/* Total bytes of entries so far (for statistics). */
uint64_t image_store_bytes(const struct image_store *st);
/* What the commit does when all is durable and nothing has a name yet; of a stream, before its end is sent. One at most. */
void image_store_before_names(struct image_store *st, int (*fn)(void *arg, struct err *err), void *arg);
/* Makes all durable and names it. On failure nothing new is left in the directory. */
int image_store_commit(struct image_store *st, struct err *err);
void image_store_free(struct image_store *st); /* without commit: leaves nothing */

/*
 * A store that is a stream (stream.h): images are put as into a directory, then sent, then each raw one is sent as it comes; the commit
 * sends the end record. level: of zstd for all of it, 0: not compressed. fd stays the caller's. Writing to nobody is -EPIPE.
 */
int image_store_stream(int fd, int level, unsigned threads, struct image_store **st, struct err *err);
/* A checkpoint more in that stream, in a folder of it (tar.h: TAR_ROUND), or, NULL, the one that all this is for and that ends the
 * stream. `of` must live longer; nothing is put to it itself. */
struct image_store *image_store_stream_part(struct image_store *of, const char *folder);
bool image_store_is_stream(const struct image_store *st);
/* All that was put so far but files that no restore reads; nothing but those may be put after it. */
int image_store_send_images(struct image_store *st, struct err *err);
/* A raw image: exactly size bytes in order, then image_store_raw_done(). */
int image_store_send_raw(struct image_store *st, enum image_kind kind, unsigned long id, uint64_t size, struct err *err);
int image_store_send(struct image_store *st, const void *p, size_t n, struct err *err);
/* Waits until the reader took all of it: then nothing can be lost any more but by it. Where that cannot be told, returns at once. */
int image_store_drained(struct image_store *st, struct err *err);

#endif
