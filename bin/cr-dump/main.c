/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-dump: options in, one dump, one line about what went wrong. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/base/start.h"
#include "common/dump/dump.h"
#include "common/net/lock.h"
#include "common/tool/tool.h"

static const char prog[] = "cr-dump";

static int check_options(const struct opts *o, struct err *err)
{
	if (opt_bool(o, OPT_JSON) && !opt_bool(o, OPT_CHECK) && opt_is_said(o, OPT_JSON))
		return err_hint(err, err_set(err, ERR_USAGE, 0, "--json without --check"), "a dump prints no result");
	if (!opt_is_set(o, OPT_TREE))
		return err_hint(err, err_set(err, ERR_USAGE, 0, "no task is given"), "say which one with --tree PID");
	return 0;
}

static void print_stats(const struct dump_stats *s, FILE *f)
{
	fprintf(f, "%-22s %12.3f ms\n", "freezing", (double)s->freezing_us / 1000);
	fprintf(f, "%-22s %12.3f ms\n", "frozen", (double)s->frozen_us / 1000);
	fprintf(f, "%-22s %12.3f ms\n", "memory, reading", (double)s->memdump_us / 1000);
	fprintf(f, "%-22s %12.3f ms\n", "memory, writing", (double)s->memwrite_us / 1000);
	fprintf(f, "%-22s %12.3f ms\n", "all", (double)s->total_us / 1000);
	fprintf(f, "%-22s %12llu\n", "pages looked at", (unsigned long long)s->pages_scanned);
	fprintf(f, "%-22s %12llu\n", "pages written", (unsigned long long)s->pages_written);
	fprintf(f, "%-22s %12llu\n", "pages of zeros", (unsigned long long)s->pages_zero);
	fprintf(f, "%-22s %12llu\n", "pages of files", (unsigned long long)s->pages_file);
	fprintf(f, "%-22s %12llu\n", "pages of a parent", (unsigned long long)s->pages_cow);
	fprintf(f, "%-22s %12llu\n", "pages of older dumps", (unsigned long long)s->pages_parent);
	fprintf(f, "%-22s %12llu bytes\n", "images", (unsigned long long)s->image_bytes);
}

/* Who is told of one thing wants to know of the others. */
static int say_more(struct err *err, pid_t pid, int ret)
{
	size_t n = strlen(err->hint);

	if (err->kind == ERR_REFUSED && err->pid)
		snprintf(err->hint + n, sizeof(err->hint) - n, "%scr-dump --check -t %d lists all that is in the way",
			 n ? "; " : "", pid);
	return ret;
}

/* Exit status of --check: 1 with findings. */
static int run_check(const struct opts *o, const struct dump_opts *opts, const struct log *log, struct err *err)
{
	cleanup_findings struct findings found = { 0 };
	int ret = dump_check(opts, log, &found, err);

	externals_tell_unused(opts->given, log);
	return ret ? ret : tool_findings(o, &found, err);
}

/* Negative: err says why. Else the exit status. */
static int run(const struct opts *o, struct log *log, struct err *err)
{
	bool check = opt_bool(o, OPT_CHECK);
	cleanup_pid_file struct pid_file pid_file = PID_FILE_INIT;
	cleanup_actions struct actions actions = ACTIONS_INIT;
	cleanup_externals struct externals given = { 0 };
	enum cgroups_mode cgroups;
	int ret = cgroups_mode(opt_str(o, OPT_MANAGE_CGROUPS), &cgroups, err);
	struct dump_opts opts = {
		.pid = (pid_t)opt_int(o, OPT_TREE),
		.images_dir = opt_str(o, OPT_IMAGES_DIR),
		.work_dir = tool_work_dir(o),
		.leave_running = opt_bool(o, OPT_LEAVE_RUNNING),
		.leave_stopped = opt_bool(o, OPT_LEAVE_STOPPED),
		.tcp_established = opt_bool(o, OPT_TCP_ESTABLISHED),
		.tcp_close = opt_bool(o, OPT_TCP_CLOSE),
		.skip_in_flight = opt_bool(o, OPT_SKIP_IN_FLIGHT),
		.unix_close = opt_bool(o, OPT_UNIX_CLOSE),
		.network_lock = opt_is(o, OPT_NETWORK_LOCK, "skip") ? NET_LOCK_SKIP : NET_LOCK_NFTABLES,
		.shell_job = opt_bool(o, OPT_SHELL_JOB),
		.timeout_s = (unsigned)opt_int(o, OPT_TIMEOUT),
		.ghost_limit = opt_size(o, OPT_GHOST_LIMIT),
		.display_stats = opt_bool(o, OPT_DISPLAY_STATS),
		.progress = isatty(STDERR_FILENO),
		.iterate = opt_str(o, OPT_ITERATE),
		.pre_dump = opt_bool(o, OPT_PRE_DUMP),
		.prev_images_dir = opt_str(o, OPT_PREV_IMAGES_DIR),
		.track_mem = opt_bool(o, OPT_TRACK_MEM),
		.track = MAX(opt_enum(o, OPT_TRACK), 0),
		.auto_dedup = opt_bool(o, OPT_AUTO_DEDUP),
		.cow_pages = opt_bool(o, OPT_COW_PAGES),
		.seal = opt_bool(o, OPT_SEAL),
		.compress = opt_is_set(o, OPT_COMPRESS) ? (int)opt_int(o, OPT_COMPRESS) : 0,
		.stream = -1,
		.given = &given,
		.cgroups = cgroups,
		.link_remap = opt_bool(o, OPT_LINK_REMAP),
		.file_locks = opt_bool(o, OPT_FILE_LOCKS),
		.suspend_seccomp = opt_bool(o, OPT_SUSPEND_SECCOMP),
		.actions = &actions,
	};
	cleanup_fd int stream = -1;
	struct dump_stats stats = { 0 };

	if (!ret && !check)
		ret = tool_actions(o, &actions, err); /* before anything of ours takes a number */
	if (!ret)
		ret = tool_externals(o, &given, err);
	if (!ret && !check && tool_streams(o)) {
		ret = tool_stream(STDOUT_FILENO, &stream, err);
		signal(SIGPIPE, SIG_IGN);
	}
	opts.stream = stream;

	if (!ret)
		ret = tool_log(o, prog, log, err);
	if (!ret && !check)
		ret = tool_pid_begin(o, &pid_file, err);
	if (ret < 0)
		return ret;
	if (check)
		return run_check(o, &opts, log, err);
	ret = dump_run(&opts, log, &stats, err);
	if (ret < 0)
		return say_more(err, opts.pid, ret);
	if (!opts.pre_dump) /* it looks at memory only */
		externals_tell_unused(&given, log);
	if (opts.display_stats)
		print_stats(&stats, stderr);
	ret = tool_pid_commit(&pid_file, opts.pid, "the dump is complete, the pid file is not", err);
	if (!ret)
		actions_ready(&actions, opts.pid, log);
	return ret;
}

int main(int argc, char **argv)
{
	cleanup_opts struct opts *o = NULL;
	struct log log = { 0 };
	struct err err = ERR_INIT;
	int ret, code;

	process_begin();
	ret = opt_parse(TOOL_DUMP, argc, argv, &o, &err);
	/* The stops of the target are told by it, and a caller may have had it ignored. */
	signal(SIGCHLD, SIG_DFL);
	if (ret > 0)
		return 0;
	if (ret == 0)
		ret = check_options(o, &err);
	if (ret == 0)
		ret = run(o, &log, &err);
	code = ret < 0 ? opt_fail(o, prog, argv, &err) : ret;
	log_close(&log);
	return code;
}
