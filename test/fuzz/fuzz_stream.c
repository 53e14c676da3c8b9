/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A checkpoint from a pipe as hostile input: tar, the frames it may be packed in, folders of rounds, the end record. Whatever is given
 * away before the end is of the size that was told, and what is found afterwards can be read; all ends, and every failure is told.
 */
#include <string.h>
#include <sys/mman.h>

#include "common/base/io.h"
#include "common/image/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Pages as a restore takes them: read here, or kept. */
static int take_pages(struct source *s, struct err *err)
{
	cleanup(sums_pass_drop) struct sums_passing sums = { 0 };
	unsigned long id;
	uint64_t size;
	uint8_t buf[5000];
	int ret = source_next(s, &id, &size, err);

	if (ret <= 0)
		return ret ? ret : -1;
	if (id % 2)
		return source_spool(s, err);
	for (uint64_t off = 0; off < size; off += sizeof(buf)) {
		size_t n = (size_t)MIN(size - off, (uint64_t)sizeof(buf));

		ret = source_read(s, buf, n, err);
		if (ret)
			return ret;
		sums_pass(&sums, buf, n);
	}
	return source_done(s, sums_pass_end(&sums), err);
}

static void look(const struct source *s, unsigned round, const char *name)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	struct err err = ERR_INIT;
	uint8_t buf[512];

	if (!source_find(s, round, name, &f))
		return;
	for (uint64_t off = 0; off < f.size && off < (1u << 20); off += sizeof(buf))
		if (image_file_pread(&f, buf, (size_t)MIN(f.size - off, (uint64_t)sizeof(buf)), off, &err))
			return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "inventory.img", "pages-1.img", "pages-2.img", "core-1.img", "stats-dump" };
	cleanup_fd int fd = memfd_create("stream", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	struct source *s;
	int ret;

	if (fd < 0 || write_full(fd, data, size) || lseek(fd, 0, SEEK_SET))
		abort();
	ret = source_open(fd, &s, &err);
	if (ret && err.kind == ERR_NONE)
		abort();
	if (ret)
		return 0;
	while (!ret && source_more(s)) {
		ret = take_pages(s, &err);
		if (ret && err.kind == ERR_NONE)
			abort();
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		for (unsigned round = source_parent(s, 0);; round = 0) {
			look(s, round, names[i]);
			if (!round)
				break;
		}
	if (!ret)
		ret = source_end(s, &err);
	if (ret && err.kind == ERR_NONE)
		abort();
	source_forget(s, 0, "pages-1.img");
	source_free(s);
	return 0;
}
