/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/tar.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/io.h"
#include "common/image/frames.h"
#include "common/image/image.h"
#include "common/image/seekable.h"
#include "common/image/threads.h"

#define RECORD (20u * TAR_BLOCK)
#define PAX_MAX (64u << 10)	  /* bytes of one extended header */
#define OCTAL_MAX 077777777777ull /* what eleven octal digits hold */
#define MEMBERS_MAX (16u << 20)
/* Other tools pass over comments. */
#define LAST_PART "cr-utils: memory pages from here on"

/* A header as POSIX has it (ustar). */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6], version[2], uname[32],
		gname[32], devmajor[8], devminor[8], prefix[155], unused[12];
};
_Static_assert(sizeof(struct header) == TAR_BLOCK, "a tar header is one block");

static void octal(char *to, size_t size, uint64_t v)
{
	to[--size] = 0;
	while (size--) {
		to[size] = (char)('0' + (v & 7));
		v >>= 3;
	}
}

static unsigned checksum(const struct header *h)
{
	const uint8_t *p = (const uint8_t *)h;
	unsigned sum = 0;

	/* The field of the sum itself counts as blanks. */
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += i >= offsetof(struct header, sum) && i < offsetof(struct header, type) ? ' ' : p[i];
	return sum;
}

static int put(struct tar_writer *w, const void *p, size_t n, struct err *err)
{
	int ret;

	w->bytes += n;
	if (w->frames)
		return frames_writer_put(w->frames, p, n, err);
	ret = write_full(w->fd, p, n);
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot write the archive") : 0;
}

static int put_header(struct tar_writer *w, const char *name, const char *link, char type, uint64_t size, unsigned mode,
		      int64_t mtime, struct err *err)
{
	struct header h = { .type = type, .magic = "ustar", .version = { '0', '0' } };

	snprintf(h.name, sizeof(h.name), "%.99s", name);
	snprintf(h.link, sizeof(h.link), "%.99s", link);
	octal(h.mode, sizeof(h.mode), mode & 07777);
	octal(h.uid, sizeof(h.uid), 0);
	octal(h.gid, sizeof(h.gid), 0);
	octal(h.size, sizeof(h.size), MIN(size, (uint64_t)OCTAL_MAX));
	octal(h.mtime, sizeof(h.mtime), (uint64_t)MIN(MAX(mtime, 0), (int64_t)OCTAL_MAX));
	octal(h.devmajor, sizeof(h.devmajor), 0);
	octal(h.devminor, sizeof(h.devminor), 0);
	octal(h.sum, 7, checksum(&h));
	h.sum[7] = ' ';
	return put(w, &h, sizeof(h), err);
}

/* One record "LENGTH KEY=VALUE\n", whose length counts its own digits. */
static size_t pax_record(char *to, size_t size, const char *key, const char *value)
{
	size_t rest = strlen(key) + strlen(value) + 3, len = rest + 1, digits;

	for (;;) {
		digits = (size_t)snprintf(NULL, 0, "%zu", len);
		if (rest + digits == len)
			break;
		len = rest + digits;
	}
	return (size_t)snprintf(to, size, "%zu %s=%s\n", len, key, value);
}

int tar_begin(struct tar_writer *w, const struct tar_member *m, struct err *err)
{
	char block[TAR_BLOCK * 2] = "", number[24];
	size_t n = 0;
	int ret = 0;

	if (strlen(m->name) >= 100)
		n += pax_record(block, sizeof(block), "path", m->name);
	if (m->size > OCTAL_MAX) {
		snprintf(number, sizeof(number), "%" PRIu64, m->size);
		n += pax_record(block + n, sizeof(block) - n, "size", number);
	}
	if (m->last_part)
		n += pax_record(block + n, sizeof(block) - n, "comment", LAST_PART);
	if (n)
		ret = put_header(w, "PaxHeader", "", 'x', n, 0644, m->mtime, err);
	if (!ret && n)
		ret = put(w, block, (n + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK, err);
	if (!ret)
		ret = put_header(w, m->name, m->link, m->link[0] ? '2' : '0', m->size, m->mode, m->mtime, err);
	w->left = m->size;
	w->pad = (unsigned)(-m->size % TAR_BLOCK);
	return ret;
}

int tar_put(struct tar_writer *w, const void *p, size_t n, struct err *err)
{
	static const char zero[TAR_BLOCK];
	int ret = n > w->left ? err_set(err, ERR_FAILED, EFBIG, "the file has grown") : put(w, p, n, err);

	if (ret)
		return ret;
	w->left -= n;
	return w->left ? 0 : put(w, zero, w->pad, err);
}

int tar_put_file(struct tar_writer *w, int file, uint64_t off, const void *p, size_t n, struct err *err)
{
	int ret = w->frames || w->copies || n >= w->left ? -EINVAL : splice_full(file, (off_t)off, w->fd, n);

	w->copies |= ret == -EINVAL && n < w->left; /* it will be the same the next time */
	if (ret == -EINVAL)
		return tar_put(w, p, n, err);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot write the archive");
	w->bytes += n;
	w->left -= n;
	return 0;
}

int tar_end(struct tar_writer *w, struct err *err)
{
	static const char zero[RECORD];
	/* Two empty blocks, and then to the end of a record of twenty, which some readers want whole. */
	size_t n = sizeof(zero) - w->bytes % sizeof(zero);

	if (n < 2 * TAR_BLOCK)
		n += sizeof(zero);
	for (; n > sizeof(zero); n -= sizeof(zero)) {
		int ret = put(w, zero, sizeof(zero), err);

		if (ret)
			return ret;
	}
	return put(w, zero, n, err);
}

/* ---- reading ---- */

static int damaged(const struct tar_reader *r, struct err *err, const char *what)
{
	return err_object(err, err_image(err, "%s", what), "tar: byte %" PRIu64, r->at);
}

int tar_unpack(struct tar_reader *r, struct err *err)
{
	int ret = read_full(r->fd, r->head, sizeof(r->head));

	if (ret == -ENODATA)
		return damaged(r, err, "the archive is cut short");
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read the archive");
	if (zstd_magic(r->head, sizeof(r->head)))
		return frames_reader_new(r->fd, r->head, sizeof(r->head), image_threads_default(), &r->frames, err);
	r->nhead = sizeof(r->head);
	return 0;
}

int tar_drain(struct tar_reader *r, struct err *err)
{
	/* One of the two empty blocks was taken, and the other may stand in a record of its own. */
	uint64_t left = TAR_BLOCK + (RECORD - (r->at + TAR_BLOCK) % RECORD) % RECORD;
	uint8_t block[TAR_BLOCK];
	int ret = 0;

	if (r->frames)
		return frames_reader_end(r->frames, err);
	for (; left && !ret; left -= sizeof(block)) /* other tools may end without it */
		ret = read_full(r->fd, block, sizeof(block));
	return ret && ret != -ENODATA ? err_set(err, ERR_FAILED, -ret, "cannot read the archive") : 0;
}

void tar_close(struct tar_reader *r)
{
	frames_reader_free(r->frames);
}

static int take_bytes(struct tar_reader *r, uint8_t *buf, size_t n)
{
	size_t head = MIN((size_t)r->nhead, n);

	memcpy(buf, r->head + sizeof(r->head) - r->nhead, head);
	r->nhead -= (unsigned)head;
	return read_full(r->fd, buf + head, n - head);
}

static int take(struct tar_reader *r, void *buf, size_t n, struct err *err)
{
	int ret;

	if (r->frames) {
		ret = frames_reader_take(r->frames, buf, n, err);
		r->at += ret ? 0 : n;
		return ret;
	}
	ret = take_bytes(r, buf, n);
	if (ret == -ENODATA)
		return damaged(r, err, "the archive is cut short");
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read the archive");
	r->at += n;
	return 0;
}

/* Octal digits with blanks around them, or the binary form of larger numbers (first bit set, big-endian). */
static bool number(const char *s, size_t n, uint64_t *v)
{
	size_t i = 0;

	*v = 0;
	if ((uint8_t)s[0] & 0x80) {
		for (*v = (uint8_t)s[0] & 0x7f, i = 1; i < n; i++) {
			if (*v >> 55)
				return false;
			*v = *v << 8 | (uint8_t)s[i];
		}
		return true;
	}
	while (i < n && s[i] == ' ')
		i++;
	for (; i < n && s[i] >= '0' && s[i] <= '7'; i++)
		*v = *v << 3 | (uint64_t)(s[i] - '0');
	while (i < n && (s[i] == ' ' || !s[i]))
		i++;
	return i == n;
}

/* What an extended header may change. */
struct pax {
	bool has_size, has_path, last_part;
	uint64_t size;
	char path[256];
};

static const char *pax_value(struct pax *p, const char *key, const char *value, size_t len)
{
	char text[32];

	if (!strcmp(key, "size")) {
		if (len >= sizeof(text))
			return "an extended header has no number as size";
		memcpy(text, value, len);
		text[len] = 0;
		p->has_size = true;
		return parse_u64(text, 10, &p->size) ? "an extended header has no number as size" : NULL;
	}
	if (!strcmp(key, "path")) {
		if (len >= sizeof(p->path) || memchr(value, 0, len))
			return "a name is too long";
		memcpy(p->path, value, len);
		p->path[len] = 0;
		p->has_path = true;
		return NULL;
	}
	if (!strcmp(key, "comment"))
		p->last_part |= len == strlen(LAST_PART) && !memcmp(value, LAST_PART, len);
	if (!strncmp(key, "GNU.sparse.", 11))
		return "sparse files are not taken";
	return NULL; /* owners, times, comments */
}

static const char *pax_parse(struct pax *p, char *s, size_t n)
{
	static const char bad[] = "an extended header is damaged";

	while (n) {
		char *blank = memchr(s, ' ', MIN(n, (size_t)20)), *equal;
		uint64_t len;
		const char *why;

		if (!blank)
			return bad;
		*blank = 0;
		if (parse_u64(s, 10, &len) || len > n || len < (size_t)(blank - s) + 4 || s[len - 1] != '\n')
			return bad;
		equal = memchr(blank + 1, '=', len - (size_t)(blank + 1 - s));
		if (!equal)
			return bad;
		*equal = 0;
		why = pax_value(p, blank + 1, equal + 1, (size_t)(s + len - 1 - (equal + 1)));
		if (why)
			return why;
		s += len;
		n -= len;
	}
	return NULL;
}

static int take_pax(struct tar_reader *r, uint64_t size, struct pax *p, struct err *err)
{
	cleanup_free char *text = NULL;
	const char *why;
	int ret;

	if (size > PAX_MAX)
		return damaged(r, err, "an extended header is too long");
	text = xmalloc((size_t)size + TAR_BLOCK);
	ret = take(r, text, (size_t)(size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK, err);
	if (ret)
		return ret;
	why = pax_parse(p, text, (size_t)size);
	return why ? damaged(r, err, why) : 0;
}

static int skip(struct tar_reader *r, struct err *err)
{
	uint64_t n = r->left + r->pad;
	cleanup_free char *buf = n ? xmalloc(64 << 10) : NULL;
	int ret = 0;

	r->left = r->pad = 0;
	while (n && !ret) {
		size_t part = (size_t)MIN(n, (uint64_t)64 << 10);

		ret = take(r, buf, part, err);
		n -= part;
	}
	return ret;
}

int tar_round(const char **name)
{
	const char *slash = strchr(*name, '/');
	char digits[8];
	uint64_t n;
	size_t len;

	if (!slash)
		return 0;
	len = (size_t)(slash - *name);
	if (len <= strlen(TAR_ROUND) || len >= strlen(TAR_ROUND) + 4 || strncmp(*name, TAR_ROUND, strlen(TAR_ROUND)) != 0)
		return -1;
	snprintf(digits, sizeof(digits), "%.*s", (int)(len - strlen(TAR_ROUND)), *name + strlen(TAR_ROUND));
	if (digits[0] == '0' || parse_u64(digits, 10, &n) || !n || n > TAR_ROUNDS_MAX)
		return -1;
	*name = slash + 1;
	return (int)n;
}

static int take_name(struct tar_reader *r, const struct header *h, const struct pax *p, char type, struct tar_member *m,
		     struct err *err)
{
	char name[300];
	const char *s = name, *last;

	if (p->has_path)
		snprintf(name, sizeof(name), "%s", p->path);
	else
		snprintf(name, sizeof(name), "%.155s%s%.100s", h->prefix, h->prefix[0] ? "/" : "", h->name);
	while (s[0] == '.' && s[1] == '/')
		s += s[2] == '/' ? 1 : 2;
	if (type == '5')
		return !*s || !strcmp(s, ".") || tar_round(&(const char *){ s }) > 0 ? 0 :
			damaged(r, err, "a folder in it: a checkpoint is one flat directory (tar -C DIR -c .)");
	last = s;
	if (!*s || tar_round(&last) < 0 || !*last || *last == '.' || strchr(last, '/') || strlen(s) >= sizeof(m->name))
		return err_hint(err, damaged(r, err, "a member's name leads out of the directory, or is hidden"),
				"a checkpoint is packed with cr-image pack DIR, or tar -C DIR -c .");
	for (const char *c = s; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return damaged(r, err, "a member's name has control characters");
	snprintf(m->name, sizeof(m->name), "%s", s);
	return 1;
}

/* The one link that a checkpoint has: to an older one in the same stream. */
static int take_link(struct tar_reader *r, const struct header *h, struct tar_member *m, struct err *err)
{
	const char *name = m->name, *to = m->link, *none;
	int mine = tar_round(&name), its;

	if (strcmp(name, "parent") != 0)
		return damaged(r, err, "links are not taken");
	snprintf(m->link, sizeof(m->link), "%.60s", h->link);
	if (mine && !strncmp(to, "../", 3))
		to += 3;
	else if (mine)
		to = "";
	cleanup_free char *inside = xasprintf("%s/", to);

	none = inside;
	its = tar_round(&none);
	if (its <= 0 || *none || (mine && its >= mine))
		return err_hint(err, damaged(r, err, "it needs the pages of a checkpoint that is not in the stream"),
				"cr-image flatten makes one that stands for itself");
	return 1;
}

/* The rest of a header that is no extended one. 1: a file, 0: passed over. */
static int take_member(struct tar_reader *r, const struct header *h, const struct pax *p, uint64_t size, struct tar_member *m,
		       struct err *err)
{
	char type = h->type ? h->type : '0';
	uint64_t mode, mtime;
	int ret;

	if (type == '7')
		type = '0';
	if (type != '0' && type != '5' && type != '2')
		return damaged(r, err, type == '1' ? "links are not taken" : "only regular files are taken");
	if (p->has_size)
		size = p->size;
	if (size > IMAGE_PAYLOAD_MAX)
		return damaged(r, err, "a member is too large");
	ret = take_name(r, h, p, type, m, err);
	if (ret < 0)
		return ret;
	m->link[0] = 0;
	if (type == '2') {
		ret = take_link(r, h, m, err);
		if (ret < 0)
			return ret;
		size = 0;
	}
	r->left = size;
	r->pad = (unsigned)(-size % TAR_BLOCK);
	m->size = size;
	m->last_part = p->last_part;
	m->mode = number(h->mode, sizeof(h->mode), &mode) ? (unsigned)mode & 0777 : 0600;
	m->mtime = number(h->mtime, sizeof(h->mtime), &mtime) && mtime <= INT64_MAX ? (int64_t)mtime : 0;
	return ret;
}

static bool all_zero(const void *p)
{
	const char *s = p;

	for (size_t i = 0; i < TAR_BLOCK; i++)
		if (s[i])
			return false;
	return true;
}

int tar_next(struct tar_reader *r, struct tar_member *m, struct err *err)
{
	struct pax pax = { 0 };
	struct header h;

	for (;;) {
		uint64_t size, sum;
		int ret = skip(r, err);

		if (!ret)
			ret = take(r, &h, sizeof(h), err);
		if (ret)
			return ret;
		if (all_zero(&h))
			return pax.has_size || pax.has_path ? damaged(r, err, "an extended header without a member") : 0;
		if (++r->members > MEMBERS_MAX)
			return damaged(r, err, "too many members");
		if (!number(h.sum, sizeof(h.sum), &sum) || sum != checksum(&h))
			return damaged(r, err, r->members == 1 ? "not a tar archive" : "the checksum of a header is wrong");
		if (!number(h.size, sizeof(h.size), &size))
			return damaged(r, err, "the size of a member is no number");
		if (h.type == 'x' || h.type == 'g') {
			struct pax global = { 0 };

			ret = take_pax(r, size, h.type == 'x' ? &pax : &global, err);
			if (!ret && (global.has_size || global.has_path))
				ret = damaged(r, err, "a global header gives names or sizes");
			if (ret)
				return ret;
			continue;
		}
		ret = take_member(r, &h, &pax, size, m, err);
		if (ret)
			return ret;
		pax = (struct pax){ 0 };
	}
}

int tar_read(struct tar_reader *r, void *buf, size_t n, size_t *got, struct err *err)
{
	*got = (size_t)MIN((uint64_t)n, r->left);
	r->left -= *got;
	return *got ? take(r, buf, *got, err) : 0;
}
