/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading images. Everything goes through peek(), which knows the size of the file: nothing is allocated for bytes that
 * are not there.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/image/manifest.h"
#include "ipc-msg.pb-c.h"

#define BUFFER (64u << 10)

struct image_reader {
	struct image_file file;
	char *name;
	enum image_kind kind;
	uint64_t size, off; /* of the content; of the next byte to be taken */
	uint64_t entries;   /* read so far */
	uint64_t payload;   /* bytes at off that belong to the last entry */
	uint8_t *buf;
	size_t cap, len;  /* of buf */
	uint64_t buf_off; /* in the file */
};

static int damaged(const struct image_reader *rd, int ret, struct err *err)
{
	if (rd->entries)
		return err_object(err, ret, "%s: entry %llu, byte %llu", rd->name, (unsigned long long)rd->entries,
				  (unsigned long long)rd->off);
	return err_object(err, ret, "%s: byte %llu", rd->name, (unsigned long long)rd->off);
}

/* The n bytes at rd->off + at, without taking them: a pointer into the buffer, valid until the next call. */
static int peek(struct image_reader *rd, uint64_t at, size_t n, const uint8_t **p, struct err *err)
{
	uint64_t from = rd->off + at;
	int ret;

	if (from > rd->size || n > rd->size - from)
		return err_image(err, "the file is cut short: %zu bytes needed, %llu left", n,
				 (unsigned long long)(from > rd->size ? 0 : rd->size - from));
	if (from < rd->buf_off || from + n > rd->buf_off + rd->len) {
		size_t want = (size_t)MIN((uint64_t)MAX(n, (size_t)BUFFER), rd->size - from);

		if (want > rd->cap) {
			free(rd->buf);
			rd->buf = xmalloc(want);
			rd->cap = want;
		}
		rd->len = 0;
		ret = image_file_pread(&rd->file, rd->buf, want, from, err);
		if (ret)
			return ret;
		rd->buf_off = from;
		rd->len = want;
	}
	*p = rd->buf + (from - rd->buf_off);
	return 0;
}

static int peek_word(struct image_reader *rd, uint64_t at, uint32_t *word, struct err *err)
{
	const uint8_t *p;
	int ret = peek(rd, at, 4, &p, err);

	if (!ret)
		*word = p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
	return ret;
}

static unsigned magic_words(enum image_kind kind)
{
	return (image_kinds[kind].first_magic != 0) + (image_kinds[kind].magic != 0);
}

static bool magics_match(enum image_kind kind, const uint32_t word[2])
{
	const struct image_kind_info *info = &image_kinds[kind];

	if (info->first_magic)
		return word[0] == info->first_magic && word[1] == info->magic;
	return info->magic && word[0] == info->magic;
}

/* Finds or checks the kind, and goes behind the magics. */
static int check_magics(struct image_reader *rd, struct err *err)
{
	uint32_t word[2] = { 0, 0 };
	int ret = 0;

	if (rd->kind < IMG_KINDS && !magic_words(rd->kind))
		return 0;
	for (unsigned i = 0; i < 2 && !ret && rd->size >= 4 * (i + 1); i++)
		ret = peek_word(rd, 4 * i, &word[i], err);
	if (ret)
		return ret;
	if (rd->kind == IMG_KINDS) {
		const char *base = strrchr(rd->name, '/');
		unsigned long id;

		/* The name first: it tells kinds apart that share their magics. */
		rd->kind = image_kind_of_name(base ? base + 1 : rd->name, &id);
		if (rd->kind < IMG_KINDS && !magic_words(rd->kind))
			return 0;
		if (rd->kind == IMG_KINDS || !magics_match(rd->kind, word))
			for (rd->kind = 0; rd->kind < IMG_KINDS && !magics_match(rd->kind, word);)
				rd->kind++;
		if (rd->kind == IMG_KINDS)
			return err_image(err, "not an image: it starts with 0x%08x 0x%08x", word[0], word[1]);
	} else if (!magics_match(rd->kind, word)) {
		return err_image(err, "not %s: it starts with 0x%08x 0x%08x", image_kinds[rd->kind].name, word[0], word[1]);
	}
	rd->off = 4 * magic_words(rd->kind);
	return 0;
}

static struct image_reader *reader_new(const struct image_file *f, const char *name, enum image_kind kind)
{
	struct image_reader *rd = xzalloc(sizeof(*rd));

	*rd = (struct image_reader){ .file = *f, .name = xstrdup(name), .kind = kind, .size = f->size };
	return rd;
}

static int reader_start(struct image_reader *new, struct image_reader **rd, struct err *err)
{
	int ret = check_magics(new, err);

	if (ret) {
		ret = damaged(new, ret, err);
		image_reader_close(new);
		return ret;
	}
	*rd = new;
	return 0;
}

int image_reader_open(struct image_dir *dir, enum image_kind kind, unsigned long id, struct image_reader **rd,
		      struct err *err)
{
	struct image_reader *new;
	struct image_file f;
	uint8_t *small = NULL;
	char name[64];
	int ret;

	image_name(kind, id, name);
	ret = image_dir_image(dir, kind, name, BUFFER, &f, &small, err);
	if (ret)
		return ret;
	new = reader_new(&f, name, kind);
	new->buf = small;
	new->len = new->cap = small ? (size_t)f.size : 0;
	if (f.fd < 0) {
		*rd = new;
		return 0;
	}
	return reader_start(new, rd, err);
}

/* Takes what a pipe gives into memory. Returns a descriptor or a negative errno. */
static int slurp(int from, uint64_t *size, struct err *err)
{
	cleanup_fd int fd = memfd_create("image", MFD_CLOEXEC);
	cleanup_free char *buf = xmalloc(BUFFER);
	ssize_t n;
	int ret;

	if (fd < 0)
		return err_sys(err, "memfd_create");
	for (*size = 0;; *size += (uint64_t)n) {
		n = read(from, buf, BUFFER);
		if (n < 0 && errno == EINTR) {
			n = 0;
			continue;
		}
		if (n < 0)
			return err_sys(err, "cannot read");
		if (!n)
			return take_fd(&fd);
		if (*size + (uint64_t)n > IMAGE_STREAM_MAX)
			return err_hint(err, err_image(err, "more than %llu MiB come from a pipe", IMAGE_STREAM_MAX >> 20),
					"give the image as a file");
		ret = write_full(fd, buf, (size_t)n);
		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot keep what comes from the pipe");
	}
}

/* Raw images have no magic of their own: memory may well start like a compressed file. Their name tells. */
static bool may_be_packed(const char *name, enum image_kind kind)
{
	const char *base = strrchr(name, '/');
	size_t len = strlen(name), zst = strlen(IMAGE_ZST);
	unsigned long id;

	if (len > zst && !strcmp(name + len - zst, IMAGE_ZST))
		return true;
	if (kind == IMG_KINDS)
		kind = image_kind_of_name(base ? base + 1 : name, &id);
	return kind == IMG_KINDS || image_kinds[kind].message;
}

int image_reader_fdopen(int fd, const char *name, enum image_kind kind, struct image_reader **rd, struct err *err)
{
	struct image_file f;
	struct stat st;
	uint64_t size = 0;
	int ret;

	if (fstat(fd, &st) < 0) {
		ret = err_sys(err, "fstat");
		close(fd);
		return err_object(err, ret, "%s", name);
	}
	if (S_ISDIR(st.st_mode)) {
		close(fd);
		return err_object(err, err_set(err, ERR_IMAGE, EISDIR, "not an image"), "%s", name);
	}
	if (!S_ISREG(st.st_mode)) {
		int copy = slurp(fd, &size, err);

		close(fd);
		if (copy < 0)
			return err_object(err, copy, "%s", name);
		fd = copy;
	}
	if (may_be_packed(name, kind)) {
		ret = image_file_take(fd, &f, err);
		if (ret)
			return err_object(err, ret, "%s", name);
	} else {
		f = (struct image_file){ .fd = fd, .size = (uint64_t)st.st_size, .stored = (uint64_t)st.st_size };
		if (!S_ISREG(st.st_mode))
			f.size = f.stored = size;
	}
	return reader_start(reader_new(&f, name, kind), rd, err);
}

void image_reader_close(struct image_reader *rd)
{
	if (!rd)
		return;
	image_file_close(&rd->file);
	free(rd->name);
	free(rd->buf);
	free(rd);
}

void image_reader_closep(struct image_reader **rd)
{
	image_reader_close(*rd);
}

bool image_reader_absent(const struct image_reader *rd)
{
	return rd->file.fd < 0;
}

enum image_kind image_reader_kind(const struct image_reader *rd)
{
	return rd->kind;
}

uint64_t image_reader_size(const struct image_reader *rd)
{
	return rd->size;
}

/* Message queues carry a list of their own; its length comes out by walking it. */
static int measure_messages(struct image_reader *rd, struct arena *arena, uint32_t qnum, uint64_t *total, struct err *err)
{
	const char *why;
	const uint8_t *p;
	uint32_t len;
	int ret;

	for (*total = 0; qnum; qnum--) {
		ProtobufCMessage *msg;

		ret = peek_word(rd, *total, &len, err);
		if (!ret && len > IMAGE_ENTRY_MAX)
			ret = err_image(err, "a queued message has a head of %u bytes", len);
		if (!ret)
			ret = peek(rd, *total + 4, len, &p, err);
		if (ret)
			return ret;
		msg = image_unpack(&ipc_msg__descriptor, arena, p, len, &why);
		if (!msg)
			return err_image(err, "a queued message: %s", why);
		*total += 4 + len + (((uint64_t)((IpcMsg *)msg)->msize + 7) & ~7ull);
	}
	return 0;
}

static int find_payload(struct image_reader *rd, struct arena *arena, const ProtobufCMessage *msg, struct err *err)
{
	uint64_t left = rd->size - rd->off, n;
	int ret;

	if (image_kinds[rd->kind].payload == PAYLOAD_MSG) {
		ret = measure_messages(rd, arena, ((const IpcMsgEntry *)msg)->qnum, &n, err);
		if (ret)
			return ret;
	} else {
		n = image_payload_size(rd->kind, msg);
		if (n == UINT64_MAX && msg->descriptor == image_kinds[rd->kind].head)
			n = left;
	}
	if (n > left)
		return err_image(err, "the file is cut short: %llu raw bytes needed, %llu left", (unsigned long long)n,
				 (unsigned long long)left);
	if (n > IMAGE_PAYLOAD_MAX)
		return err_image(err, "%llu raw bytes are too many", (unsigned long long)n);
	rd->payload = n;
	return 0;
}

int image_reader_next(struct image_reader *rd, struct arena *arena, ProtobufCMessage **msg, struct err *err)
{
	const ProtobufCMessageDescriptor *desc = image_kinds[rd->kind].message;
	const uint8_t *p = NULL;
	uint32_t len = 0;
	const char *why;
	int ret;

	rd->off += rd->payload;
	rd->payload = 0;
	if (rd->off == rd->size)
		return 0;
	if (!desc)
		return err_object(err, err_image(err, "a raw image has no entries"), "%s", rd->name);
	if (!rd->entries && image_kinds[rd->kind].head)
		desc = image_kinds[rd->kind].head;
	rd->entries++;
	ret = peek_word(rd, 0, &len, err);
	if (!ret && len > IMAGE_ENTRY_MAX)
		ret = err_image(err, "an entry of %u bytes; at most %u are possible", len, IMAGE_ENTRY_MAX);
	if (!ret)
		ret = peek(rd, 4, len, &p, err);
	if (ret)
		return damaged(rd, ret, err);
	*msg = image_unpack(desc, arena, p, len, &why);
	if (!*msg)
		return damaged(rd, err_image(err, "%s: %s", desc->name, why), err);
	rd->off += 4 + (uint64_t)len;
	ret = find_payload(rd, arena, *msg, err);
	return ret ? damaged(rd, ret, err) : 1;
}

uint64_t image_reader_payload_left(const struct image_reader *rd)
{
	return rd->payload;
}

int image_reader_payload(struct image_reader *rd, void *buf, size_t n, struct err *err)
{
	uint8_t *to = buf;

	if (n > rd->payload)
		return damaged(rd, err_image(err, "%zu raw bytes asked for, %llu left", n, (unsigned long long)rd->payload), err);
	while (n) {
		size_t part = MIN(n, (size_t)BUFFER);
		const uint8_t *p = NULL;
		int ret = peek(rd, 0, part, &p, err);

		if (ret)
			return damaged(rd, ret, err);
		memcpy(to, p, part);
		to += part;
		n -= part;
		rd->off += part;
		rd->payload -= part;
	}
	return 0;
}

int image_read_one(struct image_dir *dir, enum image_kind kind, unsigned long id, struct arena *arena,
		   ProtobufCMessage **msg, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	ProtobufCMessage *more;
	int ret = image_reader_open(dir, kind, id, &rd, err);

	if (ret)
		return ret;
	if (image_reader_absent(rd))
		return err_object(err, err_set(err, ERR_IMAGE, ENOENT, "the image is missing"), "%s/%s", image_dir_path(dir), rd->name);
	ret = image_reader_next(rd, arena, msg, err);
	if (!ret)
		return err_object(err, err_image(err, "the image has no entry"), "%s", rd->name);
	if (ret < 0)
		return ret;
	ret = image_reader_next(rd, arena, &more, err);
	if (ret > 0)
		return damaged(rd, err_image(err, "one entry is expected, here is another"), err);
	return ret;
}

int image_read_all(struct image_dir *dir, enum image_kind kind, unsigned long id, struct arena *arena,
		   ProtobufCMessage ***msgs, size_t *n, bool *absent, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	cleanup_free ProtobufCMessage **list = NULL;
	size_t cap = 0;
	int ret = image_reader_open(dir, kind, id, &rd, err);

	*n = 0;
	*msgs = NULL;
	if (ret)
		return ret;
	if (absent)
		*absent = image_reader_absent(rd);
	for (;;) {
		ProtobufCMessage *msg;

		ret = image_reader_next(rd, arena, &msg, err);
		if (ret <= 0)
			break;
		array_reserve(&list, &cap, *n, sizeof(*list));
		list[(*n)++] = msg;
	}
	if (ret)
		return ret;
	*msgs = arena_dup(arena, list, *n * sizeof(*list));
	return 0;
}
