/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/findings.h"

#include <search.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/strbuf.h"

static int compare(const void *va, const void *vb)
{
	const struct finding *a = va, *b = vb;
	int r = (a->pid > b->pid) - (a->pid < b->pid);

	if (!r)
		r = strcmp(a->object, b->object);
	if (!r)
		r = strcmp(a->reason, b->reason);
	return r;
}

void findings_take(struct findings *f, struct err *e)
{
	struct finding *new;
	void *at;

	if (e->kind == ERR_NONE) /* a failure that nobody described: better a poor line than none */
		err_set(e, ERR_FAILED, 0, "cannot be looked at");
	if (!f->arena)
		f->arena = arena_new();
	new = arena_alloc(f->arena, sizeof(*new));
	*new = (struct finding){ e->kind, e->errnum, e->pid, arena_strdup(f->arena, e->comm),
				 arena_strdup(f->arena, e->object), arena_strdup(f->arena, e->reason),
				 arena_strdup(f->arena, e->hint) };
	*e = (struct err)ERR_INIT;
	at = xowned(tsearch(new, &f->known, compare));
	if (*(struct finding **)at != new)
		return;
	array_reserve(&f->v, &f->cap, f->n, sizeof(*f->v));
	f->v[f->n++] = *new;
}

void findings_add(struct findings *f, enum err_kind kind, pid_t pid, const char *object, const char *hint, const char *fmt,
		  ...)
{
	struct err e = { .kind = kind, .pid = pid };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e.reason, sizeof(e.reason), fmt, ap);
	va_end(ap);
	snprintf(e.object, sizeof(e.object), "%s", object ? object : "");
	snprintf(e.hint, sizeof(e.hint), "%s", hint ? hint : "");
	findings_take(f, &e);
}

static void put(struct strbuf *b, const char *key, const char *s)
{
	if (!s[0])
		return;
	strbuf_printf(b, "%s\"%s\": \"", b->s[b->len - 1] == '{' ? "" : ", ", key);
	strbuf_put_json(b, s);
	strbuf_puts(b, "\"");
}

static void print_json(const struct findings *f, FILE *out)
{
	for (size_t i = 0; i < f->n; i++) {
		cleanup_strbuf struct strbuf b = STRBUF_INIT;
		const struct finding *x = &f->v[i];

		strbuf_puts(&b, "{");
		if (x->pid)
			strbuf_printf(&b, "\"pid\": %d", x->pid);
		put(&b, "comm", x->comm);
		put(&b, "object", x->object);
		put(&b, "reason", x->reason);
		if (x->errnum)
			put(&b, "errno", strerrorname_np(x->errnum) ?: "?");
		put(&b, "hint", x->hint);
		fprintf(out, "%s\n  %s}", i ? "," : "[", b.s);
	}
	fputs(f->n ? "\n]\n" : "[]\n", out);
}

static void print_line(const struct finding *x, FILE *out)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	if (x->pid) {
		strbuf_printf(&b, "pid %d", x->pid);
		if (x->comm[0]) {
			strbuf_puts(&b, " (");
			strbuf_put_clean(&b, x->comm);
			strbuf_puts(&b, ")");
		}
		strbuf_puts(&b, ": ");
	}
	if (x->object[0]) {
		strbuf_put_clean(&b, x->object);
		strbuf_puts(&b, ": ");
	}
	strbuf_put_clean(&b, x->reason);
	if (x->errnum)
		strbuf_printf(&b, ": %s", strerror(x->errnum));
	if (x->hint[0]) {
		strbuf_puts(&b, "; ");
		strbuf_put_clean(&b, x->hint);
	}
	fprintf(out, "%s\n", b.s);
}

void findings_print(const struct findings *f, bool json, FILE *out)
{
	if (json) {
		print_json(f, out);
		return;
	}
	for (size_t i = 0; i < f->n; i++)
		print_line(&f->v[i], out);
}

static void keep(void *node)
{
	(void)node; /* the arena's */
}

void findings_release(struct findings *f)
{
	tdestroy(f->known, keep);
	arena_free(f->arena);
	free(f->v);
	*f = (struct findings){ 0 };
}
