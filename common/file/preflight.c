// SPDX-License-Identifier: GPL-2.0-or-later
/* Before a process exists: are the files here that the checkpoint opens, and are they the same? */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "common/file/preflight.h"
#include "common/sock/sock.h"

void look_found(struct look *f, const char *name, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	f->count++;
	f->report(f->ctx, name, line);
}

static void check_build_id(struct look *f, const RegFileEntry *reg)
{
	uint32_t words[BUILD_ID_WORDS];
	cleanup_fd int fd = open(reg->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		look_found(f, reg->name, "cannot be read: %s", strerror(errno));
		return;
	}
	size_t n = build_id_read(fd, words);
	if (n != reg->n_build_id || memcmp(words, reg->build_id, n * sizeof(*words)))
		look_found(f, reg->name, "is another build of that file (its build-id differs)");
}

static void check_file(struct look *f, const RegFileEntry *reg, uint32_t flags)
{
	struct statx st;

	if (look_statx(reg->name, reg->flags & O_PATH && reg->flags & O_NOFOLLOW, &st) < 0) {
		if (errno == ENOENT && reg->has_mode && S_ISSOCK(reg->mode) && look_is_made(f->m, reg->name))
			return;
		look_found(f, reg->name, "%s", errno == ENOENT ? "does not exist here" : strerror(errno));
		return;
	}
	if (reg->has_mode && (reg->mode & S_IFMT) != (st.stx_mode & S_IFMT)) {
		look_found(f, reg->name, "is a file of another type, mode is 0%o, was 0%o", st.stx_mode, reg->mode);
		return;
	}
	look_opening(f, reg->name, &st, flags);
	if (reg->has_mode && !f->check->skip_rwx && reg->mode != st.stx_mode)
		look_found(f, reg->name, "mode is 0%o, was 0%o", st.stx_mode, reg->mode);
	if (!S_ISREG(st.stx_mode))
		return;
	if (reg->has_size && reg->size != st.stx_size) {
		look_found(f, reg->name, "size is %llu, was %llu", (unsigned long long)st.stx_size,
		      (unsigned long long)reg->size);
		return; /* nobody doubts that the build differs, too */
	}
	if (reg->n_build_id && !f->check->size_only)
		check_build_id(f, reg);
}

/* One use of a REG entry. how: SEEN_* */
static void use(struct look *f, uint32_t id, unsigned how)
{
	size_t lo = 0, hi = f->m->nfiles;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const FileEntry *e = f->m->files[mid];
		if (e->type < FD_TYPES__REG || (e->type == FD_TYPES__REG && e->id < id))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == f->m->nfiles || (f->seen[lo] & how) == how)
		return;
	const FileEntry *e = f->m->files[lo];
	if (e->type != FD_TYPES__REG || e->id != id || !e->reg)
		return;
	const unsigned fresh = how & ~f->seen[lo];
	const RegFileEntry *reg = e->reg;

	f->seen[lo] |= how;
	/* Deleted files come from their images; a task's own entries in /proc exist when it does. */
	if (reg->name[0] != '/' || reg->mqueue || (reg->has_ext && reg->ext) || model_remap(f->m, id) ||
	    reg_is_tree_proc(f->m, reg->name) || (f->check->plan && reg_inherited(f->check->plan, reg) >= 0))
		return;
	if (fresh & SEEN_OPENED)
		check_file(f, reg, reg->flags);
	if (fresh & (SEEN_MAPPED | SEEN_EXECUTED))
		look_executable(f, reg->name, fresh & SEEN_EXECUTED);
}

static void use_task(struct look *f, const struct model_task *t)
{
	for (size_t i = 0; i < t->nfds; i++) {
		const FdinfoEntry *fd = t->fds[i];
		if (fd->type == FD_TYPES__REG) {
			use(f, fd->id, SEEN_OPENED);
		} else if (fd->type == FD_TYPES__FIFO) {
			const FileEntry *e = model_file(f->m, fd->type, fd->id);
			if (e && e->fifo && e->fifo->has_regf_id)
				use(f, e->fifo->regf_id, SEEN_OPENED);
		}
	}
	if (t->fs) {
		use(f, t->fs->cwd_id, SEEN_OPENED);
		use(f, t->fs->root_id, SEEN_OPENED);
	}
	if (!t->mm)
		return;
	use(f, t->mm->exe_file_id, SEEN_OPENED | SEEN_EXECUTED);
	for (size_t i = 0; i < t->mm->n_vmas; i++)
		if (t->mm->vmas[i]->status & 0xc0 && !(t->mm->vmas[i]->status & 0x4000)) /* of a file, but no memfd */
			use(f, (uint32_t)t->mm->vmas[i]->shmid, SEEN_OPENED | (t->mm->vmas[i]->prot & PROT_EXEC ? SEEN_MAPPED : 0));
}

int files_preflight(const struct model *m, const struct files_check *check,
		    finding_fn report, void *ctx)
{
	cleanup_free uint8_t *seen = xzalloc((m->nfiles + 1) * sizeof(*seen));
	struct look f = { .m = m, .check = check, .report = report, .ctx = ctx, .seen = seen, .euid = geteuid() };
	struct rlimit limit;

	for (size_t i = 0; i < m->ntasks; i++) {
		const struct model_task *t = &m->tasks[i];
		uint32_t highest = 0;

		if (t->zombie)
			continue;
		use_task(&f, t);
		for (size_t k = 0; k < t->nfds; k++)
			highest = MAX(highest, t->fds[k]->fd);
		if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && t->nfds && limit.rlim_max != RLIM_INFINITY &&
		    highest >= limit.rlim_max)
			look_found(&f, NULL, "descriptor %u is above the limit of open files here (%llu)", highest,
			      (unsigned long long)limit.rlim_max);
	}
	look_deleted(&f);
	look_watched(&f);
	look_devices(&f);
	if (!check->held)
		look_locks(&f);
	sockets_preflight(m, check->held, report, ctx, &f.count);
	return f.count + unix_preflight(m, check->held, report, ctx);
}
