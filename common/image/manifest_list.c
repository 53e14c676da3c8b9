/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/manifest_list.h"

#include <string.h>

static const char list_begin[] = "\n  \"images\": {\n", list_end[] = "\n  }\n}\n";

struct cursor { const char *at, *end; };

static bool take(struct cursor *c, const char *what)
{
	const size_t n = strlen(what);

	if ((size_t)(c->end - c->at) < n || memcmp(c->at, what, n) != 0)
		return false;
	c->at += n;
	return true;
}

/* Whatever needs no escape in JSON. */
static bool take_name(struct cursor *c, char *out, size_t size)
{
	size_t n = 0;

	for (; c->at < c->end && *c->at != '"'; c->at++) {
		if (*c->at <= ' ' || *c->at == '\\' || *c->at == 127 || n + 1 == size)
			return false;
		out[n++] = *c->at;
	}
	out[n] = 0;
	return n > 4 && !strcmp(out + n - 4, ".img");
}

static bool take_size(struct cursor *c, uint64_t *v)
{
	const char *from = c->at;

	*v = 0;
	for (; c->at < c->end && c->at - from < 18 && *c->at >= '0' && *c->at <= '9'; c->at++)
		*v = *v * 10 + (uint64_t)(*c->at - '0');
	return c->at > from && (*from != '0' || c->at - from == 1) && *v <= IMAGE_PAYLOAD_MAX;
}

static bool take_sum(struct cursor *c, uint64_t *v)
{
	*v = 0;
	if (c->end - c->at < 16)
		return false;
	for (int i = 0; i < 16; i++, c->at++) {
		const char d = *c->at;

		if (!(d >= '0' && d <= '9') && !(d >= 'a' && d <= 'f'))
			return false;
		*v = *v << 4 | (uint64_t)(d <= '9' ? d - '0' : d - 'a' + 10);
	}
	return true;
}

/* As many as there must be; memory for no more than there are. */
static bool take_sums(struct cursor *c, uint64_t size, uint64_t **sums)
{
	const size_t n = sums_pieces(size);

	if (!n || n > (size_t)(c->end - c->at) / 16)
		return false;
	*sums = xreallocarray(NULL, n, sizeof(**sums));
	for (size_t i = 0; i < n; i++)
		if (!take(c, i ? ", \"" : "\"") || !take_sum(c, *sums + i) || !take(c, "\""))
			return false;
	return take(c, "]");
}

static bool take_file(struct cursor *c, struct manifest *m)
{
	cleanup_free uint64_t *sums = NULL;
	char name[sizeof(m->files->name)];
	unsigned long id;
	uint64_t size;

	if (!take(c, "    \"") || !take_name(c, name, sizeof(name)) || !manifest_covers(image_kind_of_name(name, &id)) ||
	    !take(c, "\": {\"size\": ") || !take_size(c, &size))
		return false;
	if ((take(c, ", \"xxh64\": [") && !take_sums(c, size, &sums)) || !take(c, "}"))
		return false;
	manifest_add(m, name, size, take_ptr(sums));
	return true;
}

bool manifest_take_list(const char *text, size_t len, struct manifest *m, struct strbuf *rest)
{
	const char *from = memmem(text, len, list_begin, strlen(list_begin));
	struct cursor c = { from ? from + strlen(list_begin) : NULL, text + len };

	if (!from)
		return false;
	do {
		if (!take_file(&c, m))
			return false;
	} while (take(&c, ",\n"));
	if (!take(&c, list_end) || c.at != c.end)
		return false;
	manifest_sort(m);
	for (size_t i = 1; i < m->n; i++)
		if (!strcmp(m->files[i - 1].name, m->files[i].name))
			return false;
	strbuf_printf(rest, "%.*s", (int)MIN((size_t)(from - text), (size_t)INT32_MAX), text);
	strbuf_puts(rest, list_begin);
	strbuf_puts(rest, list_end);
	return true;
}
