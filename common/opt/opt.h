/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of all binaries. One table (table.h) describes every option; parsing, configuration files, --help,
 * shell completion, the man pages' lists and cr-config come from it. A main does:
 *
 *	cleanup_opts struct opts *o = NULL;
 *	int ret = opt_parse(TOOL_DUMP, argc, argv, &o, &err);	1: --help and the like were answered, exit with 0
 *	...
 *	opt_int(o, OPT_TREE), opt_str(o, OPT_IMAGES_DIR), opt_bool(o, OPT_LEAVE_RUNNING)
 */
#ifndef CR_OPT_OPT_H
#define CR_OPT_OPT_H

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/strbuf.h"
#include "common/base/util.h"
#include "common/opt/table.h"

enum opt_id {
#define OPT_AS_ID(id, ...) OPT_##id,
	OPT_TABLE(OPT_AS_ID)
#undef OPT_AS_ID
	OPT_COUNT_
};

/* One row of the table. */
struct opt_def {
	const char *name;    /* long, without dashes */
	char letter;	     /* short, 0 = none */
	enum opt_type type;
	const char *arg;     /* placeholder of the argument, NULL for booleans */
	const char *deflt;   /* default as one would write it, NULL = unset */
	unsigned takes;	     /* TOOL_*: binaries (or subcommands) that this option is for */
	unsigned acts;	     /* TOOL_*: those whose engine acts on it */
	enum opt_group group;
	const char *help;
	unsigned flags;	     /* OPT_F_* */
	const char *values;  /* OPT_T_ENUM: "a|b|c" */
	const char *implied; /* value when the argument is left out; NULL = the argument is required */
	int64_t min, max;    /* numbers; max 0 = no limit of its own */
	const char *since;   /* NULL = 0.1 */
	unsigned other;	     /* TOOL_*: binaries for which other_help says it better */
	const char *other_help;
};
extern const struct opt_def opt_defs[OPT_COUNT_];

/* A binary, as --help and the man page show it. */
struct opt_command {
	const char *name; /* of the subcommand */
	unsigned tool;	  /* its bit */
	const char *args; /* "FILE..." or "" */
	const char *help;
	int min, max;	  /* how many operands; max -1: any number */
	const char *example; /* a command line, NULL = none */
};
struct opt_tool {
	const char *name;
	unsigned tools;		 /* TOOL_* bits: one, or one for each subcommand */
	const char *summary;
	const char *usage;	 /* what stands behind the name in the usage line */
	const struct opt_command *commands; /* ends with a NULL name; NULL when there are none */
	int max_operands;	 /* without commands; -1: any number */
	bool config;		 /* reads configuration files */
	bool task_status;	 /* may exit with the status of a task */
	unsigned codes;		 /* bit N: exits with N */
	const char *failed;	 /* what 1 means, when it is not the usual */
	const char *refused;	 /* the same of 5 */
};
extern const struct opt_tool opt_tools[]; /* ends with a NULL name */
const struct opt_tool *opt_tool_of(unsigned tool);	     /* by TOOL_* bit */
const struct opt_tool *opt_tool_named(const char *name); /* "cr-dump", "dump", a path that ends so, or NULL */

/* ---- where a value came from ---- */

/* In the order in which they count: the later one wins. */
enum opt_layer {
	OPT_L_DEFAULT, OPT_L_SYSTEM, OPT_L_HOME, OPT_L_ENV, OPT_L_FILE, OPT_L_ARGV, OPT_L_RPC, OPT_L_RPC_FILE
};
struct opt_origin {
	enum opt_layer layer;
	const char *file;      /* of the layers that are files, else NULL */
	unsigned line, column; /* of the name of the option, from 1 */
	int arg;	       /* OPT_L_ARGV: index into argv */
	const char *field;     /* OPT_L_RPC: of criu_opts, as "ps.port"; OPT_L_RPC_FILE: "config_file" if named there */
};
/* One time that an option was given. */
struct opt_use {
	char *text;	 /* value as given, quotes removed; "" for booleans without one */
	int64_t number;	 /* bool, int, count, size (bytes), enum (index); list and string: unused */
	bool duplicate;	 /* OPT_T_LIST: the same value was there already, this one does not count */
	struct opt_origin origin;
};

struct opts;

struct opt_rpc; /* rpc.h */

/* The environment of a run, so that tests and cr-config can give another one. NULL members: no such layer. */
struct opt_env {
	const char *system_file;   /* "/etc/criu/default.conf" */
	const char *home;	   /* value of HOME */
	const char *config_file;   /* value of CRIU_CONFIG_FILE */
	const struct opt_rpc *rpc; /* a request and its configuration file, the last two layers */
};
struct opt_env opt_env_real(void);

/*
 * Reads all layers and the command line. 0: *o is the caller's, released with opt_free(). 1: --help, --version or one
 * of the hidden printing options was answered on stdout; exit with 0. Negative: err says what is wrong (ERR_USAGE).
 * argv must outlive *o. tool is a TOOL_* of the binary (any one of its subcommands when it has them).
 */
int opt_parse(unsigned tool, int argc, char **argv, struct opts **o, struct err *err);
/* The same with another environment, and printing nothing: --help counts as an ordinary option. */
int opt_resolve(const struct opt_tool *tool, int argc, char **argv, const struct opt_env *env, struct opts **o,
		struct err *err);
/* One configuration file's text and nothing else; name is what messages call it. For tests and checking files. */
int opt_resolve_text(const struct opt_tool *tool, const char *name, const char *text, size_t len, struct opts **o,
		     struct err *err);
void opt_free(struct opts *o);
void opt_freep(struct opts **o);
#define cleanup_opts cleanup(opt_freep)

/* ---- values. Asking for another type than the table's is a bug of the caller and aborts. ---- */

bool opt_is_set(const struct opts *o, enum opt_id id); /* given anywhere, the default does not count */
bool opt_is_said(const struct opts *o, enum opt_id id); /* the last word on it is the command line's */
bool opt_bool(const struct opts *o, enum opt_id id);
int64_t opt_int(const struct opts *o, enum opt_id id);	/* OPT_T_INT and OPT_T_COUNT; 0 when unset without default */
uint64_t opt_size(const struct opts *o, enum opt_id id); /* bytes */
const char *opt_str(const struct opts *o, enum opt_id id); /* NULL when unset without default; any type but lists */
/* Index into the values of the table ("a|b|c": 0, 1, 2), -1 when unset without default. */
int opt_enum(const struct opts *o, enum opt_id id);
bool opt_is(const struct opts *o, enum opt_id id, const char *value); /* an enum has this value */
/* NULL-terminated, each value once; *n may be NULL. */
const char *const *opt_list(const struct opts *o, enum opt_id id, size_t *n);

/* Operands: all that is no option. After a "--" everything is one. NULL-terminated, part of argv. */
char **opt_operands(const struct opts *o, int *n);
/* The chosen subcommand (NULL for a binary without). Operands do not include it. */
const struct opt_command *opt_command(const struct opts *o);

/*
 * The end of every main: prints err as one line on stderr and returns the exit code that belongs to it. Works before
 * the options are known too (o NULL): --log-format is then looked for in argv.
 */
int opt_fail(const struct opts *o, const char *prog, char **argv, const struct err *err);

/* ---- for cr-config and logs ---- */

/* What to do in the place of an option that no engine acts on: the hint of its refusal. */
const char *opt_instead(enum opt_id id);
/* Adds what a command word of criu (dump, restore, ...) is here, if word is one. Returns ret. */
int opt_criu_word(const char *tool, const char *word, struct err *err, int ret);

/* All uses in the order in which they count; the last one wins (all of them for lists). *n may be 0. */
const struct opt_use *opt_uses(const struct opts *o, enum opt_id id, size_t *n);
/*
 * The origin as text: "default", "/etc/criu/default.conf:3:1", "CRIU_CONFIG_FILE=/a/b:7:1", "argv[4]",
 * "rpc.tcp_established", "rpc.config_file=/etc/criu/runc.conf:1:1". malloc'ed.
 */
char *opt_origin_text(const struct opt_origin *origin);
/* The value as a configuration file would have it: "true", "4M". malloc'ed; NULL for unset. */
char *opt_value_text(const struct opts *o, enum opt_id id);
const struct opt_tool *opt_of_tool(const struct opts *o);
/* Things that are no errors but that the user should know ("... is known, but cr-dump does not act on it"). */
const char *const *opt_notes(const struct opts *o, size_t *n);
void opt_log_notes(const struct opts *o, const struct log *log); /* as warnings */
/* The option of that long name, or OPT_COUNT_, and then in *near the most similar name (NULL when none is similar). */
enum opt_id opt_find(const char *name, const char **near);

/*
 * A configuration file that gives the same values when it is read with --config; what may not stand in files is a comment.
 * only: OPT_COUNT_ for all options, or one. -EINVAL when a value has no form in a file: a newline in it, or blanks
 * together with a backslash at its end.
 */
int opt_put_conf(const struct opts *o, enum opt_id only, struct strbuf *b, struct err *err);
/* One value as a file has it, in quotes where it needs them. False: no file can hold it. */
bool opt_put_value(struct strbuf *b, const char *value);

/* ---- what goes together (rules.c) ---- */

enum opt_rule_kind {
	OPT_R_CONFLICT, /* a and b exclude each other */
	OPT_R_NEEDS,	/* a has no effect without b (or c) */
	OPT_R_IGNORED,	/* a has no effect beside b */
};
struct opt_rule {
	enum opt_rule_kind kind;
	enum opt_id a, b, c; /* c: OPT_COUNT_ when there is none */
	const char *why;
	const char *value; /* it is about this value of b only; NULL: about any */
};
/* b as one writes it: with the value that the rule is about. malloc'ed. */
char *opt_rule_other(const struct opt_rule *r);
extern const struct opt_rule opt_rules[]; /* ends with a row whose a is OPT_COUNT_ */
/* A value to show how the option is used, "" for those that need none. */
const char *opt_example(enum opt_id id);

/* ---- checking files (check.c) ---- */

struct opt_problem {
	const char *file;
	unsigned line, column, width; /* in bytes, from 1; line 0: it is about the file as a whole */
	bool warning;		      /* the file can be used, but not all of it means what it says */
	bool relation;		      /* about options that are right each for itself */
	const char *reason, *hint;    /* hint may be "" */
	const char *source;	      /* the line, without a NUL at its end; NULL when there is none */
	size_t source_len;
};
typedef void (*opt_problem_fn)(void *arg, const struct opt_problem *p);
/* Calls fn for every problem of a file: all of its lines are looked at, whatever is wrong with those before. */
void opt_check_text(const char *name, const char *text, size_t len, opt_problem_fn fn, void *arg);
/* The same for a file, with who may write it. optional: one that is not there is no problem. "-" is standard input. */
void opt_check_file(const char *path, bool optional, opt_problem_fn fn, void *arg);
/* What contradicts each other in different files of the chain. Files that have problems of their own are passed over. */
void opt_check_chain(const struct opt_env *env, opt_problem_fn fn, void *arg);

/* ---- output from the table (help.c, explain.c) ---- */

void opt_print_help(const struct opt_tool *tool, const struct opt_command *command, FILE *f);
void opt_print_version(const struct opt_tool *tool, FILE *f);
void opt_print_completion(const struct opt_tool *tool, FILE *f);
void opt_print_man(const struct opt_tool *tool, FILE *f);
void opt_explain(enum opt_id id, FILE *f);
void opt_print_template(FILE *f); /* a configuration file with every option, commented out */

#endif
