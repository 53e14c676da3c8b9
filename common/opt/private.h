/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of common/opt share and nobody else needs. */
#ifndef CR_OPT_PRIVATE_H
#define CR_OPT_PRIVATE_H

#include <sys/types.h>

#include "common/opt/opt.h"

#define OPT_LIST_MAX 1024	   /* distinct values of one list */
#define OPT_FILE_MAX (1u << 20)	   /* bytes of a configuration file */
#define OPT_LINE_MAX (64u << 10)   /* bytes of one line of it */

struct opt_slot {
	struct opt_use *uses; /* in order of their layers */
	size_t n, cap;
	int64_t number;	      /* the value that counts, for all but strings and lists */
	const char **list;    /* the values that count, NULL-terminated once there is one; texts belong to uses */
	size_t nlist, list_cap;
	bool noted;	      /* "not acted on" was noted already */
};

struct opts {
	const struct opt_tool *tool;
	const struct opt_command *command;
	unsigned mask; /* the tool's bits, or its subcommand's */
	struct opt_slot slots[OPT_COUNT_];
	char **operands;
	size_t noperands, operands_cap;
	char **notes; /* NULL-terminated once there is one */
	size_t nnotes, notes_cap;
	char **files; /* names that origins point to */
	size_t nfiles, files_cap;
	bool everything;	   /* takes the options of all binaries: for checking files */
	const struct opt_check *check; /* problems go there, and reading goes on; NULL: the first one ends it */
};

/* Where the problems of a text go. */
struct opt_check {
	opt_problem_fn fn;
	void *arg;
};

struct opts *opt_new(const struct opt_tool *tool);
/* Adds one use. value NULL: none was given. The place of an error is the caller's business. */
int opt_use(struct opts *o, enum opt_id id, const char *value, bool negated, const struct opt_origin *origin,
	    struct err *err);
void opt_note(struct opts *o, const char *fmt, ...) printf_like(2, 3);
/* A name that lives as long as o. */
const char *opt_keep_name(struct opts *o, const char *name);
/* "FILE:LINE:COL" as the object of err, whose reason the caller has set; column 0: the file as a whole. */
int opt_at(struct err *err, int ret, const struct opt_origin *origin, unsigned column);
/*
 * Applies one file of a layer. optional: nobody named it, so it may be missing, and one that this user may not read is
 * passed over with a note: HOME is often that of somebody else (sudo, su), and that must not stop the run.
 */
int opt_read_file(struct opts *o, const char *path, const struct opt_origin *layer, bool optional, struct err *err);
/* The text of a file (malloc'ed), or NULL when an optional one is not to be read. */
int opt_load_file(struct opts *o, const char *path, bool optional, char **text, size_t *len, struct err *err);
/* All of a descriptor (malloc'ed), of which a pipe, a socket or a terminal will do; -EFBIG beyond max bytes. */
int opt_read_all(int fd, size_t max, char **text, size_t *len);
int opt_read_text(struct opts *o, const struct opt_origin *where, const char *text, size_t len, struct err *err);
/* The most similar of n names, NULL when none is similar enough to be meant. */
const char *opt_nearest(const char *name, const char *const *names, size_t n);
/* Names of the binaries of a mask, for messages: "cr-dump and cr-restore". */
/* The layers that are files, up to and with that of --config (named, or NULL). */
int opt_read_chain(struct opts *o, const struct opt_env *env, const char *named, bool defaults, struct err *err);
/* The last two layers: the fields of a request, and its file. */
int opt_read_rpc(struct opts *o, const struct opt_rpc *rpc, struct err *err);
/* Checks against opt_rules: a contradiction among options that are acted on is an error, another one a note. */
int opt_check_rules(struct opts *o, struct err *err);
/* What is allowed, when a value does not have the form that its option wants; NULL when it has, or there is none. */
const char *opt_wrong_form(enum opt_id id, const char *value);
/* After each line of a file that is checked, and at its end (text: all of it). */
void opt_check_entry(struct opts *o, enum opt_id id, const struct opt_origin *at, const char *line, size_t len);
void opt_check_end(struct opts *o, const char *file, const char *text, size_t len);
void opt_check_error(const struct opts *o, const struct opt_origin *at, const struct err *err, const char *line,
		     size_t len);
extern const char *const opt_group_titles[OPT_G_COUNT_];
void opt_tool_names(unsigned mask, char *buf, size_t size);

#endif
