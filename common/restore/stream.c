/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A checkpoint from a pipe, up to its plan. cr-dump ends its tasks when we have all of the stream, and where they stand in our way until
 * then (on one host) all of it goes into memory first; so do the rounds of --iterate. Then nothing but the pipe, which is closed when
 * we refuse, tells the dumper to let its tasks live: whatever the images say that come before the pages, and this host, is asked
 * before the pages are taken.
 */
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "common/image/source.h"
#include "common/restore/inner.h"

/* How long a dumper may take to end what it has dumped; and after that time somebody may wonder. */
#define TAKEN_MS 30000
#define TAKEN_TELL_MS 3000

static bool pids_taken(const struct model *m)
{
	for (size_t i = 0; i < m->ntasks; i++)
		if (!kill((pid_t)m->tasks[i].pstree->pid, 0) || errno == EPERM)
			return true;
	return false;
}

/* All but what those have who are about to be ended. */
static int try_plan(const struct restore_opts *opts, const struct model *m, const struct log *log, struct err *err)
{
	cleanup_plan struct plan *plan = NULL;
	int ret = plan_build(m, opts, &plan, err);

	return ret ? ret : preflight(m, plan, opts, PREFLIGHT_EARLY, log, err);
}

/* Pages of rounds wait in memory: those of the last one leave some to the others. */
static int take_rounds(const struct restore_opts *opts, struct image_dir *dir, const struct log *log, struct err *err)
{
	struct source *source = image_dir_source(dir);
	cleanup_model struct model *m = NULL;
	int ret = 0;

	if (source_more(source) && source_rounds(source) && !opts->plan_only) {
		ret = model_glance(dir, &m, err);
		if (!ret)
			ret = try_plan(opts, m, log, err);
	}
	return ret ? ret : source_keep_rounds(source, err);
}

int stream_load(struct image_dir *dir, const struct restore_opts *opts, const struct log *log, struct model **out, struct err *err)
{
	struct source *source = image_dir_source(dir);
	int ret = take_rounds(opts, dir, log, err);
	struct model *m;
	struct stat st;

	if (!ret)
		ret = model_load(dir, out, err);
	if (ret)
		return ret;
	m = *out; /* the caller's to free, whatever happens */
	const bool taken = source_more(source) && pids_taken(m);
	const bool all = opts->plan_only || taken || !source_more(source);

	ret = model_spool(m, false, err);
	if (!ret && taken && !opts->plan_only)
		ret = try_plan(opts, m, log, err);
	if (!ret && all)
		ret = model_spool(m, true, err);
	if (ret || !all)
		return ret;
	ret = source_end(source, err);
	if (ret || opts->plan_only || !pids_taken(m))
		return ret;
	if (!fstat(opts->stream, &st) && S_ISREG(st.st_mode)) /* nobody is writing it */
		return 0;
	log_info(log, "pids are taken; waiting for who may be about to end them");
	for (unsigned ms = 0; ms < TAKEN_MS && pids_taken(m); ms += 2) {
		if (ms == TAKEN_TELL_MS)
			log_warn(log, "pids are taken; who sends the stream may be about to end them: waiting, at most %d s",
				 TAKEN_MS / 1000);
		nanosleep(&(const struct timespec){ 0, 2000000 }, NULL);
	}
	return 0;
}
