/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/io.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/err.h"

static bool again(int fd, short events)
{
	struct pollfd p = { fd, events, 0 };

	if (errno == EAGAIN)
		return poll(&p, 1, -1) >= 0 || errno == EINTR;
	return errno == EINTR;
}

int read_full(int fd, void *buf, size_t n)
{
	char *p = buf;

	while (n) {
		ssize_t got = read(fd, p, n);

		if (got < 0 && again(fd, POLLIN))
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			return -ENODATA;
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

int pread_full(int fd, void *buf, size_t n, off_t off)
{
	char *p = buf;

	while (n) {
		ssize_t got = pread(fd, p, n, off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			return -ENODATA;
		p += got;
		off += got;
		n -= (size_t)got;
	}
	return 0;
}

int write_full(int fd, const void *buf, size_t n)
{
	const char *p = buf;

	while (n) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		if (!put) /* /proc/PID/mem of a process that died takes nothing (mem_rw() in fs/proc/base.c), for ever */
			return -EIO;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

int pwrite_full(int fd, const void *buf, size_t n, off_t off)
{
	const char *p = buf;

	while (n) {
		ssize_t put = pwrite(fd, p, n, off);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		if (!put) /* /proc/PID/mem of a process that died takes nothing (mem_rw() in fs/proc/base.c), for ever */
			return -EIO;
		p += put;
		off += put;
		n -= (size_t)put;
	}
	return 0;
}

int splice_full(int file, off_t off, int pipe, size_t n)
{
	bool began = false;

	while (n) {
		ssize_t done = splice(file, &off, pipe, NULL, n, 0);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return errno == EINVAL && began ? -EIO : -errno;
		if (!done)
			return -ENODATA;
		began = true;
		n -= (size_t)done;
	}
	return 0;
}

void pipe_widen(int fd)
{
	fcntl(fd, F_SETPIPE_SZ, 1 << 20);
}

static int read_file(int dirfd, const char *path, size_t max, bool one_piece, char **out, size_t *len)
{
	cleanup_free char *buf = NULL;
	size_t cap = 0, n = 0;
	cleanup_fd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t got;

		array_reserve(&buf, &cap, n + 4096, 1);
		got = read(fd, buf + n, cap - n - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		n += (size_t)got;
		if (n > max)
			return -EFBIG;
		if (one_piece && n < cap - 1)
			break;
	}
	buf[n] = 0;
	*out = take_ptr(buf);
	if (len)
		*len = n;
	return 0;
}

int read_file_at(int dirfd, const char *path, size_t max, char **out, size_t *len)
{
	return read_file(dirfd, path, max, false, out, len);
}

int read_piece_at(int dirfd, const char *path, size_t max, char **out, size_t *len)
{
	return read_file(dirfd, path, max, true, out, len);
}

int new_file_begin(struct new_file *f, const char *path)
{
	f->path = xstrdup(path);
	f->tmp = xasprintf("%s.XXXXXX", path);
	f->fd = mkostemp(f->tmp, O_CLOEXEC); /* O_EXCL and a name that nobody can guess */
	if (f->fd < 0) {
		int errnum = errno;

		free(take_ptr(f->tmp));
		return -errnum;
	}
	return 0;
}

int new_file_commit(struct new_file *f, const void *buf, size_t n)
{
	int ret = write_full(f->fd, buf, n);
	mode_t mask;

	if (ret < 0)
		return ret;
	mask = umask(0);
	umask(mask);
	if (fchmod(f->fd, 0644 & ~mask) < 0 || rename(f->tmp, f->path) < 0)
		return -errno;
	free(take_ptr(f->tmp));
	return 0;
}

void new_file_release(struct new_file *f)
{
	if (f->tmp)
		unlink(f->tmp);
	if (f->fd >= 0)
		close(f->fd);
	free(f->tmp);
	free(f->path);
	*f = (struct new_file)NEW_FILE_INIT;
}

char *path_join(const char *dir, const char *path)
{
	return path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", dir, path);
}

int parse_u64(const char *s, int base, uint64_t *out)
{
	char *end;
	unsigned long long v;

	if (!isalnum((unsigned char)s[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, base);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end || end == s)
		return -EINVAL;
	*out = v;
	return 0;
}

int parse_i64(const char *s, int base, int64_t *out)
{
	char *end;
	long long v;

	if (!isalnum((unsigned char)s[0]) && !(s[0] == '-' && isalnum((unsigned char)s[1])))
		return -EINVAL;
	errno = 0;
	v = strtoll(s, &end, base);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end || end == s)
		return -EINVAL;
	*out = v;
	return 0;
}

int find_executable(const char *name, const char *what, struct err *err)
{
	const char *path = getenv("PATH") ?: "/bin:/usr/bin";

	if (strchr(name, '/'))
		return access(name, X_OK) ? err_set(err, ERR_USAGE, errno, "cannot run the %s %s", what, name) : 0;
	while (*path) {
		size_t n = strcspn(path, ":");
		cleanup_free char *file = xasprintf("%.*s/%s", n ? (int)n : 1, n ? path : ".", name);

		if (!access(file, X_OK))
			return 0;
		path += n;
		path += *path == ':';
	}
	return err_set(err, ERR_USAGE, 0, "there is no %s %s in PATH", what, name);
}
