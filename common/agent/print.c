/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs for people: one system call a line, in the manner of strace. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/agent/program.h"

/* How an argument reads best. */
enum { DEC = 'd', HEX = 'x', FD = 'f', PATH = 's', OPEN = 'o', PROT = 'p', MAP = 'm', DIRFD = 'D', OCT = '0' };

static const struct call {
	short nr;
	const char *name;
	const char *args; /* one letter each */
} calls[] = {
	{ SYS_open, "open", "so0" }, { SYS_openat, "openat", "Dso0" }, { SYS_close, "close", "f" },
	{ SYS_read, "read", "fxd" }, { SYS_write, "write", "fxd" }, { SYS_pwrite64, "pwrite64", "fxdd" },
	{ SYS_preadv, "preadv", "fxdd" }, { SYS_pwritev, "pwritev", "fxdd" }, { SYS_lseek, "lseek", "fdd" },
	{ SYS_mmap, "mmap", "xxpmfx" }, { SYS_munmap, "munmap", "xx" }, { SYS_mremap, "mremap", "xxxxx" },
	{ SYS_mprotect, "mprotect", "xxp" }, { SYS_madvise, "madvise", "xxd" }, { SYS_mlock, "mlock", "xx" },
	{ SYS_mlock2, "mlock2", "xxx" }, { SYS_mlockall, "mlockall", "x" }, { SYS_munlock, "munlock", "xx" },
	{ SYS_brk, "brk", "x" }, { SYS_prctl, "prctl", "dxxxx" }, { SYS_arch_prctl, "arch_prctl", "xx" },
	{ SYS_rt_sigaction, "rt_sigaction", "dxxd" }, { SYS_rt_sigprocmask, "rt_sigprocmask", "dxxd" },
	{ SYS_sigaltstack, "sigaltstack", "xx" }, { SYS_rt_sigqueueinfo, "rt_sigqueueinfo", "ddx" },
	{ SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", "dddx" }, { SYS_tgkill, "tgkill", "ddd" }, { SYS_kill, "kill", "dd" },
	{ SYS_set_tid_address, "set_tid_address", "x" }, { SYS_set_robust_list, "set_robust_list", "xd" },
	{ SYS_rseq, "rseq", "xdxx" }, { SYS_getpid, "getpid", "" }, { SYS_gettid, "gettid", "" },
	{ SYS_setsid, "setsid", "" }, { SYS_setpgid, "setpgid", "dd" }, { SYS_getsid, "getsid", "d" },
	{ SYS_personality, "personality", "x" }, { SYS_umask, "umask", "0" }, { SYS_chroot, "chroot", "s" },
	{ SYS_chdir, "chdir", "s" }, { SYS_fchdir, "fchdir", "f" }, { SYS_dup, "dup", "f" }, { SYS_dup2, "dup2", "ff" },
	{ SYS_dup3, "dup3", "ffo" }, { SYS_close_range, "close_range", "ddx" }, { SYS_fcntl, "fcntl", "fdx" },
	{ SYS_pipe2, "pipe2", "xo" }, { SYS_ftruncate, "ftruncate", "fd" }, { SYS_fallocate, "fallocate", "fxdd" },
	{ SYS_unlinkat, "unlinkat", "Dsx" }, { SYS_linkat, "linkat", "DsDsx" }, { SYS_mknodat, "mknodat", "Ds0x" },
	{ SYS_mkdirat, "mkdirat", "Ds0" }, { SYS_symlinkat, "symlinkat", "sDs" }, { SYS_renameat2, "renameat2", "DsDsx" },
	{ SYS_fchown, "fchown", "fdd" }, { SYS_fchownat, "fchownat", "Dsddx" }, { SYS_fchmod, "fchmod", "f0" },
	{ SYS_utimensat, "utimensat", "Dsxx" }, { SYS_memfd_create, "memfd_create", "sx" },
	{ SYS_io_setup, "io_setup", "dx" }, { SYS_io_submit, "io_submit", "xdx" }, { SYS_io_getevents, "io_getevents", "xddxx" },
	{ SYS_shmget, "shmget", "xxx" }, { SYS_shmat, "shmat", "xxx" }, { SYS_shmctl, "shmctl", "xxx" },
	{ SYS_semget, "semget", "xdx" }, { SYS_semctl, "semctl", "dddx" }, { SYS_msgget, "msgget", "xx" },
	{ SYS_msgsnd, "msgsnd", "dxdx" }, { SYS_msgctl, "msgctl", "ddx" }, { SYS_mq_open, "mq_open", "so0x" },
	{ SYS_unshare, "unshare", "x" }, { SYS_setns, "setns", "fx" }, { SYS_pidfd_getfd, "pidfd_getfd", "fdd" },
	{ SYS_waitid, "waitid", "ddxxx" }, { SYS_wait4, "wait4", "dxxx" }, { SYS_keyctl, "keyctl", "ddxxx" },
	{ SYS_eventfd2, "eventfd2", "do" }, { SYS_epoll_create1, "epoll_create1", "o" }, { SYS_epoll_ctl, "epoll_ctl", "fdfx" },
	{ SYS_timerfd_create, "timerfd_create", "do" }, { SYS_timerfd_settime, "timerfd_settime", "fdxx" },
	{ SYS_signalfd4, "signalfd4", "fxdo" }, { SYS_socketpair, "socketpair", "dxdx" }, { SYS_sendmsg, "sendmsg", "fxx" },
	{ SYS_setsockopt, "setsockopt", "fddxd" }, { SYS_shutdown, "shutdown", "fd" }, { SYS_ioctl, "ioctl", "fxx" },
	{ SYS_sendto, "sendto", "fxdxxd" },
	{ SYS_setitimer, "setitimer", "dxx" }, { SYS_getitimer, "getitimer", "dx" },
	{ SYS_timer_create, "timer_create", "dxx" }, { SYS_timer_settime, "timer_settime", "ddxx" },
	{ SYS_timer_delete, "timer_delete", "d" }, { SYS_timer_gettime, "timer_gettime", "dx" },
	{ SYS_timer_getoverrun, "timer_getoverrun", "d" },
	{ SYS_prlimit64, "prlimit64", "ddxx" }, { SYS_sched_setattr, "sched_setattr", "dxd" },
	{ SYS_sched_setaffinity, "sched_setaffinity", "ddx" }, { SYS_ioprio_set, "ioprio_set", "ddx" },
	{ SYS_setpriority, "setpriority", "ddd" }, { SYS_membarrier, "membarrier", "xdd" },
	{ SYS_capset, "capset", "xx" }, { SYS_setgroups, "setgroups", "dx" }, { SYS_setresuid, "setresuid", "ddd" },
	{ SYS_setresgid, "setresgid", "ddd" }, { SYS_setfsuid, "setfsuid", "d" }, { SYS_setfsgid, "setfsgid", "d" },
	{ SYS_futex, "futex", "xddx" }, { SYS_flock, "flock", "fd" }, { SYS_pidfd_open, "pidfd_open", "dx" },
	{ SYS_fsetxattr, "fsetxattr", "fsxdx" }, { SYS_lsetxattr, "lsetxattr", "ssxdx" },
	{ SYS_fchmodat, "fchmodat", "Ds0" }, { SYS_exit, "exit", "d" }, { SYS_splice, "splice", "fxfxdx" },
	{ SYS_socket, "socket", "ddd" }, { SYS_bind, "bind", "fxd" }, { SYS_connect, "connect", "fxd" }, { SYS_listen, "listen", "fd" },
	{ SYS_accept4, "accept4", "fxxo" }, { SYS_getsockopt, "getsockopt", "fddxx" }, { SYS_recvmsg, "recvmsg", "fxx" },
	{ SYS_recvfrom, "recvfrom", "fxdxxx" }, { SYS_inotify_init1, "inotify_init1", "o" },
	{ SYS_inotify_add_watch, "inotify_add_watch", "fsx" }, { SYS_fanotify_init, "fanotify_init", "xo" },
	{ SYS_fanotify_mark, "fanotify_mark", "fxxDs" }, { SYS_epoll_wait, "epoll_wait", "fxdd" },
	{ SYS_openat2, "openat2", "Dsxd" }, { SYS_mkdir, "mkdir", "s0" }, { SYS_rmdir, "rmdir", "s" }, { SYS_unlink, "unlink", "s" },
	{ SYS_rename, "rename", "ss" }, { SYS_exit_group, "exit_group", "d" }, { SYS_getppid, "getppid", "" },
	{ SYS_mbind, "mbind", "xxdxdx" }, { SYS_set_mempolicy, "set_mempolicy", "dxd" }, { SYS_modify_ldt, "modify_ldt", "dxd" },
	{ SYS_mq_timedsend, "mq_timedsend", "fxddx" }, { SYS_mq_getsetattr, "mq_getsetattr", "fxx" }, { SYS_semop, "semop", "dxd" },
	{ SYS_rt_sigtimedwait, "rt_sigtimedwait", "xxxd" }, { SYS_seccomp, "seccomp", "dxx" }, { SYS_userfaultfd, "userfaultfd", "o" },
	{ SYS_kcmp, "kcmp", "ddddd" }, { SYS_msync, "msync", "xxx" }, { 435, "clone3", "xd" }, { 462, "mseal", "xxx" },
	{ SYS_pkey_alloc, "pkey_alloc", "xx" }, { SYS_pkey_free, "pkey_free", "d" }, { SYS_pkey_mprotect, "pkey_mprotect", "xxxd" },
};

static const struct call *find_call(long nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].nr == nr)
			return &calls[i];
	return NULL;
}

struct bit { uint64_t v; const char *name; };

static void put_bits(struct strbuf *out, uint64_t v, const struct bit *bits, size_t n, const char *none)
{
	const char *sep = "";

	for (size_t i = 0; i < n; i++)
		if ((v & bits[i].v) == bits[i].v) {
			strbuf_printf(out, "%s%s", sep, bits[i].name);
			sep = "|";
			v &= ~bits[i].v;
		}
	if (v)
		strbuf_printf(out, "%s0x%llx", sep, (unsigned long long)v);
	else if (!*sep)
		strbuf_puts(out, none);
}

static void put_open(struct strbuf *out, uint64_t v)
{
	static const struct bit bits[] = {
		{ O_TMPFILE, "O_TMPFILE" }, { O_CREAT, "O_CREAT" }, { O_EXCL, "O_EXCL" }, { O_TRUNC, "O_TRUNC" },
		{ O_NOCTTY, "O_NOCTTY" }, { O_APPEND, "O_APPEND" }, { O_NONBLOCK, "O_NONBLOCK" }, { O_SYNC, "O_SYNC" },
		{ O_DSYNC, "O_DSYNC" }, { O_ASYNC, "O_ASYNC" }, { O_DIRECT, "O_DIRECT" }, { 0100000, "O_LARGEFILE" },
		{ O_DIRECTORY, "O_DIRECTORY" }, { O_NOFOLLOW, "O_NOFOLLOW" }, { O_NOATIME, "O_NOATIME" },
		{ O_CLOEXEC, "O_CLOEXEC" }, { O_PATH, "O_PATH" },
	};
	static const char *const access[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };

	strbuf_puts(out, access[v & O_ACCMODE]);
	if (v & ~(uint64_t)O_ACCMODE) {
		strbuf_puts(out, "|");
		put_bits(out, v & ~(uint64_t)O_ACCMODE, bits, ARRAY_SIZE(bits), "");
	}
}

static void put_const(struct strbuf *out, char how, uint64_t v)
{
	static const struct bit prot[] = { { PROT_READ, "PROT_READ" }, { PROT_WRITE, "PROT_WRITE" },
					   { PROT_EXEC, "PROT_EXEC" } };
	static const struct bit map[] = {
		{ MAP_FIXED_NOREPLACE, "MAP_FIXED_NOREPLACE" }, { MAP_SHARED, "MAP_SHARED" }, { MAP_PRIVATE, "MAP_PRIVATE" },
		{ MAP_FIXED, "MAP_FIXED" }, { MAP_ANONYMOUS, "MAP_ANONYMOUS" }, { MAP_GROWSDOWN, "MAP_GROWSDOWN" },
		{ MAP_NORESERVE, "MAP_NORESERVE" }, { MAP_LOCKED, "MAP_LOCKED" }, { MAP_HUGETLB, "MAP_HUGETLB" },
	};

	switch (how) {
	case OPEN:
		put_open(out, v);
		return;
	case PROT:
		put_bits(out, v, prot, ARRAY_SIZE(prot), "PROT_NONE");
		return;
	case MAP:
		put_bits(out, v, map, ARRAY_SIZE(map), "0");
		return;
	case OCT:
		strbuf_printf(out, "0%llo", (unsigned long long)v);
		return;
	case DIRFD:
		if ((int)v == AT_FDCWD) {
			strbuf_puts(out, "AT_FDCWD");
			return;
		}
		/* fall through */
	case FD:
	case DEC:
		strbuf_printf(out, "%lld", how == DEC ? (long long)v : (long long)(int)v);
		return;
	default:
		strbuf_printf(out, v ? "0x%llx" : "0", (unsigned long long)v);
	}
}

static void put_string(struct strbuf *out, const unsigned char *s, size_t max)
{
	strbuf_puts(out, "\"");
	for (size_t i = 0; i < max && s[i]; i++) {
		if (s[i] == '"' || s[i] == '\\')
			strbuf_printf(out, "\\%c", s[i]);
		else if (isprint(s[i]) || s[i] >= 0x80)
			strbuf_add(out, s + i, 1);
		else
			strbuf_printf(out, "\\%03o", s[i]);
	}
	strbuf_puts(out, "\"");
}

static void put_arg(const struct program *p, const struct arg *a, char how, struct strbuf *out)
{
	size_t len;
	const unsigned char *data = program_data_bytes(p, &len);

	switch (a->kind) {
	case ARG_CONST:
		put_const(out, how, a->v);
		break;
	case ARG_SLOT:
		strbuf_printf(out, "slot%llu", (unsigned long long)a->v);
		break;
	case ARG_RESULT: {
		const struct call *c = find_call(program_nr(p, (size_t)a->v));

		strbuf_printf(out, "<%s>", c ? c->name : "result");
		break;
	}
	case ARG_PAGE:
		strbuf_printf(out, "page of data+%llu", (unsigned long long)a->v);
		break;
	case ARG_LOAD:
		strbuf_printf(out, "<data+%llu>", (unsigned long long)a->v);
		break;
	case ARG_DATA:
		if (how == PATH && a->v < len)
			put_string(out, data + a->v, len - (size_t)a->v);
		else
			strbuf_printf(out, "data+%llu", (unsigned long long)a->v);
		break;
	}
}

void program_print_step(const struct program *p, size_t i, bool with_result, struct strbuf *out)
{
	const struct call *c = find_call(program_nr(p, i));
	const struct arg *args = program_args(p, i);
	int64_t want, result = program_result(p, (struct step_ref){ (uint32_t)i });
	enum step_expect expect = program_expect(p, i, &want);
	const char *how = c ? c->args : "xxxxxx";

	if (c)
		strbuf_puts(out, c->name);
	else
		strbuf_printf(out, "syscall_%ld", program_nr(p, i));
	strbuf_puts(out, "(");
	for (int a = 0; a < 6 && how[a]; a++) {
		/* The mode is read only when a file is made. */
		if (how[a] == OCT && a && how[a - 1] == OPEN && args[a - 1].kind == ARG_CONST &&
		    !(args[a - 1].v & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))))
			break;
		if (a)
			strbuf_puts(out, ", ");
		put_arg(p, &args[a], how[a], out);
	}
	strbuf_puts(out, ")");
	if (with_result) {
		if (result < 0 && result > -4096)
			strbuf_printf(out, " = -1 %s (%s)", strerrorname_np((int)-result) ?: "?", strerror((int)-result));
		else
			strbuf_printf(out, " = %lld", (long long)result);
		if (expect == EXPECT_EQ || expect == EXPECT_CLONE)
			strbuf_printf(out, " instead of %lld", (long long)want);
	} else if (expect == EXPECT_EQ || expect == EXPECT_CLONE) {
		strbuf_printf(out, want < 65536 ? " = %lld" : " = 0x%llx", (long long)want);
	}
	if (program_note(p, i) && program_note(p, i)[0])
		strbuf_printf(out, "  # %s", program_note(p, i));
}

void program_print(const struct program *p, const char *indent, struct strbuf *out)
{
	program_seal((struct program *)p); /* the order is a cache, not a change */
	for (size_t place = 0; place < program_steps(p); place++) {
		strbuf_puts(out, indent);
		program_print_step(p, program_at(p, place), false, out);
		strbuf_puts(out, "\n");
	}
}
