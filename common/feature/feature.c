/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/feature/feature.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/findings.h"
#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/feature/probe.h"

/* Each takes a few milliseconds when all is well; a busy host can let a new network namespace wait for many old ones. */
#define PROBE_LIMIT_MS 10000
#define PROBES_AT_ONCE 8
#define ANSWER_FD 3

const struct feature *feature_find(const char *name)
{
	size_t n;
	const struct feature *f = feature_table(&n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(f[i].name, name))
			return &f[i];
	return NULL;
}

static const struct { const char *key, *title; } groups[GROUP_COUNT] = {
	[GROUP_DUMP] = { "dump", "Dump a process" },
	[GROUP_RESTORE] = { "restore", "Restore a process" },
	[GROUP_MEMORY] = { "memory", "Memory of a process" },
	[GROUP_INCREMENTAL] = { "incremental", "Incremental dumps" },
	[GROUP_LAZY] = { "lazy", "Lazy migration" },
	[GROUP_CONTAINER] = { "containers", "Containers" },
	[GROUP_TCP] = { "tcp", "TCP connections" },
	[GROUP_NETWORK] = { "network", "Sockets and network devices" },
	[GROUP_UNPRIVILEGED] = { "unprivileged", "Unprivileged: what each capability is for" },
};

const char *feature_group_title(enum feature_group group)
{
	return groups[group].title;
}

const char *feature_group_key(enum feature_group group)
{
	return groups[group].key;
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
	/* Nothing open but the three and the answer: neither what other probes hold, nor what the caller does. */
	if (out != ANSWER_FD && dup2(out, ANSWER_FD) == ANSWER_FD)
		out = ANSWER_FD;
	if (out == ANSWER_FD)
		syscall(SYS_close_range, ANSWER_FD + 1, UINT_MAX, 0);
	f->probe(&p, f->arg);
	_exit(write_full(out, &p, sizeof(p)) < 0);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* A probe at work: its child and as much of its answer as there is. */
struct running {
	size_t row;
	pid_t pid; /* 0: this place is free */
	int fd;
	uint64_t start_us, end_us;
	size_t have;
	struct probe p;
};

static bool launch(const struct feature *f, struct running *r, struct feature_result *out)
{
	pid_t parent = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		snprintf(out->why, sizeof(out->why), "pipe2: %s", strerror(errno));
		return false;
	}
	r->start_us = now_us();
	r->end_us = r->start_us + 1000ull * (f->limit_ms ? f->limit_ms : PROBE_LIMIT_MS);
	r->have = 0;
	r->fd = fds[0];
	r->pid = fork();
	if (!r->pid) {
		close(fds[0]);
		run_probe(f, fds[1], parent);
	}
	close(fds[1]);
	if (r->pid > 0)
		return true;
	snprintf(out->why, sizeof(out->why), "fork: %s", strerror(errno));
	close(fds[0]);
	r->pid = 0;
	return false;
}

static void judge_death(struct probe *p, int status, bool late, unsigned limit_ms)
{
	if (late)
		probe_unknown(p, "the probe did not end within %u ms", limit_ms);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
		p->state = FEATURE_NO_PERMISSION;
		snprintf(p->why, sizeof(p->why), "a seccomp filter killed the probe");
	} else if (WIFSIGNALED(status))
		probe_unknown(p, "the probe was ended by signal %d", WTERMSIG(status));
	else
		probe_unknown(p, "the probe ended without an answer");
}

static void land(struct running *r, bool late, struct feature_result *out)
{
	int status = 0;

	close(r->fd);
	kill(r->pid, SIGKILL); /* its own children follow by their parent-death signal */
	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r->have < sizeof(r->p))
		judge_death(&r->p, status, late, (unsigned)((r->end_us - r->start_us) / 1000));
	r->pid = 0;
	out->state = r->p.state;
	snprintf(out->why, sizeof(out->why), "%s", r->p.why);
	out->us = (unsigned)(now_us() - r->start_us);
}

/* One look at all that are at work. Those with a whole answer, without any, or without time left end here. */
static void look(struct running *r, size_t n, struct feature_result *out)
{
	struct pollfd pfds[PROBES_AT_ONCE];
	uint64_t now = now_us();
	int wait_ms = PROBE_LIMIT_MS;

	for (size_t i = 0; i < n; i++) {
		pfds[i] = (struct pollfd){ .fd = r[i].pid ? r[i].fd : -1, .events = POLLIN };
		if (r[i].pid) {
			int left = r[i].end_us > now ? (int)((r[i].end_us - now) / 1000) + 1 : 0;

			wait_ms = MIN(wait_ms, left);
		}
	}
	if (poll(pfds, n, wait_ms) < 0)
		return; /* EINTR */
	now = now_us();
	for (size_t i = 0; i < n; i++) {
		bool late = r[i].pid && now >= r[i].end_us, over = false;

		if (!r[i].pid)
			continue;
		if (pfds[i].revents) {
			ssize_t got = read(r[i].fd, (char *)&r[i].p + r[i].have, sizeof(r[i].p) - r[i].have);

			over = got == 0 || (got < 0 && errno != EINTR);
			r[i].have += got > 0 ? (size_t)got : 0;
		}
		if (over || late || r[i].have == sizeof(r[i].p))
			land(&r[i], late && !over, &out[r[i].row]);
	}
}

static size_t at_work(const struct running *r)
{
	size_t n = 0;

	for (size_t i = 0; i < PROBES_AT_ONCE; i++)
		n += r[i].pid > 0;
	return n;
}

void feature_probe_many(const struct feature *const *rows, size_t n, struct feature_result *out)
{
	struct running r[PROBES_AT_ONCE] = { 0 };
	size_t next = 0;

	do {
		for (size_t i = 0; i < PROBES_AT_ONCE && next < n;) {
			if (r[i].pid) {
				i++;
				continue;
			}
			out[next] = (struct feature_result){ .state = FEATURE_UNKNOWN };
			r[i].row = next;
			/* Where descriptors or processes are short, those at work give theirs back. */
			if (!launch(rows[next], &r[i], &out[next]) && at_work(r))
				break;
			next++;
		}
		if (at_work(r))
			look(r, PROBES_AT_ONCE, out);
	} while (next < n || at_work(r));
}

enum feature_state feature_probe(const struct feature *f, char *why, size_t size)
{
	struct feature_result result;

	feature_probe_many(&f, 1, &result);
	snprintf(why, size, "%s", result.why);
	return result.state;
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

int feature_blame(const char *name, int errnum, struct err *err)
{
	switch (errnum) {
	case ENOSYS:
	case EINVAL:
	case EPERM:
	case EACCES:
	case ENOTTY:
	case EOPNOTSUPP:
		return feature_need(name, err);
	default:
		return 0;
	}
}

/* The row that stands for a capability. */
static const struct feature *privilege_row(int cap)
{
	size_t n;
	const struct feature *f = feature_table(&n);

	for (size_t i = 0; i < n; i++)
		if (f[i].probe == probe_capability && f[i].arg == cap)
			return &f[i];
	return NULL;
}

#define NAMES_SHOWN 120 /* bytes */

/* Of names with commas between them, the length of those that fit into n bytes. */
static size_t whole_names(const char *names, size_t n)
{
	size_t len = strlen(names);

	if (len <= n)
		return len;
	for (len = n; len && names[len] != ','; len--)
		;
	return len;
}

int privileges_need(const int *caps, size_t n, struct err *err)
{
	cleanup_strbuf struct strbuf lines = STRBUF_INIT, names = STRBUF_INIT;
	char line[sizeof(err->reason)];
	size_t missing = 0;

	for (size_t i = 0; i < n; i++) {
		const struct feature *f = privilege_row(caps[i]);
		struct probe p = { FEATURE_UNKNOWN, "" };
		char *name;

		probe_capability(&p, caps[i]); /* only looks: no child is needed */
		if (p.state == FEATURE_OK)
			continue;
		name = cap_to_name(caps[i]);
		if (f)
			feature_sentence(f, p.state, p.why, line, sizeof(line));
		else
			snprintf(line, sizeof(line), "%s: %s: %s", feature_state_word(p.state), name ? name : "a capability", p.why);
		strbuf_printf(&lines, "%s%s", missing ? "; " : "", line);
		strbuf_printf(&names, "%s%s", missing ? "," : "", name ? name : "?");
		cap_free(name);
		missing++;
	}
	if (!missing)
		return 0;
	/* Of many, what each is for would not fit; of very many, not even all names. */
	if (lines.len < sizeof(err->reason))
		err_set(err, ERR_FEATURE, 0, "%s", lines.s);
	else
		err_set(err, ERR_FEATURE, 0, "no permission: %zu capabilities are missing here: %.*s%s", missing,
			(int)whole_names(names.s, NAMES_SHOWN), names.s, names.len > NAMES_SHOWN ? ",..." : "");
	if (names.len + 64 > sizeof(err->hint))
		return err_hint(err, -EPERM, "run as root with all capabilities (capsh --print shows those that are there)");
	return err_hint(err, -EPERM, "run as root, or give them to the binary: setcap %s+ep FILE", names.s);
}

void features_check(struct findings *found, enum feature_group group)
{
	const struct feature *rows[64] = { NULL }, *all;
	struct feature_result results[ARRAY_SIZE(rows)];
	size_t total, n = 0;

	all = feature_table(&total);
	for (size_t i = 0; i < total && n < ARRAY_SIZE(rows); i++)
		if (all[i].level == FEATURE_REQUIRED && (all[i].group == group || all[i].group == GROUP_MEMORY))
			rows[n++] = &all[i];
	feature_probe_many(rows, n, results);
	for (size_t i = 0; i < n; i++) {
		char line[512];

		if (results[i].state == FEATURE_OK)
			continue;
		feature_sentence(rows[i], results[i].state, results[i].why, line, sizeof(line));
		findings_add(found, ERR_FEATURE, 0, NULL, feature_hint(rows[i], results[i].state), "%s", line);
	}
}
