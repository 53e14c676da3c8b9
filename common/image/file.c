/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/image/threads.h"

#define SAME_PART (1u << 20)

/* O_NONBLOCK: a fifo in place of an image must not hang us. Kernels before 5.6 and sandboxes without openat2(2) follow no link at
 * all. */
int open_beneath(int dirfd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
	return fd;
}

static int cannot_open(struct err *err)
{
	if (errno == EXDEV || errno == ELOOP)
		return err_set(err, ERR_IMAGE, errno, "a symbolic link leads out of the directory");
	return err_sys(err, "cannot open");
}

/* packed: the file must be zstd's; else it may be. */
static int take(int fd, bool packed, struct image_file *f, struct err *err)
{
	uint8_t head[4];
	struct stat st;
	int ret = 0;

	*f = (struct image_file){ .fd = fd };
	if (fstat(fd, &st) < 0)
		return err_sys(err, "fstat");
	if (!S_ISREG(st.st_mode))
		return err_image(err, "is not a regular file");
	f->size = f->stored = (uint64_t)st.st_size;
	if (f->size < sizeof(head) || pread_full(fd, head, sizeof(head), 0) || !zstd_magic(head, sizeof(head)))
		return packed ? err_image(err, "is not compressed by zstd") : 0;
	ret = seekable_open(fd, f->stored, &f->table, err);
	if (ret > 0)
		f->size = seekable_size(f->table);
	if (ret)
		return MIN(ret, 0);
	ret = zstd_to_memory(fd, IMAGE_STREAM_MAX, &f->size, err);
	if (ret < 0)
		return ret;
	close(f->fd);
	f->fd = ret;
	return 0;
}

int image_file_take(int fd, struct image_file *f, struct err *err)
{
	int ret = take(fd, false, f, err);

	if (ret)
		image_file_close(f);
	return ret;
}

int image_file_open(int dirfd, const char *name, struct image_file *f, struct err *err)
{
	char packed[256];
	struct stat st;
	int ret;

	*f = (struct image_file)IMAGE_FILE_INIT;
	f->fd = open_beneath(dirfd, name);
	if (f->fd < 0 && errno != ENOENT)
		return cannot_open(err);
	if (f->fd >= 0) {
		if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
			image_file_close(f);
			return err_image(err, "is not a regular file");
		}
		f->size = f->stored = (uint64_t)st.st_size;
		return 0;
	}
	snprintf(packed, sizeof(packed), "%s" IMAGE_ZST, name);
	f->fd = open_beneath(dirfd, packed);
	if (f->fd < 0)
		return errno == ENOENT ? 0 : cannot_open(err);
	ret = take(f->fd, true, f, err);
	if (ret) {
		image_file_close(f);
		return err_object(err, ret, "%s", packed);
	}
	return 0;
}

void image_file_share(const struct image_file *f, struct image_file *copy)
{
	*copy = *f;
	copy->shared = true;
	copy->cursor = NULL;
}

void image_file_close(struct image_file *f)
{
	seekable_cursor_free(f->cursor);
	if (!f->shared) {
		seekable_free(f->table);
		if (f->fd >= 0)
			close(f->fd);
	}
	*f = (struct image_file)IMAGE_FILE_INIT;
}

int image_file_pread(struct image_file *f, void *buf, size_t n, uint64_t off, struct err *err)
{
	int ret;

	if (f->table) {
		if (!f->cursor)
			f->cursor = seekable_cursor_new(f->table);
		return seekable_pread(f->cursor, buf, n, off, err);
	}
	ret = pread_full(f->fd, buf, n, (off_t)(f->base + off));
	if (ret == -ENODATA)
		return err_image(err, "the file is cut short");
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot read") : 0;
}

int image_file_plain(struct image_file *f, int *fd, struct err *err)
{
	cleanup_fd int mem = -1;
	int ret;

	*fd = -1;
	if (f->table) {
		mem = memfd_create("image", MFD_CLOEXEC);
		if (mem < 0)
			return err_sys(err, "memfd_create");
		if (ftruncate(mem, (off_t)f->size) < 0)
			return err_sys(err, "no memory for a compressed image");
		ret = seekable_unpack(f->table, mem, image_threads_default(), err);
		if (ret)
			return ret;
		*fd = take_fd(&mem);
		return 0;
	}
	if (f->shared)
		*fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
	else
		*fd = take_fd(&f->fd);
	return *fd < 0 ? err_sys(err, "no descriptor for an image") : 0;
}

struct same {
	const struct image_file *a, *b;
	uint64_t next, at;
	bool stop, differ;
};

static int same_work(void *arg, struct err *err)
{
	struct same *s = arg;
	cleanup_image_file struct image_file a, b;
	cleanup_free uint8_t *one = xmalloc(SAME_PART), *two = xmalloc(SAME_PART);
	int ret = 0;

	image_file_share(s->a, &a);
	image_file_share(s->b, &b);
	while (!ret && !__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		uint64_t off = __atomic_fetch_add(&s->next, SAME_PART, __ATOMIC_RELAXED);
		size_t n;

		if (off >= a.size)
			break;
		n = (size_t)MIN((uint64_t)SAME_PART, a.size - off);
		ret = image_file_pread(&a, one, n, off, err);
		if (!ret)
			ret = image_file_pread(&b, two, n, off, err);
		if (ret || !memcmp(one, two, n))
			continue;
		for (size_t i = 0; i < n && one[i] == two[i]; i++)
			off++;
		__atomic_store_n(&s->at, off, __ATOMIC_RELAXED);
		__atomic_store_n(&s->differ, true, __ATOMIC_RELAXED);
		break;
	}
	if (ret || __atomic_load_n(&s->differ, __ATOMIC_RELAXED))
		__atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
	return ret;
}

int image_file_same(const struct image_file *a, const struct image_file *b, unsigned threads, uint64_t *at, struct err *err)
{
	struct same s = { .a = a, .b = b };
	int ret;

	*at = MIN(a->size, b->size);
	if (a->size != b->size)
		return 0;
	ret = image_threads((unsigned)MIN((uint64_t)threads, a->size / SAME_PART + 1), same_work, &s, err);
	*at = s.at;
	return ret ? ret : !s.differ;
}

int open_listing(int dirfd, DIR **dir, struct err *err)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;

	*dir = fd < 0 ? NULL : fdopendir(fd);
	if (*dir)
		return 0;
	ret = err_sys(err, "cannot read the directory");
	if (fd >= 0)
		close(fd);
	return ret;
}
