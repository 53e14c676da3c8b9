/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole hostile checkpoint: the input is cut into images (one byte which, two bytes how long), whose magics are put in
 * front so that the fuzzer spends its time behind them. Of page images only the number of pages is given. What loads must
 * also be safe to plan and to print.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/findings.h"
#include "common/base/io.h"
#include "common/restore/model.h"
#include "common/restore/plan.h"
#include "common/restore/restore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The ids are those of the corpus: pid 3, thread 5. */
static const struct { enum image_kind kind; unsigned long id; } images[] = {
	{ IMG_INVENTORY, 0 },	  { IMG_PSTREE, 0 },	    { IMG_CORE, 3 },	   { IMG_CORE, 5 },	  { IMG_IDS, 3 },
	{ IMG_MM, 3 },		  { IMG_FS, 3 },	    { IMG_FDINFO, 2 },	   { IMG_FILES, 0 },	  { IMG_PAGEMAP, 3 },
	{ IMG_PAGES, 1 },	  { IMG_MEMFD_INODE, 0 },   { IMG_SHMEM_PAGEMAP, 1 }, { IMG_PIPES_DATA, 0 }, { IMG_FIFO_DATA, 0 },
	{ IMG_REMAP_FPATH, 0 },	  { IMG_GHOST_FILE, 1 },    { IMG_REG_FILES, 0 },  { IMG_PIPES, 0 },	  { IMG_FILE_LOCKS, 0 },
	{ IMG_SHMEM_PAGEMAP, 2 }, { IMG_SHMEM_PAGEMAP, 3 }, { IMG_PAGES, 2 },	   { IMG_PAGES, 3 },	  { IMG_PAGES, 4 },
	{ IMG_GHOST_FILE, 2 },	  { IMG_GHOST_FILE, 3 },    { IMG_TIMENS, 0 },	   { IMG_SECCOMP, 0 },
	{ IMG_SK_QUEUES, 0 },	  { IMG_TTY_INFO, 0 },	    { IMG_TTY_DATA, 0 },   { IMG_CGROUP, 0 },	  { IMG_TCP_STREAM, 1 },
	{ IMG_TCP_STREAM, 2 },	  { IMG_TCP_STREAM, 3 },    { IMG_TCP_STREAM, 4 },   { IMG_IPC_VAR, 9 },	  { IMG_IPCNS_SHM, 9 },
	{ IMG_IPCNS_MSG, 9 },	  { IMG_IPCNS_SEM, 9 },	    { IMG_SHMEM_PAGEMAP, 0 },
};

static void write_image(int dir, size_t which, const uint8_t *data, size_t n)
{
	const struct image_kind_info *info = &image_kinds[images[which].kind];
	char name[64];
	int fd;

	image_name(images[which].kind, images[which].id, name);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		abort();
	if (info->first_magic)
		write_full(fd, &info->first_magic, 4);
	if (info->magic)
		write_full(fd, &info->magic, 4);
	write_full(fd, data, n);
	close(fd);
}

static void write_pages(int dir, size_t which, size_t npages)
{
	char name[64];
	int fd;

	image_name(images[which].kind, images[which].id, name);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)npages * 4096))
		abort();
	close(fd);
}

static void empty(int dir)
{
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		image_name(images[i].kind, images[i].id, name);
		unlinkat(dir, name, 0);
	}
}

/* --check goes on where a restore gives up. */
static void check(struct image_dir *dir)
{
	cleanup_findings struct findings found = { 0 };
	struct model *m = NULL;
	struct err err = ERR_INIT;

	if (findings_note(&found, model_check(dir, &found, &m, &err), &err) || !found.n)
		abort();
	model_free(m);
}

static void load(const char *path)
{
	cleanup_model struct model *m = NULL;
	cleanup_plan struct plan *plan = NULL;
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	/* All that an option could allow. */
	const struct restore_opts opts = { .cgroups = CGROUPS_SOFT, .tcp_established = true, .network_lock = true, .shell_job = true,
					   .link_remap = true, .file_locks = true };
	struct image_dir *dir = NULL;
	struct err err = ERR_INIT;

	if (image_dir_open(path, &dir, &err))
		abort();
	if (model_load(dir, &m, &err)) {
		if (err.kind == ERR_NONE || m)
			abort();
		check(dir);
	} else if (!plan_build(m, &opts, &plan, &err)) {
		plan_print(m, plan, &text);
	}
	plan_free(take_ptr(plan));
	model_free(take_ptr(m));
	image_dir_free(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/dev/shm/fuzz-model-XXXXXX";
	int dir;

	if (!mkdtemp(path))
		abort();
	dir = open(path, O_RDONLY | O_DIRECTORY);
	while (size >= 3) {
		size_t which = data[0] % ARRAY_SIZE(images), n = data[1] | (size_t)data[2] << 8;

		data += 3;
		size -= 3;
		if (images[which].kind == IMG_PAGES) {
			write_pages(dir, which, n);
			continue;
		}
		n = MIN(n, size);
		write_image(dir, which, data, n);
		data += n;
		size -= n;
	}
	load(path);
	empty(dir);
	close(dir);
	rmdir(path);
	return 0;
}
