/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every view of cr-image on a checkpoint that nobody vouches for. The input is a list of images: a byte for the kind, a byte for its
 * number, two bytes of length (little endian), and the content behind the magic words, which are put there; so that the fuzzer's work goes
 * into entries and what they refer to. Number 0 is what other images refer to: pid, pages and namespace 1.
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "bin/cr-image/core.h"
#include "bin/cr-image/cr-image.h"
#include "bin/cr-image/diff.h"
#include "bin/cr-image/report.h"
#include "bin/cr-image/search.h"
#include "bin/cr-image/x.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What decides on the result of all views; the others are the payload of archives. */
static const enum image_kind kinds[] = {
	IMG_PSTREE, IMG_CORE, IMG_IDS, IMG_MM, IMG_FS, IMG_FDINFO, IMG_FILES, IMG_PAGEMAP, IMG_PAGES, IMG_SHMEM_PAGEMAP, IMG_MEMFD_INODE,
	IMG_MNTS, IMG_INVENTORY, IMG_VMAS, IMG_REG_FILES, IMG_UNIXSK,
};

static void write_image(const char *dir, enum image_kind kind, unsigned long id, const uint8_t *p, size_t n)
{
	const struct image_kind_info *info = &image_kinds[kind];
	char name[64], path[300];
	int fd;

	image_name(kind, id, name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		abort();
	if ((info->first_magic && write(fd, &info->first_magic, 4) != 4) || (info->magic && write(fd, &info->magic, 4) != 4) ||
	    write(fd, p, n) != (ssize_t)n)
		abort();
	close(fd);
}

static int look(struct ckpt_task *t, uint64_t addr, const uint8_t *p, size_t n, size_t settled, void *data, struct err *err)
{
	const struct literal *l = data;

	if (settled > n)
		abort();
	literal_find(l, p, n);
	return 0;
}

static int nothing(const struct ckpt_span *s, void *data, struct err *err)
{
	if (!s->len)
		abort(); /* such a walk would not end */
	return 0;
}

static void memory_of(struct ckpt *c, struct ckpt_task *t)
{
	cleanup_strbuf struct strbuf notes = STRBUF_INIT;
	struct literal l;
	struct err err = ERR_INIT;

	literal_init(&l, "ab\0c", 4);
	search_windows(c, t, 3, look, &l, &err);
	err = (struct err)ERR_INIT;
	for (size_t i = 0; i < t->nvmas; i++)
		ckpt_spans(c, t, t->vmas[i], 0, UINT64_MAX, nothing, NULL, &err);
	err = (struct err)ERR_INIT;
	if (t->mm)
		core_notes(c, t, &notes, &err);
}

static void all_views(const char *dir)
{
	cleanup_ckpt struct ckpt *c = NULL, *again = NULL;
	cleanup_rows json_object *changes = json_object_new_array();
	struct err err = ERR_INIT;
	FILE *null = fopen("/dev/null", "w");

	if (!null)
		abort();
	if (!ckpt_open(dir, &c, &err)) {
		for (const struct view *v = views; v->name; v++) {
			cleanup_rows json_object *rows = json_object_new_array();

			err = (struct err)ERR_INIT;
			if (!v->rows(c, NULL, rows, &err))
				rows_print(rows, v->columns, null);
		}
		for (size_t i = 0; i < c->ntasks; i++)
			memory_of(c, &c->tasks[i]);
		err = (struct err)ERR_INIT;
		report_write(c, null, &err);
		err = (struct err)ERR_INIT;
		if (!ckpt_open(dir, &again, &err) && !diff_pages(c, again, changes, &err)) {
			/* Nothing differs from itself; what is unknown is told. */
			for (size_t i = 0; i < json_object_array_length(changes); i++)
				if (!row_get(json_object_array_get_idx(changes, i), "unknown")[0])
					abort();
		}
	}
	fclose(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char dir[200], path[300];
	struct { enum image_kind kind; unsigned long id; } made[32];
	size_t n = 0;

	snprintf(dir, sizeof(dir), "%.150s/cr-fuzz-views.XXXXXX", getenv("TMPDIR") ?: "/tmp");
	if (!mkdtemp(dir))
		abort();
	while (size >= 4 && n < ARRAY_SIZE(made)) {
		size_t len = data[2] | (size_t)data[3] << 8;
		enum image_kind kind = kinds[data[0] % ARRAY_SIZE(kinds)];
		unsigned long id = data[1] ? data[1] : 1;

		len = MIN(len, size - 4);
		write_image(dir, kind, id, data + 4, len);
		made[n].kind = kind;
		made[n++].id = id;
		data += 4 + len;
		size -= 4 + len;
	}
	if (data && size && (data[0] & 1)) { /* a parent that is the directory itself */
		snprintf(path, sizeof(path), "%s/parent", dir);
		if (symlink(".", path))
			abort();
	}
	all_views(dir);
	for (size_t i = 0; i < n; i++) {
		char name[64];

		image_name(made[i].kind, made[i].id, name);
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/parent", dir);
	unlink(path);
	rmdir(dir);
	return 0;
}
