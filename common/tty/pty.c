// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/tty/pty.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/base/io.h"
#include "common/proc/proc.h"

bool pty_holds_master(int proc, const char *pid, uint32_t index)
{
	char path[600], line[32];
	bool found = false;

	snprintf(path, sizeof(path), "%s/fd", pid);
	snprintf(line, sizeof(line), "\ntty-index:\t%u\n", index);
	int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && !found && (e = readdir(dir))) {
		cleanup_free char *text = NULL;
		struct stat st;
		size_t len;
		if (fstatat(fd, e->d_name, &st, 0) || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
			continue;
		snprintf(path, sizeof(path), "%s/fdinfo/%s", pid, e->d_name);
		found = read_file_at(proc, path, 65536, &text, &len) >= 0 && strstr(text, line);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int taken(uint32_t index, struct err *err)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	char who[96] = "another process";

	while (proc && (e = readdir(proc))) {
		struct proc_stat st;
		struct err ignored = ERR_INIT;
		char path[300];
		uint64_t pid;
		if (parse_u64(e->d_name, 10, &pid) < 0 || !pty_holds_master(dirfd(proc), e->d_name, index))
			continue;
		snprintf(path, sizeof(path), "%s/stat", e->d_name);
		if (!proc_stat(dirfd(proc), path, &st, &ignored))
			snprintf(who, sizeof(who), "pid %d (%s)", st.pid, st.comm);
		break;
	}
	if (proc)
		closedir(proc);
	err_set(err, ERR_FAILED, EBUSY, "terminal /dev/pts/%u is in use by %s", index, who);
	return err_hint(err, -EBUSY, "the restored tasks know it by that name: end its user, or restore into another mount namespace");
}

int pty_check(const char *path, uint32_t index, struct err *err)
{
	const char *const in[] = { "pts/", "" };
	const char *slash = strrchr(path, '/');

	/* /dev/ptmx beside /dev/pts, or the ptmx of devpts itself */
	for (size_t i = 0; slash && i < ARRAY_SIZE(in); i++) {
		cleanup_free char *name = xasprintf("%.*s/%s%u", (int)(slash - path), path, in[i], index);
		struct stat st;

		if (!stat(name, &st) && S_ISCHR(st.st_mode))
			return taken(index, err);
	}
	return 0;
}

int pty_open(const char *path, uint32_t index, int flags, struct err *err)
{
	cleanup_free int *held = NULL;
	size_t n = 0, cap = 0;
	int ret = 0, fd = -1;

	while (!ret) {
		int got;
		fd = open(path, flags | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || ioctl(fd, TIOCGPTN, &got)) {
			ret = err_object(err, err_sys(err, "cannot make a pty"), "%s", path);
			break;
		}
		if ((uint32_t)got == index)
			break;
		if ((uint32_t)got > index) {
			ret = taken(index, err);
			break;
		}
		array_reserve(&held, &cap, n, sizeof(*held));
		held[n++] = fd;
		fd = -1;
	}
	if (ret && fd >= 0)
		close(fd);
	while (n)
		close(held[--n]);
	return ret ? ret : fd;
}
