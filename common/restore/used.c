// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/restore/used.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/image/chain.h"
#include "common/image/manifest.h"
#include "common/image/threads.h"

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

/* What the set has of file f, in runs that lie together. */
static int give_older(const struct model *m, const struct model_pages *p, size_t f, bool *touched, struct err *err)
{
	uint64_t off = 0, len = 0;
	cleanup_fd int fd = -1;
	int ret = reopen(p->files[f], image_dir_fd(m->chain->dirs[f]), &fd, err);

	for (size_t i = 0; fd >= 0 && i < p->nentries && !ret; i++) {
		uint64_t n = p->entries[i]->nr_pages * IMAGE_PAGE;

		if (p->src[i].file != f)
			continue;
		if (off + len == p->src[i].off) {
			len += n;
			continue;
		}
		ret = punch(fd, off, len, err);
		off = p->src[i].off;
		len = n;
	}
	if (!ret && fd >= 0)
		ret = punch(fd, off, len, err);
	touched[f] |= fd >= 0;
	return ret ? err_object(err, ret, "%s", image_dir_path(m->chain->dirs[f])) : 0;
}

static int give_set(const struct model *m, const struct model_pages *p, bool *touched, struct err *err)
{
	cleanup_fd int fd = -1;
	int ret = reopen(p->file.fd, image_dir_fd(m->dir), &fd, err);

	if (!ret && fd >= 0)
		ret = punch(fd, 0, p->file.stored, err);
	for (size_t f = 1; p->src && f < p->nfiles && !ret; f++)
		ret = give_older(m, p, f, touched, err);
	return ret;
}

int used_give_back(const struct model *m, struct err *err)
{
	static const char *const names[] = { "inventory.img", "inventory.img" IMAGE_ZST };
	bool touched[CHAIN_MAX] = { false };
	int ret = 0, dirfd = image_dir_fd(m->dir);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (unlinkat(dirfd, names[i], 0) < 0 && errno != ENOENT)
			return err_object(err, err_sys(err, "cannot remove it"), "%s/%s", image_dir_path(m->dir), names[i]);
	if (fsync(dirfd) < 0 && errno != EINVAL)
		return err_sys(err, "cannot write to the disk");
	for (size_t i = 0; i < m->ntasks && !ret; i++)
		if (m->tasks[i].pages.nentries)
			ret = give_set(m, &m->tasks[i].pages, touched, err);
	for (size_t i = 0; i < m->nshmem && !ret; i++)
		ret = give_set(m, &m->shmem[i].pages, touched, err);
	for (size_t i = 1; m->chain && i < m->chain->n; i++) {
		int older = image_dir_fd(m->chain->dirs[i]), again;
		struct err later = ERR_INIT;

		if (!touched[i] || faccessat(older, MANIFEST_NAME, F_OK, 0))
			continue;
		again = manifest_seal(older, "cr-restore", image_threads_default(), NULL, ret ? &later : err);
		ret = ret ? ret : again;
	}
	return ret;
}
