/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image show: JSON for people, of files and of whole directories. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "bin/cr-image/cr-image.h"
#include "bin/cr-image/edit.h"
#include "common/base/strbuf.h"
#include "common/image/json.h"

struct show {
	struct image_json_opts json;
	FILE *out;
	bool lines;
	bool many;    /* say which file comes */
	bool keyed;   /* the images of a directory, as members of one object */
	bool started; /* something was printed */
};

static int show_one(const char *path, void *data, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	struct show *s = data;
	struct image_json_opts json = s->json;
	const char *base = strrchr(path, '/');
	int ret = open_image(path, &rd, err);

	if (ret)
		return ret;
	if (!image_kinds[image_reader_kind(rd)].message && s->many)
		return 0; /* raw: pages and archives have nothing to show */
	if (s->lines) {
		json.lines = path;
	} else if (s->keyed) { /* names of images need no escaping: there are no others */
		fprintf(s->out, "%s\n    \"%s\": ", s->started ? "," : "{", base ? base + 1 : path);
		json.depth = 1;
	} else if (s->many) {
		fprintf(s->out, "%s# %s\n", s->started ? "\n" : "", path);
	}
	s->started = true;
	ret = image_to_json(rd, &json, s->out, err);
	return ret ? err_object(err, ret, "%s", path) : 0;
}

/* ---- colours: a filter that knows just enough of JSON ---- */

struct painter {
	FILE *out;
	bool string, escaped, key, word;
	bool object[256]; /* what is open, by depth */
	unsigned depth;
};

static void paint(struct painter *p, char c)
{
	const char *colour = NULL;
	bool word = strchr("0123456789-.eE+truefalsn", c) != NULL && c;

	if (p->string) {
		putc(c, p->out);
		if (!p->escaped && c == '"') {
			p->string = false;
			fputs("\033[0m", p->out);
		}
		p->escaped = !p->escaped && c == '\\';
		return;
	}
	if (p->word && !word)
		fputs("\033[0m", p->out);
	if (c == '"') {
		p->string = true;
		colour = p->key ? "\033[1;34m" : "\033[32m";
	} else if (word && !p->word) {
		colour = c == 't' || c == 'f' || c == 'n' ? "\033[33m" : "\033[36m";
	}
	p->word = word;
	if (c == '{' || c == '[') {
		p->depth = MIN(p->depth + 1, (unsigned)ARRAY_SIZE(p->object) - 1);
		p->object[p->depth] = p->key = c == '{';
	} else if ((c == '}' || c == ']') && p->depth) {
		p->depth--;
	} else if (c == ',' || c == ':') {
		p->key = c == ',' && p->object[p->depth];
	}
	if (colour)
		fputs(colour, p->out);
	putc(c, p->out);
}

static ssize_t paint_write(void *data, const char *buf, size_t n)
{
	struct painter *p = data;

	for (size_t i = 0; i < n; i++)
		paint(p, buf[i]);
	return ferror(p->out) ? 0 : (ssize_t)n;
}

/* ---- pager ---- */

/* A pager in front of the terminal; elsewhere there is nothing to page. */
static int start_pager(FILE **out, pid_t *pid, struct err *err)
{
	const char *pager = getenv("PAGER");
	const char *argv[] = { "/bin/sh", "-c", pager && pager[0] ? pager : "less -R", NULL };
	int fds[2], ret;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	signal(SIGPIPE, SIG_IGN); /* whoever leaves the pager early has seen enough */
	ret = spawn(argv, fds[0], -1, pid, err);
	close(fds[0]);
	*out = ret ? NULL : fdopen(fds[1], "w");
	if (!*out) {
		close(fds[1]);
		*out = stdout;
		return ret ? ret : err_sys(err, "fdopen");
	}
	return 0;
}

static int show_all(struct show *s, char **paths, int n, struct err *err)
{
	int ret = 0;

	for (int i = 0; i < n && !ret; i++) {
		bool dir = is_directory(paths[i]);

		s->many = n > 1 || dir;
		s->keyed = dir && !s->lines;
		if (s->keyed)
			s->started = false;
		ret = each_image(paths[i], show_one, s, err);
		if (!ret && s->keyed)
			fputs(s->started ? "\n}\n" : "{}\n", s->out);
	}
	return ret;
}

int cmd_show(const struct opts *o, struct err *err)
{
	static const cookie_io_functions_t painting = { .write = paint_write };
	struct painter painter = { .out = stdout };
	struct show s = {
		.json = { .words = true, .indent = !opt_bool(o, OPT_LINES), .no_payload = opt_bool(o, OPT_NOPL) },
		.lines = opt_bool(o, OPT_LINES),
	};
	pid_t pager = 0;
	int n, ret = opt_bool(o, OPT_PAGER) ? start_pager(&painter.out, &pager, err) : 0;
	char **paths = opt_operands(o, &n);

	if (ret)
		return ret;
	s.out = painter.out;
	if (opt_bool(o, OPT_COLOR))
		s.out = fopencookie(&painter, "w", painting) ?: painter.out;
	ret = show_all(&s, paths, n, err);
	if (fflush(s.out) && !ret && !pager)
		ret = err_sys(err, "cannot write");
	if (s.out != painter.out)
		fclose(s.out);
	if (fflush(painter.out) && !ret && !pager)
		ret = err_sys(err, "cannot write");
	if (pager) {
		fclose(painter.out);
		if (ret && err->errnum == EPIPE) {
			*err = (struct err)ERR_INIT;
			ret = 0;
		}
		ret = ret ?: spawn_wait(pager, "the pager", err);
	}
	return ret;
}
