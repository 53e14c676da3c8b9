/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Probes of memory: page maps, mappings, userfaultfd, the memory descriptor, the vdso. */
#include <asm/prctl.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/userfaultfd.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "common/base/io.h"
#include "common/bpf/iter.h"
#include "common/feature/probe.h"
#include "common/feature/uapi.h"
#include "common/proc/proc.h"

#define PAGE 4096ul

static int open_pagemap(struct probe *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, "open /proc/self/pagemap");
	return fd;
}

/* Scans n pages for category; the number of regions or -errno. */
static int scan(int fd, void *page, size_t n, uint64_t flags, uint64_t category)
{
	struct fp_region regions[4];
	struct fp_scan_arg arg = {
		.size = sizeof(arg), .flags = flags,
		.start = (uintptr_t)page, .end = (uintptr_t)page + n * PAGE,
		.vec = (uintptr_t)regions, .vec_len = ARRAY_SIZE(regions),
		.category_mask = category, .return_mask = category,
	};
	int ret = ioctl(fd, FP_PAGEMAP_SCAN, &arg);

	return ret < 0 ? -errno : ret;
}

void probe_pagemap_scan(struct probe *p, int arg)
{
	static const struct { uint64_t bit; const char *name; } categories[] = {
		{ FP_IS_WPALLOWED, "WPALLOWED" }, { FP_IS_WRITTEN, "WRITTEN" }, { FP_IS_FILE, "FILE" },
		{ FP_IS_PRESENT, "PRESENT" },	  { FP_IS_SWAPPED, "SWAPPED" }, { FP_IS_PFNZERO, "PFNZERO" },
		{ FP_IS_HUGE, "HUGE" },		  { FP_IS_SOFT_DIRTY, "SOFT_DIRTY" },
	};
	cleanup_fd int fd = open_pagemap(p);
	char *page = fd < 0 ? NULL : probe_page(p, 0), what[64];

	if (!page)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(categories); i++) {
		int ret = scan(fd, page, 1, 0, categories[i].bit);

		if (ret < 0) {
			snprintf(what, sizeof(what), "PAGEMAP_SCAN of %s", categories[i].name);
			probe_errno(p, -ret, NO_CAP, NO_CAP, what);
			return;
		}
		if (categories[i].bit == FP_IS_PRESENT && ret != 1) {
			probe_missing(p, "PAGEMAP_SCAN does not see a present page");
			return;
		}
	}
	probe_ok(p);
}

void probe_guard_pages(struct probe *p, int arg)
{
	char *page = probe_page(p, 0), byte;
	struct iovec local = { &byte, 1 }, remote = { page, 1 };

	if (!page)
		return;
	if (madvise(page, PAGE, MADV_GUARD_INSTALL) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "madvise MADV_GUARD_INSTALL");
	else if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1)
		probe_missing(p, "MADV_GUARD_INSTALL does not guard");
	else if (madvise(page, PAGE, MADV_GUARD_REMOVE) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "madvise MADV_GUARD_REMOVE");
	else
		probe_ok(p);
}

void probe_pagemap_guard(struct probe *p, int arg)
{
	cleanup_fd int fd = open_pagemap(p);
	char *page = fd < 0 ? NULL : probe_page(p, 0);
	int ret;

	if (!page)
		return;
	if (madvise(page, PAGE, MADV_GUARD_INSTALL) < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "madvise MADV_GUARD_INSTALL");
		return;
	}
	ret = scan(fd, page, 1, 0, FP_IS_GUARD);
	if (ret < 0)
		probe_errno(p, -ret, NO_CAP, NO_CAP, "PAGEMAP_SCAN of GUARD");
	else if (ret != 1)
		probe_missing(p, "PAGEMAP_SCAN does not see a guard page");
	else
		probe_ok(p);
}

void probe_soft_dirty(struct probe *p, int arg)
{
	volatile char *page = probe_page(p, 0);
	cleanup_fd int clear = -1, map = -1;
	uint64_t before = 0, after = 0;
	off_t at = (off_t)((uintptr_t)page / PAGE * 8);

	if (!page)
		return;
	map = open_pagemap(p);
	if (map < 0)
		return;
	clear = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	if (clear < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "open /proc/self/clear_refs");
		return;
	}
	if (write(clear, "4", 1) != 1 || pread_full(map, &before, 8, at) < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "/proc/self/clear_refs");
		return;
	}
	*page = 2;
	if (pread_full(map, &after, 8, at) < 0)
		probe_unknown(p, "read /proc/self/pagemap: %s", strerror(errno));
	else if (before >> 55 & 1 || !(after >> 55 & 1))
		probe_missing(p, "a written page is not marked in /proc/PID/pagemap");
	else
		probe_ok(p);
}

void probe_procmap_query(struct probe *p, int arg)
{
	cleanup_fd int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char *page = fd < 0 ? NULL : probe_page(p, 0);
	struct fp_procmap_query q;
	static const struct { uint64_t flags; bool name; const char *what; } asks[] = {
		{ 0, false, "PROCMAP_QUERY" },
		{ 0, true, "PROCMAP_QUERY of a name" },
		{ FP_QUERY_NEXT, false, "PROCMAP_QUERY of this or the next" },
		{ FP_QUERY_READABLE | FP_QUERY_WRITABLE, false, "PROCMAP_QUERY of what is writable" },
		{ FP_QUERY_FILE | FP_QUERY_NEXT, false, "PROCMAP_QUERY of files" },
	};

	if (fd < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "open /proc/self/maps");
	if (!page)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		char name[256] = "";

		q = (struct fp_procmap_query){ .size = sizeof(q), .query_addr = (uintptr_t)page, .query_flags = asks[i].flags };
		if (asks[i].name) {
			q.vma_name_addr = (uintptr_t)name;
			q.vma_name_size = sizeof(name);
		}
		if (ioctl(fd, FP_PROCMAP_QUERY, &q) < 0) {
			probe_errno(p, errno, NO_CAP, NO_CAP, asks[i].what);
			return;
		}
		if (!(asks[i].flags & FP_QUERY_FILE) && (q.vma_start > (uintptr_t)page || q.vma_end <= (uintptr_t)page)) {
			probe_missing(p, "%s gives another mapping", asks[i].what);
			return;
		}
	}
	probe_ok(p);
}

void probe_bpf_iter(struct probe *p, int arg)
{
	static const char *const paths[] = { "vm_start", "vm_flags" };
	struct iter_rows rows = { 0 };
	struct iter it = { .prog = -1 };
	struct err err = ERR_INIT;
	int ret = iter_load(ITER_VMA, paths, ARRAY_SIZE(paths), 0, &it, &err);

	if (ret == -ENOENT && access("/sys/kernel", F_OK)) {
		probe_unknown(p, "no sysfs is mounted here");
		return;
	}
	if (!ret)
		ret = iter_read(&it, getpid(), &rows, &err);
	if (ret)
		probe_errno(p, err.errnum, capability_held(CAP_BPF) ? CAP_PERFMON : CAP_BPF, CAP_SYS_ADMIN, err.reason);
	else if (it.absent || !rows.n)
		probe_missing(p, "mappings have no vm_start or vm_flags");
	else
		probe_ok(p);
	iter_rows_free(&rows);
	iter_close(&it);
}

/* A handshake that asks for nothing tells what there is. */
static void name_missing(struct probe *p, uint64_t features)
{
	static const struct { uint64_t bit; const char *name; } names[] = {
		{ UFFD_FEATURE_EVENT_FORK, "EVENT_FORK" },     { UFFD_FEATURE_EVENT_REMAP, "EVENT_REMAP" },
		{ UFFD_FEATURE_EVENT_REMOVE, "EVENT_REMOVE" }, { UFFD_FEATURE_EVENT_UNMAP, "EVENT_UNMAP" },
		{ FP_UFFD_WP_UNPOPULATED, "WP_UNPOPULATED" },  { FP_UFFD_WP_ASYNC, "WP_ASYNC" },
	};
	cleanup_fd int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = { .api = UFFD_API };

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0) {
		probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, "UFFDIO_API");
		return;
	}
	probe_missing(p, "userfaultfd lacks");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (features & ~api.features & names[i].bit)
			snprintf(p->why + strlen(p->why), sizeof(p->why) - strlen(p->why), " %s", names[i].name);
}

/* A userfaultfd with these features enabled; -1 and judged otherwise. */
static int open_uffd(struct probe *p, uint64_t features)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = { .api = UFFD_API };

	if (fd < 0) {
		probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, "userfaultfd (or sysctl vm.unprivileged_userfaultfd)");
		return -1;
	}
	/* The handshake is one for each descriptor: asking for the wanted set is the question itself. */
	api.features = features;
	if (ioctl(fd, UFFDIO_API, &api) == 0)
		return fd;
	if (errno == EINVAL && features)
		name_missing(p, features);
	else
		probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, "UFFDIO_API");
	close(fd);
	return -1;
}

/* Two pages that are not there yet: one is brought from a buffer, one as zeroes, as a page server's client does. */
static void bring_pages(struct probe *p, int fd)
{
	char *to = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *from = probe_page(p, 0);
	struct uffdio_register reg = { .range = { (uintptr_t)to, 2 * PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_copy copy = { .dst = (uintptr_t)to, .src = (uintptr_t)from, .len = PAGE };
	struct uffdio_zeropage zero = { .range = { (uintptr_t)to + PAGE, PAGE } };

	if (!from)
		return;
	if (to == MAP_FAILED)
		probe_unknown(p, "mmap: %s", strerror(errno));
	else if (ioctl(fd, UFFDIO_REGISTER, &reg) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "UFFDIO_REGISTER");
	else if (ioctl(fd, UFFDIO_COPY, &copy) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "UFFDIO_COPY");
	else if (ioctl(fd, UFFDIO_ZEROPAGE, &zero) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "UFFDIO_ZEROPAGE");
	else if (to[0] != from[0] || to[PAGE])
		probe_missing(p, "the pages that were brought are wrong");
	else
		probe_ok(p);
}

void probe_uffd(struct probe *p, int arg)
{
	cleanup_fd int fd = open_uffd(p, arg ? UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |
					       UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP : 0);

	if (fd >= 0)
		bring_pages(p, fd);
}

void probe_wp_async(struct probe *p, int arg)
{
	cleanup_fd int fd = open_uffd(p, FP_UFFD_WP_ASYNC | FP_UFFD_WP_UNPOPULATED), map = -1;
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	char *page;
	int first, second;

	if (fd < 0)
		return;
	page = probe_page(p, 0);
	map = open_pagemap(p);
	if (!page || map < 0)
		return;
	reg.range.start = (uintptr_t)page;
	reg.range.len = PAGE;
	if (ioctl(fd, UFFDIO_REGISTER, &reg) < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "UFFDIO_REGISTER for write protection");
		return;
	}
	first = scan(map, page, 1, FP_WP_MATCHING | FP_CHECK_WPASYNC, FP_IS_WRITTEN); /* protects */
	second = scan(map, page, 1, 0, FP_IS_WRITTEN);
	if (first < 0 || second < 0) {
		probe_errno(p, first < 0 ? -first : -second, NO_CAP, NO_CAP, "PAGEMAP_SCAN with write protection");
		return;
	}
	*(volatile char *)page = 3;
	if (first != 1 || second != 0 || scan(map, page, 1, 0, FP_IS_WRITTEN) != 1)
		probe_missing(p, "written pages are not told from unwritten ones");
	else
		probe_ok(p);
}

void probe_mseal(struct probe *p, int arg)
{
	char *page = probe_page(p, 0);

	if (!page)
		return;
	if (syscall(FP_SYS_mseal, page, PAGE, 0) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "mseal");
	else if (munmap(page, PAGE) == 0 || errno != EPERM)
		probe_missing(p, "a sealed mapping can be unmapped");
	else
		probe_ok(p);
}

/* Of all that it may give, what a kernel without such a processor says is that there is no key left (ENOSPC, or EINVAL of old). */
void probe_pkeys(struct probe *p, int arg)
{
	long key = syscall(SYS_pkey_alloc, 0, 0);

	if (key < 0 && (errno == ENOSPC || errno == EINVAL))
		probe_missing(p, "the processor has none");
	else if (key < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "pkey_alloc");
	else
		probe_ok(p);
}

void probe_fixed_noreplace(struct probe *p, int arg)
{
	char *page = probe_page(p, 0);
	void *over;

	if (!page)
		return;
	over = mmap(page, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (over == MAP_FAILED && errno == EEXIST)
		probe_ok(p);
	else if (over == MAP_FAILED)
		probe_errno(p, errno, NO_CAP, NO_CAP, "mmap MAP_FIXED_NOREPLACE");
	else
		probe_missing(p, "MAP_FIXED_NOREPLACE replaces or moves");
}

/* The first mapping of a file: its name in /proc/PID/map_files. */
void probe_map_files(struct probe *p, int arg)
{
	cleanup_arena struct arena *arena = arena_new();
	struct err err = ERR_INIT;
	struct proc_maps maps;
	cleanup_fd int proc = -1, fd = -1;
	char path[64];
	size_t i = 0;

	if (proc_open(getpid(), &proc, &err) < 0 || proc_maps(proc, arena, &maps, &err) < 0) {
		probe_proc_error(p, &err);
		return;
	}
	while (i < maps.n && maps.v[i].name[0] != '/')
		i++;
	if (i == maps.n) {
		probe_unknown(p, "this process maps no file");
		return;
	}
	snprintf(path, sizeof(path), "map_files/%lx-%lx", maps.v[i].start, maps.v[i].end);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		probe_errno(p, errno, CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN, "open /proc/PID/map_files");
	else
		probe_ok(p);
}

/* Sets the memory descriptor to what it is already. */
static void set_mm_map(struct probe *p, int exe_fd, const char *what, int cap, int alt)
{
	struct err err = ERR_INIT;
	struct proc_stat st;
	cleanup_fd int proc = -1;
	unsigned size = 0;
	struct prctl_mm_map map;

	if (prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "prctl PR_SET_MM_MAP_SIZE");
		return;
	}
	if (size != sizeof(map)) {
		probe_unknown(p, "struct prctl_mm_map has %u bytes here, %zu are known", size, sizeof(map));
		return;
	}
	if (proc_open(getpid(), &proc, &err) < 0 || proc_stat(proc, "stat", &st, &err) < 0) {
		probe_proc_error(p, &err);
		return;
	}
	map = (struct prctl_mm_map){
		.start_code = st.start_code, .end_code = st.end_code, .start_data = st.start_data, .end_data = st.end_data,
		.start_brk = st.start_brk, .brk = (uintptr_t)sbrk(0), .start_stack = st.start_stack,
		.arg_start = st.arg_start, .arg_end = st.arg_end, .env_start = st.env_start, .env_end = st.env_end,
		.exe_fd = (unsigned)exe_fd,
	};
	/* EBUSY for an exe file comes after all checks: the program that asks is itself still mapped. */
	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) < 0 && !(exe_fd >= 0 && errno == EBUSY))
		probe_errno(p, errno, cap, alt, what);
	else
		probe_ok(p);
}

void probe_mm_map(struct probe *p, int arg)
{
	set_mm_map(p, -1, "prctl PR_SET_MM_MAP", NO_CAP, NO_CAP);
}

void probe_set_exe(struct probe *p, int arg)
{
	cleanup_fd int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (exe < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "open /proc/self/exe");
	else
		set_mm_map(p, exe, "prctl PR_SET_MM_MAP with an exe file", CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN);
}

/* After the move libc's own pointers into the vdso are stale; the answer is sent by plain system calls only. */
void probe_vdso_move(struct probe *p, int arg)
{
	cleanup_arena struct arena *arena = arena_new();
	unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
	struct err err = ERR_INIT;
	struct proc_maps maps;
	cleanup_fd int proc = -1;
	char *to, *got;

	if (!vdso) {
		probe_missing(p, "there is no vdso");
		return;
	}
	if (proc_open(getpid(), &proc, &err) < 0 || proc_maps(proc, arena, &maps, &err) < 0) {
		probe_proc_error(p, &err);
		return;
	}
	for (size_t i = 0; i < maps.n; i++) {
		size_t len = maps.v[i].end - maps.v[i].start;

		if (maps.v[i].start != vdso)
			continue;
		to = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		got = mremap((void *)vdso, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		if (got == MAP_FAILED)
			probe_errno(p, errno, NO_CAP, NO_CAP, "mremap of the vdso");
		else if (memcmp(got, ELFMAG, SELFMAG))
			probe_missing(p, "the vdso is lost when it is moved");
		else
			probe_ok(p);
		return;
	}
	probe_unknown(p, "the vdso is not in /proc/PID/maps");
}

/* EEXIST: the call exists, and a vdso is there already. */
void probe_map_vdso(struct probe *p, int arg)
{
	if (syscall(SYS_arch_prctl, arg, 0) >= 0 || errno == EEXIST)
		probe_ok(p);
	else
		probe_errno(p, errno, NO_CAP, NO_CAP, "arch_prctl ARCH_MAP_VDSO");
}

void probe_memfd(struct probe *p, int arg)
{
	cleanup_fd int fd = memfd_create("cr-check", MFD_CLOEXEC | (unsigned)arg);

	if (fd < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "memfd_create");
	else
		probe_ok(p);
}

void probe_process_madvise(struct probe *p, int arg)
{
	cleanup_fd int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct iovec iov = { probe_page(p, 0), PAGE };

	if (!iov.iov_base)
		return;
	if (fd < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "pidfd_open");
	else if (syscall(SYS_process_madvise, fd, &iov, 1, MADV_COLD, 0) < 0)
		probe_errno(p, errno, CAP_SYS_NICE, NO_CAP, "process_madvise");
	else
		probe_ok(p);
}

/* The ring of an AIO context can be moved, and the context answers at the new address. */
void probe_aio_remap(struct probe *p, int arg)
{
	aio_context_t ctx = 0;
	struct timespec none = { 0, 0 };
	struct io_event event;
	char *to = probe_page(p, 0), *got;

	if (!to)
		return;
	if (syscall(SYS_io_setup, 1, &ctx) < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "io_setup");
		return;
	}
	got = mremap((void *)ctx, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	if (got == MAP_FAILED)
		probe_errno(p, errno, NO_CAP, NO_CAP, "mremap of an AIO ring");
	else if (syscall(SYS_io_getevents, (aio_context_t)(uintptr_t)got, 0, 1, &event, &none) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "io_getevents after mremap");
	else
		probe_ok(p);
}
