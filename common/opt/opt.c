/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values: how a use of an option is checked and kept, and how callers ask for it. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/io.h"
#include "common/opt/private.h"

/* Index of word in "a|b|c", -1 when it is not there. */
static int enum_index(const char *values, const char *word)
{
	size_t len = strlen(word);

	for (int i = 0; values; i++) {
		const char *bar = strchrnul(values, '|');

		if ((size_t)(bar - values) == len && !memcmp(values, word, len))
			return i;
		values = *bar ? bar + 1 : NULL;
	}
	return -1;
}

static int parse_size(const char *text, uint64_t *out)
{
	size_t n = strlen(text);
	unsigned shift = 0;
	char digits[32];
	int ret;

	if (!n || n >= sizeof(digits))
		return n ? -ERANGE : -EINVAL;
	memcpy(digits, text, n + 1);
	switch (digits[n - 1]) {
	case 'k': case 'K': shift = 10; break;
	case 'm': case 'M': shift = 20; break;
	case 'g': case 'G': shift = 30; break;
	}
	if (shift)
		digits[n - 1] = 0;
	ret = parse_u64(digits, 10, out);
	if (ret < 0)
		return ret;
	/* Sizes are kept as file offsets are: no more than 2^63 - 1. */
	if (*out > (uint64_t)INT64_MAX >> shift)
		return -ERANGE;
	*out <<= shift;
	return 0;
}

/* The number of a value. dashes: how messages write the option, "--" for the command line. */
static int parse_number(const struct opt_def *d, const char *dashes, const char *text, int64_t *out, struct err *err)
{
	uint64_t size = 0;
	int64_t max = d->max ? d->max : INT64_MAX;
	int ret;

	switch (d->type) {
	case OPT_T_ENUM:
		*out = enum_index(d->values, text);
		if (*out < 0)
			return err_set(err, ERR_USAGE, 0, "%s%s: '%s' is none of %s", dashes, d->name, text, d->values);
		return 0;
	case OPT_T_SIZE:
		ret = parse_size(text, &size);
		*out = (int64_t)size;
		break;
	default:
		ret = parse_i64(text, 10, out);
		break;
	}
	if (ret == -EINVAL)
		return err_set(err, ERR_USAGE, 0, "%s%s: '%s' is not a %s", dashes, d->name, text,
			       d->type == OPT_T_SIZE ? "size (a number, with K, M or G for powers of 1024)" : "number");
	if (ret == -ERANGE || *out < d->min || *out > max)
		return err_set(err, ERR_USAGE, 0, "%s%s: %s is out of range (%lld to %lld)", dashes, d->name,
			       text, (long long)d->min, (long long)max);
	return 0;
}

struct opts *opt_new(const struct opt_tool *tool)
{
	struct opts *o = xzalloc(sizeof(*o));
	struct err err = ERR_INIT;

	o->tool = tool;
	o->mask = tool->tools;
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		const struct opt_def *d = &opt_defs[i];

		o->slots[i].number = d->type == OPT_T_ENUM ? -1 : d->type == OPT_T_BOOL && d->deflt && !strcmp(d->deflt, "yes");
		if (d->deflt && d->type != OPT_T_BOOL && d->type != OPT_T_STRING &&
		    parse_number(d, "", d->deflt, &o->slots[i].number, &err) < 0)
			abort(); /* a default that its own row forbids */
	}
	return o;
}

void opt_free(struct opts *o)
{
	if (!o)
		return;
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		for (size_t k = 0; k < o->slots[i].n; k++)
			free(o->slots[i].uses[k].text);
		free(o->slots[i].uses);
		free(o->slots[i].list);
	}
	for (size_t i = 0; i < o->nnotes; i++)
		free(o->notes[i]);
	for (size_t i = 0; i < o->nfiles; i++)
		free(o->files[i]);
	free(o->notes);
	free(o->files);
	free(o->operands);
	free(o);
}

void opt_freep(struct opts **o)
{
	opt_free(*o);
}

const char *opt_keep_name(struct opts *o, const char *name)
{
	array_reserve(&o->files, &o->files_cap, o->nfiles, sizeof(*o->files));
	return o->files[o->nfiles++] = xstrdup(name);
}

void opt_note(struct opts *o, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	array_reserve(&o->notes, &o->notes_cap, o->nnotes + 1, sizeof(*o->notes));
	o->notes[o->nnotes++] = xstrdup(line);
	o->notes[o->nnotes] = NULL;
}

int opt_at(struct err *err, int ret, const struct opt_origin *origin, unsigned column)
{
	enum { SHOWN = 150 };
	size_t n;
	const char *tail;

	if (!origin->file)
		return origin->field ? err_object(err, ret, "rpc.%s", origin->field) : ret;
	/* The place matters more than the whole of a very long path. */
	n = strlen(origin->file);
	tail = n > SHOWN ? origin->file + n - SHOWN : origin->file;
	if (!column) /* the file as a whole */
		return err_object(err, ret, "%s%s", n > SHOWN ? "..." : "", tail);
	return err_object(err, ret, "%s%s:%u:%u", n > SHOWN ? "..." : "", tail, origin->line, column);
}

/* Keeps a list's value unless it is there already. */
static int add_to_list(struct opt_slot *slot, struct opt_use *use, const char *dashes, const char *name,
		       struct err *err)
{
	for (size_t i = 0; i < slot->nlist; i++)
		if (!strcmp(slot->list[i], use->text)) {
			use->duplicate = true;
			return 0;
		}
	if (slot->nlist == OPT_LIST_MAX)
		return err_set(err, ERR_USAGE, 0, "%s%s is given more than %d times", dashes, name, OPT_LIST_MAX);
	array_reserve(&slot->list, &slot->list_cap, slot->nlist + 1, sizeof(*slot->list));
	slot->list[slot->nlist++] = use->text;
	slot->list[slot->nlist] = NULL;
	return 0;
}

static int check_use(const struct opt_def *d, struct opt_slot *slot, const char *value, bool negated,
		     struct opt_use *use, struct err *err)
{
	const char *dashes = use->origin.layer == OPT_L_ARGV ? "--" : "";

	if (d->type == OPT_T_BOOL) {
		if (value)
			return err_hint(err, err_set(err, ERR_USAGE, 0, "%s%s takes no value", dashes, d->name),
					"%sno-%s switches it off", dashes, d->name);
		use->number = !negated;
		return 0;
	}
	if (!value && !d->implied)
		return err_set(err, ERR_USAGE, 0, "%s%s needs a value (%s)", dashes, d->name, d->arg);
	if (d->type == OPT_T_COUNT && !value) {
		use->number = MIN(slot->number + 1, d->max);
		return 0;
	}
	if (d->type != OPT_T_STRING && d->type != OPT_T_LIST)
		return parse_number(d, dashes, value ? value : d->implied, &use->number, err);
	if (value && !value[0])
		return err_set(err, ERR_USAGE, 0, "%s%s: the value is empty", dashes, d->name);
	return 0;
}

int opt_use(struct opts *o, enum opt_id id, const char *value, bool negated, const struct opt_origin *origin,
	    struct err *err)
{
	const struct opt_def *d = &opt_defs[id];
	struct opt_slot *slot = &o->slots[id];
	struct opt_use use = { .origin = *origin };
	const char *dashes = origin->layer == OPT_L_ARGV ? "--" : "";
	int ret = check_use(d, slot, value, negated, &use, err);

	if (ret < 0)
		return ret;
	/* One file serves all binaries: what is for another one was checked, and that is all. */
	if (!(d->takes & o->mask) && !o->everything)
		return 0;
	if (!(d->acts & o->mask) && !slot->noted && !o->everything) {
		cleanup_free char *where = opt_origin_text(origin);

		slot->noted = true;
		opt_note(o, "%s: %s is known, but this %s does not act on it", where, d->name, o->tool->name);
	}
	use.text = xstrdup(value ? value : d->type == OPT_T_BOOL || !d->implied ? "" : d->implied);
	if (d->type == OPT_T_LIST) {
		ret = add_to_list(slot, &use, dashes, d->name, err);
		if (ret < 0) {
			free(use.text);
			return ret;
		}
	}
	array_reserve(&slot->uses, &slot->cap, slot->n, sizeof(*slot->uses));
	slot->uses[slot->n++] = use;
	slot->number = use.number;
	return 0;
}

/* ---- access ---- */

static const struct opt_slot *slot_of(const struct opts *o, enum opt_id id, unsigned types)
{
	if ((unsigned)id >= OPT_COUNT_ || !(types & 1u << opt_defs[id].type))
		abort(); /* the caller's bug; going on would mean to act on a wrong value */
	return &o->slots[id];
}

bool opt_is_set(const struct opts *o, enum opt_id id)
{
	return slot_of(o, id, ~0u)->n > 0;
}

bool opt_is_said(const struct opts *o, enum opt_id id)
{
	size_t n;
	const struct opt_use *uses = opt_uses(o, id, &n);

	return n && uses[n - 1].origin.layer == OPT_L_ARGV;
}

bool opt_bool(const struct opts *o, enum opt_id id)
{
	return slot_of(o, id, 1u << OPT_T_BOOL)->number;
}

int64_t opt_int(const struct opts *o, enum opt_id id)
{
	return slot_of(o, id, 1u << OPT_T_INT | 1u << OPT_T_COUNT)->number;
}

uint64_t opt_size(const struct opts *o, enum opt_id id)
{
	return (uint64_t)slot_of(o, id, 1u << OPT_T_SIZE)->number;
}

const char *opt_str(const struct opts *o, enum opt_id id)
{
	const struct opt_slot *slot = slot_of(o, id, ~(1u << OPT_T_LIST));

	return slot->n ? slot->uses[slot->n - 1].text : opt_defs[id].deflt;
}

int opt_enum(const struct opts *o, enum opt_id id)
{
	return (int)slot_of(o, id, 1u << OPT_T_ENUM)->number;
}

bool opt_is(const struct opts *o, enum opt_id id, const char *value)
{
	int want = enum_index(opt_defs[id].values, value);

	if (want < 0)
		abort(); /* no such value in the table: the comparison could never be true */
	return opt_enum(o, id) == want;
}

const char *const *opt_list(const struct opts *o, enum opt_id id, size_t *n)
{
	static const char *const none[] = { NULL };
	const struct opt_slot *slot = slot_of(o, id, 1u << OPT_T_LIST);

	if (n)
		*n = slot->nlist;
	return slot->nlist ? slot->list : none;
}

char **opt_operands(const struct opts *o, int *n)
{
	if (n)
		*n = (int)o->noperands;
	return o->operands;
}

const struct opt_command *opt_command(const struct opts *o)
{
	return o->command;
}

const struct opt_tool *opt_of_tool(const struct opts *o)
{
	return o->tool;
}

const struct opt_use *opt_uses(const struct opts *o, enum opt_id id, size_t *n)
{
	const struct opt_slot *slot = slot_of(o, id, ~0u);

	*n = slot->n;
	return slot->uses;
}

char *opt_origin_text(const struct opt_origin *origin)
{
	switch (origin->layer) {
	case OPT_L_DEFAULT:
		break;
	case OPT_L_ARGV:
		return xasprintf("argv[%d]", origin->arg);
	case OPT_L_RPC:
		return xasprintf("rpc.%s", origin->field);
	case OPT_L_RPC_FILE:
		return xasprintf("%s%s%s%s:%u:%u", origin->field ? "rpc." : "", origin->field ? origin->field : "",
				 origin->field ? "=" : "", origin->file, origin->line, origin->column);
	case OPT_L_ENV:
		return xasprintf("CRIU_CONFIG_FILE=%s:%u:%u", origin->file, origin->line, origin->column);
	default:
		return xasprintf("%s:%u:%u", origin->file, origin->line, origin->column);
	}
	return xstrdup("default");
}

char *opt_value_text(const struct opts *o, enum opt_id id)
{
	const struct opt_def *d = &opt_defs[id];
	const struct opt_slot *slot = slot_of(o, id, ~0u);
	char *all = NULL;

	switch (d->type) {
	case OPT_T_BOOL:
		return xstrdup(slot->number ? "yes" : "no");
	case OPT_T_COUNT:
		return xasprintf("%lld", (long long)slot->number);
	case OPT_T_LIST:
		for (size_t i = 0; i < slot->nlist; i++) {
			char *more = xasprintf("%s%s%s", all ? all : "", all ? " " : "", slot->list[i]);

			free(all);
			all = more;
		}
		return all;
	default:
		return slot->n || d->deflt ? xstrdup(opt_str(o, id)) : NULL;
	}
}

const char *const *opt_notes(const struct opts *o, size_t *n)
{
	static const char *const none[] = { NULL };

	if (n)
		*n = o->nnotes;
	return o->nnotes ? (const char *const *)o->notes : none;
}

void opt_log_notes(const struct opts *o, const struct log *log)
{
	for (size_t i = 0; i < o->nnotes; i++)
		log_warn(log, "%s", o->notes[i]);
}

static bool wants_json(char **argv)
{
	bool json = false;

	for (char **a = argv; *a && strcmp(*a, "--") != 0; a++)
		if (!strncmp(*a, "--log-format=", 13))
			json = !strcmp(*a + 13, "json");
		else if (!strcmp(*a, "--log-format") && a[1])
			json = !strcmp(a[1], "json");
	return json;
}

int opt_fail(const struct opts *o, const char *prog, char **argv, const struct err *err)
{
	err_print(err, prog, o ? opt_is(o, OPT_LOG_FORMAT, "json") : wants_json(argv), stderr);
	return err->kind != ERR_NONE ? (int)err->kind : (int)ERR_FAILED;
}
