/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/io.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int read_full(int fd, void *buf, size_t n)
{
	char *p = buf;

	while (n) {
		ssize_t got = read(fd, p, n);

		if (got < 0 && errno == EINTR)
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
		p += put;
		off += put;
		n -= (size_t)put;
	}
	return 0;
}

int read_file_at(int dirfd, const char *path, size_t max, char **out, size_t *len)
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
	}
	buf[n] = 0;
	*out = take_ptr(buf);
	if (len)
		*len = n;
	return 0;
}

int write_file_atomic(const char *path, const void *buf, size_t n)
{
	cleanup_free char *tmp = xasprintf("%s.XXXXXX", path);
	cleanup_fd int fd = mkostemp(tmp, O_CLOEXEC); /* O_EXCL and a name that nobody can guess */
	int ret;

	if (fd < 0)
		return -errno;
	ret = write_full(fd, buf, n);
	if (!ret) {
		mode_t mask = umask(0);

		umask(mask);
		if (fchmod(fd, 0644 & ~mask) < 0 || rename(tmp, path) < 0)
			ret = -errno;
	}
	if (ret)
		unlink(tmp);
	return ret;
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
