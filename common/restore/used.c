// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/restore/used.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/image/give.h"

static int punch(int fd, uint64_t off, uint64_t len, struct err *err)
{
	if (!len || !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len))
		return 0;
	return err_sys(err, "cannot give back the room of pages");
}

/* The file of this descriptor, for writing; -1 when it is not a file of that directory but unpacked in memory. */
static int reopen(int fd, int dirfd, int *out, struct err *err)
{
	struct stat file, dir;
	char path[64];

	*out = -1;
	if (fd < 0)
		return 0;
	if (fstat(fd, &file) < 0 || fstat(dirfd, &dir) < 0)
		return err_sys(err, "fstat");
	if (file.st_dev != dir.st_dev)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*out = open(path, O_WRONLY | O_CLOEXEC);
	return *out < 0 ? err_sys(err, "cannot open pages for writing") : 0;
}

/* What the set has of older files. */
static void give_older(const struct model_pages *p, struct give *give)
{
	for (size_t i = 0; p->src && i < p->nentries; i++)
		if (p->src[i].file)
			give_add(give, p->src[i].file, p->older_ids[p->src[i].file], p->src[i].off, p->entries[i]->nr_pages * IMAGE_PAGE);
}

static int give_set(const struct model *m, const struct model_pages *p, struct give *give, struct err *err)
{
	cleanup_fd int fd = -1;
	int ret = reopen(p->file.fd, image_dir_fd(m->dir), &fd, err);

	if (!ret && fd >= 0)
		ret = punch(fd, 0, p->file.stored, err);
	if (!ret)
		give_older(p, give);
	return ret;
}

int used_give_back(const struct model *m, struct err *err)
{
	static const char *const names[] = { "inventory.img", "inventory.img" IMAGE_ZST };
	cleanup(give_release) struct give give = { 0 };
	cleanup_manifest struct manifest *own = NULL;
	int ret, dirfd = image_dir_fd(m->dir);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (unlinkat(dirfd, names[i], 0) < 0 && errno != ENOENT)
			return err_object(err, err_sys(err, "cannot remove it"), "%s/%s", image_dir_path(m->dir), names[i]);
	if (fsync(dirfd) < 0 && errno != EINVAL)
		return err_sys(err, "cannot write to the disk");
	ret = manifest_load(dirfd, &own, err);
	if (!ret && own) {
		manifest_give(own, MANIFEST_RESTORED);
		ret = manifest_store(dirfd, own, err);
	}
	for (size_t i = 0; i < m->ntasks && !ret; i++)
		if (m->tasks[i].pages.nentries)
			ret = give_set(m, &m->tasks[i].pages, &give, err);
	for (size_t i = 0; i < m->nshmem && !ret; i++)
		ret = give_set(m, &m->shmem[i].pages, &give, err);
	return ret || !m->chain ? ret : give_back(&give, m->chain, MANIFEST_RESTORED, err);
}
