/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressed files as hostile input: whatever opens is read at random places and as a whole, and both agree. The same bytes as a
 * manifest: what is taken comes out the same again.
 */
#include <string.h>
#include <sys/mman.h>

#include "common/base/io.h"
#include "common/image/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_file(const uint8_t *data, size_t size)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT, again = IMAGE_FILE_INIT;
	struct err err = ERR_INIT;
	uint8_t a[512], b[512];
	int fd = memfd_create("packed", MFD_CLOEXEC), plain = -1;

	if (fd < 0 || write_full(fd, data, size))
		abort();
	if (image_file_take(fd, &f, &err)) {
		if (err.kind == ERR_NONE)
			abort();
		return;
	}
	if (f.size > (64u << 20))
		return;
	image_file_share(&f, &again);
	if (image_file_plain(&again, &plain, &err) || plain < 0)
		plain = -1;
	for (uint64_t off = 0; off < f.size; off += 1 + f.size / 16) {
		size_t n = (size_t)MIN(f.size - off, sizeof(a));

		if (image_file_pread(&f, a, n, off, &err) || plain < 0 || !f.table)
			continue;
		if (pread_full(plain, b, n, (off_t)off) || memcmp(a, b, n))
			abort();
	}
	if (plain >= 0 && f.table)
		close(plain);
}

static bool same_id(const struct checkpoint_id *a, const struct checkpoint_id *b)
{
	return !strcmp(a->run, b->run) && a->has_state == b->has_state && (!a->has_state || a->state == b->state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_manifest struct manifest *m = NULL, *same = NULL;
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct err err = ERR_INIT;

	as_file(data, size);
	if (manifest_parse((const char *)data, size, &m, &err))
		return 0;
	manifest_print(m, &text);
	/* Bytes that are no text are another escape afterwards; what counts is the same. */
	if (manifest_parse(text.s, text.len, &same, &err) || same->n != m->n)
		abort();
	if (!same_id(&m->self, &same->self) || !same_id(&m->parent, &same->parent) || m->ngiven != same->ngiven)
		abort();
	for (size_t i = 0; i < m->ngiven; i++)
		if (strcmp(m->given[i], same->given[i]) != 0)
			abort();
	for (size_t i = 0; i < m->n; i++) {
		const struct manifest_file *a = &m->files[i], *b = &same->files[i];

		if (strcmp(a->name, b->name) || a->size != b->size || a->nsums != b->nsums ||
		    (a->nsums && memcmp(a->sums, b->sums, a->nsums * sizeof(*a->sums))))
			abort();
	}
	return 0;
}
