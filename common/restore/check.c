/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cr-restore --check: all that would make a restore fail here. The images are checked as cr-image does, the checkpoint is read
 * and planned as for a restore, and the host is asked; what is wrong with one task is no reason not to look at the others.
 */
#include <string.h>

#include "common/feature/feature.h"
#include "common/image/check.h"
#include "common/image/source.h"
#include "common/image/threads.h"
#include "common/mm/mm.h"
#include "common/restore/inner.h"

static void damaged(void *arg, const struct check_finding *c)
{
	char object[192];

	if (c->entry)
		snprintf(object, sizeof(object), "%s: entry %ld", c->file, c->entry);
	else
		snprintf(object, sizeof(object), "%s", c->file);
	findings_add(arg, ERR_IMAGE, 0, object, NULL, "%s", c->text);
}

/* Something is known to be wrong with the image that x is about: what x says may only follow from that. */
static bool is_told(const struct findings *f, size_t n, const struct finding *x)
{
	size_t len = strcspn(x->object, ":");

	for (size_t i = 0; i < n && len; i++)
		if (strlen(f->v[i].object) >= len && !strncmp(f->v[i].object, x->object, len) &&
		    (!f->v[i].object[len] || f->v[i].object[len] == ':'))
			return true;
	return false;
}

/* Errors of the model and the plan, but for those about images that are known to be damaged. */
static void take_over(struct findings *f, const struct findings *from)
{
	size_t n = f->n;

	for (size_t i = 0; i < from->n; i++) {
		const struct finding *x = &from->v[i];
		struct err e = { .kind = x->kind, .errnum = x->errnum, .pid = x->pid };

		if (x->kind == ERR_IMAGE && is_told(f, n, x))
			continue;
		snprintf(e.comm, sizeof(e.comm), "%s", x->comm);
		snprintf(e.object, sizeof(e.object), "%s", x->object);
		snprintf(e.reason, sizeof(e.reason), "%s", x->reason);
		snprintf(e.hint, sizeof(e.hint), "%s", x->hint);
		findings_take(f, &e);
	}
}

static void report_copy(void *f, const char *object, const char *reason)
{
	findings_add(f, ERR_FAILED, 0, object, "put back the file as it was at the dump", "%s", reason);
}

static void check_checkpoint(struct image_dir *dir, const struct restore_opts *opts, const struct log *log,
			     struct findings *f, struct err *err)
{
	cleanup_findings struct findings of_images = { 0 };
	cleanup_model struct model *m = NULL;
	cleanup_plan struct plan *plan = NULL;

	if (image_dir_source(dir))
		findings_note(&of_images, source_keep_rounds(image_dir_source(dir), err), err);
	findings_note(&of_images, model_check(dir, &of_images, &m, err), err);
	if (m && image_dir_source(dir) && !of_images.n)
		findings_note(&of_images, model_spool(m, true, err), err);
	if (image_dir_source(dir) && !of_images.n)
		findings_note(&of_images, source_end(image_dir_source(dir), err), err);
	if (m && !of_images.n)
		findings_note(&of_images, plan_check(m, opts, &of_images, &plan, err), err);
	take_over(f, &of_images);
	if (m)
		findings_note(f, preflight_collect(m, plan, opts, PREFLIGHT_ALL, log, f, err), err);
	if (m)
		file_copies_preflight(m, plan, report_copy, f);
}

int restore_check(const struct restore_opts *given, const struct log *log, struct findings *f, struct err *err)
{
	struct restore_opts opts = *given;
	struct image_dir *dir = NULL;
	struct check_result result;
	int ret;

	restore_complete(&opts);
	features_check(f, GROUP_RESTORE);
	if (opts.stream >= 0)
		ret = image_dir_stream(opts.stream, &dir, err);
	else
		ret = image_check(opts.images_dir, image_threads_default(), damaged, f, &result, err);
	if (!ret && !dir)
		ret = image_dir_open(opts.images_dir, &dir, err);
	if (!ret)
		check_checkpoint(dir, &opts, log, f, err);
	image_dir_free(dir);
	return findings_note(f, ret, err);
}
