/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every probe in each of its states. A state is forced inside the child of the probe: by a seccomp filter that answers one
 * system call with an errno, by a handler that answers in the kernel's place (RET_TRAP), by dropped capabilities, or by mounts
 * that hide a part of /proc or /sys. A row of the table without an entry here fails the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "common/feature/probe.h"

#define ANY (-1)
#define PTRACE_SET_SYSCALL_INFO_ 0x4212

/* A system call, of which one argument may have to have a value. */
struct call { int nr, arg; uint32_t value; };

static void filter(struct call c, uint32_t action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)c.nr, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)MAX(c.arg, 0))),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, c.value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	if (c.arg == ANY)
		code[3] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(99);
}

/* ---- answers in the kernel's place ---- */

static long answer_amx(const greg_t *r)
{
	*(uint64_t *)r[REG_RSI] = 3ull << 17;
	return 0;
}

static long answer_capget(const greg_t *r)
{
	memset((void *)r[REG_RSI], 0xff, sizeof(struct __user_cap_data_struct) * _LINUX_CAPABILITY_U32S_3);
	return 0;
}

/* The entry of a page: not written at the first look, written at the second. */
static long answer_pagemap(const greg_t *r)
{
	static uint64_t looks;

	*(uint64_t *)r[REG_RSI] = looks++ ? 1ull << 55 : 0;
	return 8;
}

/* Raw sockets are asked for: the kernel is asked for TCP sockets instead, by another call. */
static long answer_diag(const greg_t *r)
{
	const struct msghdr *msg = (const struct msghdr *)r[REG_RSI];
	struct inet_diag_req_v2 *req = NLMSG_DATA((struct nlmsghdr *)msg->msg_iov->iov_base);

	req->sdiag_protocol = IPPROTO_TCP;
	return sendto((int)r[REG_RDI], msg->msg_iov->iov_base, msg->msg_iov->iov_len, 0, msg->msg_name, msg->msg_namelen);
}

static long (*answer)(const greg_t *r);

static void on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	uc->uc_mcontext.gregs[REG_RAX] = answer(uc->uc_mcontext.gregs);
}

static void trap(struct call c, long (*fn)(const greg_t *r))
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	answer = fn;
	sigaction(SIGSYS, &sa, NULL);
	filter(c, SECCOMP_RET_TRAP);
}

static void amx_is_there(void)
{
	trap((struct call){ SYS_arch_prctl, ANY, 0 }, answer_amx);
}

static void all_caps(void)
{
	trap((struct call){ SYS_capget, ANY, 0 }, answer_capget);
}

static void pages_are_tracked(void)
{
	trap((struct call){ SYS_pread64, ANY, 0 }, answer_pagemap);
}

static void raw_is_listed(void)
{
	trap((struct call){ SYS_sendmsg, ANY, 0 }, answer_diag);
}

static void shadow_stacks(void)
{
	filter((struct call){ SYS_arch_prctl, ANY, 0 }, SECCOMP_RET_ERRNO | 0);
}

static void keys_are_there(void)
{
	filter((struct call){ SYS_pkey_alloc, ANY, 0 }, SECCOMP_RET_ERRNO | 0);
}

/* ---- hiding ---- */

static void private_mounts(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(99);
}

static void hide(const char *path)
{
	private_mounts();
	if (mount("hidden", path, "tmpfs", 0, NULL))
		_exit(99);
}

static void no_map_files(void)
{
	hide("/proc/self/map_files");
}

static void no_capabilities(void)
{
	cap_t none = cap_init();

	cap_set_proc(none);
	cap_free(none);
}

static void no_capabilities_known(void)
{
	no_capabilities();
	filter((struct call){ SYS_prctl, 0, PR_CAPBSET_READ }, SECCOMP_RET_ERRNO | EINVAL);
}

static void formats_unlisted(void)
{
	private_mounts();
	if (mount("/dev/null", "/proc/filesystems", NULL, MS_BIND, NULL))
		_exit(99);
	filter((struct call){ SYS_fsopen, ANY, 0 }, SECCOMP_RET_ERRNO | EPERM);
}

static void put_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(99);
	close(fd);
}

static void apparmor(void)
{
	hide("/sys");
	mkdir("/sys/module", 0700);
	mkdir("/sys/module/apparmor", 0700);
	mkdir("/sys/module/apparmor/parameters", 0700);
	mkdir("/sys/kernel", 0700);
	mkdir("/sys/kernel/security", 0700);
	mkdir("/sys/kernel/security/apparmor", 0700);
	mkdir("/sys/kernel/security/apparmor/features", 0700);
	mkdir("/sys/kernel/security/apparmor/features/domain", 0700);
	put_file("/sys/module/apparmor/parameters/enabled", "Y\n");
	put_file("/sys/kernel/security/apparmor/features/domain/stack", "yes\n");
}

/* ---- which call of each probe decides ---- */

struct entry {
	const char *name;
	struct call call;  /* of no capability: the one that the errnos below answer */
	int missing;	   /* errno that says missing; 0: EINVAL */
	void (*ok)(void);  /* how ok is forced where this machine does not have it */
	void (*made_missing)(void), (*forbidden)(void); /* instead of an errno */
	struct call other; /* nr: of another call, for missing */
	struct call third; /* for unknown */
};

#define CALL(nr) { nr, ANY, 0 }
#define ARG(nr, i, v) { nr, i, (uint32_t)(v) }
#define PTRACE(request) { SYS_ptrace, 0, (uint32_t)(request) }
#define OPEN CALL(SYS_openat)
#define SEND CALL(SYS_sendmsg)

static const struct entry entries[] = {
	{ "ptrace_seize", PTRACE(PTRACE_SEIZE), EIO },
	{ "ptrace_peeksiginfo", PTRACE(PTRACE_PEEKSIGINFO), EIO },
	{ "ptrace_sigmask", PTRACE(PTRACE_SETSIGMASK), EIO },
	{ "xsave", PTRACE(PTRACE_GETREGSET), EIO },
	{ "get_rseq_conf", PTRACE(PTRACE_GET_RSEQ_CONFIGURATION), EIO },
	{ "process_vm_readv", CALL(SYS_process_vm_readv) },
	/* Any failed write is a policy; missing is a write that has no effect, unknown a page that cannot be protected. */
	{ "proc_mem_write", CALL(SYS_pwrite64), .other = CALL(SYS_pread64), .third = CALL(SYS_mprotect) },
	{ "pidfd_getfd", CALL(SYS_pidfd_getfd) },
	{ "pidfd_store", CALL(SYS_pidfd_getfd) },
	{ "kcmp", CALL(SYS_kcmp) },
	{ "kcmp_epoll", CALL(SYS_kcmp) },
	{ "map_files", OPEN, .made_missing = no_map_files, .forbidden = no_capabilities },
	{ "mnt_id", OPEN },
	{ "proc_timers", CALL(SYS_timer_create) },
	{ "proc_children", OPEN },
	{ "eventfd", CALL(SYS_eventfd2) },
	{ "epoll", CALL(SYS_epoll_create1) },
	{ "file_handles", CALL(SYS_name_to_handle_at) },
	{ "inotify", CALL(SYS_inotify_init1) },
	{ "fanotify", CALL(SYS_fanotify_init) },
	{ "sysvipc_sysctl", OPEN },
	{ "fdinfo_lock", CALL(SYS_flock) },
	{ "membarrier_registrations", CALL(SYS_membarrier) },
	{ "seccomp_filters", PTRACE(PTRACE_SECCOMP_GET_FILTER) },
	{ "seccomp_suspend", PTRACE(PTRACE_SETOPTIONS) },
	{ "breakpoints", PTRACE(PTRACE_POKEUSER) },
	{ "ptrace_set_syscall_info", PTRACE(PTRACE_SET_SYSCALL_INFO_), EIO },
	{ "clone3_set_tid", CALL(SYS_clone3) },
	{ "process_vm_writev", CALL(SYS_process_vm_writev) },
	{ "prctl_mm_map", ARG(SYS_prctl, 0, PR_SET_MM) },
	{ "prctl_set_exe", ARG(SYS_prctl, 0, PR_SET_MM) },
	{ "vdso_mremap", CALL(SYS_mremap) },
	{ "map_fixed_noreplace", ARG(SYS_mmap, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE) },
	{ "memfd", CALL(SYS_memfd_create) },
	{ "timer_cr_ids", ARG(SYS_prctl, 0, 77) },
	{ "can_map_vdso", CALL(SYS_arch_prctl) },
	{ "timerfd", CALL(SYS_timerfd_create) },
	{ "loginuid", OPEN },
	{ "o_tmpfile", OPEN, EOPNOTSUPP },
	{ "openat2", CALL(SYS_openat2) },
	{ "aio_remap", CALL(SYS_io_setup) },
	{ "compat_cr", CALL(SYS_arch_prctl) },
	{ "amx", CALL(SYS_arch_prctl), .ok = amx_is_there },
	{ "shadow_stack", CALL(SYS_arch_prctl), .ok = shadow_stacks },
	{ "seccomp", CALL(SYS_seccomp) },
	{ "landlock", CALL(SYS_landlock_create_ruleset), EOPNOTSUPP },
	{ "io_uring", CALL(SYS_io_uring_setup) },
	{ "pagemap_scan", CALL(SYS_ioctl), ENOTTY },
	{ "guard_install", CALL(SYS_madvise) },
	{ "pagemap_scan_guard_pages", CALL(SYS_ioctl) },
	{ "mseal", CALL(462) },
	{ "pkeys", CALL(SYS_pkey_alloc), ENOSPC, .ok = keys_are_there },
	{ "memfd_hugetlb", CALL(SYS_memfd_create) },
	{ "procmap_query", CALL(SYS_ioctl), ENOTTY },
	{ "bpf_iter_vma", CALL(SYS_bpf) },
	{ "process_madvise", CALL(SYS_process_madvise) },
	{ "mem_dirty_track", OPEN, .ok = pages_are_tracked },
	{ "uffd-wp-async", CALL(SYS_userfaultfd) },
	{ "uffd", CALL(SYS_userfaultfd) },
	{ "uffd-noncoop", CALL(SYS_userfaultfd) },
	{ "mntns", CALL(SYS_unshare) },
	{ "utsns", CALL(SYS_unshare) },
	{ "ipcns", CALL(SYS_unshare) },
	{ "pidns", CALL(SYS_unshare) },
	{ "netns", CALL(SYS_unshare) },
	{ "userns", CALL(SYS_unshare) },
	{ "cgroupns", CALL(SYS_unshare) },
	{ "timens", CALL(SYS_unshare) },
	{ "nested_ns", CALL(SYS_ioctl), ENOTTY },
	{ "ns_pid", OPEN },
	{ "statmount", CALL(457) },
	{ "move_mount_set_group", ARG(SYS_move_mount, 4, 0x144) },
	{ "overlayfs_maps", CALL(SYS_mount), ENODEV },
	{ "autofs", ARG(SYS_mount, 3, 0), ENODEV },
	{ "memcg", OPEN },
	{ "cgroup_device", OPEN },
	{ "binfmt_misc", CALL(SYS_fsopen), ENODEV, .forbidden = formats_unlisted },
	{ "apparmor_stacking", OPEN, .ok = apparmor },
	{ "tcp_repair", ARG(SYS_setsockopt, 2, 19), ENOPROTOOPT },
	{ "tcp_half_closed", ARG(SYS_setsockopt, 2, 19), EINVAL },
	{ "tcp_waiting", CALL(SYS_bpf) },
	{ "sockopt_buf_lock", CALL(SYS_setsockopt), ENOPROTOOPT },
	{ "ipv6_freebind", CALL(SYS_setsockopt), ENOPROTOOPT },
	{ "inet_diag", SEND, ENOENT },
	{ "unix_diag", SEND, ENOENT },
	{ "udp_diag", SEND, ENOENT },
	{ "packet_diag", SEND, ENOENT },
	{ "netlink_diag", SEND, ENOENT },
	{ "net_diag_raw", SEND, ENOENT, .ok = raw_is_listed },
	{ "xt_mark", CALL(SYS_getsockopt), EPROTONOSUPPORT },
	{ "has_ipt_legacy", CALL(SYS_getsockopt), ENOPROTOOPT },
	{ "nftables", CALL(SYS_sendto), EOPNOTSUPP },
	{ "network_lock_nftables", CALL(SYS_sendto), EOPNOTSUPP },
	{ "sk_ns", CALL(SYS_ioctl), ENOTTY },
	{ "sk_unix_file", CALL(SYS_ioctl), ENOTTY },
	{ "tun", OPEN, ENODEV },
	{ "tun_ns", ARG(SYS_ioctl, 1, 0x894c), ENOTTY },
	{ "macvlan", SEND, EOPNOTSUPP },
	{ "bridge", SEND, EOPNOTSUPP },
	{ "nsid", SEND, EOPNOTSUPP },
	{ "link_nsid", SEND, EOPNOTSUPP },
	{ "newifindex", SEND, EOPNOTSUPP },
	{ "external_net_ns", SEND, EOPNOTSUPP },
};

static const struct entry capability = { NULL, CALL(SYS_capget), .ok = all_caps, .made_missing = no_capabilities_known,
					  .forbidden = no_capabilities };

static const struct entry *entry_of(const struct feature *f)
{
	if (f->probe == probe_capability)
		return &capability;
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		if (!strcmp(entries[i].name, f->name))
			return &entries[i];
	fail_msg("%s: how to force its states is not said here", f->name);
	return NULL;
}

/* ---- running ---- */

/* What happens in the child before the probe; set by the test, inherited by fork. */
static struct { void (*prepare)(void); struct call call; uint32_t action; probe_fn *probe; } forced;

static void run_forced(struct probe *p, int arg)
{
	if (forced.prepare)
		forced.prepare();
	else if (forced.call.nr)
		filter(forced.call, forced.action);
	forced.probe(p, arg);
}

static enum feature_state force(const struct feature *f, void (*prepare)(void), struct call call, uint32_t action, char *why)
{
	struct feature changed = *f;

	forced.prepare = prepare;
	forced.call = call;
	forced.action = action;
	forced.probe = f->probe;
	changed.probe = run_forced;
	return feature_probe(&changed, why, FEATURE_WHY_MAX);
}

static int check_state(const char *name, enum feature_state got, enum feature_state want, const char *why)
{
	if (got == want)
		return 0;
	fprintf(stderr, "%s: wanted %s, got %s: %s\n", name, feature_state_word(want), feature_state_word(got), why);
	return 1;
}

/* Whether the kernel is older than the first one that has the feature. */
static bool is_too_new(const struct feature *f)
{
	int want[2], is[2];
	struct utsname u;

	return f->hint && sscanf(f->hint, "Linux %d.%d", &want[0], &want[1]) == 2 && !uname(&u) &&
	       sscanf(u.release, "%d.%d", &is[0], &is[1]) == 2 && (is[0] < want[0] || (is[0] == want[0] && is[1] < want[1]));
}

/* All rows in one state: the number of those that did not come into it. */
static int all_rows(enum feature_state want)
{
	size_t n;
	const struct feature *f = feature_table(&n);
	char why[FEATURE_WHY_MAX];
	int bad = 0;

	for (size_t i = 0; i < n; i++) {
		const struct entry *e = entry_of(&f[i]);
		void (*prepare)(void) = NULL;
		struct call call = e->call;
		int errnum = 0;

		if (is_too_new(&f[i]))
			continue;
		if (want == FEATURE_OK) {
			call.nr = 0;
			prepare = e->ok;
		} else if (want == FEATURE_MISSING) {
			prepare = e->made_missing;
			call = e->other.nr ? e->other : call;
			errnum = e->missing ? e->missing : EINVAL;
		} else if (want == FEATURE_NO_PERMISSION) {
			prepare = e->forbidden;
			errnum = EPERM;
		} else {
			call = e->third.nr ? e->third : call;
			errnum = ENOMEM;
		}
		bad += check_state(f[i].name, force(&f[i], prepare, call, SECCOMP_RET_ERRNO | (uint32_t)errnum, why), want, why);
		if (want != FEATURE_OK && !why[0]) {
			fprintf(stderr, "%s: %s without a reason\n", f[i].name, feature_state_word(want));
			bad++;
		}
	}
	return bad;
}

static void test_ok(void **state)
{
	assert_int_equal(all_rows(FEATURE_OK), 0);
}

static void test_missing(void **state)
{
	assert_int_equal(all_rows(FEATURE_MISSING), 0);
}

static void test_no_permission(void **state)
{
	assert_int_equal(all_rows(FEATURE_NO_PERMISSION), 0);
}

static void test_unknown(void **state)
{
	assert_int_equal(all_rows(FEATURE_UNKNOWN), 0);
}

/* Filters of containers answer with ENOSYS or kill: neither is ever taken for a kernel that lacks something. */
static void test_filters_of_containers(void **state)
{
	static const uint32_t actions[] = { SECCOMP_RET_ERRNO | ENOSYS, SECCOMP_RET_KILL_PROCESS };
	size_t n;
	const struct feature *f = feature_table(&n);
	char why[FEATURE_WHY_MAX];
	int bad = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(actions) && !is_too_new(&f[i]); k++) {
			enum feature_state got = force(&f[i], NULL, entry_of(&f[i])->call, actions[k], why);

			if (got == FEATURE_OK || got == FEATURE_MISSING)
				bad += check_state(f[i].name, got, FEATURE_UNKNOWN, why);
		}
	assert_int_equal(bad, 0);
}

static void no_proc(void)
{
	hide("/proc");
}

/* With all of /proc hidden no probe calls missing what it calls otherwise here. */
static void test_masked_proc(void **state)
{
	size_t n;
	const struct feature *f = feature_table(&n);
	char why[FEATURE_WHY_MAX], masked[FEATURE_WHY_MAX];
	int bad = 0;

	for (size_t i = 0; i < n; i++) {
		enum feature_state here = feature_probe(&f[i], why, sizeof(why));
		enum feature_state got = force(&f[i], no_proc, (struct call){ 0, ANY, 0 }, 0, masked);

		if (got == FEATURE_MISSING && here != FEATURE_MISSING)
			bad += check_state(f[i].name, got, FEATURE_UNKNOWN, masked);
	}
	assert_int_equal(bad, 0);
}

static void user_namespace(void)
{
	if (unshare(CLONE_NEWUSER))
		_exit(99);
}

static void test_user_namespace(void **state)
{
	size_t n;
	const struct feature *f = feature_table(&n);
	char why[FEATURE_WHY_MAX], inside[FEATURE_WHY_MAX];
	int bad = 0;

	if (feature_probe(feature_find("userns"), why, sizeof(why)) != FEATURE_OK)
		skip();
	for (size_t i = 0; i < n; i++) {
		enum feature_state here = feature_probe(&f[i], why, sizeof(why));
		enum feature_state got = force(&f[i], user_namespace, (struct call){ 0, ANY, 0 }, 0, inside);

		if (got == FEATURE_MISSING && here != FEATURE_MISSING)
			bad += check_state(f[i].name, got, FEATURE_NO_PERMISSION, inside);
		if (f[i].probe == probe_capability && got == FEATURE_OK && !strstr(inside, "namespace"))
			bad += check_state(f[i].name, got, FEATURE_NO_PERMISSION, "as if it were the host's");
	}
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ok),	      cmocka_unit_test(test_missing),
		cmocka_unit_test(test_no_permission), cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_masked_proc),   cmocka_unit_test(test_filters_of_containers),
		cmocka_unit_test(test_user_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
