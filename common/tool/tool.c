/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/tool/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

bool tool_streams(const struct opts *o)
{
	return !strcmp(opt_str(o, OPT_IMAGES_DIR), "-");
}

const char *tool_work_dir(const struct opts *o)
{
	return opt_str(o, OPT_WORK_DIR) ?: tool_streams(o) ? "." : opt_str(o, OPT_IMAGES_DIR);
}

/* Beside the images it would be one of them, or take its place. */
static int refuse_image_name(const char *option, const char *file, struct err *err)
{
	static const char *const ends[] = { ".img", ".img.zst", "cr-manifest.json", "stats-dump", "stats-restore" };
	size_t len = file ? strlen(file) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t n = strlen(ends[i]);

		if (len >= n && !strcmp(file + len - n, ends[i]))
			return err_set(err, ERR_USAGE, 0, "--%s %s: that is the name of an image", option, file);
	}
	return 0;
}

static int check_work_dir(const struct opts *o, struct err *err)
{
	const char *dir = opt_str(o, OPT_WORK_DIR);
	struct stat st;

	if (!dir)
		return 0;
	if (!stat(dir, &st) && !S_ISDIR(st.st_mode))
		errno = ENOTDIR;
	else if (!stat(dir, &st))
		return 0;
	return err_set(err, ERR_USAGE, errno, "--work-dir %s", dir);
}

int tool_log(const struct opts *o, const char *prog, struct log *log, struct err *err)
{
	const char *file = opt_str(o, OPT_LOG_FILE);
	cleanup_free char *path = file && strcmp(file, "-") != 0 ? path_join(tool_work_dir(o), file) : NULL;
	int ret = check_work_dir(o, err);

	if (!ret)
		ret = refuse_image_name("log-file", file, err);
	if (!ret)
		ret = log_open(log, prog, path ?: file, (int)opt_int(o, OPT_VERBOSITY), opt_is(o, OPT_LOG_FORMAT, "json"), err);
	if (!ret)
		opt_log_notes(o, log);
	return ret;
}

int tool_externals(const struct opts *o, struct externals *e, struct err *err)
{
	const char *const *list = opt_list(o, OPT_EXTERNAL, NULL);
	int ret = 0;

	for (; !ret && *list; list++)
		ret = external_add(e, *list, err);
	for (list = opt_list(o, OPT_EXT_UNIX_SK, NULL); !ret && *list; list++)
		ret = external_add_sockets(e, *list, err);
	return ret;
}

int tool_actions(const struct opts *o, struct actions *a, struct err *err)
{
	a->scripts = opt_list(o, OPT_ACTION_SCRIPT, NULL);
	a->status_fd = opt_is_set(o, OPT_STATUS_FD) ? (int)opt_int(o, OPT_STATUS_FD) : -1;
	a->phase_fd = opt_is_set(o, OPT_PHASE_FD) ? (int)opt_int(o, OPT_PHASE_FD) : -1;
	a->timeout_s = (unsigned)opt_int(o, OPT_ACTION_TIMEOUT);
	if (tool_streams(o) && (a->status_fd == STDOUT_FILENO || a->phase_fd == STDOUT_FILENO))
		return err_set(err, ERR_USAGE, 0, "standard output is for the images alone (-D -): it cannot be told of stages, too");
	return actions_prepare(a, opt_str(o, OPT_IMAGES_DIR), err);
}

int tool_stream(int number, int *stream, struct err *err)
{
	const bool out = number == STDOUT_FILENO;
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (isatty(number))
		return err_hint(err, err_set(err, ERR_USAGE, 0, out ? "standard output is a terminal: images do not go there" :
							"standard input is a terminal: no images come from there"),
				out ? "send them through a pipe or into a file: cr-dump -D - ... | ..." :
				      "give them through a pipe or from a file: ... | cr-restore -D - ...");
	*stream = fcntl(number, F_DUPFD_CLOEXEC, 3);
	if (*stream < 0 || null < 0 || dup2(out ? STDERR_FILENO : null, number) < 0)
		return err_sys(err, out ? "cannot write to standard output" : "cannot read standard input");
	pipe_widen(*stream);
	return 0;
}

int tool_pid_begin(const struct opts *o, struct pid_file *f, struct err *err)
{
	const char *name = opt_str(o, OPT_PIDFILE);
	int ret;

	if (!name)
		return 0;
	ret = refuse_image_name("pidfile", name, err);
	if (ret)
		return ret;
	f->path = path_join(tool_work_dir(o), name);
	ret = new_file_begin(&f->file, f->path);
	return ret ? err_object(err, err_set(err, ERR_FAILED, -ret, "cannot write the pid file"), "%s", f->path) : 0;
}

int tool_pid_commit(struct pid_file *f, pid_t pid, const char *what, struct err *err)
{
	char line[16];
	int ret = 0;

	if (f->path)
		ret = new_file_commit(&f->file, line, (size_t)snprintf(line, sizeof(line), "%d", pid));
	return ret ? err_object(err, err_set(err, ERR_FAILED, -ret, "%s", what), "%s", f->path) : 0;
}

void tool_pid_release(struct pid_file *f)
{
	new_file_release(&f->file);
	free(f->path);
}

int tool_findings(const struct opts *o, const struct findings *found, struct err *err)
{
	findings_print(found, opt_bool(o, OPT_JSON), stdout);
	if (fflush(stdout) || ferror(stdout))
		return err_sys(err, "cannot write the findings to standard output");
	return found->n ? 1 : 0;
}
