/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image decode and encode: one image to JSON and back. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bin/cr-image/cr-image.h"
#include "common/base/io.h"
#include "common/image/json.h"

/* Where a result goes: standard output, or a file that gets its name when it is complete. */
struct output {
	struct new_file file;
	FILE *f;
	bool std;
};

static int output_open(struct output *out, const char *path, struct err *err)
{
	int ret = 0, fd;

	*out = (struct output){ .file = NEW_FILE_INIT, .f = stdout, .std = !path || !strcmp(path, "-") };
	if (out->std)
		return 0;
	fd = open_special(path);
	if (fd < 0) {
		ret = new_file_begin(&out->file, path);
		if (ret)
			return err_object(err, err_set(err, ERR_FAILED, -ret, "cannot create"), "%s", path);
		fd = fcntl(out->file.fd, F_DUPFD_CLOEXEC, 3);
	}
	out->f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out->f) {
		ret = err_sys(err, "cannot write");
		if (fd >= 0)
			close(fd);
	}
	return out->f ? 0 : ret;
}

static int output_close(struct output *out, int ret, struct err *err)
{
	if (out->f && fflush(out->f) && !ret)
		ret = err_sys(err, "cannot write");
	if (out->std)
		return ret;
	if (out->f && fclose(out->f) && !ret)
		ret = err_sys(err, "cannot write");
	if (!ret && out->file.tmp) {
		ret = new_file_commit(&out->file, "", 0);
		if (ret)
			ret = err_object(err, err_set(err, ERR_FAILED, -ret, "cannot write"), "%s", out->file.path);
	}
	new_file_release(&out->file);
	return ret;
}

/* The input may be given by --in or as the operand. */
static int input_path(const struct opts *o, const char **path, struct err *err)
{
	int n;
	char **operands = opt_operands(o, &n);

	*path = opt_str(o, OPT_IN);
	if (n && *path)
		return err_set(err, ERR_USAGE, 0, "two inputs are given: %s and %s", *path, operands[0]);
	if (n)
		*path = operands[0];
	return 0;
}

int cmd_decode(const struct opts *o, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	bool pretty = opt_bool(o, OPT_PRETTY);
	struct image_json_opts json = { .words = pretty, .indent = pretty, .no_payload = opt_bool(o, OPT_NOPL) };
	struct output out;
	const char *path;
	int ret = input_path(o, &path, err);

	if (!ret)
		ret = open_image(path, &rd, err);
	if (ret)
		return ret;
	ret = output_open(&out, opt_str(o, OPT_OUT), err);
	if (!ret)
		ret = image_to_json(rd, &json, out.f, err);
	return output_close(&out, ret, err);
}

int cmd_encode(const struct opts *o, struct err *err)
{
	cleanup_file FILE *in = NULL;
	struct output out;
	const char *path;
	int ret = input_path(o, &path, err), fd;
	bool std;

	if (ret)
		return ret;
	std = !path || !strcmp(path, "-");
	fd = std ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0)
		in = fdopen(fd, "r");
	if (!in) {
		ret = err_object(err, err_sys(err, "cannot open"), "%s", std ? "standard input" : path);
		if (fd >= 0)
			close(fd);
		return ret;
	}
	ret = output_open(&out, opt_str(o, OPT_OUT), err);
	if (!ret)
		ret = image_from_json(in, std ? "standard input" : path, out.f, err);
	return output_close(&out, ret, err);
}
