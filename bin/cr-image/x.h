/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Views of a checkpoint as rows: arrays of JSON objects, printed as JSON or, by a list of columns, as a table. All that looks
 * at tasks and files takes its facts from here, so that every view says the same.
 */
#ifndef CR_IMAGE_X_H
#define CR_IMAGE_X_H

#include <json-c/json.h>

#include "bin/cr-image/checkpoint.h"
#include "common/base/strbuf.h"

static inline void rows_put_(json_object **v)
{
	json_object_put(*v);
}
#define cleanup_rows cleanup(rows_put_)

struct column {
	const char *key, *title; /* key NULL ends the list */
	bool right;		 /* numbers */
	bool indent;		 /* by the key "depth" */
};
/* The table; control characters of the images are escaped. */
void rows_print(json_object *rows, const struct column *columns, FILE *f);
/* {"key": rows} or an array, indented, with a newline. */
int rows_print_json(json_object *v, FILE *f, struct err *err);

/* Members of a row. Text that is not UTF-8 gets U+FFFD. */
void row_text(json_object *row, const char *key, const char *value);
void row_number(json_object *row, const char *key, uint64_t value);
void row_hex(json_object *row, const char *key, uint64_t value);
/* What a member is as text, "" when it is not there. */
const char *row_get(json_object *row, const char *key);

struct view {
	const char *name, *help;
	int (*rows)(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err); /* only: NULL = all tasks */
	const struct column *columns;
};
extern const struct view views[]; /* ends with a NULL name */
const struct view *view_named(const char *name);

int rows_ps(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err);
int rows_mems(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err);
int rows_rss(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err);
int rows_env(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err);
int rows_fds(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err);
int rows_sockets(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err);
int rows_mounts(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err);
int rows_timers(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err);
int rows_namespaces(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err);

/* Name of a kind of file, as "REG"; "type 99" in buf for others. */
const char *fd_type_name(FdTypes type, char buf[16]);
/* Words for numbers: "" when there is none. */
const char *state_name(unsigned task_state);

#endif
