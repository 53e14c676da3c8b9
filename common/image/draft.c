/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int draft_open(struct draft *d, int dirfd, const char *tag, bool hide, struct err *err)
{
	cleanup_free char *hidden = NULL;

	*d = (struct draft){ dirfd, -1, NULL };
	if (!hide)
		d->fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, IMAGE_MODE);
	if (d->fd >= 0)
		return 0;
	if (!hide && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
		return err_sys(err, "cannot create a file");
	hidden = xasprintf(".cr-%s.tmp", tag);
	unlinkat(dirfd, hidden, 0);
	d->fd = openat(dirfd, hidden, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, IMAGE_MODE);
	if (d->fd < 0)
		return err_sys(err, "cannot create %s", hidden);
	d->hidden = take_ptr(hidden);
	return 0;
}

/* By the descriptor itself where that is allowed: with CAP_DAC_READ_SEARCH, or to who opened it (Linux 6.10). Else through /proc. */
static int link_fd(const struct draft *d, const char *name)
{
	char self[32];

	if (!linkat(d->fd, "", d->dirfd, name, AT_EMPTY_PATH))
		return 0;
	if (errno == EEXIST)
		return -1;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", d->fd);
	return linkat(AT_FDCWD, self, d->dirfd, name, AT_SYMLINK_FOLLOW);
}

/* The inverse of unlink for unnamed files: linkat, which does not replace; rename does. */
static int link_unnamed(struct draft *d, const char *name, struct err *err)
{
	cleanup_free char *temp = NULL;

	if (!link_fd(d, name))
		return 0;
	if (errno != EEXIST)
		return err_sys(err, "cannot name the file");
	temp = xasprintf(".cr-%d-%s", getpid(), name);
	unlinkat(d->dirfd, temp, 0);
	if (link_fd(d, temp) < 0)
		return err_sys(err, "cannot name the file");
	if (renameat(d->dirfd, temp, d->dirfd, name) < 0) {
		int ret = err_sys(err, "cannot replace the old file");

		unlinkat(d->dirfd, temp, 0);
		return ret;
	}
	return 0;
}

int draft_name(struct draft *d, const char *name, struct err *err)
{
	if (!d->hidden)
		return link_unnamed(d, name, err);
	if (renameat(d->dirfd, d->hidden, d->dirfd, name) < 0)
		return err_sys(err, "cannot rename %s", d->hidden);
	free(take_ptr(d->hidden));
	return 0;
}

void draft_like(const struct draft *d, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	/* The owner first: a change of it takes set-id bits away. */
	if (fchown(d->fd, st->st_uid, st->st_gid) < 0)
		errno = 0;
	if (fchmod(d->fd, st->st_mode & 07777) < 0 || futimens(d->fd, times) < 0)
		errno = 0;
}

void draft_drop(struct draft *d)
{
	if (d->hidden)
		unlinkat(d->dirfd, d->hidden, 0);
	if (d->fd >= 0)
		close(d->fd);
	free(d->hidden);
	*d = (struct draft)DRAFT_INIT;
}
