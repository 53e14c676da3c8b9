/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a manifest says, and whether a file agrees. */
#include "common/image/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "common/image/threads.h"

#define PART (256u << 10)

struct manifest *manifest_new(const char *tool)
{
	struct manifest *m = xzalloc(sizeof(*m));
	time_t now = time(NULL);
	struct utsname u;
	char text[32] = "";
	struct tm tm;

	m->tool = xasprintf("%s " CR_VERSION, tool);
	m->kernel = uname(&u) < 0 ? xstrdup("") : xasprintf("%s %s %s", u.sysname, u.release, u.machine);
	if (gmtime_r(&now, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	m->created = xstrdup(text);
	return m;
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->files[i].sums);
	free(m->files);
	free(m->given);
	free(m->tool);
	free(m->kernel);
	free(m->created);
	free(m);
}

void manifest_freep(struct manifest **m)
{
	manifest_free(*m);
}

bool manifest_covers(enum image_kind kind)
{
	return kind < IMG_KINDS && image_kinds[kind].first_magic != IMAGE_SERVICE;
}

void manifest_add(struct manifest *m, const char *name, uint64_t size, uint64_t *sums)
{
	struct manifest_file *f;

	array_reserve(&m->files, &m->cap, m->n, sizeof(*m->files));
	f = &m->files[m->n++];
	*f = (struct manifest_file){ .size = size, .sums = sums, .nsums = sums ? sums_pieces(size) : 0 };
	snprintf(f->name, sizeof(f->name), "%s", name);
}

uint64_t manifest_state(const struct manifest *m)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	strbuf_puts(&b, m->self.run);
	for (size_t i = 0; i < m->n; i++) {
		const struct manifest_file *f = &m->files[i];
		unsigned long id;
		enum image_kind kind = image_kind_of_name(f->name, &id);

		if (kind != IMG_PAGES && kind != IMG_PAGEMAP && kind != IMG_SHMEM_PAGEMAP)
			continue;
		strbuf_printf(&b, "\n%s %" PRIu64, f->name, f->size);
		for (size_t k = 0; k < f->nsums; k++)
			strbuf_printf(&b, " %016" PRIx64, f->sums[k]);
	}
	return xxh64(b.s ? b.s : "", b.len, 0);
}

void manifest_give(struct manifest *m, const char *to)
{
	for (size_t i = 0; i < m->ngiven; i++)
		if (!strcmp(m->given[i], to))
			return;
	array_reserve(&m->given, &m->given_cap, m->ngiven, sizeof(*m->given));
	snprintf(m->given[m->ngiven++], sizeof(*m->given), "%s", to);
}

void manifest_inherit(struct manifest *m, const struct manifest *old)
{
	m->self = old->self;
	m->parent = old->parent;
	for (size_t i = 0; i < old->ngiven; i++)
		manifest_give(m, old->given[i]);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct manifest_file *)a)->name, ((const struct manifest_file *)b)->name);
}

void manifest_sort(struct manifest *m)
{
	if (m->n)
		qsort(m->files, m->n, sizeof(*m->files), by_name);
}

const struct manifest_file *manifest_find(const struct manifest *m, const char *name)
{
	struct manifest_file key;

	if (!m->n || strlen(name) >= sizeof(key.name))
		return NULL;
	snprintf(key.name, sizeof(key.name), "%s", name);
	return bsearch(&key, m->files, m->n, sizeof(*m->files), by_name);
}

uint64_t *manifest_sums_of(const void *p, size_t n)
{
	struct sums_passing x = { 0 };

	sums_pass(&x, p, n);
	return sums_pass_end(&x);
}

struct summing {
	const struct image_file *f;
	uint64_t *sums;
	size_t next, n;
	bool failed;
};

static int sum_work(void *arg, struct err *err)
{
	struct summing *s = arg;
	cleanup_image_file struct image_file f;
	cleanup_free uint8_t *buf = xmalloc(PART);
	int ret = 0;

	image_file_share(s->f, &f);
	while (!ret && !__atomic_load_n(&s->failed, __ATOMIC_RELAXED)) {
		size_t i = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);
		uint64_t off = (uint64_t)i * SUMS_PIECE, end;
		struct sums_part part;

		if (i >= s->n)
			break;
		end = MIN(off + SUMS_PIECE, f.size);
		part = (struct sums_part){ .first = i };
		while (!ret && off < end) {
			size_t n = (size_t)MIN(end - off, (uint64_t)PART);

			ret = image_file_pread(&f, buf, n, off, err);
			if (!ret)
				sums_part_add(&part, off, buf, n);
			off += n;
		}
		s->sums[i] = f.size ? part.v[0] : xxh64("", 0, 0);
	}
	if (ret)
		__atomic_store_n(&s->failed, true, __ATOMIC_RELAXED);
	return ret;
}

int manifest_sums(const struct image_file *f, unsigned threads, uint64_t **sums, struct err *err)
{
	struct summing s = { .f = f, .n = sums_pieces(f->size) };
	cleanup_free uint64_t *list = xreallocarray(NULL, s.n, sizeof(*list));
	int ret;

	s.sums = list;
	ret = image_threads((unsigned)MIN((size_t)threads, s.n), sum_work, &s, err);
	if (!ret)
		*sums = take_ptr(list);
	return ret;
}

int manifest_compare(const struct manifest_file *want, const uint64_t *sums, struct err *err)
{
	for (size_t i = 0; i < want->nsums; i++)
		if (sums[i] != want->sums[i])
			return err_image(err, "the content is not what the manifest says, from byte %" PRIu64 " to %" PRIu64,
					 (uint64_t)i * SUMS_PIECE, MIN((uint64_t)(i + 1) * SUMS_PIECE, want->size));
	return 0;
}

int manifest_verify(const struct manifest_file *want, const struct image_file *f, unsigned threads, struct err *err)
{
	cleanup_free uint64_t *sums = NULL;
	int ret;

	if (f->size != want->size)
		return err_image(err, "%" PRIu64 " bytes, but the manifest says %" PRIu64, f->size, want->size);
	if (!want->sums)
		return 0;
	ret = manifest_sums(f, threads, &sums, err);
	return ret ? ret : manifest_compare(want, sums, err);
}
