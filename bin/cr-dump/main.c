/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-dump: options in, one dump, one line about what went wrong. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "common/base/io.h"
#include "common/dump/dump.h"
#include "common/net/lock.h"
#include "common/file/external.h"
#include "common/opt/opt.h"

static const char prog[] = "cr-dump";

static int check_increment(const struct opts *o, struct err *err)
{
	bool increment = opt_bool(o, OPT_PRE_DUMP) || opt_is_set(o, OPT_ITERATE) || opt_is_set(o, OPT_PREV_IMAGES_DIR);

	if (increment && !strcmp(opt_str(o, OPT_IMAGES_DIR), "-"))
		return err_hint(err, err_set(err, ERR_USAGE, 0, "a stream cannot be part of a chain of checkpoints"),
				"write to a directory, and send what cr-image flatten makes of it");
	if (opt_bool(o, OPT_COW_PAGES) && increment)
		return err_hint(err, err_set(err, ERR_USAGE, 0, "cow-pages: pages that a parent process has cannot be part of a "
							 "chain of checkpoints"), "leave out one of both");
	if (opt_bool(o, OPT_PRE_DUMP) && opt_is_set(o, OPT_ITERATE))
		return err_set(err, ERR_USAGE, 0, "iterate: its rounds are pre-dumps, and a dump ends them; --pre-dump is one alone");
	if (opt_bool(o, OPT_PRE_DUMP) && opt_bool(o, OPT_LEAVE_STOPPED))
		return err_set(err, ERR_USAGE, 0, "pre-dump: the tasks go on, so they cannot be left stopped");
	return 0;
}

static int check_options(const struct opts *o, struct err *err)
{
	if (opt_bool(o, OPT_JSON) && !opt_bool(o, OPT_CHECK) && opt_is_said(o, OPT_JSON))
		return err_hint(err, err_set(err, ERR_USAGE, 0, "--json without --check"), "a dump prints no result");
	if (!opt_is_set(o, OPT_TREE))
		return err_hint(err, err_set(err, ERR_USAGE, 0, "no task is given"), "say which one with --tree PID");
	if (opt_is(o, OPT_NETWORK_LOCK, "iptables"))
		return err_hint(err, err_set(err, ERR_USAGE, 0, "network-lock: connections are not locked by rules of iptables"),
				"use --network-lock nftables, which does the same for any number of connections at once");
	if (opt_bool(o, OPT_LEAVE_RUNNING) && opt_bool(o, OPT_LEAVE_STOPPED)) {
		size_t n;
		const struct opt_use *r = opt_uses(o, OPT_LEAVE_RUNNING, &n), *s;
		cleanup_free char *running = opt_origin_text(&r[n - 1].origin), *stopped = NULL;

		s = opt_uses(o, OPT_LEAVE_STOPPED, &n);
		stopped = opt_origin_text(&s[n - 1].origin);
		err_set(err, ERR_USAGE, 0, "leave-running (%s) and leave-stopped (%s) contradict each other", running,
			stopped);
		return err_hint(err, -EINVAL, "--no-leave-running or --no-leave-stopped takes one back");
	}
	return check_increment(o, err);
}

static int read_externals(const struct opts *o, struct externals *e, struct err *err)
{
	const char *const *list = opt_list(o, OPT_EXTERNAL, NULL);
	int ret = 0;

	for (; !ret && *list; list++)
		ret = external_add(e, *list, err);
	for (list = opt_list(o, OPT_EXT_UNIX_SK, NULL); !ret && *list; list++)
		ret = external_add_sockets(e, *list, err);
	return ret;
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

	if (ret)
		return ret;
	findings_print(&found, opt_bool(o, OPT_JSON), stdout);
	if (fflush(stdout) || ferror(stdout))
		return err_sys(err, "cannot write the findings to standard output");
	return found.n ? 1 : 0;
}

/* Standard output becomes the stream and nothing else: what anybody writes there by mistake goes to standard error. */
static int take_stdout(int *stream, struct err *err)
{
	if (isatty(STDOUT_FILENO))
		return err_hint(err, err_set(err, ERR_USAGE, 0, "standard output is a terminal: images do not go there"),
				"send them through a pipe or into a file: cr-dump -D - ... | ...");
	*stream = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (*stream < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return err_sys(err, "cannot write to standard output");
	/* A pipe of the size that anybody may have: fewer and longer turns of both sides. */
	fcntl(*stream, F_SETPIPE_SZ, 1 << 20);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

/* Negative: err says why. Else the exit status. */
static int run(const struct opts *o, struct log *log, struct err *err)
{
	bool check = opt_bool(o, OPT_CHECK);
	const char *images = opt_str(o, OPT_IMAGES_DIR);
	bool streams = !check && !strcmp(images, "-");
	const char *work = opt_str(o, OPT_WORK_DIR) ?: !strcmp(images, "-") ? "." : images;
	const char *log_file = opt_str(o, OPT_LOG_FILE), *pidfile = check ? NULL : opt_str(o, OPT_PIDFILE);
	cleanup_free char *log_path = log_file && strcmp(log_file, "-") != 0 ? path_join(work, log_file) : NULL;
	cleanup_free char *pid_path = pidfile ? path_join(work, pidfile) : NULL;
	cleanup_new_file struct new_file pid_file = NEW_FILE_INIT;
	cleanup_externals struct externals given = { 0 };
	enum cgroups_mode cgroups;
	int ret = cgroups_mode(opt_str(o, OPT_MANAGE_CGROUPS), &cgroups, err);
	struct dump_opts opts = {
		.pid = (pid_t)opt_int(o, OPT_TREE),
		.images_dir = images,
		.work_dir = work,
		.leave_running = opt_bool(o, OPT_LEAVE_RUNNING),
		.leave_stopped = opt_bool(o, OPT_LEAVE_STOPPED),
		.tcp_established = opt_bool(o, OPT_TCP_ESTABLISHED),
		.tcp_close = opt_bool(o, OPT_TCP_CLOSE),
		.skip_in_flight = opt_bool(o, OPT_SKIP_IN_FLIGHT),
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
	};
	cleanup_fd int stream = -1;
	struct dump_stats stats = { 0 };

	if (!ret)
		ret = read_externals(o, &given, err);
	if (!ret && streams)
		ret = take_stdout(&stream, err);
	opts.stream = stream;

	if (!ret)
		ret = log_open(log, prog, log_path ?: log_file, (int)opt_int(o, OPT_VERBOSITY),
			       opt_is(o, OPT_LOG_FORMAT, "json"), err);
	if (ret < 0)
		return ret;
	opt_log_notes(o, log);
	if (pid_path) {
		ret = new_file_begin(&pid_file, pid_path);
		if (ret < 0)
			return err_object(err, err_set(err, ERR_FAILED, -ret, "cannot write the pid file"), "%s",
					  pid_path);
	}
	if (check)
		return run_check(o, &opts, log, err);
	ret = dump_run(&opts, log, &stats, err);
	if (ret < 0)
		return say_more(err, opts.pid, ret);
	if (opts.display_stats)
		print_stats(&stats, stderr);
	if (pid_path) {
		char line[16];

		ret = new_file_commit(&pid_file, line, (size_t)snprintf(line, sizeof(line), "%d", opts.pid));
		if (ret < 0)
			return err_object(err,
					  err_set(err, ERR_FAILED, -ret, "the dump is complete, the pid file is not"),
					  "%s", pid_path);
	}
	return 0;
}

int main(int argc, char **argv)
{
	cleanup_opts struct opts *o = NULL;
	struct log log = { 0 };
	struct err err = ERR_INIT;
	int ret = opt_parse(TOOL_DUMP, argc, argv, &o, &err), code;

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
