// SPDX-License-Identifier: GPL-2.0-or-later
/* Watches of directories and files with gaps in their numbers, one-shot and others; nothing that the restore does is seen,
 * what the program does afterwards is, by the numbers that it knows. */
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "test.h"

static int in;

static int next(int wd, uint32_t mask, const char *name)
{
	char buf[512] __attribute__((aligned(8)));
	const struct inotify_event *e = (const void *)buf;
	ssize_t n = read(in, buf, sizeof(struct inotify_event) + (*name ? 16 : 0)); /* one, not all */

	if (n < (ssize_t)sizeof(*e))
		return 0;
	if (e->wd != wd || (e->mask & ~(uint32_t)IN_ISDIR) != mask || strcmp(e->len ? e->name : "", name))
		fail("event of watch %d, mask %x, name %s", e->wd, e->mask, e->len ? e->name : "");
	return (int)n;
}

int main(void)
{
	int dir, file, once, gone, queued = -1;

	in = inotify_init1(IN_NONBLOCK);
	CHECK(in >= 0 && !mkdir("dir", 0700) && !mkdir("other", 0700));
	CHECK(close(open("dir/file", O_WRONLY | O_CREAT, 0600)) == 0);
	CHECK(close(open("dir/once", O_WRONLY | O_CREAT, 0600)) == 0);
	gone = inotify_add_watch(in, "other", IN_CREATE);
	dir = inotify_add_watch(in, "dir", IN_CREATE | IN_DELETE);
	CHECK(!inotify_rm_watch(in, gone));
	file = inotify_add_watch(in, "dir/file", IN_ALL_EVENTS);
	CHECK(inotify_add_watch(in, ".", IN_OPEN | IN_CLOSE | IN_ACCESS | IN_EXCL_UNLINK) > 0);
	once = inotify_add_watch(in, "dir/once", IN_OPEN | IN_ONESHOT);
	CHECK(dir == 2 && file == 3 && once == 5);
	CHECK(next(gone, IN_IGNORED, ""));
	CHECK(!inotify_rm_watch(in, 4)); /* the marker files of this test are made in there */
	CHECK(next(4, IN_IGNORED, ""));
	test_ready();
	CHECK(!ioctl(in, FIONREAD, &queued));
	CHECK_EQ(queued, 0);
	CHECK(close(open("dir/new", O_WRONLY | O_CREAT, 0600)) == 0);
	CHECK(next(dir, IN_CREATE, "new"));
	CHECK_EQ(truncate("dir/file", 3), 0);
	CHECK(next(file, IN_MODIFY, ""));
	CHECK(close(open("dir/once", O_RDONLY)) == 0);
	CHECK(next(once, IN_OPEN, ""));
	CHECK(next(once, IN_IGNORED, ""));
	CHECK(close(open("dir/once", O_RDONLY)) == 0);
	CHECK(next(0, 0, "") == 0);
	CHECK(!inotify_rm_watch(in, file) && !inotify_rm_watch(in, dir));
	pass();
}
