/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hopeless KIND: holds something that no checkpoint can bring back, says so in the file "ready", and sleeps; where the kernel does
 * not have it, in the file "skip". Run by refused-objects.sh. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char *name, const char *text)
{
	FILE *f = fopen(".said", "w");

	if (!f || fputs(text, f) < 0 || fclose(f) || rename(".said", name))
		_exit(1);
}

/* A result that is none: this kernel does not have it. */
static long have(long r)
{
	if (r < 0) {
		say("skip", strerror(errno));
		_exit(0);
	}
	return r;
}

static void listener(void)
{
	struct sock_filter ok = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &ok };

	have(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog));
}

static void bpf(void)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_type = BPF_MAP_TYPE_ARRAY;
	a.key_size = a.value_size = 4;
	a.max_entries = 1;
	have(syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a)));
}

/* The child waits in open(2) until its parent gives the lease up. */
static void lease(void)
{
	char path[64], text[64];
	int fd = (int)have(open("leased", O_RDWR | O_CREAT, 0600));
	pid_t pid;

	signal(SIGIO, SIG_IGN);
	have(fcntl(fd, F_SETLEASE, F_WRLCK));
	pid = (pid_t)have(fork());
	if (!pid)
		_exit(open("leased", O_RDWR) < 0);
	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	do {
		int w = open(path, O_RDONLY);
		ssize_t n = w < 0 ? -1 : read(w, text, sizeof(text) - 1);

		text[n > 0 ? n : 0] = 0;
		close(w);
		usleep(1000);
	} while (!strstr(text, "break_lease"));
}

static void secret(void)
{
	int fd = (int)have(syscall(SYS_memfd_secret, 0));

	have(ftruncate(fd, 4096));
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		have(-1);
	close(fd);
}

static void dispatch(void)
{
	static char selector;

	have(prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, 0, 0, &selector));
}

static void fanotify(void)
{
	int fd = (int)have(fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY));

	close((int)have(open("seen", O_RDWR | O_CREAT, 0600)));
	have(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "seen"));
	close(open("seen", O_RDONLY));
}

static void fanotify_all(void)
{
	int fd = (int)have(fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY));

	have(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CLOSE_WRITE, AT_FDCWD, "/proc/self"));
}

static void busy_poll(void)
{
	struct { uint32_t usecs; uint16_t budget; uint8_t prefer, pad; } params = { 10, 8, 1, 0 };

	have(ioctl(epoll_create1(0), _IOW(0x8a, 1, params), &params));
}

static void perf_ring(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_DUMMY };
	int fd = (int)have(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));

	if (mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		have(-1);
	close(fd);
}

static void cookie(void)
{
	have(prctl(62 /* PR_SCHED_CORE */, 1 /* CREATE */, 0, 0, 0));
}

static void pidfd(void)
{
	have(syscall(SYS_pidfd_open, 1, 0));
}

static void keyring(void)
{
	have(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
}

static void uts(void)
{
	have(unshare(CLONE_NEWUTS));
}

static void *with_own_directory(void *arg)
{
	have(unshare(CLONE_FS));
	say("ready", "");
	pause();
	return arg;
}

static void thread_directory(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, with_own_directory, NULL))
		have(-1);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*make)(void); } kinds[] = {
		{ "listener", listener }, { "bpf", bpf }, { "lease", lease }, { "secret", secret }, { "dispatch", dispatch },
		{ "fanotify", fanotify }, { "fanotify-all", fanotify_all }, { "busy-poll", busy_poll }, { "perf-ring", perf_ring },
		{ "cookie", cookie }, { "pidfd", pidfd }, { "keyring", keyring }, { "uts", uts },
		{ "thread-directory", thread_directory },
	};

	for (size_t i = 0; argc == 2 && i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(argv[1], kinds[i].name))
			continue;
		kinds[i].make();
		say("ready", "");
		for (;;)
			pause();
	}
	return 2;
}
