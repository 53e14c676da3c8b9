/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * A watch of the own program, of a library and of a file that is open: nothing that a dump or a restore does is an event. See
 * test/live/unseen.sh, too, where it goes on after dumps and checks.
 */
#include <dlfcn.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "test.h"

int main(void)
{
	int in = inotify_init1(IN_NONBLOCK), file, queued = -1;
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	Dl_info libc;

	CHECK(in >= 0 && n > 0);
	exe[n] = 0;
	CHECK(dladdr((void *)(uintptr_t)getpid, &libc) && libc.dli_fname);
	file = open(exe, O_RDONLY);
	CHECK(file >= 0);
	/* Others use libc as well: only what this test would do to it, a change, is of interest. */
	CHECK(inotify_add_watch(in, libc.dli_fname, IN_MODIFY | IN_ATTRIB) > 0);
	CHECK(inotify_add_watch(in, exe, IN_OPEN | IN_CLOSE | IN_MODIFY | IN_ATTRIB) > 0);
	test_ready();
	CHECK(!ioctl(in, FIONREAD, &queued));
	CHECK_EQ(queued, 0);
	pass();
}
