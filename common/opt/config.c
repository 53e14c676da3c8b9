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

/* Reads the value at l->p into buf (as large as the line). */
static int read_value(struct line *l, char *buf, const struct opt_origin *at, struct err *err)
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
		return opt_at(err, err_set(err, ERR_USAGE, 0, "the quote is not closed on this line"), at,
			      column(l, start));
	l->p++;
	if (l->p < l->end && !is_blank(*l->p) && *l->p != '#')
		return opt_at(err, err_set(err, ERR_USAGE, 0, "text follows the closing quote"), at, column(l, l->p));
	return 0;
}

/* The option called name (len bytes), which may begin with "no-". */
static int find_option(const char *name, enum opt_id *id, bool *negated, struct err *err)
{
	const char *near = NULL;

	*negated = false;
	*id = opt_find(name, NULL);
	if (*id == OPT_COUNT_ && !strncmp(name, "no-", 3)) {
		*id = opt_find(name + 3, NULL);
		*negated = true;
	}
	if (*id == OPT_COUNT_) {
		int ret = err_set(err, ERR_USAGE, 0, "unknown option %s", name);

		opt_find(*negated ? name + 3 : name, &near);

		return near ? err_hint(err, ret, "did you mean %s?", near) :
			      err_hint(err, ret, "`cr-config --list` shows all options");
	}
	if (*negated && opt_defs[*id].type != OPT_T_BOOL)
		return err_set(err, ERR_USAGE, 0, "%s takes a value, so there is no %s", opt_defs[*id].name, name);
	if (opt_defs[*id].flags & OPT_F_CMDLINE)
		return err_set(err, ERR_USAGE, 0, "%s works on the command line only", name);
	return 0;
}

static int read_line(struct opts *o, struct line *l, char *buf, struct opt_origin *at, struct err *err)
{
	enum opt_id id = OPT_COUNT_;
	bool negated = false;
	const char *name;
	unsigned at_value;
	char word[64];
	size_t n;
	int ret;

	skip_blanks(l);
	if (at_end(l))
		return 0;
	name = l->p;
	at->column = column(l, name);
	while (l->p < l->end && !is_blank(*l->p) && *l->p != '=')
		l->p++;
	n = (size_t)(l->p - name);
	if (n >= 2 && name[0] == '-')
		return opt_at(err, err_set(err, ERR_USAGE, 0, "options are written without dashes here"), at, at->column);
	if (!n || n >= sizeof(word))
		return opt_at(err, err_set(err, ERR_USAGE, 0, "this is not the name of an option"), at, at->column);
	memcpy(word, name, n);
	word[n] = 0;
	ret = find_option(word, &id, &negated, err);
	if (ret < 0)
		return opt_at(err, ret, at, at->column);
	if (l->p < l->end && *l->p == '=')
		l->p++;
	else
		skip_blanks(l);
	at_value = column(l, l->p);
	if (l->p == l->end || (*l->p == '#' && is_blank(l->p[-1])))
		return opt_use(o, id, NULL, negated, at, at->column, err);
	ret = read_value(l, buf, at, err);
	if (ret < 0)
		return ret;
	skip_blanks(l);
	if (!at_end(l)) {
		ret = err_set(err, ERR_USAGE, 0, "a second value for %s", word);
		return opt_at(err, err_hint(err, ret, "put a value with spaces in double quotes"), at, column(l, l->p));
	}
	return opt_use(o, id, buf, negated, at, at_value, err);
}

int opt_read_text(struct opts *o, const struct opt_origin *where, const char *text, size_t len, struct err *err)
{
	cleanup_free char *buf = NULL;
	const char *p = text, *end = text + len;
	struct opt_origin at = *where;

	at.line = at.column = 1;
	if (len > OPT_FILE_MAX)
		return opt_at(err, err_set(err, ERR_USAGE, EFBIG, "more than %u bytes", OPT_FILE_MAX), &at, 1);
	if (len >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
		p += 3;
	buf = xmalloc(MIN(len, (size_t)OPT_LINE_MAX) + 1);
	for (; p < end; at.line++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct line l = { p, nl ? nl : end, p };
		const char *nul;
		int ret;

		p = nl ? nl + 1 : end;
		if (l.end - l.s > (ptrdiff_t)OPT_LINE_MAX)
			return opt_at(err, err_set(err, ERR_USAGE, 0, "the line is longer than %u bytes", OPT_LINE_MAX),
				      &at, OPT_LINE_MAX + 1);
		nul = memchr(l.s, 0, (size_t)(l.end - l.s));
		if (nul)
			return opt_at(err, err_set(err, ERR_USAGE, 0, "a NUL byte"), &at, column(&l, nul));
		if (l.end > l.s && l.end[-1] == '\r')
			l.end--;
		ret = read_line(o, &l, buf, &at, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static const char *kind_of(mode_t mode)
{
	return S_ISDIR(mode)  ? "a directory" :
	       S_ISFIFO(mode) ? "a FIFO" :
	       S_ISSOCK(mode) ? "a socket" :
				"a device";
}

/* Opens a configuration file. *fd -1 with 0: there is nothing to read. */
static int open_file(struct opts *o, const char *path, enum opt_layer layer, int *fd, struct err *err)
{
	/* O_NONBLOCK: a FIFO must not hold us up before it is refused. */
	cleanup_fd int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	*fd = -1;
	if (f < 0) {
		if ((layer == OPT_L_SYSTEM || layer == OPT_L_HOME) && (errno == ENOENT || errno == ENOTDIR))
			return 0;
		return err_set(err, ERR_USAGE, errno, "cannot read the configuration file");
	}
	if (fstat(f, &st) < 0)
		return err_set(err, ERR_USAGE, errno, "cannot read the configuration file");
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) /* /dev/null: the usual word for none */
		return 0;
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, 0, "the configuration file is %s", kind_of(st.st_mode));
	if (st.st_size > (off_t)OPT_FILE_MAX)
		return err_set(err, ERR_USAGE, EFBIG, "the configuration file has more than %u bytes", OPT_FILE_MAX);
	for (unsigned i = 0; i < o->nread; i++)
		if (o->read[i].dev == st.st_dev && o->read[i].ino == st.st_ino) {
			opt_note(o, "%s was read already, as another layer", path);
			return 0;
		}
	if (o->nread < ARRAY_SIZE(o->read)) {
		o->read[o->nread].dev = st.st_dev;
		o->read[o->nread++].ino = st.st_ino;
	}
	*fd = take_fd(&f);
	return 0;
}

int opt_read_file(struct opts *o, const char *path, enum opt_layer layer, struct err *err)
{
	struct opt_origin where = { .layer = layer, .line = 1, .column = 1 };
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	size_t n = 0;
	int ret;

	array_reserve(&o->files, &o->files_cap, o->nfiles, sizeof(*o->files));
	where.file = o->files[o->nfiles++] = xstrdup(path);
	ret = open_file(o, path, layer, &fd, err);
	if (ret < 0)
		return opt_at(err, ret, &where, 0);
	if (fd < 0)
		return 0;
	text = xmalloc(OPT_FILE_MAX + 2);
	while (n <= OPT_FILE_MAX) { /* one byte more than allowed, so that a file that grew is noticed */
		ssize_t got = read(fd, text + n, OPT_FILE_MAX + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return opt_at(err, err_set(err, ERR_USAGE, errno, "cannot read the configuration file"), &where, 0);
		if (!got)
			break;
		n += (size_t)got;
	}
	return opt_read_text(o, &where, text, n, err);
}
