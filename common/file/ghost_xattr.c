// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/file/ghost.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

/* Those that a restorer can set: labels of security modules come from their policies, and are not what anybody put there. */
static bool is_kept(const char *name)
{
	return strncmp(name, "security.", 9) || !strcmp(name, "security.capability");
}

static int take_one(struct dump *d, const char *path, const char *name, GhostXattrEntry **out, struct err *err)
{
	GhostXattrEntry *x = arena_msg(d->arena, GhostXattrEntry, ghost_xattr_entry__init);
	ssize_t n = getxattr(path, name, NULL, 0);

	if (n > 0) {
		x->value.data = arena_alloc(d->arena, (size_t)n);
		n = getxattr(path, name, x->value.data, (size_t)n);
	}
	if (n < 0)
		return err_sys(err, "cannot read the extended attribute %s", name);
	x->value.len = (size_t)n;
	x->name = arena_strdup(d->arena, name);
	*out = x;
	return 0;
}

int xattrs_take(struct dump *d, const char *path, struct xattrs *x, struct err *err)
{
	cleanup_free char *names = NULL;
	ssize_t len = listxattr(path, NULL, 0);
	int ret = 0;

	if (len <= 0) /* most files have none */
		return len < 0 && errno != ENOTSUP ? err_sys(err, "cannot list the extended attributes") : 0;
	names = xmalloc((size_t)len + 1);
	len = listxattr(path, names, (size_t)len);
	if (len < 0)
		return err_sys(err, "cannot list the extended attributes");
	names[len] = 0;
	x->v = arena_alloc(d->arena, ((size_t)len + 1) * sizeof(*x->v)); /* a name has a byte at least */
	for (const char *p = names; !ret && p < names + len; p += strlen(p) + 1)
		if (is_kept(p))
			ret = take_one(d, path, p, &x->v[x->n++], err);
	return ret;
}

bool xattrs_good(struct xattrs x)
{
	for (size_t i = 0; i < x.n; i++)
		if (x.v[i]->value.len > XATTR_SIZE_MAX || !*x.v[i]->name || strlen(x.v[i]->name) > XATTR_NAME_MAX)
			return false;
	return true;
}

void xattrs_set(struct program *c, struct xattrs x, struct arg file, bool open)
{
	for (size_t i = 0; i < x.n; i++) {
		const GhostXattrEntry *e = x.v[i];

		program_call(c, MAKE_OBJECTS, "its extended attribute", open ? SYS_fsetxattr : SYS_lsetxattr, file,
			     A_DATA(program_string(c, e->name)), A_PTR(e->value.data), A(e->value.len), A(0));
	}
}
