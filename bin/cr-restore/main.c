/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-restore: options in, one restore; then out of the way, in the task's place as its parent, or another command. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/start.h"
#include "common/base/io.h"
#include "common/tty/tty_job.h"
#include "common/restore/restore.h"
#include "common/tool/tool.h"

static const char prog[] = "cr-restore";

static int check_options(const struct opts *o, struct err *err)
{
	int n;
	char **command = opt_operands(o, &n);
	bool exec = opt_bool(o, OPT_EXEC_CMD);

	if (opt_bool(o, OPT_JSON) && !opt_bool(o, OPT_CHECK) && opt_is_said(o, OPT_JSON))
		return err_hint(err, err_set(err, ERR_USAGE, 0, "--json without --check"), "a restore prints no result");

	if (n && !exec)
		return err_hint(err, opt_criu_word("cr-restore", command[0], err,
						   err_set(err, ERR_USAGE, 0, "unexpected argument '%s'", command[0])),
				"--exec-cmd -- COMMAND runs a command after the restore");
	if (exec && !n)
		return err_hint(err, err_set(err, ERR_USAGE, 0, "--exec-cmd without a command"),
				"it stands at the end, after --");
	/* A command that cannot be run is found out before anything is restored. */
	return exec ? find_executable(command[0], "command", err) : 0;
}

static int read_externals(const struct opts *o, struct externals *e, struct err *err)
{
	const char *const *fds = opt_list(o, OPT_INHERIT_FD, NULL);
	int ret = tool_externals(o, e, err);

	for (; !ret && *fds; fds++)
		ret = inherited_add(e, *fds, err);
	return ret ? ret : inherited_check(e, err);
}

static void print_stats(const struct restore_stats *s, FILE *f)
{
	fprintf(f, "%-22s %12.3f ms\n", "making the tasks", (double)s->forking_us / 1000);
	fprintf(f, "%-22s %12.3f ms\n", "memory", (double)s->memory_us / 1000);
	fprintf(f, "%-22s %12.3f ms\n", "state", (double)s->restore_us / 1000);
	fprintf(f, "%-22s %12.3f ms\n", "all", (double)s->total_us / 1000);
	fprintf(f, "%-22s %12llu\n", "pages restored", (unsigned long long)s->pages_restored);
	fprintf(f, "%-22s %12llu bytes\n", "images", (unsigned long long)s->bytes_read);
}

/* Exit status of --check: 1 with findings. */
static int run_check(const struct opts *o, const struct restore_opts *opts, const struct log *log, struct err *err)
{
	cleanup_findings struct findings found = { 0 };
	int ret = restore_check(opts, log, &found, err);

	return ret ? ret : tool_findings(o, &found, err);
}

static int run(const struct opts *o, struct log *log, const struct tty_job *job, pid_t *root, struct err *err)
{
	bool plan = opt_bool(o, OPT_PLAN), check = opt_bool(o, OPT_CHECK);
	cleanup_pid_file struct pid_file pid_file = PID_FILE_INIT;
	cleanup_actions struct actions actions = ACTIONS_INIT;
	cleanup_externals struct externals given = { 0 };
	enum cgroups_mode cgroups;
	int ret = cgroups_mode(opt_str(o, OPT_MANAGE_CGROUPS), &cgroups, err);
	struct restore_opts opts = {
		.images_dir = opt_str(o, OPT_IMAGES_DIR),
		.stream = -1,
		.work_dir = tool_work_dir(o),
		.sibling = opt_bool(o, OPT_RESTORE_SIBLING),
		.leave_stopped = opt_bool(o, OPT_LEAVE_STOPPED),
		.tcp_established = opt_bool(o, OPT_TCP_ESTABLISHED),
		.tcp_close = opt_bool(o, OPT_TCP_CLOSE),
		.network_lock = !opt_is(o, OPT_NETWORK_LOCK, "skip"),
		.shell_job = opt_bool(o, OPT_SHELL_JOB),
		.cgroups = cgroups,
		.auto_dedup = opt_bool(o, OPT_AUTO_DEDUP),
		.link_remap = opt_bool(o, OPT_LINK_REMAP),
		.file_locks = opt_bool(o, OPT_FILE_LOCKS),
		.skip_file_rwx_check = opt_bool(o, OPT_SKIP_FILE_RWX_CHECK),
		.validate_size_only = opt_is(o, OPT_FILE_VALIDATION, "filesize"),
		.plan_only = plan,
		.out = stdout,
		.progress = isatty(STDERR_FILENO),
		/* A command that takes our place stays the parent. */
		.detach = opt_bool(o, OPT_RESTORE_DETACHED) && !opt_bool(o, OPT_EXEC_CMD),
		.given = &given,
		.foreground = job->lent,
		.actions = &actions,
	};
	struct restore_stats stats = { 0 };
	cleanup_fd int stream = -1;
	char runs[64];

	if (!ret)
		ret = read_externals(o, &given, err); /* before anything of ours takes a number */
	if (!ret && !plan && !check)
		ret = tool_actions(o, &actions, err);
	if (!ret && tool_streams(o))
		ret = tool_stream(STDIN_FILENO, &stream, err);
	opts.stream = stream;

	if (!ret)
		ret = tool_log(o, prog, log, err);
	if (!ret && !plan && !check)
		ret = tool_pid_begin(o, &pid_file, err);
	if (!ret && check)
		ret = run_check(o, &opts, log, err);
	else if (!ret)
		ret = restore_run(&opts, log, root, &stats, err);
	inherited_close(&given);
	if (ret < 0 || check)
		return ret;
	if (plan && (fflush(stdout) || ferror(stdout)))
		return err_sys(err, "cannot write the plan to standard output");
	if (opt_bool(o, OPT_DISPLAY_STATS) && !plan)
		print_stats(&stats, stderr);
	snprintf(runs, sizeof(runs), "pid %d runs, but cannot write the pid file", *root);
	ret = tool_pid_commit(&pid_file, *root, runs, err);
	if (!ret && *root)
		actions_ready(&actions, *root, log);
	return ret;
}

/* The status of the task as a shell gives it. */
static int wait_for_task(struct tty_job *job, pid_t root, struct err *err)
{
	int status;

	if (tty_job_wait(job, root, &status) < 0)
		return err_task(err, root, NULL, err_sys(err, "cannot wait for the restored task"));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	cleanup_opts struct opts *o = NULL;
	struct log log = { 0 };
	struct err err = ERR_INIT;
	struct tty_job job = { 0 };
	pid_t root = 0;
	/* Where it is ignored, children vanish without a status. */
	void (*chld)(int) = signal(SIGCHLD, SIG_DFL);
	int ret;

	process_begin();
	ret = opt_parse(TOOL_RESTORE, argc, argv, &o, &err);
	if (ret > 0)
		return 0;
	if (ret == 0)
		ret = check_options(o, &err);
	if (ret == 0) {
		if (opt_bool(o, OPT_SHELL_JOB) && !opt_bool(o, OPT_PLAN) && !opt_bool(o, OPT_CHECK))
			tty_job_begin(&job);
		ret = run(o, &log, &job, &root, &err);
		if (ret < 0)
			tty_job_end(&job);
	}
	log_close(&log);
	if (ret == 0 && root > 0 && opt_bool(o, OPT_EXEC_CMD)) {
		char **command = opt_operands(o, NULL);

		signal(SIGCHLD, chld);
		if (job.known)
			sigprocmask(SIG_SETMASK, &job.mask, NULL);
		execvp(command[0], command);
		ret = err_sys(&err, "pid %d runs, but cannot run the command %s", root, command[0]);
	} else if (ret == 0 && root > 0 && !opt_bool(o, OPT_RESTORE_DETACHED) && !opt_bool(o, OPT_RESTORE_SIBLING)) {
		ret = wait_for_task(&job, root, &err);
		tty_job_end(&job);
	}
	return ret < 0 ? opt_fail(o, prog, argv, &err) : ret;
}
