/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration files. One option a line, without dashes; its value after white space (or '='), in double quotes when
 * it holds white space, with \" for a quote in it; every other backslash is itself. '#' starts a comment at the
 * beginning of a word. Columns count bytes from 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/base/io.h"
#include "common/opt/private.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

struct line {
	const char *s, *end; /* without its end-of-line bytes */
	const char *p;	     /* next byte to look at */
};

static unsigned column(const struct line *l, const char *p)
{
	return (unsigned)(p - l->s) + 1;
}

static void skip_blanks(struct line *l)
{
	while (l->p < l->end && is_blank(*l->p))
		l->p++;
}

static bool at_end(const struct line *l)
{
	return l->p == l->end || *l->p == '#';
}

/* Where on the line an error is: kept in the origin, whose column is that of the name as long as all is well. */
static int fail_at(const struct line *l, const char *p, struct opt_origin *at, int ret)
{
	at->column = column(l, p);
	return ret;
}

/* Reads the value at l->p into buf (as large as the line). */
static int read_value(struct line *l, char *buf, struct opt_origin *at, struct err *err)
{
	const char *start = l->p;
	bool quoted = *l->p == '"';

	if (!quoted) {
		while (l->p < l->end && !is_blank(*l->p))
			*buf++ = *l->p++;
		*buf = 0;
		return 0;
	}
	for (l->p++; l->p < l->end && *l->p != '"'; l->p++) {
		if (*l->p == '\\' && l->p + 1 < l->end && l->p[1] == '"')
			l->p++;
		*buf++ = *l->p;
	}
	*buf = 0;
	if (l->p == l->end)
		return fail_at(l, start, at, err_set(err, ERR_USAGE, 0, "the quote is not closed on this line"));
	l->p++;
	if (l->p < l->end && !is_blank(*l->p) && *l->p != '#')
		return fail_at(l, l->p, at, err_set(err, ERR_USAGE, 0, "text follows the closing quote"));
	return 0;
}

/* Words that say what to do and that some expect to work in a file too: commands of CRIU and of cr-image. */
static bool is_command(const char *name)
{
	static const char *const commands[] = { "dump", "pre-dump", "restore", "check",	 "service", "dedup", "cpuinfo",
						"swrk", "exec",	    "show",    "decode", "encode",  "info" };

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i]))
			return true;
	return false;
}

/* The option called name, which may begin with "no-". */
static int find_option(const char *name, enum opt_id *id, bool *negated, struct err *err)
{
	const char *near = NULL;

	*negated = false;
	*id = opt_find(name, NULL);
	if (*id == OPT_COUNT_ && !strncmp(name, "no-", 3)) {
		*id = opt_find(name + 3, NULL);
		*negated = true;
	}
	if (*id == OPT_COUNT_ && is_command(name))
		return err_hint(err, err_set(err, ERR_USAGE, 0, "%s: a command, and files hold options only", name),
				"say it on the command line");
	if (*id == OPT_COUNT_) {
		int ret = err_set(err, ERR_USAGE, 0, "%s: unknown option", name);

		opt_find(*negated ? name + 3 : name, &near);
		return near ? err_hint(err, ret, "did you mean %s%s?", *negated ? "no-" : "", near)
			    : err_hint(err, ret, "`cr-config --list` shows all options");
	}
	if (*negated && opt_defs[*id].type != OPT_T_BOOL)
		return err_set(err, ERR_USAGE, 0, "%s: %s takes a value, so it cannot be switched off", name, name + 3);
	if (opt_defs[*id].flags & OPT_F_CMDLINE)
		return err_set(err, ERR_USAGE, 0, "%s: works on the command line only", name);
	return 0;
}

/* One line. *id: the option of it, OPT_COUNT_ for a line without. */
static int read_line(struct opts *o, struct line *l, char *buf, enum opt_id *id, struct opt_origin *at, struct err *err)
{
	const char *name, *at_value;
	bool negated = false, has_value;
	char word[64];
	size_t n;
	int ret;

	*id = OPT_COUNT_;
	skip_blanks(l);
	if (at_end(l))
		return 0;
	name = l->p;
	at->column = column(l, name);
	while (l->p < l->end && !is_blank(*l->p) && *l->p != '=')
		l->p++;
	n = (size_t)(l->p - name);
	if (n >= 2 && name[0] == '-')
		return err_set(err, ERR_USAGE, 0, "options are written without dashes here");
	if (!n || n >= sizeof(word))
		return err_set(err, ERR_USAGE, 0, "this is not the name of an option");
	memcpy(word, name, n);
	word[n] = 0;
	ret = find_option(word, id, &negated, err);
	if (ret < 0)
		return ret;
	if (l->p < l->end && *l->p == '=')
		l->p++;
	else
		skip_blanks(l);
	at_value = l->p;
	has_value = l->p < l->end && !(*l->p == '#' && is_blank(l->p[-1]));
	if (has_value) {
		ret = read_value(l, buf, at, err);
		if (ret < 0)
			return ret;
		skip_blanks(l);
	}
	if (!at_end(l)) {
		ret = err_set(err, ERR_USAGE, 0, "%s: a second value", word);
		return fail_at(l, l->p, at, err_hint(err, ret, "put a value with spaces in double quotes"));
	}
	ret = opt_use(o, *id, has_value ? buf : NULL, negated, at, err);
	return ret < 0 && has_value ? fail_at(l, at_value, at, ret) : ret;
}

/* What is wrong with a line before its words are looked at. */
static int check_bytes(struct line *l, struct opt_origin *at, struct err *err)
{
	const char *nul = memchr(l->s, 0, (size_t)(l->end - l->s));

	if (l->end - l->s > (ptrdiff_t)OPT_LINE_MAX)
		return fail_at(l, l->s + OPT_LINE_MAX, at,
			       err_set(err, ERR_USAGE, 0, "the line is longer than %u bytes", OPT_LINE_MAX));
	if (nul)
		return fail_at(l, nul, at, err_set(err, ERR_USAGE, 0, "a NUL byte"));
	if (l->end > l->s && l->end[-1] == '\r')
		l->end--;
	return 0;
}

int opt_read_text(struct opts *o, const struct opt_origin *where, const char *text, size_t len, struct err *err)
{
	cleanup_free char *buf = NULL;
	const char *p = text, *end = text + len;
	struct opt_origin at = *where;

	at.line = at.column = 1;
	if (len > OPT_FILE_MAX)
		return opt_at(err, err_set(err, ERR_USAGE, EFBIG, "more than %u bytes", OPT_FILE_MAX), &at, 1);
	buf = xmalloc(MIN(len, (size_t)OPT_LINE_MAX) + 1);
	for (; p < end; at.line++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct line l = { p, nl ? nl : end, p };
		struct err bad = ERR_INIT;
		enum opt_id id = OPT_COUNT_;
		int ret;

		if (at.line == 1 && l.end - l.s >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
			l.s = l.p = p + 3; /* a byte order mark is no part of the line */
		p = nl ? nl + 1 : end;
		at.column = 1;
		ret = check_bytes(&l, &at, &bad);
		if (ret >= 0)
			ret = read_line(o, &l, buf, &id, &at, &bad);
		if (o->check && ret < 0) {
			opt_check_error(o, &at, &bad, l.s, (size_t)(l.end - l.s));
		} else if (ret < 0) {
			*err = bad;
			return opt_at(err, ret, &at, at.column);
		} else if (o->check && id != OPT_COUNT_) {
			opt_check_entry(o, id, &at, l.s, (size_t)(l.end - l.s));
		}
	}
	return 0;
}

static const char *kind_of(mode_t mode)
{
	return S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
}

/* Opens a configuration file. *fd -1 with 0: there is nothing to read. */
static int open_file(struct opts *o, const char *path, bool optional, int *fd, struct err *err)
{
	/* O_NONBLOCK: a FIFO must not hold us up before it is refused. */
	cleanup_fd int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	*fd = -1;
	if (f < 0 && optional && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (f < 0 && optional && (errno == EACCES || errno == EPERM)) {
		opt_note(o, "%s is passed over: cannot read it: %s", path, strerror(errno));
		return 0;
	}
	if (f < 0 || fstat(f, &st) < 0)
		return err_set(err, ERR_USAGE, errno, "cannot read the configuration file");
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) /* /dev/null: the usual word for none */
		return 0;
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, 0, "the configuration file is %s", kind_of(st.st_mode));
	if (st.st_size > (off_t)OPT_FILE_MAX)
		return err_set(err, ERR_USAGE, EFBIG, "the configuration file has more than %u bytes", OPT_FILE_MAX);
	*fd = take_fd(&f);
	return 0;
}

int opt_read_all(int fd, size_t max, char **text, size_t *len)
{
	cleanup_free char *buf = xmalloc(max + 2);
	size_t n = 0;

	while (n <= max) { /* one byte more than allowed, so that too much is noticed */
		ssize_t got = read(fd, buf + n, max + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		n += (size_t)got;
	}
	if (n > max)
		return -EFBIG;
	*text = take_ptr(buf);
	*len = n;
	return 0;
}

int opt_load_file(struct opts *o, const char *path, bool optional, char **text, size_t *len, struct err *err)
{
	cleanup_fd int fd = -1;
	int ret = open_file(o, path, optional, &fd, err);

	*text = NULL;
	*len = 0;
	if (ret < 0 || fd < 0)
		return ret;
	ret = opt_read_all(fd, OPT_FILE_MAX, text, len);
	if (ret == -EFBIG) /* it grew */
		return err_set(err, ERR_USAGE, EFBIG, "the configuration file has more than %u bytes", OPT_FILE_MAX);
	return ret < 0 ? err_set(err, ERR_USAGE, -ret, "cannot read the configuration file") : 0;
}

int opt_read_file(struct opts *o, const char *path, const struct opt_origin *layer, bool optional, struct err *err)
{
	struct opt_origin where = *layer;
	cleanup_free char *text = NULL;
	size_t n = 0;
	int ret;

	where.file = opt_keep_name(o, path);
	where.line = where.column = 1;
	ret = opt_load_file(o, path, optional, &text, &n, err);
	if (ret < 0)
		return opt_at(err, ret, &where, 0);
	return text ? opt_read_text(o, &where, text, n, err) : 0;
}
