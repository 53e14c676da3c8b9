// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/net/guard.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/base/fault.h"

/*
 * How the guard hears of our end, and why that takes long: words of a robust list (set_robust_list(2)). The kernel marks them when the
 * thread begins to end, one after the other (kernel/futex/core.c, exit_robust_list(), called from exit_mm(); Linux 6.18), and lets
 * go whom it traces afterwards (kernel/exit.c, exit_notify()). With the address space torn down in between it would take longer, but
 * that is left to the last of our threads. At most ROBUST_LIST_LIMIT, 2,048 of them are looked at.
 */
#define WORDS 2048
struct word { struct robust_list link; uint32_t owner; };

#define DYING_MS 2000 /* a killed task has so long to be gone */

struct shared { /* with the child */
	_Atomic int act;
	_Atomic int watched; /* pidfd */
	_Atomic size_t n;
	int netlink;
	size_t undo_len;
	unsigned char undo[512];
	struct robust_list_head words;
	struct word word[WORDS];
	struct guarded { int fd; unsigned waiting; /* 0: it does not listen */ } v[];
};

struct guard {
	struct shared *sh;
	void *memory;
	size_t size, memory_size, max;
	pid_t pid;
	int pidfd; /* our own: it is readable when we are dead */
	int ask, answer; /* eventfds */
	struct robust_list_head *before; /* of the tracer */
	size_t before_len;
};

static void hold_words(struct guard *g)
{
	struct shared *sh = g->sh;
	uint32_t tid = (uint32_t)syscall(SYS_gettid);

	if (syscall(SYS_get_robust_list, 0, &g->before, &g->before_len))
		return;
	sh->words.futex_offset = offsetof(struct word, owner) - offsetof(struct word, link);
	sh->words.list.next = &sh->word[0].link;
	for (size_t i = 0; i < WORDS; i++)
		sh->word[i] = (struct word){ { i + 1 < WORDS ? &sh->word[i + 1].link : &sh->words.list }, tid };
	syscall(SYS_set_robust_list, &sh->words, sizeof(sh->words));
}

static void release_words(const struct guard *g)
{
	if (g->before_len && g->sh->word[0].owner == (uint32_t)syscall(SYS_gettid))
		syscall(SYS_set_robust_list, g->before, g->before_len);
}

/* The tracer has begun to end. */
static bool is_ending(const struct shared *sh)
{
	return __atomic_load_n(&sh->word[0].owner, __ATOMIC_ACQUIRE) & FUTEX_OWNER_DIED;
}

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

int repair_enter(int fd)
{
	return set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
}

int repair_leave(int fd, int reuse)
{
	/* Without the probe that TCP_REPAIR_OFF sends: the lock would drop it. SO_REUSEADDR is off then. */
	int ret = set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);

	return ret || !reuse ? ret : set(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
}

void repair_waiting(int fd, unsigned n)
{
	struct pollfd p = { fd, POLLIN, 0 };

	for (; n && poll(&p, 1, 0) == 1; n--) {
		const int one = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (one < 0)
			return;
		repair_enter(one);
		close(one);
	}
}

static bool is_dead(int pidfd, int ms)
{
	struct pollfd p = { pidfd, POLLIN, 0 };

	return pidfd >= 0 && poll(&p, 1, ms) == 1;
}

static void last_acts(struct shared *sh)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	enum guard_act act = (enum guard_act)atomic_load(&sh->act);

	if (act == GUARD_KILLING)
		act = is_dead(atomic_load(&sh->watched), DYING_MS) ? GUARD_SILENCE : GUARD_UNLOCK;
	if (act == GUARD_UNLOCK && sh->undo_len)
		sendto(sh->netlink, sh->undo, sh->undo_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
	for (size_t i = 0, n = atomic_load(&sh->n); act == GUARD_SILENCE && i < n; i++)
		sh->v[i].waiting ? repair_waiting(sh->v[i].fd, sh->v[i].waiting) : (void)repair_enter(sh->v[i].fd);
}

/* The child: only system calls from here on, for a lock of libc may have been held by another thread. */
static _Noreturn void guard_main(struct guard *g, bool (*part)(void *memory))
{
	struct sched_param param = { .sched_priority = 1 };
	struct pollfd p[2] = { { g->ask, POLLIN, 0 }, { g->pidfd, POLLIN, 0 } };
	uint64_t count = 1;

	prctl(PR_SET_NAME, "cr-guard");
	setsid();
	/* Its microseconds must not become a time slice of somebody else. */
	sched_setscheduler(0, SCHED_FIFO, &param);
	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			_exit(1);
		if (p[0].revents & POLLIN && read(g->ask, &count, sizeof(count)) == sizeof(count)) {
			while (!is_ending(g->sh) && part(g->memory))
				;
			count = 1;
			if (write(g->answer, &count, sizeof(count)) != sizeof(count))
				_exit(1);
		}
		if (p[1].revents & POLLIN)
			break;
	}
	last_acts(g->sh);
	_exit(0);
}

static int prepare(struct guard *g, struct err *err)
{
	g->pidfd = g->ask = g->answer = -1;
	g->sh = mmap(NULL, g->size + g->memory_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->sh == MAP_FAILED)
		return err_sys(err, "cannot start the guard of sockets: mmap");
	g->memory = (char *)g->sh + g->size;
	g->sh->netlink = -1;
	atomic_store(&g->sh->watched, -1);
	g->pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	g->ask = eventfd(0, EFD_CLOEXEC);
	g->answer = eventfd(0, EFD_CLOEXEC);
	if (g->pidfd < 0 || g->ask < 0 || g->answer < 0)
		return err_sys(err, "cannot start the guard of sockets");
	return 0;
}

int guard_start(size_t n, bool (*part)(void *memory), size_t size, struct guard **out, struct err *err)
{
	struct guard *g = *out = xzalloc(sizeof(*g));
	sigset_t all, old;
	long pid;
	int ret;

	g->max = n;
	g->size = (sizeof(struct shared) + n * sizeof(g->sh->v[0]) + 63) & ~(size_t)63;
	g->memory_size = size;
	ret = prepare(g, err);
	if (!ret) {
		/* Its descriptors are ours, so it holds the sockets when we are gone. No signal of a terminal may end it. */
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, &old);
		pid = syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, NULL);
		if (!pid)
			guard_main(g, part);
		if (pid < 0)
			ret = err_sys(err, "cannot start the guard of sockets: clone");
		sigprocmask(SIG_SETMASK, &old, NULL);
		g->pid = (pid_t)pid;
		if (!ret)
			hold_words(g);
	}
	if (ret < 0)
		guard_stop(take_ptr(*out));
	return ret;
}

void *guard_memory(struct guard *g)
{
	return g->memory;
}

int guard_run(struct guard *g, const char *point, struct err *err)
{
	struct pollfd p = { g->answer, POLLIN, 0 };
	uint64_t count = 1;

	if (write(g->ask, &count, sizeof(count)) != sizeof(count))
		return err_sys(err, "cannot ask the guard of sockets");
	fault(point);
	for (;;) {
		int n = poll(&p, 1, 1000);

		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the guard of sockets");
		if (n == 1)
			return read(g->answer, &count, sizeof(count)) < 0 ? err_sys(err, "cannot hear the guard of sockets") : 0;
		if (!n && waitpid(g->pid, NULL, __WALL | WNOHANG) == g->pid) {
			g->pid = 0;
			return err_set(err, ERR_FAILED, ECHILD, "the guard of sockets was killed");
		}
	}
}

void guard_add_listening(struct guard *g, int fd, unsigned waiting)
{
	size_t n = atomic_load(&g->sh->n);

	if (n >= g->max)
		return;
	g->sh->v[n] = (struct guarded){ fd, waiting };
	atomic_store(&g->sh->n, n + 1);
}

void guard_add(struct guard *g, int fd)
{
	guard_add_listening(g, fd, 0);
}

void guard_watch(struct guard *g, int pidfd)
{
	atomic_store(&g->sh->watched, pidfd);
}

void guard_unlock(struct guard *g, int netlink, const void *bytes, size_t n)
{
	if (n > sizeof(g->sh->undo))
		return;
	memcpy(g->sh->undo, bytes, n);
	g->sh->undo_len = n;
	g->sh->netlink = netlink;
}

void guard_act(struct guard *g, enum guard_act act)
{
	atomic_store(&g->sh->act, (int)act);
}

void guard_stop(struct guard *g)
{
	if (!g)
		return;
	release_words(g);
	if (g->pid > 0) {
		kill(g->pid, SIGKILL);
		while (waitpid(g->pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	}
	for (size_t i = 0; i < 3; i++) {
		const int fds[] = { g->pidfd, g->ask, g->answer };

		if (fds[i] >= 0)
			close(fds[i]);
	}
	if (g->sh != MAP_FAILED)
		munmap(g->sh, g->size + g->memory_size);
	free(g);
}
