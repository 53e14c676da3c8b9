/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line, and the order of the layers. */
#include <string.h>

#include "common/opt/private.h"

/* What the command line says, before it is known what the files below it say. */
struct arg {
	enum opt_id id;
	char *value; /* NULL: none */
	bool negated;
	int index; /* in argv */
};

struct cmdline {
	const struct opt_tool *tool;
	const struct opt_command *command;
	int argc;
	char **argv;
	struct arg *args;
	size_t n, cap;
	char **operands;
	size_t noperands, operands_cap;
};

static void cmdline_release(struct cmdline *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->args[i].value);
	free(c->args);
	free(c->operands);
}

static void add_arg(struct cmdline *c, enum opt_id id, const char *value, size_t len, bool negated, int index)
{
	array_reserve(&c->args, &c->cap, c->n, sizeof(*c->args));
	c->args[c->n++] = (struct arg){ id, value ? xasprintf("%.*s", (int)len, value) : NULL, negated, index };
}

static int usage_hint(const struct cmdline *c, struct err *err, int ret, const char *near)
{
	if (near)
		return err_hint(err, ret, "did you mean %s?", near);
	return err_hint(err, ret, "see %s --help", c->tool->name);
}

static int unknown_long(const struct cmdline *c, const char *name, const char *near, struct err *err)
{
	cleanup_free char *dashed = near ? xasprintf("--%s", near) : NULL;

	return usage_hint(c, err, err_set(err, ERR_USAGE, 0, "unknown option --%s", name), dashed);
}

static int parse_long(struct cmdline *c, int *i, struct err *err)
{
	const char *text = c->argv[*i] + 2, *eq = strchr(text, '='), *value = eq ? eq + 1 : NULL, *near = NULL;
	cleanup_free char *name = xasprintf("%.*s", (int)(eq ? eq - text : (ptrdiff_t)strlen(text)), text);
	bool negated = false;
	int index = *i;
	enum opt_id id = opt_find(name, NULL);

	if (id == OPT_COUNT_ && !strncmp(name, "no-", 3)) {
		id = opt_find(name + 3, NULL);
		negated = true;
	}
	if (id == OPT_COUNT_) {
		opt_find(negated ? name + 3 : name, &near);
		return unknown_long(c, name, near, err);
	}
	if (negated && opt_defs[id].type != OPT_T_BOOL)
		return err_set(err, ERR_USAGE, 0, "--%s takes a value, so there is no --%s", opt_defs[id].name, name);
	if (!value && opt_defs[id].type != OPT_T_BOOL && !opt_defs[id].implied) {
		if (index + 1 >= c->argc)
			return err_set(err, ERR_USAGE, 0, "--%s needs a value (%s)", name, opt_defs[id].arg);
		value = c->argv[++*i];
	}
	add_arg(c, id, value, value ? strlen(value) : 0, negated, index);
	return 0;
}

static enum opt_id find_letter(const struct cmdline *c, char letter)
{
	unsigned mask = c->command ? c->command->tool : c->tool->tools;

	for (unsigned i = 0; i < OPT_COUNT_; i++)
		if (opt_defs[i].letter == letter && (opt_defs[i].takes & mask))
			return (enum opt_id)i;
	return OPT_COUNT_;
}

static int unknown_letter(const struct cmdline *c, char letter, struct err *err)
{
	int ret = err_set(err, ERR_USAGE, 0, "unknown option -%c", letter);

	for (unsigned i = 0; i < OPT_COUNT_; i++)
		if (opt_defs[i].letter == letter) {
			char names[96];

			opt_tool_names(opt_defs[i].takes, names, sizeof(names));
			return err_hint(err, ret, "-%c (--%s) is an option of %s", letter, opt_defs[i].name,
					c->command && !strcmp(names, c->tool->name) ? "another subcommand" : names);
		}
	return usage_hint(c, err, ret, NULL);
}

static int parse_letters(struct cmdline *c, int *i, struct err *err)
{
	int index = *i;

	for (const char *p = c->argv[index] + 1; *p; p++) {
		enum opt_id id = find_letter(c, *p);
		const struct opt_def *d;

		if (id == OPT_COUNT_)
			return unknown_letter(c, *p, err);
		d = &opt_defs[id];
		if (d->type == OPT_T_BOOL) {
			add_arg(c, id, NULL, 0, false, index);
		} else if (d->type == OPT_T_COUNT) { /* -v, -vv, -v4 */
			size_t digits = strspn(p + 1, "0123456789");

			add_arg(c, id, digits ? p + 1 : NULL, digits, false, index);
			p += digits;
		} else {
			const char *value = p[1] ? p + 1 : NULL;

			if (!value && !d->implied) {
				if (index + 1 >= c->argc)
					return err_set(err, ERR_USAGE, 0, "-%c (--%s) needs a value (%s)", *p, d->name,
						       d->arg);
				value = c->argv[++*i];
			}
			add_arg(c, id, value, value ? strlen(value) : 0, false, index);
			return 0;
		}
	}
	return 0;
}

static int parse_operand(struct cmdline *c, int i, struct err *err)
{
	const char *names[32];
	size_t n = 0;

	if (c->tool->commands && !c->command) {
		for (const struct opt_command *cmd = c->tool->commands; cmd->name; cmd++) {
			if (!strcmp(cmd->name, c->argv[i])) {
				c->command = cmd;
				return 0;
			}
			if (n < ARRAY_SIZE(names))
				names[n++] = cmd->name;
		}
		return usage_hint(c, err, err_set(err, ERR_USAGE, 0, "unknown command '%s'", c->argv[i]),
				  opt_nearest(c->argv[i], names, n));
	}
	array_reserve(&c->operands, &c->operands_cap, c->noperands, sizeof(*c->operands));
	c->operands[c->noperands++] = c->argv[i];
	return 0;
}

static int parse_cmdline(struct cmdline *c, struct err *err)
{
	bool only_operands = false;

	for (int i = 1; i < c->argc; i++) {
		const char *a = c->argv[i];
		int ret;

		if (only_operands || a[0] != '-' || !a[1])
			ret = parse_operand(c, i, err);
		else if (!strcmp(a, "--")) {
			only_operands = true;
			continue;
		} else
			ret = a[1] == '-' ? parse_long(c, &i, err) : parse_letters(c, &i, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The last use of an option on the command line, NULL when there is none. */
static const struct arg *last_arg(const struct cmdline *c, enum opt_id id)
{
	for (size_t i = c->n; i-- > 0;)
		if (c->args[i].id == id)
			return &c->args[i];
	return NULL;
}

/* Whether this binary (or subcommand) does what the option says; silence would be a promise. */
static int check_acts(const struct cmdline *c, enum opt_id id, struct err *err)
{
	const struct opt_def *d = &opt_defs[id];
	unsigned mask = c->command ? c->command->tool : c->tool->tools;
	cleanup_free char *self = c->command ? xasprintf("%s %s", c->tool->name, c->command->name) :
					       xstrdup(c->tool->name);
	char names[96];

	if (d->acts & mask)
		return 0;
	if (d->takes & mask || !d->takes)
		return err_hint(err, err_set(err, ERR_USAGE, 0, "this %s knows --%s but does not act on it", self, d->name),
				"%s", opt_instead(id));
	opt_tool_names(d->takes, names, sizeof(names));
	return err_hint(err, err_set(err, ERR_USAGE, 0, "%s has no option --%s", self, d->name),
			"it is one of %s", c->command && !strcmp(names, c->tool->name) ? "another subcommand" : names);
}

static int check_operands(const struct cmdline *c, struct err *err)
{
	int max = c->command ? c->command->max : c->tool->max_operands;

	if (c->tool->commands && !c->command)
		return usage_hint(c, err, err_set(err, ERR_USAGE, 0, "a command is missing"), NULL);
	if (max >= 0 && c->noperands > (size_t)max) {
		int ret = err_set(err, ERR_USAGE, 0, "unexpected argument '%s'", c->operands[max]);
		return usage_hint(c, err, opt_criu_word(c->tool->name, c->operands[max], err, ret), NULL);
	}
	if (c->command && c->noperands < (size_t)c->command->min)
		return usage_hint(c, err, err_set(err, ERR_USAGE, 0, "%s: %s is missing", c->command->name,
						  c->command->args), NULL);
	return 0;
}

int opt_read_chain(struct opts *o, const struct opt_env *env, const char *named, bool defaults, struct err *err)
{
	struct opt_origin system = { .layer = OPT_L_SYSTEM }, home = { .layer = OPT_L_HOME };
	struct opt_origin variable = { .layer = OPT_L_ENV }, file = { .layer = OPT_L_FILE };
	int ret = 0;

	if (defaults && !named) {
		if (env->system_file)
			ret = opt_read_file(o, env->system_file, &system, true, err);
		if (ret >= 0 && env->home && env->home[0]) {
			cleanup_free char *path = xasprintf("%s/.criu/default.conf", env->home);

			ret = opt_read_file(o, path, &home, true, err);
		}
	}
	if (ret >= 0 && env->config_file && env->config_file[0])
		ret = opt_read_file(o, env->config_file, &variable, false, err);
	if (ret >= 0 && named)
		ret = opt_read_file(o, named, &file, false, err);
	return ret;
}

static int read_files(struct opts *o, const struct cmdline *c, const struct opt_env *env, struct err *err)
{
	const struct arg *named = last_arg(c, OPT_CONFIG), *none = last_arg(c, OPT_NO_DEFAULT_CONFIG);

	if (!c->tool->config)
		return 0;
	return opt_read_chain(o, env, named ? named->value : NULL, !none || none->negated, err);
}

static int resolve(struct cmdline *c, const struct opt_env *env, struct opts **out, struct err *err)
{
	struct opts *o;
	int ret = check_operands(c, err);

	for (size_t i = 0; i < c->n && ret >= 0; i++)
		ret = check_acts(c, c->args[i].id, err);
	if (ret < 0)
		return ret;
	o = opt_new(c->tool);
	o->command = c->command;
	if (c->command)
		o->mask = c->command->tool;
	ret = read_files(o, c, env, err);
	for (size_t i = 0; i < c->n && ret >= 0; i++) {
		struct opt_origin origin = { .layer = OPT_L_ARGV, .arg = c->args[i].index };

		ret = opt_use(o, c->args[i].id, c->args[i].value, c->args[i].negated, &origin, err);
	}
	if (ret >= 0 && env->rpc)
		ret = opt_read_rpc(o, env->rpc, err);
	if (ret >= 0)
		ret = opt_check_rules(o, err);
	if (ret < 0) {
		opt_free(o);
		return ret;
	}
	array_reserve(&c->operands, &c->operands_cap, c->noperands, sizeof(*c->operands));
	c->operands[c->noperands] = NULL;
	o->noperands = c->noperands;
	o->operands = take_ptr(c->operands);
	*out = o;
	return 0;
}

/* Answers --help and its like. 1: one was asked for. */
static int answer(const struct cmdline *c, struct err *err)
{
	if (last_arg(c, OPT_HELP))
		opt_print_help(c->tool, c->command, stdout);
	else if (last_arg(c, OPT_VERSION))
		opt_print_version(c->tool, stdout);
	else if (last_arg(c, OPT_COMPLETION))
		opt_print_completion(c->tool, stdout);
	else if (last_arg(c, OPT_MAN_OPTIONS))
		opt_print_man(c->tool, stdout);
	else
		return 0;
	if (fflush(stdout) || ferror(stdout))
		return err_sys(err, "cannot write to standard output");
	return 1;
}

int opt_resolve(const struct opt_tool *tool, int argc, char **argv, const struct opt_env *env, struct opts **o,
		struct err *err)
{
	cleanup(cmdline_release) struct cmdline c = { .tool = tool, .argc = argc, .argv = argv };
	int ret = parse_cmdline(&c, err);

	*o = NULL;
	return ret < 0 ? ret : resolve(&c, env, o, err);
}

int opt_parse(unsigned tool, int argc, char **argv, struct opts **o, struct err *err)
{
	struct opt_env env = opt_env_real();
	cleanup(cmdline_release) struct cmdline c = { .tool = opt_tool_of(tool), .argc = argc, .argv = argv };
	int ret = parse_cmdline(&c, err);

	*o = NULL;
	if (ret >= 0)
		ret = answer(&c, err); /* before any file is read: a broken file must not take the help away */
	if (!ret)
		ret = resolve(&c, &env, o, err);
	if (!ret && !(opt_defs[OPT_LOG_FILE].takes & tool)) { /* a binary without a log says it here */
		struct log log = { 0 };

		ret = log_open(&log, c.tool->name, NULL, LOG_WARN, opt_is(*o, OPT_LOG_FORMAT, "json"), err);
		if (ret >= 0)
			opt_log_notes(*o, &log);
		log_close(&log);
	}
	return ret;
}

int opt_resolve_text(const struct opt_tool *tool, const char *name, const char *text, size_t len, struct opts **out,
		     struct err *err)
{
	struct opt_origin where = { .layer = OPT_L_FILE, .line = 1, .column = 1 };
	struct opts *o = opt_new(tool);
	int ret;

	*out = NULL;
	where.file = opt_keep_name(o, name);
	ret = opt_read_text(o, &where, text, len, err);
	if (ret < 0) {
		opt_free(o);
		return ret;
	}
	*out = o;
	return 0;
}

struct opt_env opt_env_real(void)
{
	return (struct opt_env){ "/etc/criu/default.conf", getenv("HOME"), getenv("CRIU_CONFIG_FILE"), NULL };
}
