/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/feature/feature.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/feature/probe.h"

#define PROBE_LIMIT_MS 2000 /* each takes well under a millisecond when all is well */

const struct feature *feature_find(const char *name)
{
	size_t n;
	const struct feature *f = feature_table(&n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(f[i].name, name))
			return &f[i];
	return NULL;
}

const char *feature_group_title(enum feature_group group)
{
	static const char *const titles[GROUP_COUNT] = {
		[GROUP_DUMP] = "Dump a process",
		[GROUP_RESTORE] = "Restore a process",
		[GROUP_MEMORY] = "Memory",
		[GROUP_INCREMENTAL] = "Incremental dumps",
		[GROUP_LAZY] = "Lazy migration",
		[GROUP_CONTAINER] = "Containers",
		[GROUP_NETWORK] = "Network",
		[GROUP_PRIVILEGE] = "Privileges",
	};

	return titles[group];
}

const char *feature_state_word(enum feature_state state)
{
	static const char *const words[] = {
		[FEATURE_OK] = "ok",
		[FEATURE_MISSING] = "missing",
		[FEATURE_NO_PERMISSION] = "no permission",
		[FEATURE_UNKNOWN] = "unknown",
	};

	return words[state];
}

/* The child: default signals, so that a filter's SIGSYS or a fault is seen by the parent; no core files. */
static void __attribute__((noreturn)) run_probe(const struct feature *f, int out, pid_t parent)
{
	struct probe p = { FEATURE_UNKNOWN, "the probe gave no answer" };
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	f->probe(&p, f->arg);
	_exit(write_full(out, &p, sizeof(p)) < 0);
}

static int now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int)(ts.tv_sec % 1000000 * 1000 + ts.tv_nsec / 1000000);
}

/* True when the whole answer came in time. */
static bool collect(int fd, struct probe *p, bool *late)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t have = 0;
	int end = now_ms() + PROBE_LIMIT_MS;

	*late = false;
	while (have < sizeof(*p)) {
		int left = end - now_ms();
		int ready = left > 0 ? poll(&pfd, 1, left) : 0;
		ssize_t got;

		if (ready < 0 && errno == EINTR)
			continue;
		if (!ready)
			*late = true;
		if (ready <= 0)
			return false;
		got = read(fd, (char *)p + have, sizeof(*p) - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	return true;
}

static void judge_death(struct probe *p, int status, bool late)
{
	if (late)
		probe_unknown(p, "the probe did not end within %d s", PROBE_LIMIT_MS / 1000);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
		p->state = FEATURE_NO_PERMISSION;
		snprintf(p->why, sizeof(p->why), "a seccomp filter killed the probe");
	} else if (WIFSIGNALED(status))
		probe_unknown(p, "the probe was ended by signal %d", WTERMSIG(status));
	else
		probe_unknown(p, "the probe ended without an answer");
}

enum feature_state feature_probe(const struct feature *f, char *why, size_t size)
{
	struct probe p = { FEATURE_UNKNOWN, "" };
	cleanup_fd int in = -1;
	int fds[2], status = 0;
	bool late, answered;
	pid_t parent = getpid(), pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		snprintf(why, size, "pipe2: %s", strerror(errno));
		return FEATURE_UNKNOWN;
	}
	in = fds[0];
	pid = fork();
	if (pid < 0) {
		close(fds[1]);
		snprintf(why, size, "fork: %s", strerror(errno));
		return FEATURE_UNKNOWN;
	}
	if (!pid) {
		close(fds[0]);
		run_probe(f, fds[1], parent);
	}
	close(fds[1]);
	answered = collect(in, &p, &late);
	kill(pid, SIGKILL); /* its own children follow by their parent-death signal */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!answered)
		judge_death(&p, status, late);
	snprintf(why, size, "%s", p.why);
	return p.state;
}

void feature_sentence(const struct feature *f, enum feature_state state, const char *why, char *buf, size_t size)
{
	snprintf(buf, size, "%s: %s (%s)%s%s", feature_state_word(state), f->name, f->what_for, *why ? ": " : "", why);
}

const char *feature_hint(const struct feature *f, enum feature_state state)
{
	if (state == FEATURE_MISSING)
		return f->hint;
	if (state == FEATURE_NO_PERMISSION)
		return "run as root, or give the binary the capability with setcap";
	return NULL;
}

int feature_need(const char *name, struct err *err)
{
	const struct feature *f = feature_find(name);
	char why[FEATURE_WHY_MAX], line[sizeof(err->reason)];
	enum feature_state state;
	const char *hint;
	int ret;

	if (!f)
		return err_set(err, ERR_USAGE, EINVAL, "no feature is called %s", name);
	state = feature_probe(f, why, sizeof(why));
	if (state == FEATURE_OK)
		return 0;
	feature_sentence(f, state, why, line, sizeof(line));
	/* The sentence holds the errno that matters already. */
	err_set(err, ERR_FEATURE, 0, "%s", line);
	ret = state == FEATURE_NO_PERMISSION ? -EPERM : -EOPNOTSUPP;
	hint = feature_hint(f, state);
	return hint ? err_hint(err, ret, "%s%s", state == FEATURE_MISSING ? "it needs " : "", hint) : ret;
}

int privileges_need(const int *caps, size_t n, struct err *err)
{
	cleanup_strbuf struct strbuf upper = STRBUF_INIT, lower = STRBUF_INIT;

	for (size_t i = 0; i < n; i++) {
		char *name;

		if (capability_held(caps[i]) || (caps[i] == CAP_CHECKPOINT_RESTORE && capability_held(CAP_SYS_ADMIN)))
			continue;
		name = cap_to_name(caps[i]);
		strbuf_printf(&lower, "%s%s", lower.len ? "," : "", name ? name : "?");
		strbuf_puts(&upper, upper.len ? ", " : "");
		for (const char *c = name ? name : "?"; *c; c++)
			strbuf_printf(&upper, "%c", *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
		cap_free(name);
	}
	if (!upper.len)
		return 0;
	err_set(err, ERR_FEATURE, EPERM, "these privileges are missing: %s", upper.s);
	return err_hint(err, -EPERM, "run as root, or give them to the binary: setcap %s+ep FILE", lower.s);
}
