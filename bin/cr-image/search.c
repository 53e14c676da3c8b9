/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image search and strings: text, bytes and patterns in the memory of all tasks. */
#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <string.h>

#include "bin/cr-image/cr-image.h"
#include "bin/cr-image/search.h"
#include "bin/cr-image/x.h"
#include "common/base/io.h"

/* A match of a regular expression that is longer than this may be missed where it crosses from window to window. */
#define REGEX_KEEP 4096
#define NEEDLE_MAX (64u << 10)
enum { CONTEXT = 24 };

struct search {
	struct ckpt *c;
	struct literal literal; /* n 0: none */
	bool is_regex, json;
	regex_t regex;
	const struct ckpt_task *task;
	uint64_t found, skip; /* skip: addresses of the task below it belong to a match already told */
};

static void print_text(struct search *s, struct ckpt_task *t, const VmaEntry *v, uint64_t at, const uint8_t *p, size_t n,
		       size_t from, size_t len)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	size_t first = from > CONTEXT ? from - CONTEXT : 0, last = MIN(n, from + MIN(len, (size_t)256) + CONTEXT);
	char perms[5] = "----";

	if (v) {
		ckpt_vma_perms(v, perms);
		strbuf_put_clean(&b, ckpt_vma_name(s->c, t, v));
	}
	printf("%7u  %016llx  %s  %-24s  ", t->pid, (unsigned long long)at, perms, b.s ? b.s : "");
	for (size_t i = first; i < last; i++)
		putchar(p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '.');
	putchar('\n');
}

static int print_json(struct search *s, struct ckpt_task *t, const VmaEntry *v, uint64_t at, const uint8_t *p, size_t len,
		      struct err *err)
{
	cleanup_rows json_object *row = json_object_new_object();
	cleanup_free char *text = xasprintf("%.*s", (int)MIN(len, (size_t)REGEX_KEEP), (const char *)p);
	char perms[5];

	row_number(row, "pid", t->pid);
	row_text(row, "comm", t->comm);
	row_hex(row, "address", at);
	row_number(row, "length", len);
	if (v) {
		ckpt_vma_perms(v, perms);
		row_hex(row, "start", v->start);
		row_hex(row, "end", v->end);
		row_text(row, "perms", perms);
		row_text(row, "mapping", ckpt_vma_name(s->c, t, v));
	}
	row_text(row, "match", text);
	puts(json_object_to_json_string_ext(row, JSON_C_TO_STRING_NOSLASHESCAPE));
	return ferror(stdout) ? err_sys(err, "cannot write") : 0;
}

/* The next match of the regular expression at or behind from, none of which needs bytes behind to. */
static bool next_regex(struct search *s, const uint8_t *p, size_t from, size_t to, size_t *at, size_t *len)
{
	while (from < to) {
		regmatch_t m[1] = { { .rm_so = (regoff_t)from, .rm_eo = (regoff_t)to } };

		/* Only what follows a newline is the beginning of a line: a window begins anywhere. */
		if (regexec(&s->regex, (const char *)p, 1, m, REG_STARTEND | REG_NOTBOL | REG_NOTEOL))
			return false;
		*at = (size_t)m[0].rm_so;
		*len = (size_t)(m[0].rm_eo - m[0].rm_so);
		if (*len)
			return true;
		from = *at + 1; /* nothing is no match */
	}
	return false;
}

/* The next match at or behind from; false when there is none. */
static bool next_match(struct search *s, const uint8_t *p, size_t n, size_t from, size_t *at, size_t *len)
{
	/* The text that every match holds is found faster than the matches, unless it is everywhere. */
	for (unsigned vain = 0; s->literal.n && vain < 64 && from < n; vain++) {
		const uint8_t *hit = literal_find(&s->literal, p + from, n - from);
		size_t pos = hit ? (size_t)(hit - p) : 0;

		if (!hit)
			return false;
		*at = pos;
		*len = s->literal.n;
		if (!s->is_regex || next_regex(s, p, pos - from > REGEX_KEEP ? pos - REGEX_KEEP : from,
					       MIN(n, pos + *len + REGEX_KEEP), at, len))
			return true;
		from = pos + 1;
	}
	return s->is_regex && next_regex(s, p, from, n, at, len);
}

static int search_window(struct ckpt_task *t, uint64_t addr, const uint8_t *p, size_t n, size_t settled, void *data, struct err *err)
{
	struct search *s = data;
	size_t from, len;
	int ret = 0;

	if (s->task != t)
		s->skip = 0;
	s->task = t;
	from = s->skip > addr && s->skip - addr < n ? (size_t)(s->skip - addr) : 0;

	for (size_t at; !ret && from < settled && next_match(s, p, n, from, &at, &len) && at < settled; from = at + len) {
		const VmaEntry *v = ckpt_vma_at(t, addr + at);

		s->found++;
		s->skip = addr + at + len;
		if (s->json)
			ret = print_json(s, t, v, addr + at, p + at, len, err);
		else
			print_text(s, t, v, addr + at, p, n, at, len);
		if (ferror(stdout))
			ret = err_sys(err, "cannot write");
	}
	return ret;
}

/* "de ad be ef", "deadbeef", "0xdeadbeef" as bytes in that order. */
static int parse_hex(const char *text, uint8_t **out, size_t *n, struct err *err)
{
	const char *p = strncmp(text, "0x", 2) ? text : text + 2;

	*out = xmalloc(strlen(text) / 2 + 1);
	for (*n = 0; *p;) {
		char pair[3] = { p[0], p[1], 0 };
		uint64_t v;

		if (*p == ' ') {
			p++;
			continue;
		}
		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) || parse_u64(pair, 16, &v))
			return err_set(err, ERR_USAGE, 0, "--hex: '%s' is not a list of bytes as deadbeef or 'de ad be ef'", text);
		(*out)[(*n)++] = (uint8_t)v;
		p += 2;
	}
	return 0;
}

static int prepare(struct search *s, const struct opts *o, uint8_t **needle, struct err *err)
{
	const char *text = opt_str(o, OPT_TEXT), *hex = opt_str(o, OPT_HEX), *regex = opt_str(o, OPT_REGEX);
	size_t n = 0;
	int ret;

	if (!!text + !!hex + !!regex != 1)
		return err_set(err, ERR_USAGE, 0, "search takes exactly one of --text, --hex and --regex");
	if (hex) {
		ret = parse_hex(hex, needle, &n, err);
		if (ret)
			return ret;
	} else if (text) {
		n = strlen(text);
		*needle = (uint8_t *)xstrdup(text);
	} else {
		int code = regcomp(&s->regex, regex, REG_EXTENDED | REG_NEWLINE);
		char why[128];

		s->is_regex = !code;
		if (code) {
			regerror(code, &s->regex, why, sizeof(why));
			return err_set(err, ERR_USAGE, 0, "--regex: %s", why);
		}
		*needle = (uint8_t *)regex_literal(regex);
		n = strlen((char *)*needle);
		if (n < 3) /* too common to be of help */
			n = 0;
	}
	if ((!n && !s->is_regex) || n > NEEDLE_MAX)
		return err_set(err, ERR_USAGE, 0, n ? "more than %u bytes to look for" : "there is nothing to look for", NEEDLE_MAX);
	literal_init(&s->literal, *needle, n);
	return 0;
}

static int each_task(struct ckpt *c, const struct opts *o, size_t keep, window_fn f, void *data, struct err *err)
{
	struct ckpt_task *only = NULL;
	int ret = opt_int(o, OPT_PID) ? ckpt_pick(c, opt_int(o, OPT_PID), &only, err) : 0;

	for (size_t i = 0; i < c->ntasks && !ret; i++)
		if (!only || only == &c->tasks[i])
			ret = search_windows(c, &c->tasks[i], keep, f, data, err);
	return ret;
}

static void search_release(struct search *s)
{
	if (s->is_regex)
		regfree(&s->regex);
}

int cmd_search(const struct opts *o, struct err *err)
{
	cleanup_ckpt struct ckpt *c = NULL;
	cleanup_free uint8_t *needle = NULL;
	cleanup(search_release) struct search s = { .json = opt_bool(o, OPT_JSON) };
	int ret = prepare(&s, o, &needle, err);

	if (!ret)
		ret = ckpt_open(opt_operands(o, NULL)[0], &c, err);
	s.c = c;
	if (!ret)
		ret = each_task(c, o, s.is_regex ? REGEX_KEEP : s.literal.n - 1, search_window, &s, err);
	if (!ret && fflush(stdout))
		ret = err_sys(err, "cannot write");
	return ret ? ret : s.found ? 0 : 1;
}

/* ---- strings ---- */

struct strings {
	size_t min;
	char *begin;	 /* the first characters, until it is known that there are enough */
	size_t n;	 /* characters of the string so far */
	uint64_t start, next;
	const struct ckpt_task *task;
};

static bool is_text(uint8_t ch)
{
	return (ch >= 0x20 && ch < 0x7f) || ch == '\t';
}

static void end_string(struct strings *s)
{
	if (s->n >= s->min)
		putchar('\n');
	s->n = 0;
}

/* n more characters of the string, at addr. */
static void add_to_string(struct strings *s, const struct ckpt_task *t, uint64_t addr, const uint8_t *p, size_t n)
{
	size_t held = s->n < s->min ? MIN(s->min - s->n, n) : 0;

	if (!s->n)
		s->start = addr;
	memcpy(s->begin + MIN(s->n, s->min), p, held);
	if (s->n < s->min && s->n + held == s->min)
		printf("%7u  %016llx  %.*s", t->pid, (unsigned long long)s->start, (int)s->min, s->begin);
	if (n > held)
		fwrite(p + held, 1, n - held, stdout);
	s->n += n;
}

static int strings_window(struct ckpt_task *t, uint64_t addr, const uint8_t *p, size_t n, size_t settled, void *data,
			  struct err *err)
{
	struct strings *s = data;

	if (addr != s->next || t != s->task)
		end_string(s);
	s->task = t;
	for (size_t i = 0, end; i < settled; i = end) {
		for (end = i; end < settled && is_text(p[end]); end++)
			;
		if (end > i)
			add_to_string(s, t, addr + i, p + i, end - i);
		if (end < settled) {
			end_string(s);
			end++;
		}
	}
	s->next = addr + settled;
	return ferror(stdout) ? err_sys(err, "cannot write") : 0;
}

int cmd_strings(const struct opts *o, struct err *err)
{
	cleanup_ckpt struct ckpt *c = NULL;
	size_t min = (size_t)opt_int(o, OPT_BYTES);
	cleanup_free char *begin = xmalloc(min + 1);
	struct strings s = { .min = min, .begin = begin };
	int ret = ckpt_open(opt_operands(o, NULL)[0], &c, err);

	if (!ret)
		ret = each_task(c, o, 0, strings_window, &s, err);
	if (!ret)
		end_string(&s);
	return ret ? ret : fflush(stdout) ? err_sys(err, "cannot write") : 0;
}
