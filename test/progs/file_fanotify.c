// SPDX-License-Identifier: GPL-2.0-or-later
/* A fanotify group with marks on an inode and on a mount, and something that a mark ignores. */
#include <poll.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "test.h"

static int fan;

/* The next event's mask; 0 when there is none within a moment. */
static uint64_t next(void)
{
	struct fanotify_event_metadata e;
	struct pollfd p = { fan, POLLIN, 0 };

	if (poll(&p, 1, 50) != 1)
		return 0;
	CHECK_EQ(read(fan, &e, sizeof(e)), (int)sizeof(e));
	CHECK_EQ(e.pid, getpid());
	close(e.fd);
	return e.mask;
}

static void touch(const char *path, int flags)
{
	int fd = open(path, flags | O_CREAT, 0600);

	CHECK(fd >= 0);
	close(fd);
}

int main(void)
{
	int queued = -1;

	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY | O_LARGEFILE);
	if (fan < 0)
		TEST_SKIP("no fanotify here: %s", strerror(errno));
	touch("marked", O_WRONLY);
	touch("ignored", O_WRONLY);
	CHECK(!mkdir("mnt", 0700) && !mount("none", "mnt", "tmpfs", 0, NULL));
	touch("mnt/file", O_WRONLY);
	CHECK(!fanotify_mark(fan, FAN_MARK_ADD, FAN_CLOSE_NOWRITE, AT_FDCWD, "marked"));
	CHECK(!fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "mnt"));
	touch("mnt/silent", O_WRONLY);
	CHECK_EQ(next(), FAN_OPEN);
	CHECK(!fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_OPEN, AT_FDCWD,
			     "mnt/silent"));
	test_ready();
	CHECK(!ioctl(fan, FIONREAD, &queued));
	CHECK_EQ(queued, 0);
	touch("marked", O_WRONLY);
	CHECK_EQ(next(), 0);
	touch("marked", O_RDONLY);
	CHECK_EQ(next(), FAN_CLOSE_NOWRITE);
	touch("mnt/file", O_RDONLY);
	CHECK_EQ(next(), FAN_OPEN);
	touch("mnt/silent", O_RDONLY);
	CHECK_EQ(next(), 0);
	umount2("mnt", MNT_DETACH);
	pass();
}
