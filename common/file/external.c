// SPDX-License-Identifier: GPL-2.0-or-later
/* --external and --inherit-fd: from text to what kinds look up. */
#include "common/file/external.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/base/io.h"

static const char *const types[] = { "mnt", "dev",  "file",	"tty",	 "unix", "net",
				     "pid", "veth", "macvlan", "netdev", NULL };

static bool known(const char *type)
{
	for (size_t i = 0; types[i]; i++)
		if (!strcmp(types[i], type))
			return true;
	return false;
}

static int bad_external(const char *text, struct err *err)
{
	return err_hint(err, err_set(err, ERR_USAGE, 0, "--external %s: not of the form TYPE[ID] or TYPE[ID]:VALUE", text),
			"types are mnt, dev, file, tty, unix, net, pid, veth, macvlan and netdev");
}

int external_add(struct externals *e, const char *text, struct err *err)
{
	const char *open = strchr(text, '['), *close = open ? strstr(open, "]:") : NULL;
	size_t len = strlen(text);

	if (!open || (!close && text[len - 1] != ']'))
		return bad_external(text, err);
	if (!close)
		close = text + len - 1;
	/* One block for the three: it begins with the type, which is what is freed. */
	char *copy = xstrdup(text), *id = copy + (open - text), *value = copy + (close - text);
	*id++ = 0;
	*value++ = 0;
	if (*value == ':')
		value++;
	if (!known(copy)) {
		free(copy);
		return bad_external(text, err);
	}
	e->v = xreallocarray(e->v, e->n + 1, sizeof(*e->v));
	e->v[e->n++] = (struct external){ .type = copy, .id = id, .value = value };
	return 0;
}

int external_add_sockets(struct externals *e, const char *text, struct err *err)
{
	do {
		size_t n = strcspn(text, ",");
		uint64_t ino;
		char number[16] = "", given[32];
		int ret;

		if (n && n < sizeof(number))
			memcpy(number, text, n);
		if (n && parse_u64(number, 10, &ino) < 0)
			return err_hint(err, err_set(err, ERR_USAGE, 0, "--ext-unix-sk %s: not a list of inode numbers", text),
					"those of unix sockets outside of the tree, as in socket:[INODE]");
		snprintf(given, sizeof(given), "unix[%s]", number);
		ret = external_add(e, given, err);
		if (ret < 0)
			return ret;
		text += n + (text[n] == ',');
	} while (*text);
	return 0;
}

static struct inherited *find(const struct externals *e, const char *key)
{
	for (size_t i = 0; e && i < e->nfds; i++)
		if (!strcmp(e->fds[i].key, key))
			return &e->fds[i];
	return NULL;
}

int inherited_add(struct externals *e, const char *text, struct err *err)
{
	const char *close = strncmp(text, "fd[", 3) ? NULL : strstr(text, "]:");
	char number[16] = "";
	uint64_t fd;

	if (close && (size_t)(close - text - 3) < sizeof(number))
		memcpy(number, text + 3, (size_t)(close - text - 3));
	if (!close || !close[2] || parse_u64(number, 10, &fd) < 0 || fd > INT32_MAX)
		return err_hint(err, err_set(err, ERR_USAGE, 0, "--inherit-fd %s: not of the form fd[N]:RESOURCE", text),
				"N is the number of a descriptor that cr-restore was started with");
	if (find(e, close + 2))
		return err_set(err, ERR_USAGE, 0, "--inherit-fd %s: there is another descriptor for that already", text);
	e->fds = xreallocarray(e->fds, e->nfds + 1, sizeof(*e->fds));
	e->fds[e->nfds++] = (struct inherited){ .key = xstrdup(close + 2), .fd = (int)fd };
	return 0;
}

int inherited_check(const struct externals *e, struct err *err)
{
	for (size_t i = 0; i < e->nfds; i++)
		if (fcntl(e->fds[i].fd, F_GETFD) < 0)
			return err_hint(err,
					err_set(err, ERR_USAGE, errno, "--inherit-fd fd[%d]:%s", e->fds[i].fd, e->fds[i].key),
					"the descriptor must be open when cr-restore starts");
	return 0;
}

void inherited_close(struct externals *e)
{
	for (size_t i = 0; i < e->nfds; i++) {
		bool again = false;

		/* One descriptor may stand for several resources. Standard output and the like stay ours. */
		for (size_t k = 0; k < i; k++)
			again |= e->fds[k].fd == e->fds[i].fd;
		if (!again && e->fds[i].fd > STDERR_FILENO)
			close(e->fds[i].fd);
	}
}

void externals_release(struct externals *e)
{
	for (size_t i = 0; i < e->n; i++)
		free((void *)(uintptr_t)e->v[i].type);
	for (size_t i = 0; i < e->nfds; i++)
		free((void *)(uintptr_t)e->fds[i].key);
	free(e->v);
	free(e->fds);
	*e = (struct externals){ 0 };
}

const struct external *external_find(const struct externals *e, const char *type, const char *id)
{
	for (size_t i = 0; e && i < e->n; i++) {
		if (strcmp(e->v[i].type, type) != 0 || strcmp(e->v[i].id, id) != 0)
			continue;
		__atomic_store_n(&e->v[i].used, true, __ATOMIC_RELAXED);
		return &e->v[i];
	}
	return NULL;
}

void externals_tell_unused(const struct externals *e, const struct log *log)
{
	for (size_t i = 0; i < e->n; i++)
		if (!e->v[i].used && e->v[i].id[0]) /* without an ID it is all that there may be */
			log_warn(log, "--external %s[%s]: none of the tasks has that", e->v[i].type, e->v[i].id);
}

int inherited_find(const struct externals *e, const char *key)
{
	struct inherited *i = find(e, key);

	if (i)
		i->used = true;
	return i ? i->fd : -1;
}

void external_file_id(int mnt_id, uint64_t ino, char id[EXTERNAL_FILE_MAX])
{
	snprintf(id, EXTERNAL_FILE_MAX, "%x:%llx", (unsigned)mnt_id, (unsigned long long)ino);
}
