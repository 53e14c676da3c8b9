/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/strbuf.h"

#define printf_like_va(f) __attribute__((format(printf, f, 0)))

static int printf_like_va(4) err_vset(struct err *e, enum err_kind kind, int errnum, const char *fmt, va_list ap)
{
	if (e->kind == ERR_NONE) {
		e->kind = kind;
		e->errnum = errnum;
		vsnprintf(e->reason, sizeof(e->reason), fmt, ap);
	}
	return errnum ? -errnum : -EINVAL;
}

int err_set(struct err *e, enum err_kind kind, int errnum, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = err_vset(e, kind, errnum, fmt, ap);
	va_end(ap);
	return ret;
}

int err_sys(struct err *e, const char *fmt, ...)
{
	int errnum = errno;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = err_vset(e, ERR_FAILED, errnum, fmt, ap);
	va_end(ap);
	return ret;
}

int err_image(struct err *e, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = err_vset(e, ERR_IMAGE, 0, fmt, ap);
	va_end(ap);
	return ret;
}

int err_refuse(struct err *e, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = err_vset(e, ERR_REFUSED, 0, fmt, ap);
	va_end(ap);
	return ret;
}

int err_task(struct err *e, pid_t pid, const char *comm, int ret)
{
	if (e->kind != ERR_NONE && !e->pid) { /* where nothing failed, a later error must not carry this task */
		e->pid = pid;
		snprintf(e->comm, sizeof(e->comm), "%s", comm ? comm : "");
	}
	return ret;
}

int err_object(struct err *e, int ret, const char *fmt, ...)
{
	char was[sizeof(e->object)];
	va_list ap;
	size_t n;

	if (ret >= 0)
		return ret; /* nothing failed: a later error must not carry this object */
	memcpy(was, e->object, sizeof(was));
	va_start(ap, fmt);
	vsnprintf(e->object, sizeof(e->object), fmt, ap);
	va_end(ap);
	n = strlen(e->object);
	if (was[0])
		snprintf(e->object + n, sizeof(e->object) - n, ": %s", was);
	return ret;
}

int err_hint(struct err *e, int ret, const char *fmt, ...)
{
	va_list ap;

	if (!e->hint[0]) {
		va_start(ap, fmt);
		vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
		va_end(ap);
	}
	return ret;
}

static void put_json(struct strbuf *out, const char *key, const char *s)
{
	if (!s[0])
		return;
	strbuf_printf(out, ",\"%s\":\"", key);
	strbuf_put_json(out, s);
	strbuf_puts(out, "\"");
}

static void print_json(const struct err *e, const char *prog, FILE *f)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b, "{\"level\":\"error\",\"tool\":\"%s\",\"exit\":%d", prog, e->kind);
	if (e->pid)
		strbuf_printf(&b, ",\"pid\":%d", e->pid);
	put_json(&b, "comm", e->comm);
	put_json(&b, "object", e->object);
	put_json(&b, "reason", e->reason);
	if (e->errnum)
		put_json(&b, "errno", strerrorname_np(e->errnum) ?: "?");
	put_json(&b, "hint", e->hint);
	fprintf(f, "%s}\n", b.s);
}

void err_print(const struct err *e, const char *prog, bool json, FILE *f)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	if (json) {
		print_json(e, prog, f);
		return;
	}
	strbuf_printf(&b, "%s: ", prog);
	if (e->pid) {
		strbuf_printf(&b, "pid %d", e->pid);
		if (e->comm[0]) {
			strbuf_puts(&b, " (");
			strbuf_put_clean(&b, e->comm);
			strbuf_puts(&b, ")");
		}
		strbuf_puts(&b, ": ");
	}
	if (e->object[0]) {
		strbuf_put_clean(&b, e->object);
		strbuf_puts(&b, ": ");
	}
	strbuf_put_clean(&b, e->reason);
	if (e->errnum)
		strbuf_printf(&b, ": %s", strerror(e->errnum));
	if (e->hint[0]) {
		strbuf_puts(&b, "; ");
		strbuf_put_clean(&b, e->hint);
	}
	fprintf(f, "%s\n", b.s);
}
