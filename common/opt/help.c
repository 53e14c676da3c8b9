/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is printed from the table: help, versions, completion, the man pages' lists. */
#include <ctype.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/utsname.h>

#include <json-c/json.h>
#include <netlink/version.h>
#include <protobuf-c/protobuf-c.h>
#include <zstd.h>

#include "common/base/strbuf.h"
#include "common/opt/private.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *const opt_group_titles[OPT_G_COUNT_] = {
	[OPT_G_MAIN] = "What to act on",
	[OPT_G_RESULT] = "Outcome",
	[OPT_G_RESOURCES] = "Resources",
	[OPT_G_MEMORY] = "Memory",
	[OPT_G_CGROUP] = "Control groups",
	[OPT_G_NET] = "Network and sockets",
	[OPT_G_CHECK] = "Extent",
	[OPT_G_IMAGE] = "Images",
	[OPT_G_CONFIG] = "Configuration",
	[OPT_G_LOG] = "Output",
	[OPT_G_OTHER] = "Information",
};

static bool shown(const struct opt_def *d, unsigned mask)
{
	return (d->acts & mask) && !(d->flags & OPT_F_HIDDEN);
}

/* "-t, --tree PID"; with roff fonts when they are given. */
static void put_head(struct strbuf *b, const struct opt_def *d)
{
	if (d->letter)
		strbuf_printf(b, "-%c, ", d->letter);
	else
		strbuf_puts(b, "    ");
	strbuf_printf(b, "--%s", d->name);
	if (d->arg)
		strbuf_printf(b, d->implied ? "[=%s]" : " %s", d->arg);
}

/* The help text with what the table adds to it: values and default. */
static void put_help(struct strbuf *b, const struct opt_def *d, unsigned mask)
{
	const char *deflt = d->type != OPT_T_BOOL ? d->deflt : NULL;

	strbuf_puts(b, d->other & mask ? d->other_help : d->help);
	if (d->values || deflt)
		strbuf_puts(b, " (");
	for (const char *p = d->values; p && *p; p++)
		strbuf_puts(b, *p == '|' ? ", " : (char[]){ *p, 0 });
	if (deflt)
		strbuf_printf(b, "%sdefault: %s", d->values ? "; " : "", deflt);
	if (d->values || deflt)
		strbuf_puts(b, ")");
}

enum { HELP_COLUMN = 31, HELP_WIDTH = 79 };

/* Words of text, wrapped, behind what stands on the line already (used columns). */
static void put_wrapped(FILE *f, const char *text, int used)
{
	int col = used;

	if (col >= HELP_COLUMN) {
		fputc('\n', f);
		col = 0;
	}
	col += fprintf(f, "%*s", HELP_COLUMN - col, "");
	for (bool first = true; *text; first = false) {
		int n = (int)strcspn(text, " ");

		if (!first && col + 1 + n > HELP_WIDTH) {
			fprintf(f, "\n%*s", HELP_COLUMN, "");
			col = HELP_COLUMN;
			first = true;
		}
		col += fprintf(f, "%s%.*s", first ? "" : " ", n, text);
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', f);
}

static void print_options(unsigned mask, FILE *f)
{
	for (unsigned g = 0; g < OPT_G_COUNT_; g++) {
		bool titled = false;

		for (unsigned i = 0; i < OPT_COUNT_; i++) {
			cleanup_strbuf struct strbuf head = STRBUF_INIT, help = STRBUF_INIT;

			if (opt_defs[i].group != g || !shown(&opt_defs[i], mask))
				continue;
			if (!titled)
				fprintf(f, "\n%s:\n", opt_group_titles[g]);
			titled = true;
			strbuf_puts(&head, "  ");
			put_head(&head, &opt_defs[i]);
			put_help(&help, &opt_defs[i], mask);
			fputs(head.s, f);
			put_wrapped(f, help.s, (int)head.len);
		}
	}
}

static const struct { int code; const char *text; } exit_codes[] = {
	{ ERR_NONE, "done" },
	{ ERR_FAILED, "a system call or the work itself failed; nothing was harmed" },
	{ ERR_USAGE, "wrong usage or configuration; nothing was touched" },
	{ ERR_FEATURE, "this kernel, system or these privileges lack something" },
	{ ERR_IMAGE, "an image is missing, damaged or contradicts another" },
	{ ERR_REFUSED, "the task holds state that cannot be brought back; it goes on unharmed" },
};

void opt_print_help(const struct opt_tool *tool, const struct opt_command *command, FILE *f)
{
	if (command)
		fprintf(f, "Usage: %s %s [OPTION...] %s\n%s: %s\n%s%s%s", tool->name, command->name, command->args,
			command->name, command->help, command->example ? "\nExample:\n  " : "", command->example ?: "",
			command->example ? "\n" : "");
	else
		fprintf(f, "Usage: %s %s\n%s: %s\n", tool->name, tool->usage, tool->name, tool->summary);
	if (tool->commands && !command) {
		fputs("\nCommands:\n", f);
		for (const struct opt_command *c = tool->commands; c->name; c++)
			put_wrapped(f, c->help, fprintf(f, "  %s %s", c->name, c->args));
	}
	print_options(command ? command->tool : tool->tools, f);
	fputs("\nA boolean option --NAME is switched off by --no-NAME.\n", f);
	if (tool->config)
		fputs("Options are also read from /etc/criu/default.conf, ~/.criu/default.conf and\n"
		      "$CRIU_CONFIG_FILE; `cr-config` shows which of them apply.\n", f);
	fputs("\nExit codes:\n", f);
	for (size_t i = 0; i < ARRAY_SIZE(exit_codes); i++)
		if (tool->codes & 1u << exit_codes[i].code)
			fprintf(f, "  %d    %s\n", exit_codes[i].code,
				exit_codes[i].code == ERR_FAILED && tool->failed   ? tool->failed :
				exit_codes[i].code == ERR_REFUSED && tool->refused ? tool->refused :
										      exit_codes[i].text);
	if (tool->task_status)
		fputs("  Without -d, -S or --exec-cmd: the exit status of the restored task,\n"
		      "  128 + N when signal N ended it.\n", f);
}

void opt_print_version(const struct opt_tool *tool, FILE *f)
{
	struct utsname u = { 0 };

	uname(&u);
	fprintf(f, "%s %s\n", tool->name, CR_VERSION);
	fprintf(f, "kernel: %s %s %s\n", u.sysname, u.release, u.machine);
	fprintf(f, "libraries: protobuf-c %s, json-c %s, zstd %s, libcap %s, libnl %d.%d.%d\n", protobuf_c_version(),
		json_c_version(), ZSTD_versionString(), TEXT(LIBCAP_MAJOR) "." TEXT(LIBCAP_MINOR), nl_ver_maj, nl_ver_min,
		nl_ver_mic);
}

/* ---- bash completion ---- */

static void print_words(unsigned mask, FILE *f)
{
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		const struct opt_def *d = &opt_defs[i];

		if (!shown(d, mask))
			continue;
		if (d->letter)
			fprintf(f, "-%c ", d->letter);
		fprintf(f, "--%s ", d->name);
	}
}

/* How the argument of an option is completed: its values, files, directories, pids. */
static void print_value_cases(unsigned mask, FILE *f)
{
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		const struct opt_def *d = &opt_defs[i];

		if (!shown(d, mask) || d->type == OPT_T_BOOL || (d->implied && d->type == OPT_T_COUNT))
			continue;
		if (d->letter)
			fprintf(f, "\t-%c|--%s) ", d->letter, d->name);
		else
			fprintf(f, "\t--%s) ", d->name);
		if (d->values) {
			fputs("COMPREPLY=($(compgen -W '", f);
			for (const char *p = d->values; *p; p++)
				fputc(*p == '|' ? ' ' : *p, f);
			fputs("' -- \"$cur\"))", f);
		} else if (!strcmp(d->arg, "DIR")) {
			fputs("compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\"))", f);
		} else if (!strcmp(d->arg, "FILE")) {
			fputs("compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\"))", f);
		} else if (!strcmp(d->arg, "PID")) {
			fputs("COMPREPLY=($(compgen -W \"$(cd /proc && printf '%s ' [0-9]*)\" -- \"$cur\"))", f);
		} else if (i == OPT_OPTION || i == OPT_EXPLAIN) {
			fputs("COMPREPLY=($(compgen -W '", f);
			for (unsigned k = 0; k < OPT_COUNT_; k++)
				if (!(opt_defs[k].flags & OPT_F_HIDDEN))
					fprintf(f, "%s ", opt_defs[k].name);
			fputs("' -- \"$cur\"))", f);
		} else {
			fputs("COMPREPLY=()", f);
		}
		fputs("; return;;\n", f);
	}
}

void opt_print_completion(const struct opt_tool *tool, FILE *f)
{
	cleanup_free char *fn = xasprintf("_%s", tool->name);

	for (char *p = fn; *p; p++)
		if (*p == '-')
			*p = '_';
	fprintf(f, "# bash completion of %s, made from its table of options\n%s()\n{\n", tool->name, fn);
	fputs("\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words command i\n"
	      "\t[[ $cur == '=' ]] && cur=\n"
	      "\t[[ $prev == '=' && COMP_CWORD -ge 2 ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
	      "\tCOMPREPLY=()\n", f);
	fputs("\tcase $prev in\n", f);
	print_value_cases(tool->tools, f);
	fputs("\tesac\n", f);
	if (tool->commands) {
		fputs("\tcommand=\n\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n\t\t", f);
		for (const struct opt_command *c = tool->commands; c->name; c++)
			fprintf(f, "%s%s", c == tool->commands ? "" : "|", c->name);
		fputs(") command=${COMP_WORDS[i]}; break;;\n\t\tesac\n\tdone\n\tcase $command in\n", f);
		for (const struct opt_command *c = tool->commands; c->name; c++) {
			fprintf(f, "\t%s) words='", c->name);
			print_words(c->tool, f);
			fputs("';;\n", f);
		}
		fputs("\t*) words='", f);
		for (const struct opt_command *c = tool->commands; c->name; c++)
			fprintf(f, "%s ", c->name);
		fputs("--help --version';;\n\tesac\n", f);
	} else {
		fputs("\twords='", f);
		print_words(tool->tools, f);
		fputs("'\n", f);
	}
	fprintf(f, "\tif [[ $cur == -* %s]]; then\n\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n",
		tool->commands ? "|| -z $command " : "");
	fprintf(f, "\telse\n\t\tcompopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\"))\n\tfi\n}\n"
		   "complete -F %s %s\n", fn, tool->name);
}

/* ---- man pages ---- */

static void put_roff(FILE *f, const char *s)
{
	/* A control character at the beginning of a line makes a request of it. */
	if (*s == '.' || *s == '\'')
		fputs("\\&", f);
	for (; *s; s++)
		if (*s == '-')
			fputs("\\-", f);
		else if (*s == '\\')
			fputs("\\e", f);
		else if (*s == '^')
			fputs("\\(ha", f);
		else if (*s == '~')
			fputs("\\(ti", f);
		else if (*s == '`')
			fputs("\\(ga", f);
		else if (*s == '\'')
			fputs("\\(aq", f);
		else
			fputc(*s, f);
}

static void man_option(const struct opt_def *d, unsigned mask, FILE *f)
{
	cleanup_strbuf struct strbuf help = STRBUF_INIT;

	fputs(".TP\n", f);
	if (d->letter) {
		fprintf(f, "\\fB\\-%c\\fR", d->letter);
		fputs(", ", f);
	}
	fputs("\\fB\\-\\-", f);
	put_roff(f, d->name);
	fputs("\\fR", f);
	if (d->arg) {
		fputs(d->implied ? "[=\\fI" : " \\fI", f);
		put_roff(f, d->arg);
		fputs(d->implied ? "\\fR]" : "\\fR", f);
	}
	fputc('\n', f);
	put_help(&help, d, mask);
	help.s[0] = (char)toupper((unsigned char)help.s[0]);
	put_roff(f, help.s);
	fputs(".\n", f);
}

static void man_groups(unsigned mask, FILE *f)
{
	for (unsigned g = 0; g < OPT_G_COUNT_; g++) {
		bool titled = false;

		for (unsigned i = 0; i < OPT_COUNT_; i++) {
			if (opt_defs[i].group != g || !shown(&opt_defs[i], mask))
				continue;
			if (!titled)
				fprintf(f, ".SS %s\n", opt_group_titles[g]);
			titled = true;
			man_option(&opt_defs[i], mask, f);
		}
	}
}

void opt_print_man(const struct opt_tool *tool, FILE *f)
{
	unsigned all = tool->tools;

	if (!tool->commands) {
		man_groups(all, f);
		return;
	}
	/* Subcommands: what all share once, then each with its own. */
	for (const struct opt_command *c = tool->commands; c->name; c++) {
		fprintf(f, ".SS %s %s", tool->name, c->name);
		fputs(c->args[0] ? " " : "", f);
		put_roff(f, c->args);
		fputc('\n', f);
		put_roff(f, c->help);
		fputs(".\n", f);
		for (unsigned i = 0; i < OPT_COUNT_; i++)
			if (shown(&opt_defs[i], c->tool) && (opt_defs[i].acts & all) != all)
				man_option(&opt_defs[i], c->tool, f);
	}
	fputs(".SS Options of all commands\n", f);
	for (unsigned i = 0; i < OPT_COUNT_; i++)
		if (shown(&opt_defs[i], all) && (opt_defs[i].acts & all) == all)
			man_option(&opt_defs[i], all, f);
}
