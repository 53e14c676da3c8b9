// SPDX-License-Identifier: GPL-2.0-or-later
/* Before anything is made: are the names of unix sockets free here? A file that a live socket of somebody has is never taken. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include "common/file/external.h"
#include "common/sock/unixsk.h"

struct names {
	const struct model *m;
	struct arena *arena;
	struct unix_diags diags;
	bool asked, held; /* names may be those of who is about to be gone */
	finding_fn report;
	void *ctx;
	int count;
};

static void printf_like(3, 4) found(struct names *n, const UnixSkEntry *e, const char *fmt, ...)
{
	char line[512], object[32];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	n->count++;
	if (e)
		snprintf(object, sizeof(object), "unix socket %u", e->id);
	n->report(n->ctx, e ? object : NULL, line);
}

/* Without sock_diag a bind tells, too, only later. */
static const struct unix_diags *diags(struct names *n)
{
	struct err ignored = ERR_INIT;

	if (!n->asked)
		unix_diag_all(n->arena, &n->diags, &ignored);
	n->asked = true;
	return &n->diags;
}

static void holder(const struct unix_diag *s, char *who, size_t n)
{
	char link[32];

	snprintf(link, sizeof(link), "socket:[%u]", s->ino);
	if (!file_holder(link, NULL, who, n))
		snprintf(who, n, "%s", link);
}

static void check_path(struct names *n, const UnixSkEntry *e, const char *path)
{
	const struct unix_diag *other;
	struct stat st;
	char who[96];
	const char *slash = strrchr(path, '/');
	const char *dir = slash == path ? "/" : arena_printf(n->arena, "%.*s", (int)(slash - path), path);

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT && stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
			return;
		found(n, e, "%s: %s", errno == ENOENT ? dir : path,
		      errno == ENOENT ? "does not exist here" : strerror(errno));
		return;
	}
	if (!S_ISSOCK(st.st_mode)) {
		found(n, e, "%s is there, and is no socket", path);
		return;
	}
	other = n->held ? NULL : unix_diag_by_file(diags(n), &st);
	if (!other)
		return;
	holder(other, who, sizeof(who));
	found(n, e, "%s is in use by %s", path, who);
}

static void check_abstract(struct names *n, const UnixSkEntry *e, const ProtobufCBinaryData *name)
{
	const struct unix_diag *other = unix_diag_by_name(diags(n), name->data, name->len);
	char who[96];

	if (!other || other->type != e->type)
		return;
	holder(other, who, sizeof(who));
	found(n, e, "the name @%.*s is in use by %s", (int)name->len - 1, (const char *)name->data + 1,
	      who);
}

static void check_outside(struct names *n, const UnixSkEntry *e)
{
	struct stat st;

	if (!unix_has_path(&e->name)) {
		if (!unix_diag_by_name(diags(n), e->name.data, e->name.len))
			found(n, NULL, "unix socket @%.*s, to connect to, does not exist here", (int)e->name.len - 1,
			      (const char *)e->name.data + 1);
		return;
	}
	if (stat((const char *)e->name.data, &st) < 0)
		found(n, NULL, "unix socket %s, to connect to: %s", (const char *)e->name.data,
		      errno == ENOENT ? "does not exist here" : strerror(errno));
	else if (!S_ISSOCK(st.st_mode) || !unix_diag_by_file(diags(n), &st))
		found(n, NULL, "unix socket %s, to connect to: nobody has it open", (const char *)e->name.data);
}

int unix_preflight(const struct model *m, bool held, finding_fn report, void *ctx)
{
	cleanup_arena struct arena *arena = arena_new();
	struct names n = { .m = m, .arena = arena, .report = report, .ctx = ctx, .held = held };

	for (size_t i = 0; i < m->nfiles; i++) {
		const UnixSkEntry *e = m->files[i]->type == FD_TYPES__UNIXSK ? m->files[i]->usk : NULL;
		/* What accept(2) gave does not hold its name. */
		bool holds = e && (e->type == SOCK_DGRAM || e->state != UNIX_CONNECTED);
		const char *path;

		struct err ignored = ERR_INIT;

		/* A check may come here without a plan, which would have looked at the name. */
		if (!e || !e->name.len || unix_name_check(&e->name, &ignored))
			continue;
		if (e->uflags & 1) {
			check_outside(&n, e);
			continue;
		}
		if (!unix_has_path(&e->name)) {
			if (!held)
				check_abstract(&n, e, &e->name);
			continue;
		}
		path = unix_file_path(arena, e);
		if (path && holds)
			check_path(&n, e, path);
	}
	return n.count;
}
