/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Address spaces: what lines of smaps become, gaps, the vdso, and the steps of a plan. No process is touched but a child of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/arch/vdso.h"
#include "common/mm/private.h"

static int classify(const char *smaps, bool shmem, VmaEntry *e, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct proc_maps maps;

	vma_entry__init(e);
	*err = (struct err)ERR_INIT;
	assert_int_equal(proc_parse_smaps(smaps, arena, &maps), 0);
	assert_int_equal(maps.n, 1);
	return vma_classify(&maps.v[0], shmem, e, err);
}

static void test_classify(void **state)
{
	static const struct { const char *text; bool shmem; uint32_t flags, status, prot; uint64_t madv, extra; } cases[] = {
		{ "1000-2000 r-xp 00003000 fd:00 77 /bin/x\nVmFlags: rd ex mr mw me\n", false, 2, 0x41, 5, 0, 0 },
		{ "1000-2000 rw-s 00003000 fd:00 77 /f (deleted)\nVmFlags: rd wr sh mr mw me ms\n", false, 1, 0x81, 3, 0, 0 },
		{ "1000-2000 rw-p 00000000 00:00 0 [heap]\nVmFlags: rd wr mr mw me ac\n", false, 0x22, 0x221, 3, 0, 0 },
		{ "1000-2000 rw-p 00000000 00:00 0 [stack]\nVmFlags: rd wr mr mw me gd ac\n", false, 0x122, 0x201, 3, 0, 0 },
		{ "1000-2000 ---p 00000000 00:00 0 \nVmFlags: mr mw me nr\n", false, 0x4022, 0x201, 0, 0, 0 },
		{ "1000-2000 rw-p 00000000 00:00 0 \nVmFlags: rd wr mr mw me lo lf ac\n", false, 0x2022, 0x201, 3, 0, 2 },
		{ "1000-2000 rw-p 00000000 00:00 0 \nVmFlags: rd wr mr mw me lo ?? ac\n", false, 0x2022, 0x201, 3, 0, 2 },
		{ "1000-2000 rw-p 00000000 00:00 0 \nVmFlags: rd wr mr mw me ac nh sl\n", false, 0x22, 0x201, 3, 0x8000, 1 },
		{ "1000-2000 rw-p 00000000 00:00 0 \nVmFlags: rd wr mr mw me nr wf dd dp\n", false, 0x4028, 0x201, 3, 0x50000, 0 },
		{ "1000-2000 rw-s 00000000 00:01 9 /dev/zero (deleted)\nVmFlags: rd wr sh mr mw\n", true, 0x21, 0x101, 3, 0, 0 },
		{ "1000-2000 rw-s 00000000 00:01 9 /memfd:a (deleted)\nVmFlags: rd wr sh mr mw\n", true, 1, 0x4081, 3, 0, 0 },
		{ "1000-2000 rw-p 00000000 00:01 9 /memfd:a (deleted)\nVmFlags: rd wr mr mw\n", true, 2, 0x4041, 3, 0, 0 },
		{ "200000-400000 rw-p 00000000 00:11 9 /anon_hugepage (deleted)\nKernelPageSize: 2048 kB\nVmFlags: rd wr ht\n",
		  true, 0x54040022, 0x201, 3, 0, 0 },
		{ "200000-400000 rw-s 00000000 00:11 9 /anon_hugepage (deleted)\nKernelPageSize: 2048 kB\nVmFlags: rd wr sh ht\n",
		  true, 0x54040021, 0x101, 3, 0, 0 },
		{ "200000-400000 rw-s 00000000 00:11 9 /memfd:h (deleted)\nKernelPageSize: 2048 kB\nVmFlags: rd wr sh mw ht\n",
		  true, 0x54040001, 0x4081, 3, 0, 0 },
		{ "1000-2000 rw-s 00000000 00:01 7 /SYSV00000001 (deleted)\nVmFlags: rd wr sh mr mw\n", true, 0x21, 0x501, 3, 0, 0 },
		{ "1000-2000 rw-s 00000000 00:05 7 /[aio] (deleted)\nVmFlags: rd wr sh mr mw\n", false, 1, 0x2000, 3, 0, 0 },
		{ "1000-2000 r--p 00000000 00:00 0 [vvar]\nVmFlags: rd mr pf io de dd\n", false, 0x22, 0x1201, 1, 0x10000, 0 },
		{ "1000-2000 r-xp 00000000 00:00 0 [vdso]\nVmFlags: rd ex mr mw me de\n", false, 0x22, 0x209, 5, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		VmaEntry e;
		struct err err;

		assert_int_equal(classify(cases[i].text, cases[i].shmem, &e, &err), 0);
		assert_int_equal(e.flags, cases[i].flags);
		assert_int_equal(e.status, cases[i].status);
		assert_int_equal(e.prot, cases[i].prot);
		assert_int_equal(e.has_madv ? e.madv : 0, cases[i].madv);
		assert_int_equal(e.has_vm_flags_extra ? e.vm_flags_extra : 0, cases[i].extra);
	}
}

static void test_refuse(void **state)
{
	static const struct { const char *text, *word; bool shmem; } cases[] = {
		{ "1000-2000 rw-p 0 00:00 0 \nVmFlags: rd wr um\n", "userfaultfd", false },
		{ "1000-2000 rw-p 0 00:00 0 \nVmFlags: rd wr ss\n", "shadow stack", false },
		{ "1000-2000 rw-s 0 00:05 7 /dev/mem\nVmFlags: rd wr sh io pf\n", "device", false },
		{ "1000-2000 rw-s 0 00:05 7 anon_inode:[io_uring]\nVmFlags: rd wr sh\n", "io_uring", false },
		{ "1000-2000 rw-s 0 00:05 7 anon_inode:[perf_event]\nVmFlags: rd wr sh\n", "perf", false },
		{ "1000-2000 r-xp 0 00:00 0 [uprobes]\nVmFlags: rd ex\n", "uprobes", false },
		{ "1000-2000 rw-s 0 00:05 7 socket:[123]\nVmFlags: rd wr sh\n", "packet", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		VmaEntry e;
		struct err err;

		assert_true(classify(cases[i].text, cases[i].shmem, &e, &err) < 0);
		assert_int_equal(err.kind, ERR_REFUSED);
		assert_non_null(strstr(err.reason, cases[i].word));
	}
}

static void test_gap(void **state)
{
	cleanup(ranges_release) struct ranges r = { 0 };
	uint64_t room, at;

	ranges_add(&r, 0x7fff00000000, 0x1000);
	ranges_add(&r, 0x10000, 0x1000);
	ranges_add(&r, 0x400000000000, 0x200000000000); /* overlapped by the next */
	ranges_add(&r, 0x400000001000, 0x1000);
	ranges_sort(&r);
	at = ranges_gap(&r, 0x100000, &room);
	assert_int_equal(room, 0x400000000000 - 0x11000);
	assert_true(at > 0x11000 && at + 0x100000 < 0x400000000000 && at % 4096 == 0);
	assert_int_equal(ranges_gap(&r, 0x7f0000000000, &room), 0);
}

static void test_vdso(void **state)
{
	const unsigned char *now = (const void *)getauxval(AT_SYSINFO_EHDR);
	size_t len = 2 * PAGE_BYTES;
	struct vdso_patch patches[VDSO_SYMBOLS_MAX];
	struct err err = ERR_INIT;
	cleanup_free unsigned char *old = xmalloc(len);

	if (!now)
		skip();
	memcpy(old, now, len);
	assert_true(vdso_same_symbols(old, len, now, len));
	assert_false(vdso_same_symbols(old, len - PAGE_BYTES, now, len));
	int n = vdso_redirect(old, len, now, len, 0x7f1234560000, patches, &err);
	assert_true(n > 3);
	for (int i = 0; i < n; i++) {
		uint64_t to;

		assert_int_equal(patches[i].len, 12);
		memcpy(&to, patches[i].code + 2, 8);
		assert_int_equal(to, 0x7f1234560000 + patches[i].off); /* the same vdso: the same offsets */
	}
	/* Damage of every byte of the first page must never lead outside of the image (the sanitizers watch). */
	for (size_t i = 0; i < PAGE_BYTES; i++) {
		unsigned char was = old[i];

		err = (struct err)ERR_INIT;
		old[i] ^= 0xff;
		vdso_same_symbols(old, len, now, len);
		vdso_redirect(old, len, now, len, 0x7f1234560000, patches, &err);
		old[i] = was;
	}
	memset(old, 0, 64);
	err = (struct err)ERR_INIT;
	assert_true(vdso_redirect(old, len, now, len, 0, patches, &err) < 0);
	assert_int_equal(err.kind, ERR_IMAGE);
}

/* How many steps of a program are this call, and the first of them. */
static size_t count(const struct program *p, long nr, size_t *first)
{
	size_t n = 0;

	for (size_t i = 0; i < program_steps(p); i++)
		if (program_nr(p, i) == nr && !n++ && first)
			*first = i;
	return n;
}

struct fixture {
	struct plan_thread th;
	struct plan_task pt;
	struct model m;
	struct model_task task;
	MmEntry mm;
	VmaEntry v[4], *vp[4];
	PagemapEntry e[2], *ep[2];
	FileEntry file, *files[1];
	RegFileEntry reg;
	struct vdso_here here;
};

static void make(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	mm_entry__init(&f->mm);
	file_entry__init(&f->file);
	reg_file_entry__init(&f->reg);
	f->file.type = FD_TYPES__REG;
	f->file.id = f->reg.id = f->mm.exe_file_id = 1;
	f->reg.name = (char *)"/bin/true";
	f->file.reg = &f->reg;
	f->files[0] = &f->file;
	f->m.files = f->files;
	f->m.nfiles = 1;
	for (int i = 0; i < 4; i++) {
		vma_entry__init(&f->v[i]);
		f->vp[i] = &f->v[i];
		f->v[i].start = 0x10000000 + 0x10000 * (uint64_t)i;
		f->v[i].end = f->v[i].start + 0x4000;
		f->v[i].status = VS_REGULAR | VS_ANON_PRIVATE;
		f->v[i].flags = VM_FLAG_PRIVATE | VM_FLAG_ANON;
		f->v[i].prot = PROT_READ;
	}
	for (int i = 0; i < 2; i++) {
		pagemap_entry__init(&f->e[i]);
		f->ep[i] = &f->e[i];
		f->e[i].vaddr = f->v[i].start;
		f->e[i].nr_pages = 2;
	}
	f->mm.vmas = f->vp;
	f->mm.n_vmas = 4;
	f->task.mm = &f->mm;
	f->task.pages = (struct model_pages){ .entries = f->ep, .nentries = 2, .fd = 5, .size = 4 * PAGE_BYTES };
	f->m.tasks = &f->task;
	f->m.ntasks = 1;
	f->th.prog = program_new();
	f->pt.threads = &f->th;
	f->pt.nthreads = 1;
}

static int plan_at(struct fixture *f, struct plan *plan, struct err *err)
{
	int ret = plan_hole_at(&f->m, &f->here, plan, err);

	return ret ? ret : plan_mm_at(&f->m, &f->task, &f->here, plan, &f->pt, err);
}

static void test_plan(void **state)
{
	cleanup_plan struct plan *plan = plan_new();
	struct fixture f;
	struct err err = ERR_INIT;
	size_t step = 0;

	make(&f);
	f.v[1].flags |= VM_FLAG_LOCKED;
	f.v[2].has_madv = true;
	f.v[2].madv = 1 << MADV_DONTDUMP | 1 << MADV_HUGEPAGE;
	f.v[3].status = VS_GUARD;
	f.v[3].start = f.v[2].start;
	f.v[3].end = f.v[2].start + 0x1000;
	assert_int_equal(plan_at(&f, plan, &err), 0);
	assert_int_equal(count(f.th.prog, SYS_mmap, &step), 3);
	/* Room for content, taken back later; what has none is mapped as it is. */
	assert_int_equal(program_args(f.th.prog, step)[2].v, PROT_READ | PROT_WRITE);
	assert_int_equal(count(f.th.prog, SYS_mprotect, NULL), 2);
	assert_int_equal(count(f.th.prog, SYS_preadv, &step), 1);
	assert_int_equal(program_args(f.th.prog, step)[2].v, 2);
	int64_t want;
	assert_int_equal(program_expect(f.th.prog, step, &want), EXPECT_EQ);
	assert_int_equal(want, 4 * PAGE_BYTES);
	assert_int_equal(count(f.th.prog, SYS_madvise, NULL), 3);
	assert_int_equal(count(f.th.prog, SYS_mlock2, NULL), 2);
	assert_int_equal(f.pt.npages, 2);
	assert_true(f.pt.hole % PAGE_BYTES == 0 && f.pt.hole > f.v[2].end && f.pt.hole_len > 1 << 20);
	program_free(f.th.prog);
}

static uint32_t key_of(struct fixture *f, int i, uint32_t key, uint32_t prot)
{
	f->v[i].has_pkey = true;
	f->v[i].prot = prot;
	return f->v[i].pkey = key;
}

/* Which keys are the program's, which one is the kernel's, and what no kernel has. */
static void test_pkeys(void **state)
{
	struct fixture f;
	struct pkeys keys;
	struct err err = ERR_INIT;

	make(&f);
	assert_int_equal(pkeys_find(&f.mm, &keys, &err), 0);
	assert_true(!keys.any && keys.allocated == 1 && !keys.exec_only);
	key_of(&f, 0, 1, PROT_EXEC); /* that comes by itself */
	assert_int_equal(pkeys_need(&f.mm, &keys, &err), 0);
	assert_true(!keys.any && keys.exec_only == 1);
	key_of(&f, 0, 2, PROT_EXEC);
	assert_int_equal(pkeys_find(&f.mm, &keys, &err), 0);
	assert_true(keys.any && keys.exec_only == 2);
	f.mm.has_pkeys = true;
	f.mm.pkeys = 1 << 2;
	key_of(&f, 1, 15, PROT_READ | PROT_EXEC); /* freed since, as key 0 */
	assert_int_equal(pkeys_find(&f.mm, &keys, &err), 0);
	assert_true(keys.any && keys.allocated == 4 && !keys.exec_only);
	assert_true(pkeys_need(&f.mm, &keys, &err) ? !arch_pkeys() : arch_pkeys());
	assert_true(arch_pkeys() || (err.kind == ERR_FEATURE && strstr(err.reason, "protection keys") && *err.hint));

	err = (struct err)ERR_INIT;
	key_of(&f, 1, 16, PROT_READ);
	assert_true(pkeys_find(&f.mm, &keys, &err) < 0 && err.kind == ERR_IMAGE && strstr(err.reason, "10010000-10014000"));
	key_of(&f, 1, UINT32_MAX, PROT_READ);
	assert_true(pkeys_find(&f.mm, &keys, &err) < 0);
	key_of(&f, 1, 3, PROT_READ);
	f.v[1].status = VS_REGULAR | VS_ANON_PRIVATE | VS_VDSO;
	assert_true(pkeys_find(&f.mm, &keys, &err) < 0);
	f.v[1].status = VS_AIO;
	assert_true(pkeys_find(&f.mm, &keys, &err) < 0);
	f.v[1].status = VS_GUARD;
	assert_true(pkeys_find(&f.mm, &keys, &err) < 0);
	program_free(f.th.prog);
	make(&f);
	err = (struct err)ERR_INIT;
	f.mm.has_pkeys = true;
	f.mm.pkeys = 1 << 16;
	assert_true(pkeys_find(&f.mm, &keys, &err) < 0 && strstr(err.reason, "0x10000"));
	f.mm.pkeys = 0; /* even key 0 was freed */
	assert_int_equal(pkeys_find(&f.mm, &keys, &err), 0);
	assert_true(keys.any && !keys.allocated);
	key_of(&f, 0, 4, PROT_EXEC);
	key_of(&f, 1, 4, PROT_EXEC);
	assert_int_equal(pkeys_find(&f.mm, &keys, &err), 0);
	err = (struct err)ERR_INIT;
	key_of(&f, 1, 5, PROT_EXEC);
	assert_true(pkeys_find(&f.mm, &keys, &err) < 0 && strstr(err.reason, "keys 4 and 5"));
	program_free(f.th.prog);
}

/* What dump and restore say to the kernel: all are allocated, the kernel's is left, the rest is freed. */
static void test_plan_pkeys(void **state)
{
	cleanup_plan struct plan *plan = plan_new();
	struct fixture f;
	struct err err = ERR_INIT;
	size_t step = 0;
	int ret;

	make(&f);
	f.mm.has_pkeys = true;
	f.mm.pkeys = 1 | 1 << 2 | 1 << 5;
	key_of(&f, 0, 3, PROT_EXEC);
	key_of(&f, 1, 5, PROT_NONE);
	key_of(&f, 2, 9, PROT_READ);
	f.v[3].prot = PROT_EXEC;
	ret = plan_at(&f, plan, &err);
	if (!arch_pkeys()) {
		assert_true(ret < 0 && err.kind == ERR_FEATURE);
	} else {
		assert_int_equal(ret, 0);
		assert_int_equal(count(f.th.prog, SYS_pkey_alloc, NULL), 15);
		assert_int_equal(count(f.th.prog, SYS_pkey_free, NULL), 15 - 2);
		assert_int_equal(count(f.th.prog, SYS_pkey_mprotect, &step), 3);
		assert_int_equal(count(f.th.prog, SYS_mprotect, &step), 1);
		assert_int_equal(program_args(f.th.prog, step)[0].v, f.v[0].start);
	}
	program_free(f.th.prog);
}

static void test_plan_shared(void **state)
{
	cleanup_plan struct plan *plan = plan_new();
	struct fixture f;
	struct err err = ERR_INIT;

	make(&f);
	f.task.pages.nentries = 0;
	for (int i = 0; i < 4; i++) {
		f.v[i].status = VS_REGULAR | VS_ANON_SHARED;
		f.v[i].flags = VM_FLAG_SHARED | VM_FLAG_ANON;
		f.v[i].shmid = i < 2 ? 7 : 7 + (uint64_t)i;
	}
	f.v[3].pgoff = 0x8000;
	struct model_shmem objects[] = {
		{ .shmid = 7, .size = 0x10000, .first = &f.v[0], .views = 2 },
		{ .shmid = 9, .size = f.v[2].end - f.v[2].start, .first = &f.v[2], .views = 1 },
		{ .shmid = 10, .size = 0x10000, .first = &f.v[3], .views = 1 },
	};
	f.m.shmem = objects;
	f.m.nshmem = 3;
	assert_int_equal(plan_at(&f, plan, &err), 0);
	/* 7: twice mapped, 10: from its middle, both made by the controller; 9: directly. */
	assert_int_equal(count(f.th.prog, SYS_mmap, NULL), 4);
	assert_int_equal(count(plan->controller, SYS_mmap, NULL), 2);
	assert_int_equal(count(plan->controller, SYS_munmap, NULL), 2);
	assert_int_equal(count(f.th.prog, SYS_munmap, NULL), 2);
	program_free(f.th.prog);

	make(&f);
	f.v[0].end = 1ull << 60;
	err = (struct err)ERR_INIT;
	assert_true(plan_at(&f, plan, &err) < 0);
	program_free(f.th.prog);
}

/* Which mappings are filled, and that pages are cut at their borders. */
static void test_plan_fills(void **state)
{
	cleanup_plan struct plan *plan = plan_new();
	PagemapEntry all = PAGEMAP_ENTRY__INIT, *entries[] = { &all };
	struct fixture f;
	struct err err = ERR_INIT;
	const uint64_t at = 0x10000000, len = 16ul << 20;
	static const uint32_t fill[] = { 1, 0, 2, 3 };
	size_t step = 0;

	make(&f);
	for (uint64_t i = 0; i < 4; i++) {
		f.v[i].status = VS_REGULAR | VS_ANON_PRIVATE;
		f.v[i].flags = VM_FLAG_PRIVATE | VM_FLAG_ANON;
		f.v[i].prot = PROT_READ | (i & 1 ? PROT_WRITE : 0);
		f.v[i].start = at + i * len;
		f.v[i].end = f.v[i].start + len;
		f.v[i].has_madv = true;
		f.v[i].madv = i == 1 ? 1 << MADV_HUGEPAGE : i == 2 ? 1 << MADV_NOHUGEPAGE : 0;
	}
	all.vaddr = at + PAGE_BYTES;
	all.nr_pages = 4 * len / PAGE_BYTES - 2;
	all.has_nr_pages = all.has_flags = true;
	all.flags = PME_PRESENT;
	f.task.pages.entries = entries;
	f.task.pages.nentries = 1;
	assert_int_equal(plan_at(&f, plan, &err), 0);
	assert_int_equal(f.pt.nown, 0);
	assert_int_equal(f.pt.nfills, 3);
	assert_true(f.pt.fills[0].huge && !f.pt.fills[1].huge && f.pt.fills[1].start == at + 2 * len);
	assert_int_equal(count(f.th.prog, SYS_userfaultfd, &step), 1);
	assert_int_equal(f.pt.uffd.i, step);
	assert_int_equal(f.pt.npages, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(f.pt.pages[i].addr, i ? at + i * len : at + PAGE_BYTES);
		assert_int_equal(f.pt.pages[i].fill, fill[i]);
		assert_int_equal(f.pt.pages[i].off, f.pt.pages[i].addr - at - PAGE_BYTES);
	}
	program_free(f.th.prog);
}

/* What is there already is written to, around it is filled; nothing of it is left behind. */
static void test_fill(void **state)
{
	const size_t len = 1 << 20;
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile int *said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct plan_fill area = { (uint64_t)(uintptr_t)mem, (uint64_t)(uintptr_t)mem + len, false };
	struct plan_task pt = { .fills = &area, .nfills = 1 };
	cleanup_free char *bytes = xmalloc(len), *got = xmalloc(len);
	const struct iovec local = { got, len }, remote = { mem, len };
	struct err err = ERR_INIT;
	struct fill f;
	pid_t pid;

	assert_true(mem != MAP_FAILED && said != MAP_FAILED);
	pid = fork();
	if (!pid) {
		mem[3 * PAGE_BYTES] = mem[200 * PAGE_BYTES] = 'x';
		*said = 2 + (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1);
		for (;;)
			pause();
	}
	while (!*said)
		usleep(1000);
	memset(bytes, 'y', len);
	fill_open(&f, &pt, pid, -1);
	assert_int_equal(f.uffd, -1);
	fill_close(&f);
	fill_open(&f, &pt, pid, *said - 2);
	if (f.uffd < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		skip();
	}
	assert_true(f.ours[1]);
	assert_int_equal(fill_copy(&f, area.start, bytes, len - PAGE_BYTES, &err), 0);
	assert_true(fill_copy(&f, area.end - PAGE_BYTES, bytes, 2 * PAGE_BYTES, &err) < 0); /* beyond the mapping */
	fill_close(&f);
	assert_true(process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)(len - PAGE_BYTES));
	assert_memory_equal(got, bytes, len - PAGE_BYTES);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap(mem, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classify), cmocka_unit_test(test_refuse), cmocka_unit_test(test_gap),
		cmocka_unit_test(test_vdso),	 cmocka_unit_test(test_plan),	cmocka_unit_test(test_plan_shared),
		cmocka_unit_test(test_plan_fills), cmocka_unit_test(test_fill), cmocka_unit_test(test_pkeys),
		cmocka_unit_test(test_plan_pkeys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
