/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What BPF iterators tell of tasks and mappings, against /proc, on this kernel; its description of types, whole and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/bpf/btf.h"
#include "common/mm/look.h"
#include "common/mm/private.h"
#include "common/mm/vmflags.h"
#include "test/unit/bpf.h"

static bool can(void)
{
	return bpf_can_iterate(ITER_VMA, "vm_start");
}

#define AREA (256ul * PAGE_BYTES)
#define KINDS 24

/* Mappings of all kinds, on every other page. Nothing here has to work: what does not is not compared. */
static void make_mappings(char *area)
{
	static const int advice[] = { MADV_RANDOM, MADV_SEQUENTIAL, MADV_DONTFORK, MADV_DONTDUMP, MADV_WIPEONFORK, MADV_HUGEPAGE,
				      MADV_NOHUGEPAGE };
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), memfd = memfd_create("look", MFD_CLOEXEC);
	char *p = area;

	if (ftruncate(memfd, PAGE_BYTES))
		_exit(1);
#define NEXT (p += 2 * PAGE_BYTES, p - 2 * PAGE_BYTES)
	for (int prot = 0; prot < 8; prot++)
		mprotect(NEXT, PAGE_BYTES, prot);
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++)
		madvise(NEXT, PAGE_BYTES, advice[i]);
	mmap(NEXT, PAGE_BYTES, PROT_READ, MAP_FIXED | MAP_SHARED, file, 0);
	mmap(NEXT, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE, file, 0);
	*(volatile char *)(p - 2 * PAGE_BYTES) = 1;
	mmap(NEXT, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, memfd, 0);
	mmap(NEXT, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mmap(NEXT, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	mmap(NEXT, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	mlock(NEXT, PAGE_BYTES);
	mlock2(NEXT, PAGE_BYTES, MLOCK_ONFAULT);
	/* Two flags at once, which no mapping that the bits are learnt from has. */
	madvise(p, PAGE_BYTES, MADV_DONTDUMP);
	madvise(p, PAGE_BYTES, MADV_RANDOM);
	mlock(NEXT, PAGE_BYTES);
#undef NEXT
	if ((size_t)(p - area) != 2 * KINDS * PAGE_BYTES)
		_exit(1);
	close(file);
	close(memfd);
}

struct look { struct dump d; struct dump_task task, *tasks[1]; struct arena *arena; char *said; size_t len; struct log log; };

static void look_open(struct look *s, pid_t pid)
{
	struct err err = ERR_INIT;

	memset(s, 0, sizeof(*s));
	s->arena = arena_new();
	s->log = (struct log){ .file = open_memstream(&s->said, &s->len), .level = LOG_DEBUG, .prog = "test" };
	s->tasks[0] = &s->task;
	s->task = (struct dump_task){ .pid = pid, .tid = pid };
	assert_int_equal(proc_open(pid, &s->task.proc_fd, &err), 0);
	assert_int_equal(proc_stat(s->task.proc_fd, "stat", &s->task.stat, &err), 0);
	s->task.stat.rss = 1u << 30;
	s->d = (struct dump){ .log = &s->log, .tasks = s->tasks, .ntasks = 1, .task = &s->task, .mm_look = mm_look_new() };
}

/* Whether it did not have to read smaps. */
static bool look_close(struct look *s)
{
	bool ok;

	mm_look_free(s->d.mm_look);
	close(s->task.proc_fd);
	arena_free(s->arena);
	fclose(s->log.file);
	ok = !strstr(s->said, "smaps");
	if (!ok)
		print_message("%s\n", s->said);
	free(s->said);
	return ok;
}

/* A child that has done `what`, and pauses: it can be looked at while nothing of it changes. */
static pid_t child(void (*what)(char *area), char *area)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		what(area);
		if (write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	assert_true(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static const struct proc_map *at(const struct proc_maps *maps, const void *addr)
{
	for (size_t i = 0; i < maps->n; i++)
		if (maps->v[i].start <= (uintptr_t)addr && (uintptr_t)addr < maps->v[i].end)
			return &maps->v[i];
	fail_msg("no mapping at %p", addr);
	return NULL;
}

/* Words that nothing is made of may be missing: which bit they have is not always to be told. */
#define COUNTED (VMF(me) | VMF(ac) | VMF(sd) | VMF(de) | VMF(mm))

static void compare(const struct look *s)
{
	const struct proc_maps *maps = &s->task.maps;
	struct proc_maps smaps;
	struct err err = ERR_INIT;
	bool more;

	assert_int_equal(proc_smaps(s->task.proc_fd, s->arena, &smaps, SIZE_MAX, &more, &err), 0);
	assert_int_equal(smaps.n, maps->n);
	for (size_t i = 0; i < smaps.n; i++) {
		const struct proc_map *got = &maps->v[i], *want = &smaps.v[i];

		assert_int_equal(got->start, want->start);
		assert_int_equal(got->end, want->end);
		assert_int_equal(got->pgoff, want->pgoff);
		assert_int_equal(got->ino, want->ino);
		assert_int_equal(got->dev_major, want->dev_major);
		assert_int_equal(got->dev_minor, want->dev_minor);
		assert_string_equal(got->name, want->name);
		assert_int_equal(got->deleted, want->deleted);
		assert_true(got->read == want->read && got->write == want->write && got->exec == want->exec && got->shared == want->shared);
		assert_true(got->has_flags);
		if (strcmp(want->name, "[vsyscall]"))
			assert_int_equal(got->vmflags & ~COUNTED, want->vmflags & ~COUNTED);
		assert_true(got->may_share || !want->may_share || got->shared || got->ino);
	}
}

/* Then memory that can only be executed has a protection key, which smaps alone tells. */
static bool has_keys(void)
{
	int key = pkey_alloc(0, 0);

	if (key >= 0)
		pkey_free(key);
	return key >= 0;
}

static void test_mappings(void **state)
{
	char *area = mmap(NULL, AREA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct err err = ERR_INIT;
	struct look s;
	pid_t pid;

	if (!can())
		skip();
	assert_true(area != MAP_FAILED);
	pid = child(make_mappings, area);
	look_open(&s, pid);
	mm_look_begin(&s.d);
	assert_int_equal(mm_look(&s.d, &s.task, s.arena, &err), 0);
	compare(&s);
	assert_true(look_close(&s) || has_keys());
	end_child(pid);
	munmap(area, AREA);
}

/* Not from the parent: an anon_vma with three mappings, all of them in one process. */
static void make_own(char *area)
{
	char *p = mmap(area, 16 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	memset(p, 1, 16 * PAGE_BYTES);
	mprotect(p + 4 * PAGE_BYTES, PAGE_BYTES, PROT_NONE);
}

/* The same, and a child that has all of it too. */
static void make_own_and_fork(char *area)
{
	make_own(area);
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

/* Of what fork has shared, nothing may be taken for a process's own; what was never shared need not be asked about. */
static void test_sharing(void **state)
{
	char *inherited = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct err err = ERR_INIT;

	if (!can())
		skip();
	assert_true(inherited != MAP_FAILED && area != MAP_FAILED);
	memset(inherited, 1, AREA);
	for (int forks = 0; forks < 2; forks++) {
		pid_t pid = child(forks ? make_own_and_fork : make_own, area);
		struct look s;

		look_open(&s, pid);
		mm_look_begin(&s.d);
		assert_int_equal(mm_look(&s.d, &s.task, s.arena, &err), 0);
		assert_true(at(&s.task.maps, inherited)->may_share);
		assert_int_equal(at(&s.task.maps, area)->may_share, forks);
		assert_int_equal(at(&s.task.maps, area + 4 * PAGE_BYTES)->may_share, forks);
		assert_int_equal(at(&s.task.maps, area + 15 * PAGE_BYTES)->may_share, forks);
		assert_true(look_close(&s));
		end_child(pid);
	}
	munmap(inherited, AREA);
	munmap(area, AREA);
}

enum { MANY = 6000 };

static void make_many(char *area)
{
	for (size_t i = 0; i < MANY; i += 2)
		mprotect(area + i * PAGE_BYTES, PAGE_BYTES, i % 50 ? PROT_READ : PROT_READ | PROT_WRITE | PROT_EXEC);
	/* In the middle of the heap, and of all. */
	mmap((char *)sbrk(64 * PAGE_BYTES) + 32 * PAGE_BYTES, PAGE_BYTES, PROT_READ, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mmap(area + 2 * PAGE_BYTES, PAGE_BYTES, PROT_READ, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, area + 4 * PAGE_BYTES, PAGE_BYTES, "label");
	syscall(SYS_mbind, area + 6 * PAGE_BYTES, PAGE_BYTES, MPOL_LOCAL, NULL, 0, 0);
}

/* What has a policy is asked about, and so is what may have one that others gave to its object. */
static void compare_policies(const struct proc_maps *maps, const char *area)
{
	if (!access("/proc/self/numa_maps", F_OK)) {
		assert_false(at(maps, area + 6 * PAGE_BYTES)->no_policy);
		assert_false(at(maps, area + 2 * PAGE_BYTES)->no_policy);
		assert_true(at(maps, area + 8 * PAGE_BYTES)->no_policy);
	}
}

/* More mappings than the kernel gives at a time, and than smaps is read for. */
static void test_many(void **state)
{
	char *area = mmap(NULL, MANY * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct err err = ERR_INIT;
	struct look s;
	pid_t pid;

	if (!can())
		skip();
	assert_true(area != MAP_FAILED);
	pid = child(make_many, area);
	look_open(&s, pid);
	assert_int_equal(mm_look(&s.d, &s.task, s.arena, &err), 0); /* begins by itself */
	assert_true(s.task.maps.n > MANY);
	compare(&s);
	compare_policies(&s.task.maps, area);
	assert_true(look_close(&s));
	end_child(pid);
	munmap(area, MANY * PAGE_BYTES);
}

/* Whoever may not load programs is told the same by smaps. */
static void test_not_allowed(void **state)
{
	char *area = mmap(NULL, MANY * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct err err = ERR_INIT;
	struct look s;
	pid_t pid;

	if (!can())
		skip();
	assert_true(area != MAP_FAILED);
	pid = child(make_many, area);
	bpf_allowed(false);
	for (int early = 0; early < 2; early++) {
		look_open(&s, pid);
		if (early)
			mm_look_begin(&s.d);
		assert_int_equal(mm_look(&s.d, &s.task, s.arena, &err), 0);
		assert_int_equal(mm_look(&s.d, &s.task, s.arena, &err), 0); /* it is known by now */
		assert_true(s.task.maps.n > MANY);
		compare(&s);
		fflush(s.log.file);
		assert_non_null(strstr(s.said, "smaps"));
		look_close(&s);
	}
	bpf_allowed(true);
	end_child(pid);
	munmap(area, MANY * PAGE_BYTES);
}

/* Where one bit stands for two words, or is not known, nothing is guessed. */
static void test_words(void **state)
{
	static const struct vmflags_seen seen[] = {
		{ 0x70, VMF(mr) | VMF(mw) | VMF(me) }, { 0x73, VMF(mr) | VMF(mw) | VMF(me) | VMF(rd) | VMF(wr) },
		{ 0x71, VMF(mr) | VMF(mw) | VMF(me) | VMF(rd) }, { 0x10070, VMF(mr) | VMF(mw) | VMF(me) | VMF(rr) },
		{ 0xc51, VMF(mr) | VMF(me) | VMF(rd) | VMF(io) | VMF(pf) }, { 0x80000070, VMF(mr) | VMF(mw) | VMF(me) },
	};
	struct vmflags f;
	uint64_t words;

	vmflags_learn(seen, ARRAY_SIZE(seen), &f);
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		assert_true(vmflags_words(&f, seen[i].bits, &words));
		assert_int_equal(words, seen[i].words);
	}
	assert_true(vmflags_words(&f, 0x10072, &words));
	assert_int_equal(words, VMF(mr) | VMF(mw) | VMF(me) | VMF(wr) | VMF(rr));
	assert_false(vmflags_words(&f, 0x20070, &words)); /* never seen */
	assert_false(vmflags_words(&f, 0x470, &words));	  /* io or pf */
	assert_true(vmflags_words(&f, 0x60, &words));	  /* one of mr and me: neither is used */
	vmflags_learn(NULL, 0, &f);
	assert_false(vmflags_words(&f, 1, &words));
	assert_true(vmflags_words(&f, 0, &words));
}

static void test_types(void **state)
{
	cleanup_btf struct btf *btf = NULL;
	struct err err = ERR_INIT;
	struct btf_place p;

	if (btf_open(&btf, &err))
		skip();
	assert_true(btf_function(btf, "bpf_iter_task_vma"));
	assert_false(btf_function(btf, "no_such_function"));
	assert_int_equal(btf_enumerator(btf, "pid_type", "PIDTYPE_TGID"), 1);
	assert_int_equal(btf_enumerator(btf, "pid_type", "NO_SUCH_NAME"), -1);
	assert_int_equal(btf_enumerator(btf, "task_struct", "PIDTYPE_TGID"), -1);
	assert_true(btf_find(btf, "vm_area_struct", "vm_start", &p));
	assert_int_equal(p.n, 1);
	assert_int_equal(p.size, sizeof(long));
	assert_true(btf_find(btf, "task_struct", "signal->shared_pending.signal", &p) == false); /* a struct is no number */
	assert_true(btf_find(btf, "task_struct", "mm->arg_start", &p));
	assert_int_equal(p.n, 2);
	assert_true(btf_find(btf, "task_struct", "pending.list.next", &p));
	assert_false(btf_find(btf, "task_struct", "mm.arg_start", &p));
	assert_false(btf_find(btf, "task_struct", "pid->nr", &p));
	assert_false(btf_find(btf, "task_struct", "", &p));
	assert_false(btf_find(btf, "task_struct", "comm", &p)); /* an array */
	assert_true(btf_find(btf, "task_struct", "comm[8]", &p)); /* eight of sixteen bytes, */
	assert_int_equal(p.size, 8);
	assert_true(btf_find(btf, "task_struct", "comm[9]", &p)); /* and where there are less, one */
	assert_int_equal(p.size, 1);
	assert_false(btf_find(btf, "task_struct", "comm[16]", &p));
	assert_false(btf_find(btf, "task_struct", "comm[99999999999]", &p));
	assert_false(btf_find(btf, "task_struct", "comm[1", &p));
	assert_false(btf_find(btf, "task_struct", "pid[0]", &p));
	assert_true(btf_find(btf, "task_struct", "signal->shared_pending.signal.sig[0]", &p));
	assert_true(btf_find(btf, "task_struct", "thread_pid->numbers[0].nr", &p));
	assert_int_equal(p.size, sizeof(int));
	assert_false(btf_find(btf, "no_struct", "pid", &p));
	assert_false(btf_find(btf, "sock", "sk_no_check_tx", &p)); /* a bit field, */
	assert_true(btf_find(btf, "sock", "sk_no_check_tx:1", &p)); /* and the byte that has it */
	assert_int_equal(p.size, 1);
	assert_true(btf_find(btf, "task_struct", "comm:8", &p));
	assert_int_equal(p.size, 8);
	assert_false(btf_find(btf, "task_struct", "comm:3", &p));
	assert_false(btf_find(btf, "task_struct", "comm:", &p));
	assert_false(btf_find(btf, "task_struct", "comm:44", &p));
	assert_false(btf_find(btf, "task_struct", "no_such_field:4", &p));
}

/* Cut off and turned bits: refused, or read as whatever they say, but not beyond. */
static void test_damaged_types(void **state)
{
	cleanup_fd int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY);
	const size_t types = 4096, names = 4096;
	struct btf_header h;
	char *whole = xzalloc(sizeof(h) + types + names);
	struct btf_place p;
	struct err err;
	struct btf *btf;
	uint32_t seed = 1;

	if (fd < 0 || pread(fd, &h, sizeof(h), 0) != sizeof(h)) {
		free(whole);
		skip();
	}
	assert_true(pread(fd, whole + sizeof(h), types, h.hdr_len + h.type_off) == (ssize_t)types);
	assert_true(pread(fd, whole + sizeof(h) + types, names - 1, h.hdr_len + h.str_off) == (ssize_t)names - 1);
	h = (struct btf_header){ .magic = BTF_MAGIC, .version = 1, .hdr_len = sizeof(h), .type_len = (uint32_t)types,
				 .str_off = (uint32_t)types, .str_len = (uint32_t)names };
	memcpy(whole, &h, sizeof(h));
	for (int i = 0; i < 20000; i++) {
		size_t size = i % 3 ? sizeof(h) + types + names : (size_t)i % (sizeof(h) + types + names);
		char *copy = xmalloc(size); /* to the byte: a reader that goes beyond is caught by a sanitizer */

		memcpy(copy, whole, size);
		if (size >= sizeof(h))
			((struct btf_header *)copy)->type_len = (uint32_t)(seed >> 8) % types & ~3u;
		for (int k = 0; k < i % 5 && size; k++) {
			seed = seed * 1664525u + 1013904223u;
			copy[(seed >> 4) % size] ^= (char)(1u << (seed & 7));
		}
		err = (struct err)ERR_INIT;
		if (!btf_parse(copy, size, &btf, &err)) {
			btf_find(btf, "list_head", "next->prev", &p);
			btf_find(btf, "", "a.b->c", &p);
			btf_find(btf, "", "[3].a", &p);
			btf_function(btf, "x");
			btf_free(btf);
		}
		free(copy);
	}
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mappings), cmocka_unit_test(test_sharing), cmocka_unit_test(test_many),
		cmocka_unit_test(test_not_allowed),
		cmocka_unit_test(test_words),	 cmocka_unit_test(test_types),	 cmocka_unit_test(test_damaged_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
