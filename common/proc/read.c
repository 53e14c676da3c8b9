/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading below a descriptor of /proc/PID: whole files, single numbers, and directories of numbers. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/proc/scan.h"

#define NUMBERS_MAX (16u << 20) /* above pid_max (4 Mi) and any sane number of descriptors */

int proc_open(pid_t pid, int *fd, struct err *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	if (errno == ENOENT)
		return err_set(err, ERR_FAILED, ESRCH, "pid %d does not exist", (int)pid);
	return err_sys(err, "cannot open %s", path);
}

/* Below the directory of a dead task every lookup says ENOENT, which must not be taken for a missing feature. */
static int real_errno(int proc_fd, int ret)
{
	struct stat st;

	if (ret == -ENOENT && fstatat(proc_fd, "stat", &st, 0) < 0)
		return -ESRCH;
	return ret;
}

int proc_fail(int proc_fd, const char *path, int ret, struct err *err)
{
	ret = real_errno(proc_fd, ret);
	return err_set(err, ERR_FAILED, -ret, "cannot read /proc/PID/%s", path);
}

int proc_read(int proc_fd, const char *path, size_t max, char **text, struct err *err)
{
	int ret = read_file_at(proc_fd, path, max, text, NULL);

	return ret < 0 ? proc_fail(proc_fd, path, ret, err) : 0;
}

int proc_read_piece(int proc_fd, const char *path, size_t max, char **text, struct err *err)
{
	int ret = read_piece_at(proc_fd, path, max, text, NULL);

	return ret < 0 ? proc_fail(proc_fd, path, ret, err) : 0;
}

int scan_bad(struct err *err, const char *path, int ret)
{
	return err_set(err, ERR_FAILED, -ret, "cannot understand /proc/PID/%s", path);
}

size_t scan_lines(const char *text)
{
	size_t n = 0;

	while (*text) {
		n++;
		text = scan_eol(text);
		text += *text == '\n';
	}
	return n;
}

int proc_number(int proc_fd, const char *path, int base, int64_t *out, struct err *err)
{
	cleanup_free char *text = NULL;
	int ret = proc_read_piece(proc_fd, path, 4096, &text, err);

	if (ret < 0)
		return ret;
	text[strcspn(text, "\n")] = 0;
	if (!*text) /* what belongs to an address space is empty without one (kernel threads, zombies) */
		return err_set(err, ERR_FAILED, ENODATA, "/proc/PID/%s is empty", path);
	ret = parse_i64(text, base, out);
	return ret < 0 ? scan_bad(err, path, ret) : 0;
}

struct numbers { int *v; size_t n, cap; };

static void numbers_release(struct numbers *ns)
{
	free(ns->v);
}

static int numbers_add(struct numbers *ns, int v)
{
	if (ns->n >= NUMBERS_MAX)
		return -E2BIG;
	array_reserve(&ns->v, &ns->cap, ns->n, sizeof(*ns->v));
	ns->v[ns->n++] = v;
	return 0;
}

static int numbers_text(const char *text, struct numbers *ns)
{
	int v, ret;

	for (;;) {
		while (*text == ' ' || *text == '\n')
			text++;
		if (!*text)
			return 0;
		if (!scan_int(&text, &v) || v < 0 || !strchr(" \n", *text))
			return -EINVAL;
		ret = numbers_add(ns, v);
		if (ret < 0)
			return ret;
	}
}

/* Without opendir(3): three calls less for each of thousands of directories. */
static int numbers_dir(int dirfd, struct numbers *ns)
{
	cleanup_fd int fd = dirfd;
	_Alignas(struct dirent64) char buf[8192];

	for (;;) {
		ssize_t got = getdents64(fd, buf, sizeof(buf));

		if (got <= 0) /* ENOENT: the task went away while it was listed */
			return !got ? 0 : errno == ENOENT ? -ESRCH : -errno;
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *e = (const void *)(buf + at);
			const char *p = e->d_name;
			int v, ret;

			at += e->d_reclen;
			if (!scan_int(&p, &v) || *p || v < 0)
				continue; /* "." and ".." */
			ret = numbers_add(ns, v);
			if (ret < 0)
				return ret;
		}
	}
}

static int compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

int proc_numbers(int proc_fd, const char *dir, struct arena *arena, int **v, size_t *n, struct err *err)
{
	cleanup(numbers_release) struct numbers ns = { NULL, 0, 0 };
	size_t len = strlen(dir);
	/* The one list that is a file. A thousand threads have a thousand of them: no call is spent on finding out. */
	bool text_file = len > 9 && !strcmp(dir + len - 9, "/children");
	int fd = text_file ? -1 : openat(proc_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (fd >= 0) {
		ret = numbers_dir(fd, &ns);
		if (ret < 0)
			return proc_fail(proc_fd, dir, ret, err);
		if (ns.n && strcmp(dir, "task"))
			qsort(ns.v, ns.n, sizeof(*ns.v), compare);
	} else if (text_file || errno == ENOTDIR) {
		cleanup_free char *text = NULL;

		ret = proc_read(proc_fd, dir, NUMBERS_MAX, &text, err);
		if (ret < 0)
			return ret;
		ret = numbers_text(text, &ns);
		if (ret < 0)
			return scan_bad(err, dir, ret);
	} else {
		return proc_fail(proc_fd, dir, -errno, err);
	}
	*v = ns.n ? arena_dup(arena, ns.v, ns.n * sizeof(*ns.v)) : NULL;
	*n = ns.n;
	return 0;
}
