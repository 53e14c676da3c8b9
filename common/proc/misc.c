/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fdinfo, limits, timers and mountinfo. */
#include <fcntl.h>

#include "common/base/io.h"
#include "common/proc/scan.h"

#define FDINFO_TEXT_MAX (256u << 20) /* an epoll of a million descriptors */
#define TIMERS_TEXT_MAX (64u << 20)
#define MOUNTINFO_TEXT_MAX (256u << 20)

/* ---- fdinfo (fs/proc/fd.c, seq_show): four lines, then what the kind of file adds ---- */

static bool at_eol(const char *p)
{
	return !*p || *p == '\n';
}

int proc_parse_fdinfo(const char *text, struct arena *arena, struct proc_fdinfo *out)
{
	const char *p = text;

	memset(out, 0, sizeof(*out));
	out->mnt_id = -1;
	if (!scan_word(&p, "pos:\t") || !scan_i64(&p, &out->pos) || !scan_char(&p, '\n'))
		return -EINVAL;
	if (!scan_word(&p, "flags:\t0") || !scan_u32(&p, 8, &out->flags) || !at_eol(p))
		return -EINVAL;
	scan_char(&p, '\n');
	if (scan_word(&p, "mnt_id:\t")) {
		if (!scan_int(&p, &out->mnt_id) || !at_eol(p))
			return -EINVAL;
		scan_char(&p, '\n');
	}
	if (scan_word(&p, "ino:\t") && (!scan_u64(&p, 10, &out->ino) || !at_eol(p)))
		return -EINVAL;
	out->text = arena_strdup(arena, text);
	return 0;
}

int proc_fdinfo(int proc_fd, int fd, struct arena *arena, struct proc_fdinfo *out, struct err *err)
{
	cleanup_free char *text = NULL;
	char path[32];
	int ret;

	snprintf(path, sizeof(path), "fdinfo/%d", fd);
	ret = proc_read_piece(proc_fd, path, FDINFO_TEXT_MAX, &text, err);
	if (ret < 0)
		return ret;
	ret = proc_parse_fdinfo(text, arena, out);
	return ret < 0 ? scan_bad(err, path, ret) : 0;
}

/* ---- limits (fs/proc/base.c, proc_pid_limits) ---- */

static const char *const limit_names[] = {
	[RLIMIT_CPU] = "Max cpu time",
	[RLIMIT_FSIZE] = "Max file size",
	[RLIMIT_DATA] = "Max data size",
	[RLIMIT_STACK] = "Max stack size",
	[RLIMIT_CORE] = "Max core file size",
	[RLIMIT_RSS] = "Max resident set",
	[RLIMIT_NPROC] = "Max processes",
	[RLIMIT_NOFILE] = "Max open files",
	[RLIMIT_MEMLOCK] = "Max locked memory",
	[RLIMIT_AS] = "Max address space",
	[RLIMIT_LOCKS] = "Max file locks",
	[RLIMIT_SIGPENDING] = "Max pending signals",
	[RLIMIT_MSGQUEUE] = "Max msgqueue size",
	[RLIMIT_NICE] = "Max nice priority",
	[RLIMIT_RTPRIO] = "Max realtime priority",
	[RLIMIT_RTTIME] = "Max realtime timeout",
};

static bool scan_limit(const char **p, uint64_t *out)
{
	if (!scan_char(p, ' '))
		return false;
	scan_blanks(p);
	if (!scan_word(p, "unlimited"))
		return scan_u64(p, 10, out);
	*out = RLIM64_INFINITY;
	return true;
}

int proc_parse_limits(const char *text, struct proc_limits *out)
{
	unsigned seen = 0;
	const char *p = text;

	_Static_assert(ARRAY_SIZE(limit_names) == ARRAY_SIZE(out->v), "one name for each limit");
	memset(out, 0, sizeof(*out));
	for (; *p; p += *p == '\n') {
		for (size_t i = 0; i < ARRAY_SIZE(limit_names); i++) {
			uint64_t soft, hard;

			if (!scan_word(&p, limit_names[i]))
				continue;
			if (!scan_limit(&p, &soft) || !scan_limit(&p, &hard) || (*p != ' ' && !at_eol(p)))
				return -EINVAL;
			if (seen >> i & 1)
				return -EINVAL;
			out->v[i].rlim_cur = soft;
			out->v[i].rlim_max = hard;
			seen |= 1u << i;
			break;
		}
		p = scan_eol(p);
	}
	return seen == (1u << ARRAY_SIZE(limit_names)) - 1 ? 0 : -EINVAL;
}

int proc_limits(int proc_fd, struct proc_limits *out, struct err *err)
{
	cleanup_free char *text = NULL;
	int ret = proc_read_piece(proc_fd, "limits", 64u << 10, &text, err);

	if (ret < 0)
		return ret;
	ret = proc_parse_limits(text, out);
	return ret < 0 ? scan_bad(err, "limits", ret) : 0;
}

/* ---- timers (fs/proc/base.c, show_timer): four lines each ---- */

static bool scan_notify(const char **p, struct proc_timer *t)
{
	if (scan_word(p, "signal/"))
		t->notify = SIGEV_SIGNAL;
	else if (scan_word(p, "none/"))
		t->notify = SIGEV_NONE;
	else if (scan_word(p, "thread/"))
		t->notify = SIGEV_THREAD;
	else
		return false;
	if (scan_word(p, "tid."))
		t->notify |= SIGEV_THREAD_ID;
	else if (!scan_word(p, "pid."))
		return false;
	return scan_int(p, &t->notify_tid);
}

static int scan_timer(const char **p, struct proc_timer *t)
{
	if (!scan_word(p, "ID: ") || !scan_int(p, &t->id) || !scan_char(p, '\n'))
		return -EINVAL;
	if (!scan_word(p, "signal: ") || !scan_int(p, &t->signo) || !scan_char(p, '/') ||
	    !scan_hex(p, &t->sigev_value) || !scan_char(p, '\n'))
		return -EINVAL;
	if (!scan_word(p, "notify: ") || !scan_notify(p, t) || !scan_char(p, '\n'))
		return -EINVAL;
	if (!scan_word(p, "ClockID: ") || !scan_int(p, &t->clock) || !at_eol(*p))
		return -EINVAL;
	scan_char(p, '\n');
	/* What a newer kernel adds to a timer stands before the next ID. */
	while (**p && strncmp(*p, "ID: ", 4)) {
		*p = scan_eol(*p);
		scan_char(p, '\n');
	}
	return 0;
}

int proc_parse_timers(const char *text, struct arena *arena, struct proc_timer **v, size_t *n)
{
	size_t max = scan_lines(text) / 4 + 1;
	const char *p = text;
	int ret;

	*n = 0;
	*v = *text ? arena_alloc(arena, max * sizeof(**v)) : NULL;
	while (*p) {
		ret = scan_timer(&p, &(*v)[*n]);
		if (ret < 0)
			return ret;
		(*n)++;
	}
	return 0;
}

int proc_timers(int proc_fd, struct arena *arena, struct proc_timer **v, size_t *n, struct err *err)
{
	cleanup_free char *text = NULL;
	int ret = proc_read(proc_fd, "timers", TIMERS_TEXT_MAX, &text, err);

	if (ret < 0)
		return ret;
	ret = proc_parse_timers(text, arena, v, n);
	return ret < 0 ? scan_bad(err, "timers", ret) : 0;
}

/* ---- mountinfo (fs/proc_namespace.c, show_mountinfo): words between single blanks, \ooo for odd bytes ---- */

static char *unescape(struct arena *arena, const char *s, size_t n)
{
	char *out = arena_alloc(arena, n + 1), *to = out;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\' && n - i >= 4 && (s[i + 1] & ~3) == '0' && (s[i + 2] & ~7) == '0' && (s[i + 3] & ~7) == '0') {
			*to++ = (char)((s[i + 1] - '0') << 6 | (s[i + 2] - '0') << 3 | (s[i + 3] - '0'));
			i += 3;
		} else {
			*to++ = s[i];
		}
	}
	return out;
}

/* Up to the next blank, which is eaten; may be empty (a mount without a source). NULL at the end of the line. */
static const char *scan_field(const char **p, struct arena *arena)
{
	size_t n = strcspn(*p, " \n");
	const char *s = *p;

	if (s[n] != ' ')
		return NULL;
	*p = s + n + 1;
	return unescape(arena, s, n);
}

/* The optional fields: everything up to the lone dash. */
static bool scan_optional(const char **p, struct arena *arena, const char **out)
{
	const char *s = *p, *start = s;

	for (;;) {
		size_t n = strcspn(s, " \n");

		if (s[n] != ' ')
			return false;
		if (n == 1 && *s == '-')
			break;
		s += n + 1;
	}
	*out = s == start ? "" : arena_printf(arena, "%.*s", (int)(s - start - 1), start);
	*p = s + 2;
	return true;
}

static int scan_mount(const char **p, struct arena *arena, struct proc_mount *m)
{
	if (!scan_int(p, &m->id) || !scan_char(p, ' ') || !scan_int(p, &m->parent) || !scan_char(p, ' ') ||
	    !scan_u32(p, 10, &m->dev_major) || !scan_char(p, ':') || !scan_u32(p, 10, &m->dev_minor) || !scan_char(p, ' '))
		return -EINVAL;
	m->root = scan_field(p, arena);
	m->point = m->root ? scan_field(p, arena) : NULL;
	m->options = m->point ? scan_field(p, arena) : NULL;
	if (!m->options || !scan_optional(p, arena, &m->optional))
		return -EINVAL;
	m->fstype = scan_field(p, arena);
	m->source = m->fstype ? scan_field(p, arena) : NULL;
	if (!m->source)
		return -EINVAL;
	m->super = unescape(arena, *p, strcspn(*p, "\n"));
	*p = scan_eol(*p);
	return 0;
}

int proc_parse_mountinfo(const char *text, struct arena *arena, struct proc_mount **v, size_t *n)
{
	size_t lines = scan_lines(text);
	const char *p = text;

	*n = 0;
	*v = lines ? arena_alloc(arena, lines * sizeof(**v)) : NULL;
	for (; *p; p += *p == '\n') {
		int ret = scan_mount(&p, arena, &(*v)[*n]);

		if (ret < 0)
			return ret;
		(*n)++;
	}
	return 0;
}

int proc_mountinfo(int proc_fd, struct arena *arena, struct proc_mount **v, size_t *n, struct err *err)
{
	cleanup_free char *text = NULL;
	int ret = proc_read(proc_fd, "mountinfo", MOUNTINFO_TEXT_MAX, &text, err);

	if (ret < 0)
		return ret;
	ret = proc_parse_mountinfo(text, arena, v, n);
	return ret < 0 ? scan_bad(err, "mountinfo", ret) : 0;
}
