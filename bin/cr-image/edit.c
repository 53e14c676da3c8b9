/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image edit and set: changing an image by hand, by a jq program, or by one value. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bin/cr-image/edit.h"
#include "bin/cr-image/x.h"
#include "common/image/json_scan.h"

#define SET_MAX (256u << 20) /* of JSON that is taken into memory at once */

/* jq keeps numbers as doubles. Those that a double cannot hold go through it as strings, which an image takes as well. */
static int protect_numbers(int from, int to, struct err *err)
{
	cleanup_file FILE *in = NULL, *out = NULL;
	bool string = false, escaped = false;
	int a = fcntl(from, F_DUPFD_CLOEXEC, 3), b = fcntl(to, F_DUPFD_CLOEXEC, 3);

	in = a < 0 ? NULL : fdopen(a, "r");
	out = b < 0 ? NULL : fdopen(b, "w");
	if (!in || !out) {
		int ret = err_sys(err, "cannot read the JSON");

		if (!in && a >= 0)
			close(a);
		if (!out && b >= 0)
			close(b);
		return ret;
	}
	rewind(in);
	for (int c; (c = getc(in)) != EOF;) {
		char digits[32];
		size_t n = 0;

		if (string) {
			string = escaped || c != '"';
			escaped = !escaped && c == '\\';
		} else if (c == '-' || isdigit(c)) {
			for (; c == '-' || isdigit(c); c = getc(in))
				if (n < sizeof(digits))
					digits[n++] = (char)c;
			if (c != EOF)
				ungetc(c, in);
			fprintf(out, n > 15 ? "\"%.*s\"" : "%.*s", (int)n, digits);
			continue;
		} else {
			string = c == '"';
		}
		putc(c, out);
	}
	return fflush(out) || ferror(in) ? err_sys(err, "cannot write") : 0;
}

static int run_filter(struct edit *e, const char *program, int *result, struct err *err)
{
	cleanup_free char *text = xasprintf(" %s", program); /* a program that begins with '-' is no option */
	const char *argv[] = { "jq", "-c", text, NULL };
	cleanup_fd int in = memfd_create("json", MFD_CLOEXEC), out = memfd_create("json", MFD_CLOEXEC);
	pid_t pid;
	int ret;

	if (in < 0 || out < 0)
		return err_sys(err, "memfd_create");
	ret = protect_numbers(e->fd, in, err);
	if (!ret && lseek(in, 0, SEEK_SET) < 0)
		ret = err_sys(err, "lseek");
	if (!ret)
		ret = spawn(argv, in, out, &pid, err);
	if (!ret)
		ret = spawn_wait(pid, "jq", err);
	if (!ret)
		*result = take_fd(&out);
	return ret;
}

static int run_editor(struct edit *e, struct err *err)
{
	const char *editor = getenv("VISUAL");
	const char *argv[] = { "/bin/sh", "-c", NULL, "sh", e->tmp, NULL };
	cleanup_free char *command = NULL;
	pid_t pid;
	int ret;

	if (!editor || !editor[0])
		editor = getenv("EDITOR");
	/* As other programs do: the variable may hold options. */
	command = xasprintf("%s \"$1\"", editor && editor[0] ? editor : "vi");
	argv[2] = command;
	ret = spawn(argv, -1, -1, &pid, err);
	return ret ? ret : spawn_wait(pid, "the editor", err);
}

int cmd_edit(const struct opts *o, struct err *err)
{
	cleanup_edit struct edit e = EDIT_INIT;
	cleanup_fd int changed = -1;
	const char *program = opt_str(o, OPT_FILTER);
	int ret = edit_begin(&e, opt_operands(o, NULL)[0], !program, err);

	if (ret)
		return ret;
	ret = program ? run_filter(&e, program, &changed, err) : run_editor(&e, err);
	if (ret)
		return ret;
	/* By name: most editors write another file of it. */
	if (!program)
		changed = open(e.tmp, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	if (changed < 0)
		return err_object(err, err_sys(err, "cannot open"), "%s", e.tmp);
	ret = edit_commit(&e, changed, err);
	if (ret && !program) {
		err_hint(err, ret, "the image is as it was; what you wrote is in %s", e.tmp);
		e.tmp[0] = 0;
	}
	return ret;
}

/* ---- set ---- */

/* One step of a path: .NAME or [N]. *p is moved behind it. */
static json_object *step(json_object *o, const char **p, char *name, size_t size, size_t *index, struct err *err)
{
	json_object *v = NULL;
	size_t n;

	if (**p == '[') {
		uint64_t i;
		char digits[24];

		n = strcspn(*p + 1, "]");
		snprintf(digits, sizeof(digits), "%.*s", (int)MIN(n, sizeof(digits) - 1), *p + 1);
		if (!(*p)[n + 1] || parse_u64(digits, 10, &i) || !json_object_is_type(o, json_type_array) ||
		    i >= json_object_array_length(o)) {
			err_set(err, ERR_USAGE, 0, "there is no element %.*s]", (int)MIN(n + 1, (size_t)60), *p);
			return NULL;
		}
		*p += n + 2;
		name[0] = 0;
		*index = (size_t)i;
		return json_object_array_get_idx(o, *index);
	}
	if (**p == '.')
		++*p;
	n = strcspn(*p, ".[");
	if (!n || n >= size || !json_object_is_type(o, json_type_object)) {
		err_set(err, ERR_USAGE, 0, "there is no '%s' here", *p);
		return NULL;
	}
	memcpy(name, *p, n);
	name[n] = 0;
	*p += n;
	json_object_object_get_ex(o, name, &v);
	return v;
}

static int set_value(json_object *root, const char *operand, struct err *err)
{
	const char *eq = strchr(operand, '=');
	cleanup_free char *path = NULL;
	json_object *at = root, *next, *value;
	char name[128];
	size_t index = 0;

	if (!eq || eq == operand)
		return err_hint(err, err_set(err, ERR_USAGE, 0, "'%s' is not PATH=VALUE", operand), "write entries[0].umask=18");
	path = xasprintf("%.*s", (int)(eq - operand), operand[0] == '.' ? operand + 1 : operand);
	if (operand[0] == '.')
		path[eq - operand - 1] = 0;
	if (strncmp(path, "entries", 7)) { /* the first entry is meant */
		char *whole = xasprintf("entries[0].%s", path);

		free(path);
		path = whole;
	}
	for (const char *p = path; *p; at = next) {
		next = step(at, &p, name, sizeof(name), &index, err);
		if (err->kind)
			return -EINVAL;
		if (!*p)
			break;
		if (!next)
			return err_set(err, ERR_USAGE, 0, "there is no %s in this image", path);
	}
	value = json_tokener_parse(eq + 1);
	if (!value && strcmp(eq + 1, "null"))
		value = json_object_new_string(eq + 1);
	if (name[0] && !strcmp(eq + 1, "null"))
		json_object_object_del(at, name);
	else if (name[0])
		json_object_object_add(at, name, value);
	else
		json_object_array_put_idx(at, index, value);
	return 0;
}

int cmd_set(const struct opts *o, struct err *err)
{
	cleanup_edit struct edit e = EDIT_INIT;
	cleanup_json json_object *root = NULL;
	cleanup_fd int out = memfd_create("json", MFD_CLOEXEC);
	cleanup_free char *text = NULL;
	char **operands = opt_operands(o, NULL);
	const char *json;
	struct stat st;
	int ret = out < 0 ? err_sys(err, "memfd_create") : edit_begin(&e, operands[0], false, err);

	if (ret)
		return ret;
	if (fstat(e.fd, &st) < 0)
		return err_sys(err, "fstat");
	if ((uint64_t)st.st_size > SET_MAX)
		return err_object(err, err_hint(err, err_set(err, ERR_USAGE, EFBIG, "too big to set a value in"),
						"use decode, a stream editor and encode"), "%s", operands[0]);
	text = xzalloc((size_t)st.st_size + 1);
	ret = pread_full(e.fd, text, (size_t)st.st_size, 0);
	root = ret ? NULL : json_tokener_parse(text);
	if (!root)
		return err_set(err, ERR_FAILED, -ret, "cannot read the JSON again");
	for (char **operand = operands + 1; *operand && !ret; operand++)
		ret = set_value(root, *operand, err);
	if (ret)
		return err_object(err, ret, "%s", operands[0]);
	json = json_object_to_json_string_ext(root, JSON_C_TO_STRING_NOSLASHESCAPE);
	ret = write_full(out, json, strlen(json));
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot keep the JSON");
	return edit_commit(&e, out, err);
}
