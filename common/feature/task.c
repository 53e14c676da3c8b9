/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Probes of what looks at another task: ptrace, process_vm_*, pidfd_getfd, kcmp, /proc/PID/mem. */
#include <elf.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "common/feature/probe.h"

#ifndef PTRACE_SET_SYSCALL_INFO
#define PTRACE_SET_SYSCALL_INFO 0x4212
#endif

static long trace(int request, pid_t pid, unsigned long addr, void *data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

void probe_ptrace_seize(struct probe *p, int arg)
{
	cleanup_target pid_t pid = target_seize(p, PTRACE_O_EXITKILL);

	if (pid > 0)
		probe_ok(p);
}

void probe_peeksiginfo(struct probe *p, int arg)
{
	struct __ptrace_peeksiginfo_args args = { .off = 0, .flags = PTRACE_PEEKSIGINFO_SHARED, .nr = 1 };
	cleanup_target pid_t pid = -1;
	siginfo_t info = { 0 };
	sigset_t set;
	long n;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL); /* inherited: the signal must stay pending */
	pid = target_seize(p, 0);
	if (pid < 0)
		return;
	kill(pid, SIGUSR1);
	n = trace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&args, &info);
	if (n < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "PTRACE_PEEKSIGINFO");
	else if (n != 1 || info.si_signo != SIGUSR1)
		probe_missing(p, "PTRACE_PEEKSIGINFO did not show a pending signal");
	else
		probe_ok(p);
}

void probe_sigmask(struct probe *p, int arg)
{
	cleanup_target pid_t pid = target_seize(p, 0);
	uint64_t mask = 1ull << (SIGUSR2 - 1), back = 0;

	if (pid < 0)
		return;
	if (trace(PTRACE_SETSIGMASK, pid, sizeof(mask), &mask) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "PTRACE_SETSIGMASK");
	else if (trace(PTRACE_GETSIGMASK, pid, sizeof(back), &back) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "PTRACE_GETSIGMASK");
	else if (back != mask)
		probe_missing(p, "PTRACE_GETSIGMASK does not give back what was set");
	else
		probe_ok(p);
}

void probe_xsave(struct probe *p, int arg)
{
	cleanup_target pid_t pid = target_seize(p, 0);
	const size_t room = 64 << 10;
	cleanup_free char *area = xmalloc(room);
	struct iovec iov = { area, room };

	if (pid < 0)
		return;
	if (trace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &iov) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "PTRACE_GETREGSET NT_X86_XSTATE");
	else if (trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &iov) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "PTRACE_SETREGSET NT_X86_XSTATE");
	else
		probe_detail(p, "area of %zu bytes", iov.iov_len);
}

void probe_rseq_conf(struct probe *p, int arg)
{
	cleanup_target pid_t pid = target_seize(p, 0);
	struct __ptrace_rseq_configuration conf;

	if (pid < 0)
		return;
	if (trace(PTRACE_GET_RSEQ_CONFIGURATION, pid, sizeof(conf), &conf) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "PTRACE_GET_RSEQ_CONFIGURATION");
	else
		probe_ok(p);
}

void probe_process_vm(struct probe *p, int arg)
{
	char *page = probe_page(p, 0), byte = 0;
	struct iovec local = { &byte, 1 }, remote = { page, 1 };
	cleanup_target pid_t pid = -1;
	ssize_t n;

	if (!page)
		return;
	*page = 'x';
	pid = target_start(p); /* has a copy of the page */
	if (pid < 0)
		return;
	if (arg) {
		byte = 'y';
		n = process_vm_writev(pid, &local, 1, &remote, 1, 0);
		if (n < 0) {
			probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, "process_vm_writev");
			return;
		}
	}
	byte = 0;
	n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	if (n < 0)
		probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, "process_vm_readv");
	else if (n != 1 || byte != (arg ? 'y' : 'x') || *page != 'x')
		probe_missing(p, "the bytes of the other process are wrong");
	else
		probe_ok(p);
}

void probe_pidfd_getfd(struct probe *p, int arg)
{
	int efd = eventfd(7, EFD_CLOEXEC);
	cleanup_target pid_t pid = target_start(p);
	uint64_t value = 0;
	int pidfd, got;

	if (pid < 0)
		return;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "pidfd_open");
		return;
	}
	got = (int)syscall(SYS_pidfd_getfd, pidfd, efd, 0);
	if (got < 0)
		probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, "pidfd_getfd");
	else if (read(got, &value, sizeof(value)) != sizeof(value) || value != 7)
		probe_missing(p, "pidfd_getfd gave another file");
	else
		probe_ok(p);
}

void probe_kcmp(struct probe *p, int arg)
{
	static const struct { int type; const char *name; long want; } types[] = {
		{ KCMP_FILE, "kcmp KCMP_FILE", 0 },	  { KCMP_VM, "kcmp KCMP_VM", 1 },
		{ KCMP_FILES, "kcmp KCMP_FILES", 1 },	  { KCMP_FS, "kcmp KCMP_FS", 1 },
		{ KCMP_SIGHAND, "kcmp KCMP_SIGHAND", 1 }, { KCMP_IO, "kcmp KCMP_IO", -1 },
		{ KCMP_SYSVSEM, "kcmp KCMP_SYSVSEM", -1 },
	};
	int fd = eventfd(0, EFD_CLOEXEC);
	cleanup_target pid_t pid = target_start(p);

	if (pid < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		long ret = syscall(SYS_kcmp, getpid(), pid, types[i].type, fd, fd);

		if (ret < 0) {
			probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, types[i].name);
			return;
		}
		/* A forked child has the same description and other tables; the last two may both be absent, that is equal. */
		if (types[i].want >= 0 && !ret != !types[i].want) {
			probe_missing(p, "%s gives a wrong answer", types[i].name);
			return;
		}
	}
	probe_ok(p);
}

void probe_kcmp_epoll(struct probe *p, int arg)
{
	int efd = epoll_create1(EPOLL_CLOEXEC), tfd = eventfd(0, EFD_CLOEXEC);
	struct kcmp_epoll_slot slot = { .efd = (__u32)efd, .tfd = (__u32)tfd, .toff = 0 };
	struct epoll_event ev = { .events = EPOLLIN };
	long ret;

	if (efd < 0 || tfd < 0 || epoll_ctl(efd, EPOLL_CTL_ADD, tfd, &ev) < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "epoll");
		return;
	}
	ret = syscall(SYS_kcmp, getpid(), getpid(), KCMP_EPOLL_TFD, tfd, &slot);
	if (ret < 0)
		probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, "kcmp KCMP_EPOLL_TFD");
	else if (ret)
		probe_missing(p, "kcmp KCMP_EPOLL_TFD gives a wrong answer");
	else
		probe_ok(p);
}

/* A tracer writes into pages that the task itself may not write: how a borrowed task gets its code. */
void probe_mem_write(struct probe *p, int arg)
{
	char *page = probe_page(p, 0), path[48], byte = 'y';
	cleanup_target pid_t pid = -1;
	cleanup_fd int fd = -1;

	if (!page)
		return;
	if (mprotect(page, 4096, PROT_READ) < 0) {
		probe_unknown(p, "mprotect: %s", strerror(errno));
		return;
	}
	pid = target_seize(p, 0);
	if (pid < 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, "open /proc/PID/mem");
		return;
	}
	if (pwrite(fd, &byte, 1, (off_t)(uintptr_t)page) != 1) {
		/* The kernel says EIO here for a policy (proc_mem.force_override), not for a missing feature. */
		p->state = FEATURE_NO_PERMISSION;
		snprintf(p->why, sizeof(p->why), "write to /proc/PID/mem: %s (proc_mem.force_override or a security module)",
			 strerror(errno));
		return;
	}
	byte = 0;
	if (pread(fd, &byte, 1, (off_t)(uintptr_t)page) != 1 || byte != 'y')
		probe_missing(p, "/proc/PID/mem does not keep what was written");
	else
		probe_ok(p);
}

void probe_seccomp_suspend(struct probe *p, int arg)
{
	cleanup_target pid_t pid = target_seize(p, 0);

	if (pid < 0)
		return;
	if (trace(PTRACE_SETOPTIONS, pid, 0, (void *)(uintptr_t)PTRACE_O_SUSPEND_SECCOMP) < 0)
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "PTRACE_O_SUSPEND_SECCOMP");
	else
		probe_ok(p);
}

static bool enter_filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

/* Only the target gets a filter: the kernel lets no one read filters who is below one. */
void probe_seccomp_filters(struct probe *p, int arg)
{
	struct sock_filter back[16];
	cleanup_target pid_t pid = target_seize_after(p, enter_filter, 0);
	long n;

	if (pid < 0)
		return;
	n = trace(PTRACE_SECCOMP_GET_FILTER, pid, 0, NULL);
	if (n == 1 && trace(PTRACE_SECCOMP_GET_FILTER, pid, 0, back) == 1) {
		probe_ok(p);
	} else if (n < 0 && errno == EACCES && prctl(PR_GET_SECCOMP) == 2) {
		p->state = FEATURE_NO_PERMISSION;
		snprintf(p->why, sizeof(p->why), "this process runs below a seccomp filter itself");
	} else {
		probe_errno(p, n < 0 ? errno : EINVAL, CAP_SYS_ADMIN, NO_CAP, "PTRACE_SECCOMP_GET_FILTER");
	}
}

void probe_breakpoints(struct probe *p, int arg)
{
	cleanup_target pid_t pid = target_seize(p, 0);

	if (pid < 0)
		return;
	if (trace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]), (void *)probe_breakpoints) < 0 ||
	    trace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), (void *)1ul) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "debug registers");
	else
		probe_ok(p);
}

/* The sleeping call is interrupted by the stop; it begins anew, and this beginning is where it can be changed. */
void probe_set_syscall_info(struct probe *p, int arg)
{
	cleanup_target pid_t pid = target_seize(p, PTRACE_O_TRACESYSGOOD);
	char info[128] = { 0 };
	int status;

	if (pid < 0)
		return;
	if (trace(PTRACE_SYSCALL, pid, 0, NULL) < 0 || waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status) ||
	    WSTOPSIG(status) != (SIGTRAP | 0x80)) {
		probe_unknown(p, "the traced child did not stop at a system call");
		return;
	}
	if (trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), info) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "PTRACE_GET_SYSCALL_INFO");
	else if (trace(PTRACE_SET_SYSCALL_INFO, pid, sizeof(info), info) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "PTRACE_SET_SYSCALL_INFO");
	else
		probe_ok(p);
}
