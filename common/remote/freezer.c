/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The freezer of control groups. A task of a frozen group of version 2 can be seized and looked at, but stands still again as soon as
 * it is let run, also inside of a call that we asked for (do_freezer_trap() in kernel/signal.c); one of version 1 does not even
 * come to its stop. Documentation/admin-guide/cgroup-v2.rst: cgroup.freeze, cgroup.events; cgroup-v1/freezer-subsystem.rst.
 */
#include "common/remote/freezer.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "common/base/io.h"
#include "common/proc/proc.h"

#define TEXT_MAX (1 << 20)

static bool file_has(const char *dir, const char *name, const char *const *words)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name), *text = NULL;
	bool has = false;
	size_t len;

	if (read_file_at(AT_FDCWD, path, TEXT_MAX, &text, &len))
		return false;
	for (; *words && !has; words++)
		has = strstr(text, *words) != NULL;
	return has;
}

bool freezer_is_frozen(const char *dir)
{
	/* "frozen 1" comes when all in it stand still: a group on its way there has been told to already. */
	return file_has(dir, "cgroup.events", (const char *const[]){ "frozen 1", NULL }) ||
	       file_has(dir, "cgroup.freeze", (const char *const[]){ "1", NULL }) ||
	       file_has(dir, "freezer.state", (const char *const[]){ "FROZEN", "FREEZING", NULL });
}

/* Where they are everywhere, or else where /proc says; malloc'ed. */
static char *mount_point(bool v2)
{
	static const char *const usual[2] = { "/sys/fs/cgroup/freezer", "/sys/fs/cgroup" };
	cleanup_arena struct arena *arena = arena_new();
	struct err ignore = ERR_INIT;
	struct proc_mount *v = NULL;
	cleanup_fd int self = -1;
	struct statfs fs;
	size_t n = 0;

	if (!statfs(usual[v2], &fs) && fs.f_type == (v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC))
		return xstrdup(usual[v2]);
	if (proc_open(getpid(), &self, &ignore) || proc_mountinfo(self, arena, &v, &n, &ignore))
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(v[i].root, "/") &&
		    (v2 ? !strcmp(v[i].fstype, "cgroup2") : !strcmp(v[i].fstype, "cgroup") && strstr(v[i].super, "freezer")))
			return xstrdup(v[i].point);
	return NULL;
}

int freezer_check(const char *text, struct err *err)
{
	/* "0::/a/b", "6:freezer:/a" */
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const bool v2 = !strncmp(line, "0::", 3);
		const char *name = line + strcspn(line, ":\n"), *path = *name == ':' ? name + 1 + strcspn(name + 1, ":\n") : name;

		if (*path != ':' || !(v2 || memmem(name, (size_t)(path - name), "freezer", strlen("freezer"))))
			continue;
		path++;
		size_t len = strcspn(path, "\n");
		if (len < 2) /* nobody can freeze the root */
			continue;
		cleanup_free char *point = mount_point(v2), *dir = point ? xasprintf("%s%.*s", point, (int)len, path) : NULL;

		if (dir && freezer_is_frozen(dir))
			return err_hint(err, err_refuse(err, "its control group %.*s is frozen", (int)len, path),
					v2 ? "thaw it: echo 0 >%s/cgroup.freeze" : "thaw it: echo THAWED >%s/freezer.state", dir);
	}
	return 0;
}

int freezer_check_file(int proc_fd, const char *path, struct err *err)
{
	cleanup_free char *text = NULL;
	struct err ignore = ERR_INIT;

	return proc_read_piece(proc_fd, path, TEXT_MAX, &text, &ignore) ? 0 : freezer_check(text, err);
}
