/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cr-dump and cr-restore do in the same way with their options. */
#ifndef CR_TOOL_TOOL_H
#define CR_TOOL_TOOL_H

#include "common/base/action.h"
#include "common/base/findings.h"
#include "common/base/io.h"
#include "common/file/external.h"
#include "common/opt/opt.h"

/* Images go through a pipe (-D -). */
bool tool_streams(const struct opts *o);
/* What log and pid file are relative to: -W, else where the images are. */
const char *tool_work_dir(const struct opts *o);
int tool_log(const struct opts *o, const char *prog, struct log *log, struct err *err);

/* --external and --ext-unix-sk. */
int tool_externals(const struct opts *o, struct externals *e, struct err *err);
/* --action-script and its like: before anything of ours takes a number. */
int tool_actions(const struct opts *o, struct actions *a, struct err *err);
/*
 * Descriptor 0 or 1 becomes *stream, which is no terminal; what anybody reads there by mistake then is nothing, and what is written
 * there goes to standard error.
 */
int tool_stream(int number, int *stream, struct err *err);

/* --pidfile: begun before the work, so that what can fail fails early. Nothing where there is no such option. */
struct pid_file { struct new_file file; char *path; };
#define PID_FILE_INIT { NEW_FILE_INIT, NULL }
int tool_pid_begin(const struct opts *o, struct pid_file *f, struct err *err);
/* what: "the dump is complete, the pid file is not" */
int tool_pid_commit(struct pid_file *f, pid_t pid, const char *what, struct err *err);
void tool_pid_release(struct pid_file *f);
#define cleanup_pid_file cleanup(tool_pid_release)

/* Prints what a check found; gives its exit status. */
int tool_findings(const struct opts *o, const struct findings *found, struct err *err);

#endif
