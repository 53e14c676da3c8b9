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
	struct { dev_t dev; ino_t ino; } read[4]; /* files that were read: none twice */
	unsigned nread;
};

struct opts *opt_new(const struct opt_tool *tool);
/* Adds one use. value NULL: none was given. value_column: where messages about the value point in a file. */
int opt_use(struct opts *o, enum opt_id id, const char *value, bool negated, const struct opt_origin *origin,
	    unsigned value_column, struct err *err);
void opt_note(struct opts *o, const char *fmt, ...) printf_like(2, 3);
/* "FILE:LINE:COL" as the object of err, whose reason the caller has set; nothing for the command line. */
int opt_at(struct err *err, int ret, const struct opt_origin *origin, unsigned column);
/* Applies one file of a layer. A missing default file is no error. */
int opt_read_file(struct opts *o, const char *path, enum opt_layer layer, struct err *err);
int opt_read_text(struct opts *o, const struct opt_origin *where, const char *text, size_t len, struct err *err);
/* The most similar of n names, NULL when none is similar enough to be meant. */
const char *opt_nearest(const char *name, const char *const *names, size_t n);
/* Names of the binaries of a mask, for messages: "cr-dump and cr-restore". */
void opt_tool_names(unsigned mask, char *buf, size_t size);

#endif
