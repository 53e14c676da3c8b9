// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A page of a private file mapping that was written to is a copy, and often its bytes are still those of the file: what
 * MAP_POPULATE or mlock(2) bring in where it may be written to is a copy at once. Such pages are not stored; vma_entry.copies says
 * which they are, with a sum of what is in them. A restore makes copies again (file_copy_restore.c): later changes of the file do not
 * show in them, as before. That the file has the same bytes then as now is nothing to rely on, so the sum is compared with what
 * was written into the task before any task runs.
 *
 * What is compared is the memory of a task that stands still with what the file has at this moment. Whatever becomes of the file
 * meanwhile, the sum is that of the task's bytes.
 *
 * All is stored
 * - with --cow-pages: what a child has of its parent is looked for among the pages of the parent;
 * - in rounds before the freeze: the task runs on, and writes;
 * - where the tree watches files or file systems: it would see that we open and read them;
 * - of file systems that may ask somebody else, who may be frozen by us, or far away; and of deleted files, whose content is
 *   in the images themselves;
 * - of what is not in memory: nobody stands still longer for a disk.
 */
#include "common/mm/file_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "common/file/file.h"
#include "common/image/xxh64.h"

/* A mapping with fewer pages of its own is not worth to open its file: so it is with most libraries, of which tables were relocated. */
#define PAGES_LEAST 8
#define FILES_MOST 256
enum { CHUNK_PAGES = COPIES_BUFFER / PAGE_BYTES };

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef EROFS_SUPER_MAGIC_V1
#define EROFS_SUPER_MAGIC_V1 0xE0F5E1E2
#endif
#define ZFS_SUPER_MAGIC 0x2fc12fc1

void file_copies_open(struct dump *d, struct file_copies *c)
{
	*c = (struct file_copies){ .d = d, .off = d->opts->pre_dump || d->opts->cow_pages || d->files->watches };
}

void file_copies_close(struct file_copies *c)
{
	for (size_t i = 0; i < c->nfiles; i++)
		if (c->files[i].fd >= 0)
			close(c->files[i].fd);
	free(c->files);
	free(c->runs);
}

static bool is_local(long type)
{
	static const long local[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC, RAMFS_MAGIC,
				      OVERLAYFS_SUPER_MAGIC, SQUASHFS_MAGIC, EROFS_SUPER_MAGIC_V1, ZFS_SUPER_MAGIC, MSDOS_SUPER_MAGIC,
				      ISOFS_SUPER_MAGIC };

	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		if ((unsigned long)type == (unsigned long)local[i])
			return true;
	return false;
}

/* Nobody hears of O_PATH. */
static int open_mapped(const struct dump *d, const VmaEntry *v)
{
	char path[64];
	struct statfs fs;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "map_files/%lx-%lx", v->start, v->end);
	cleanup_fd int seen = openat(d->task->proc_fd, path, O_PATH | O_CLOEXEC);
	if (seen < 0 || fstat(seen, &st) || !S_ISREG(st.st_mode) || !st.st_nlink || fstatfs(seen, &fs) || !is_local(fs.f_type))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", seen);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOATIME);
	return fd < 0 && errno == EPERM ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : fd;
}

static int file_of(struct file_copies *c, const VmaEntry *v)
{
	for (size_t i = 0; i < c->nfiles; i++)
		if (c->files[i].id == v->shmid)
			return c->files[i].fd;
	if (c->nfiles == FILES_MOST)
		return -1;
	array_reserve(&c->files, &c->files_cap, c->nfiles, sizeof(*c->files));
	c->files[c->nfiles] = (struct copy_file){ v->shmid, open_mapped(c->d, v) };
	return c->files[c->nfiles++].fd;
}

struct copy_source file_copies_source(struct file_copies *c, const struct scan *s, const struct scan_run *run)
{
	const struct copy_source none = { NULL, -1 };
	const VmaEntry *v = run->vma;

	if (c->off || !(v->status & VS_FILE_PRIVATE) || v->status & VS_MEMFD || v->flags & VM_FLAG_HUGETLB)
		return none;
	if (c->now.vma == v)
		return c->now;
	if (scan_pages_ahead(s, v, PAGES_LEAST) < PAGES_LEAST)
		return none;
	c->now = (struct copy_source){ v, file_of(c, v) };
	return c->now;
}

/* What of [off, off + len) is in memory, from its beginning on. */
static size_t read_cached(int fd, unsigned char *buf, size_t len, uint64_t off)
{
	struct iovec v = { buf, len };
	ssize_t got = preadv2(fd, &v, 1, (off_t)off, RWF_NOWAIT);

	if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		got = pread(fd, buf, len, (off_t)off);
	return got < 0 ? 0 : (size_t)got;
}

void file_copies_compare(const struct copy_source *s, uint64_t addr, const unsigned char *mine, size_t n,
			 unsigned char buf[COPIES_BUFFER], bool *same, uint64_t *sums)
{
	uint64_t off = s->vma->pgoff + (addr - s->vma->start);

	for (size_t i = 0; i < n; i += CHUNK_PAGES) {
		size_t want = MIN(n - i, (size_t)CHUNK_PAGES), got;

		/* Of the last page of a file there may be a part: it is not equal. */
		got = read_cached(s->fd, buf, want * PAGE_BYTES, off + i * PAGE_BYTES) / PAGE_BYTES;
		for (size_t k = i; k < i + want; k++, mine += PAGE_BYTES) {
			same[k] = k - i < got && !memcmp(mine, buf + (k - i) * PAGE_BYTES, PAGE_BYTES);
			if (same[k])
				sums[k] = xxh64(mine, PAGE_BYTES, off / PAGE_BYTES + k);
		}
	}
}

void file_copies_add(struct file_copies *c, const VmaEntry *vma, uint64_t addr, uint64_t sum)
{
	struct copy_run *last = c->n ? &c->runs[c->n - 1] : NULL;

	if (last && last->vma == vma && last->addr + last->npages * PAGE_BYTES == addr) {
		last->npages++;
		last->sum += sum;
		return;
	}
	array_reserve(&c->runs, &c->cap, c->n, sizeof(*c->runs));
	c->runs[c->n++] = (struct copy_run){ vma, addr, 1, sum };
}

/* Those of one mapping; their number. */
static size_t put_mapping(struct file_copies *c, VmaEntry *v, const struct copy_run *r)
{
	VmaCopiesEntry *e = arena_msg(c->d->arena, VmaCopiesEntry, vma_copies_entry__init);
	uint64_t at = v->start;
	size_t n = 0;

	while (r + n < c->runs + c->n && r[n].vma == v)
		n++;
	e->runs = arena_alloc(c->d->arena, 2 * n * sizeof(*e->runs));
	for (size_t i = 0; i < n; i++) {
		e->runs[e->n_runs++] = (r[i].addr - at) / PAGE_BYTES;
		e->runs[e->n_runs++] = r[i].npages;
		at = r[i].addr + r[i].npages * PAGE_BYTES;
		e->sum += r[i].sum;
	}
	v->copies = e;
	return n;
}

void file_copies_put(struct file_copies *c)
{
	const struct mm_dump *mm = c->d->task->mm;
	size_t at = 0;

	for (size_t i = 0; i < mm->nvmas && at < c->n; i++)
		if (c->runs[at].vma == mm->vmas[i])
			at += put_mapping(c, mm->vmas[i], &c->runs[at]);
}
