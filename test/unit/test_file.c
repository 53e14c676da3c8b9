// SPDX-License-Identifier: GPL-2.0-or-later
/* Plans and parsers of open files, without a live process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/file/file.h"

/* ---- build-id ---- */

struct tiny_elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	Elf64_Nhdr other;
	char other_name[4], other_desc[4];
	Elf64_Nhdr nh;
	char name[4];
	unsigned char id[20];
};

static struct tiny_elf tiny(void)
{
	struct tiny_elf e = { 0 };

	memcpy(e.eh.e_ident, ELFMAG, SELFMAG);
	e.eh.e_ident[EI_CLASS] = ELFCLASS64;
	e.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	e.eh.e_phoff = offsetof(struct tiny_elf, ph);
	e.eh.e_phentsize = sizeof(Elf64_Phdr);
	e.eh.e_phnum = 2;
	e.ph[0].p_type = PT_LOAD;
	e.ph[1].p_type = PT_NOTE;
	e.ph[1].p_offset = offsetof(struct tiny_elf, other);
	e.ph[1].p_filesz = sizeof(e) - e.ph[1].p_offset;
	e.other = (Elf64_Nhdr){ .n_namesz = 3, .n_descsz = 1, .n_type = NT_GNU_BUILD_ID };
	memcpy(e.other_name, "XY", 3);
	e.nh = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 20, .n_type = NT_GNU_BUILD_ID };
	memcpy(e.name, "GNU", 4);
	for (int i = 0; i < 20; i++)
		e.id[i] = (unsigned char)(i + 1);
	return e;
}

static size_t parsed(const void *p, size_t n, uint32_t *words)
{
	/* An exact copy, so that the sanitizer sees a read behind the end. */
	unsigned char *copy = xmalloc(n + !n);
	memcpy(copy, p, n);
	size_t got = build_id_parse(copy, n, words);
	free(copy);
	return got;
}

static void test_build_id(void **state)
{
	struct tiny_elf e = tiny();
	uint32_t words[BUILD_ID_WORDS];

	assert_int_equal(parsed(&e, sizeof(e), words), 5);
	assert_int_equal(words[0], 0x04030201);
	assert_int_equal(words[4], 0x14131211);
	for (size_t n = 0; n < sizeof(e); n++)
		assert_int_equal(parsed(&e, n, words), 0);
	e.nh.n_descsz = 0xfffffff0;
	assert_int_equal(parsed(&e, sizeof(e), words), 0);
	e = tiny();
	e.ph[1].p_offset = UINT64_MAX - 3;
	assert_int_equal(parsed(&e, sizeof(e), words), 0);
	e = tiny();
	e.eh.e_phoff = UINT64_MAX - 10;
	assert_int_equal(parsed(&e, sizeof(e), words), 0);
	e = tiny();
	e.other.n_namesz = UINT32_MAX;
	assert_int_equal(parsed(&e, sizeof(e), words), 0);
	assert_int_equal(parsed("#!/bin/sh\n", 10, words), 0);
}

static void test_fdinfo_value(void **state)
{
	uint64_t v;
	const char *text = "pos:\t0\nflags:\t02004002\neventfd-count:                a\nempty:\nsigmask:\t00000000000000ff\n";

	assert_int_equal(fdinfo_value(text, "eventfd-count", 16, &v), 0);
	assert_int_equal(v, 10);
	assert_int_equal(fdinfo_value(text, "sigmask", 16, &v), 0);
	assert_int_equal(v, 255);
	assert_int_equal(fdinfo_value(text, "count", 16, &v), -ENOENT);
	assert_int_equal(fdinfo_value(text, "empty", 16, &v), -EINVAL);
	assert_int_equal(fdinfo_value("", "pos", 10, &v), -ENOENT);
}

static void test_own_proc(void **state)
{
	assert_true(reg_is_own_proc("/proc/12/status", 12));
	assert_true(reg_is_own_proc("/proc/12", 12));
	assert_false(reg_is_own_proc("/proc/123/status", 12));
	assert_false(reg_is_own_proc("/proc/meminfo", 12));
}

static void test_open_flags(void **state)
{
	assert_int_equal(reg_open_flags(O_RDWR | O_CREAT | O_TRUNC | O_EXCL | O_APPEND), O_RDWR | O_APPEND | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(reg_open_flags(O_TMPFILE | O_RDWR), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(reg_open_flags(O_DIRECTORY | O_ASYNC), O_DIRECTORY | O_NOCTTY | O_CLOEXEC);
}

static void test_id_map(void **state)
{
	struct arena *arena = arena_new();
	struct id_map map = { 0 };
	uint32_t v;

	assert_false(id_map_get(&map, 1, &v));
	for (uint32_t i = 0; i < 5000; i++)
		id_map_put(&map, arena, (uint64_t)i << 32 | (i & 7), i);
	for (uint32_t i = 0; i < 5000; i++) {
		assert_true(id_map_get(&map, (uint64_t)i << 32 | (i & 7), &v));
		assert_int_equal(v, i);
	}
	assert_false(id_map_get(&map, 8, &v));
	arena_free(arena);
}

/* ---- plans ---- */

struct fixture {
	struct model m;
	struct model_task task;
	struct plan *plan;
	struct plan_task pt;
	struct plan_thread thread;
	PstreeEntry pstree;
	FownEntry fown;
	struct err err;
	struct strbuf text;
};

static int setup(void **state)
{
	struct fixture *f = xzalloc(sizeof(*f));

	f->m.arena = arena_new();
	f->m.tasks = &f->task;
	f->m.ntasks = 1;
	f->plan = plan_new();
	f->thread.prog = program_new();
	f->pt.pid = 77;
	f->pt.threads = &f->thread;
	f->pt.nthreads = 1;
	pstree_entry__init(&f->pstree);
	f->pstree.pid = 77;
	f->task.pstree = &f->pstree;
	fown_entry__init(&f->fown);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	strbuf_release(&f->text);
	program_free(f->thread.prog);
	plan_free(f->plan);
	arena_free(f->m.arena);
	free(f);
	return 0;
}

static FileEntry *add_file(struct fixture *f, FdTypes type, uint32_t id)
{
	FileEntry *e = arena_msg(f->m.arena, FileEntry, file_entry__init);
	FileEntry **v = arena_alloc(f->m.arena, (f->m.nfiles + 1) * sizeof(*v));

	e->type = type;
	e->id = id;
	if (f->m.nfiles)
		memcpy(v, f->m.files, f->m.nfiles * sizeof(*v));
	v[f->m.nfiles++] = e;
	f->m.files = v;
	return e;
}

static RegFileEntry *add_reg(struct fixture *f, uint32_t id, const char *name, uint32_t flags)
{
	FileEntry *e = add_file(f, FD_TYPES__REG, id);

	e->reg = arena_msg(f->m.arena, RegFileEntry, reg_file_entry__init);
	e->reg->id = id;
	e->reg->name = arena_strdup(f->m.arena, name);
	e->reg->flags = flags;
	e->reg->fown = &f->fown;
	return e->reg;
}

static PipeEntry *add_pipe(struct fixture *f, uint32_t id, uint32_t pipe_id, uint32_t flags)
{
	FileEntry *e = add_file(f, FD_TYPES__PIPE, id);

	e->pipe = arena_msg(f->m.arena, PipeEntry, pipe_entry__init);
	e->pipe->id = id;
	e->pipe->pipe_id = pipe_id;
	e->pipe->flags = flags;
	e->pipe->fown = &f->fown;
	return e->pipe;
}

static void add_fd(struct fixture *f, uint32_t fd, FdTypes type, uint32_t id, uint32_t flags)
{
	FdinfoEntry **v = arena_alloc(f->m.arena, (f->task.nfds + 1) * sizeof(*v));

	if (f->task.nfds)
		memcpy(v, f->task.fds, f->task.nfds * sizeof(*v));
	v[f->task.nfds] = arena_msg(f->m.arena, FdinfoEntry, fdinfo_entry__init);
	v[f->task.nfds]->fd = fd;
	v[f->task.nfds]->id = id;
	v[f->task.nfds]->type = type;
	v[f->task.nfds]->flags = flags;
	f->task.nfds++;
	f->task.fds = v;
}

static int planned(struct fixture *f)
{
	return plan_files(&f->m, &f->task, f->plan, &f->pt, &f->err);
}

static size_t count(struct fixture *f, const struct program *p, const char *word)
{
	size_t n = 0;

	strbuf_reset(&f->text);
	program_print(p, "", &f->text);
	for (const char *s = f->text.s; s && (s = strstr(s, word)); s++)
		n++;
	return n;
}

static void test_plan_shared(void **state)
{
	struct fixture *f = *state;
	uint32_t slot, other;

	add_reg(f, 1, "/tmp/a", O_RDWR | O_CREAT)->pos = 5;
	add_reg(f, 2, "/tmp/b", O_RDONLY);
	add_fd(f, 9, FD_TYPES__REG, 1, 0);
	add_fd(f, 0, FD_TYPES__REG, 1, 1);
	add_fd(f, 4, FD_TYPES__REG, 2, 0);
	assert_int_equal(planned(f), 0);
	assert_int_equal(count(f, f->plan->controller, "openat("), 2);
	assert_int_equal(count(f, f->plan->controller, "lseek("), 1);
	assert_int_equal(count(f, f->thread.prog, "dup3("), 3);
	/* 1-3, 5-8, 10- */
	assert_int_equal(count(f, f->thread.prog, "close_range("), 3);
	/* A mapping uses the opening that there is, or one of its own with more access; each is made once. */
	assert_int_equal(plan_file_slot(&f->m, f->plan, FD_TYPES__REG, 1, O_RDONLY, &slot, &f->err), 0);
	assert_int_equal(count(f, f->plan->controller, "openat("), 2);
	assert_int_equal(plan_file_slot(&f->m, f->plan, FD_TYPES__REG, 2, O_RDWR, &slot, &f->err), 0);
	assert_int_equal(plan_file_slot(&f->m, f->plan, FD_TYPES__REG, 2, O_RDWR, &other, &f->err), 0);
	assert_int_equal(slot, other);
	assert_int_equal(count(f, f->plan->controller, "openat("), 3);
}

static void test_plan_own_proc(void **state)
{
	struct fixture *f = *state;

	add_reg(f, 1, "/proc/77/maps", O_RDONLY)->pos = 3;
	add_fd(f, 5, FD_TYPES__REG, 1, 0);
	assert_int_equal(planned(f), 0);
	assert_int_equal(count(f, f->plan->controller, "/proc/77/maps"), 0);
	assert_int_equal(count(f, f->thread.prog, "/proc/77/maps"), 1);
	assert_int_equal(count(f, f->thread.prog, "dup3("), 2);
}

static void test_plan_pipe(void **state)
{
	struct fixture *f = *state;
	struct model_pipe_data data = { .bytes = "hello" };
	PipeDataEntry entry = PIPE_DATA_ENTRY__INIT;

	entry.pipe_id = 7;
	entry.bytes = 5;
	entry.has_size = true;
	entry.size = 65536;
	data.entry = &entry;
	f->m.pipe_data = &data;
	f->m.npipe_data = 1;
	add_pipe(f, 1, 7, O_RDONLY | O_NONBLOCK);
	add_pipe(f, 2, 7, O_WRONLY);
	add_pipe(f, 3, 8, O_RDONLY); /* its other end is closed */
	for (uint32_t i = 1; i <= 3; i++)
		add_fd(f, i, FD_TYPES__PIPE, i, 0);
	assert_int_equal(planned(f), 0);
	assert_int_equal(count(f, f->plan->controller, "pipe2("), 2);
	assert_int_equal(count(f, f->plan->controller, "write("), 1);
	/* capacity, and the flags of the end that blocks; what is not filled is made as it is to be */
	assert_int_equal(count(f, f->plan->controller, "fcntl("), 2);
	assert_int_equal(f->plan->nslots, 4);
	for (size_t i = 0; i < f->plan->nslots; i++)
		assert_int_not_equal(f->plan->binds[i].source, SLOT_UNBOUND);
}

static void test_plan_pipe_too_full(void **state)
{
	struct fixture *f = *state;
	struct model_pipe_data data = { .bytes = "hello" };
	PipeDataEntry entry = PIPE_DATA_ENTRY__INIT;
	uint32_t sizes[] = { 3, 3 };

	entry.pipe_id = 7;
	entry.bytes = 5;
	entry.has_size = true;
	entry.size = 4;
	data.entry = &entry;
	f->m.pipe_data = &data;
	f->m.npipe_data = 1;
	add_pipe(f, 1, 7, O_RDONLY);
	add_fd(f, 1, FD_TYPES__PIPE, 1, 0);
	assert_int_equal(planned(f), -EINVAL);
	assert_int_equal(f->err.kind, ERR_IMAGE);
	entry.size = 4096;
	entry.packets = sizes;
	entry.n_packets = 2;
	f->err = (struct err)ERR_INIT;
	assert_int_equal(pipe_kind.plan(&f->m, f->m.files[0], f->plan, 0, &f->err), -EINVAL);
	assert_int_equal(f->err.kind, ERR_IMAGE);
}

static void test_plan_late(void **state)
{
	struct fixture *f = *state;
	FileEntry *ep = add_file(f, FD_TYPES__EVENTPOLL, 2);
	EventpollTfdEntry tfd = EVENTPOLL_TFD_ENTRY__INIT, *tfds[] = { &tfd };
	const char *text;

	add_reg(f, 9, "/x", O_RDONLY);
	ep->epfd = arena_msg(f->m.arena, EventpollFileEntry, eventpoll_file_entry__init);
	ep->epfd->id = 2;
	ep->epfd->fown = &f->fown;
	ep->epfd->tfd = tfds;
	ep->epfd->n_tfd = 1;
	tfd.tfd = 30;
	add_fd(f, 3, FD_TYPES__EVENTPOLL, 2, 0);
	add_fd(f, 30, FD_TYPES__REG, 9, 0);
	/* model_file() searches by type and id */
	FileEntry *swap = f->m.files[0];
	f->m.files[0] = f->m.files[1];
	f->m.files[1] = swap;
	assert_int_equal(planned(f), 0);
	/* The target stands at its number before it is added. */
	count(f, f->thread.prog, "x");
	text = f->text.s;
	assert_non_null(strstr(text, "epoll_ctl("));
	const char *last = NULL;
	for (const char *p = text; (p = strstr(p, "dup3(")); p++)
		last = p;
	assert_true(last && last < strstr(text, "epoll_ctl("));
}

static void test_plan_bad(void **state)
{
	struct fixture *f = *state;

	add_reg(f, 1, "relative", O_RDONLY);
	add_fd(f, 3, FD_TYPES__REG, 1, 0);
	assert_int_equal(planned(f), -EINVAL);
	assert_int_equal(f->err.kind, ERR_IMAGE);
	assert_string_equal(f->err.object, "fd 3");
	f->err = (struct err)ERR_INIT;
	f->task.nfds = 0;
	add_fd(f, 4, FD_TYPES__REG, 99, 0);
	assert_int_equal(planned(f), -EINVAL);
	assert_int_equal(f->err.kind, ERR_IMAGE);
	f->err = (struct err)ERR_INIT;
	f->task.nfds = 0;
	f->m.files[0]->reg->name[0] = '/';
	add_fd(f, 4, FD_TYPES__REG, 1, 0);
	add_fd(f, 4, FD_TYPES__REG, 1, 0);
	assert_int_equal(planned(f), -EINVAL);
	f->err = (struct err)ERR_INIT;
	f->task.nfds = 0;
	add_file(f, FD_TYPES__BPFMAP, 1);
	add_fd(f, 4, FD_TYPES__BPFMAP, 1, 0);
	assert_int_equal(planned(f), -EINVAL);
	assert_int_equal(f->err.kind, ERR_REFUSED);
}

/* ---- preflight ---- */

struct lines { int n; char last[512]; };

static void line(void *ctx, const char *object, const char *text)
{
	struct lines *l = ctx;

	l->n++;
	snprintf(l->last, sizeof(l->last), "%s", text);
}

static void test_preflight(void **state)
{
	struct fixture *f = *state;
	struct files_check check = { 0 };
	struct lines l = { 0 };
	char path[] = "/tmp/test-file-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "seventeen bytes..", 17), 17);
	close(fd);
	RegFileEntry *reg = add_reg(f, 1, path, O_RDONLY);
	add_reg(f, 2, "/nonexistent/unused", O_RDONLY); /* nothing refers to it */
	add_fd(f, 3, FD_TYPES__REG, 1, 0);
	reg->has_size = reg->has_mode = true;
	reg->size = 17;
	reg->mode = S_IFREG | 0600;
	assert_int_equal(files_preflight(&f->m, &check, line, &l), 0);
	reg->size = 12;
	assert_int_equal(files_preflight(&f->m, &check, line, &l), 1);
	assert_non_null(strstr(l.last, "size is 17, was 12"));
	reg->mode = S_IFREG | 0644;
	assert_int_equal(files_preflight(&f->m, &check, line, &l), 2);
	check.skip_rwx = true;
	assert_int_equal(files_preflight(&f->m, &check, line, &l), 1);
	reg->size = 17;
	uint32_t id[] = { 1, 2, 3, 4, 5 };
	reg->build_id = id;
	reg->n_build_id = 5;
	assert_int_equal(files_preflight(&f->m, &check, line, &l), 1);
	assert_non_null(strstr(l.last, "build-id"));
	check.size_only = true;
	assert_int_equal(files_preflight(&f->m, &check, line, &l), 0);
	unlink(path);
	assert_int_equal(files_preflight(&f->m, &check, line, &l), 1);
	assert_non_null(strstr(l.last, "does not exist"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build_id),
		cmocka_unit_test(test_fdinfo_value),
		cmocka_unit_test(test_own_proc),
		cmocka_unit_test(test_open_flags),
		cmocka_unit_test(test_id_map),
		cmocka_unit_test_setup_teardown(test_plan_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plan_own_proc, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plan_pipe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plan_pipe_too_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plan_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plan_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_preflight, setup, teardown),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
