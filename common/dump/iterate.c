/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Most of the memory is written while the tasks run, so that they stand still for the rest only. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/dump/dump.h"
#include "common/image/file.h"
#include "common/image/tar.h"
#include "common/image/threads.h"
#include "common/mm/sent.h"
#include "common/mm/track.h"

enum { ROUNDS_DEFAULT = 8, ROUNDS_MAX = 100, MS_DEFAULT = 20, MS_MAX = 1000000 };

struct limits { unsigned rounds, ms; };

/* "5": rounds; "30ms": milliseconds. */
static int read_limits(const char *text, struct limits *l, struct err *err)
{
	cleanup_free char *number = xstrdup(text);
	size_t len = strlen(text);
	bool ms = len > 2 && !strcmp(text + len - 2, "ms");
	uint64_t n = 0;

	*l = (struct limits){ ROUNDS_DEFAULT, MS_DEFAULT };
	if (!strcmp(text, "auto"))
		return 0;
	if (ms)
		number[len - 2] = 0;
	if (!parse_u64(number, 10, &n) && n && n <= (ms ? MS_MAX : ROUNDS_MAX)) {
		*l = ms ? (struct limits){ ROUNDS_MAX, (unsigned)n } : (struct limits){ (unsigned)n, 0 };
		return 0;
	}
	return err_hint(err, err_set(err, ERR_USAGE, 0, "iterate: '%s' is neither a number of rounds nor a time", text),
			"--iterate=5 makes up to 5 rounds (of 100), --iterate=30ms goes on until 30 ms are enough for the rest");
}

/* A round that is not part of any checkpoint. */
static void remove_round(const char *path)
{
	struct err ignore = ERR_INIT;
	const struct dirent *e;
	unsigned long id;
	DIR *dir;
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || open_listing(fd, &dir, &ignore))
		return;
	while ((e = readdir(dir)))
		if (image_kind_of_name(e->d_name, &id) != IMG_KINDS || !strcmp(e->d_name, "cr-manifest.json") ||
		    !strcmp(e->d_name, "parent"))
			unlinkat(fd, e->d_name, 0);
	closedir(dir);
	rmdir(path);
}

static int make_round(const struct dump_opts *opts, const struct log *log, struct tracker *tracker, unsigned round,
		      struct dump_stats *s, struct err *err)
{
	cleanup_free char *prev = round > 1 ? xasprintf("../" TAR_ROUND "%u", round - 1) : NULL;
	cleanup_free char *dir = NULL;
	struct dump_opts o = *opts;
	int ret;

	*s = (struct dump_stats){ 0 };
	o.pre_dump = true;
	o.actions = NULL; /* a round is no checkpoint */
	o.track_mem = false; /* by us, until the end of the last one */
	if (tracker->stream) {
		dir = xasprintf(TAR_ROUND "%u", round);
		o.images_dir = dir;
		o.prev_images_dir = prev;
		return dump_round(&o, log, tracker, s, err);
	}
	dir = xasprintf("%s/" TAR_ROUND "%u", opts->images_dir, round);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		int failed = err_object(err, err_sys(err, "cannot make the directory"), "%s", dir);

		return failed == -ENOENT ? err_hint(err, failed, "make it first: mkdir %s", opts->images_dir) : failed;
	}
	if (!prev && opts->prev_images_dir)
		prev = *opts->prev_images_dir == '/' ? xstrdup(opts->prev_images_dir) : path_join("..", opts->prev_images_dir);
	o.images_dir = dir;
	o.prev_images_dir = prev;
	o.seal = false;
	ret = dump_round(&o, log, tracker, s, err);
	if (ret)
		remove_round(dir);
	return ret;
}

/* Does another round make sense? Why not, for the report. */
static const char *enough(const struct limits *l, unsigned round, const struct dump_stats *s, uint64_t last_pages, double us_a_page)
{
	double rest_ms = us_a_page * (double)s->pages_written / 1000;

	if (round >= l->rounds)
		return "as many rounds as were asked for";
	if (l->ms && rest_ms <= l->ms)
		return "the rest is small enough";
	if (!s->pages_written)
		return "nothing changed";
	if (round > 1 && s->pages_written * 10 > last_pages * 8)
		return "the rest does not shrink any more";
	return NULL;
}

int dump_iterate(const struct dump_opts *opts, const struct log *log, struct dump_stats *stats, struct err *err)
{
	struct tracker tracker = { 0 };
	struct dump_stats s = { 0 };
	struct dump_opts last = *opts;
	cleanup_free char *prev = NULL;
	const char *why = NULL;
	uint64_t pages = 0;
	double us_a_page = 0;
	struct limits l;
	unsigned round = 0;
	int ret = read_limits(opts->iterate, &l, err);

	if (!ret && opts->stream >= 0)
		ret = sent_new(&tracker.sent, err);
	if (!ret && opts->stream >= 0)
		ret = image_store_stream(opts->stream, opts->compress, image_threads_default(), &tracker.stream, err);
	while (!why && !ret) {
		ret = make_round(opts, log, &tracker, ++round, &s, err);
		if (ret)
			break;
		if (round == 1 && s.pages_written)
			us_a_page = (double)s.memdump_us / (double)s.pages_written;
		why = enough(&l, round, &s, pages, us_a_page);
		pages = s.pages_written;
		log_info(log, "round %u: %lu pages written, frozen for %lu us, %lu us in all%s%s", round,
			 (unsigned long)s.pages_written, (unsigned long)s.frozen_us, (unsigned long)s.total_us,
			 why ? "; the last one: " : "", why ? why : "");
		if (opts->display_stats)
			fprintf(stderr, "round %-3u %10lu pages, frozen %8.3f ms, all %10.3f ms%s%s\n", round,
				(unsigned long)s.pages_written, (double)s.frozen_us / 1000, (double)s.total_us / 1000,
				why ? "; the last one: " : "", why ? why : "");
	}
	if (!ret) {
		prev = xasprintf(TAR_ROUND "%u", round);
		last.prev_images_dir = prev;
		ret = dump_round(&last, log, &tracker, stats, err);
	}
	image_store_free(take_ptr(tracker.stream));
	tracker_close(&tracker);
	for (; ret && round && opts->stream < 0; round--) {
		cleanup_free char *dir = xasprintf("%s/" TAR_ROUND "%u", opts->images_dir, round);

		remove_round(dir);
	}
	return ret;
}
