/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/action.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"

extern char **environ;

static const char *const names[ACTIONS] = {
	[ACTION_PRE_DUMP] = "pre-dump",
	[ACTION_NETWORK_LOCK] = "network-lock",
	[ACTION_POST_DUMP] = "post-dump",
	[ACTION_PRE_RESTORE] = "pre-restore",
	[ACTION_POST_RESTORE] = "post-restore",
	[ACTION_PRE_RESUME] = "pre-resume",
	[ACTION_NETWORK_UNLOCK] = "network-unlock",
	[ACTION_POST_RESUME] = "post-resume",
	[ACTION_STATUS_READY] = "status-ready",
};

/* ---- before anything else ---- */

static int check_fd(int fd, const char *option, struct err *err)
{
	if (fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR)
		return err_set(err, ERR_USAGE, 0, "--%s %d: no such descriptor is open for writing", option, fd);
	if (fd > STDERR_FILENO)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

int actions_prepare(struct actions *a, const char *images, struct err *err)
{
	int ret = check_fd(a->status_fd, "status-fd", err);

	if (!ret)
		ret = check_fd(a->phase_fd, "phase-fd", err);
	if (!ret && a->status_fd >= 0 && a->status_fd == a->phase_fd)
		ret = err_set(err, ERR_USAGE, 0, "--status-fd and --phase-fd are one descriptor");
	for (const char *const *s = a->scripts; !ret && s && *s; s++)
		ret = find_executable(*s, "action script", err);
	if (ret || !actions_any(a))
		return ret;
	/* A directory that is not there is told about later, by who needs it. */
	a->images_dir = strcmp(images, "-") ? realpath(images, NULL) : NULL;
	if (!a->images_dir)
		a->images_dir = xstrdup(images);
	return 0;
}

void actions_release(struct actions *a)
{
	free(a->images_dir);
	if (a->status_fd > STDERR_FILENO)
		close(a->status_fd);
	if (a->phase_fd > STDERR_FILENO)
		close(a->phase_fd);
	*a = (struct actions)ACTIONS_INIT;
}

/* ---- descriptors ---- */

/* A reader that is gone must not end us, and SIGPIPE may not be ignored for what is run later: so it is taken back. */
static int write_quietly(int fd, const void *p, size_t n)
{
	sigset_t pipe, was, pending;
	const struct timespec now = { 0 };
	ssize_t done;
	int errnum;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe, &was);
	do
		done = write(fd, p, n);
	while (done < 0 && errno == EINTR);
	errnum = errno;
	if (done < 0 && errnum == EPIPE && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&pipe, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return done < 0 ? -errnum : 0;
}

/* Nobody is waited for: whoever does not read misses it. */
static void tell_fd(int fd, const char *option, const void *p, size_t n, const struct log *log)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	int ret = poll(&ready, 1, 0) > 0 ? write_quietly(fd, p, n) : -EAGAIN;

	if (ret)
		log_warn(log, "--%s %d: %s", option, fd, strerror(-ret));
}

static void tell_phase(const struct actions *a, enum action what, pid_t pid, const struct log *log)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s %d\n", names[what], pid);

	if (a->phase_fd >= 0)
		tell_fd(a->phase_fd, "phase-fd", line, (size_t)n, log);
}

/* ---- scripts ---- */

/* Ours without such names, and three of them. The strings of ours are not copied. */
static char **make_environment(const struct actions *a, enum action what, pid_t pid, char *own[3])
{
	size_t n = 0, k = 0;
	char **env;

	while (environ[n])
		n++;
	env = xreallocarray(NULL, n + 4, sizeof(*env));
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "CRTOOLS_", 8) != 0)
			env[k++] = environ[i];
	env[k++] = own[0] = xasprintf("CRTOOLS_SCRIPT_ACTION=%s", names[what]);
	env[k++] = own[1] = xasprintf("CRTOOLS_IMAGE_DIR=%s", a->images_dir);
	own[2] = pid > 0 ? xasprintf("CRTOOLS_INIT_PID=%d", pid) : NULL;
	if (own[2])
		env[k++] = own[2];
	env[k] = NULL;
	return env;
}

/* A process group of its own, so that all of it can be ended; no descriptor but three; no signal blocked or ignored. */
static int start(const char *script, char **env, pid_t *pid)
{
	char *argv[] = { (char *)(uintptr_t)script, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int ret;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	ret = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!ret)
		ret = posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	if (!ret)
		ret = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	if (!ret)
		ret = posix_spawnp(pid, script, &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -ret;
}

/* Its wait status; -ETIME when it had to be ended. */
static int await(pid_t pid, unsigned timeout_s, int *status)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	const uint64_t end = now_ns() + (uint64_t)timeout_s * 1000000000u;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	bool late = false;
	int n;

	while (timeout_s && pidfd >= 0) {
		const uint64_t now = now_ns();
		const uint64_t ms = now < end ? (end - now + 999999) / 1000000 : 0;

		n = poll(&p, 1, (int)MIN(ms, (uint64_t)INT_MAX));
		late = !n && !ms;
		if (late)
			kill(-pid, SIGKILL);
		if (n > 0 || late || (n < 0 && errno != EINTR))
			break;
	}
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return late ? -ETIME : 0;
}

static int run_script(const struct actions *a, const char *script, char **env, enum action what, struct err *err)
{
	pid_t pid = 0;
	int status = 0, ret = start(script, env, &pid);

	if (!ret)
		ret = await(pid, a->timeout_s, &status);
	if (ret == -ETIME)
		return err_hint(err, err_set(err, ERR_FAILED, 0, "the action script %s took longer than %u s at %s, and was killed",
					     script, a->timeout_s, names[what]), "--action-timeout says how long it may take");
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot run the action script %s at %s", script, names[what]);
	if (WIFSIGNALED(status))
		return err_set(err, ERR_FAILED, 0, "the action script %s was killed by signal %d at %s", script, WTERMSIG(status),
			       names[what]);
	if (WEXITSTATUS(status))
		return err_set(err, ERR_FAILED, 0, "the action script %s failed at %s with status %d", script, names[what],
			       WEXITSTATUS(status));
	return 0;
}

int actions_run(struct actions *a, enum action what, pid_t pid, const struct log *log, struct err *err)
{
	cleanup_free char **env = NULL;
	char *own[3];
	int ret = 0;

	if (!a)
		return 0;
	tell_phase(a, what, pid, log);
	if (!actions_any(a))
		return 0;
	env = make_environment(a, what, pid, own);
	for (const char *const *s = a->scripts; *s; s++) {
		int one;

		log_debug(log, "%s: running %s", names[what], *s);
		one = run_script(a, *s, env, what, err);
		ret = ret ? ret : one;
	}
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		free(own[i]);
	return ret;
}

void actions_tell(struct actions *a, enum action what, pid_t pid, const struct log *log)
{
	struct err err = ERR_INIT;

	if (actions_run(a, what, pid, log, &err))
		log_warn(log, "%s", err.reason);
}

void actions_ready(struct actions *a, pid_t pid, const struct log *log)
{
	if (!a)
		return;
	actions_tell(a, ACTION_STATUS_READY, pid, log);
	if (a->status_fd < 0)
		return;
	tell_fd(a->status_fd, "status-fd", "", 1, log);
	close(a->status_fd);
	a->status_fd = -1;
}
