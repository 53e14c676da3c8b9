/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Windows over the memory of a task, and literals in them. */
#include <string.h>

#include "bin/cr-image/search.h"

/* Big enough that a system call for each costs nothing, small enough for the second level of the cache. */
#define WINDOW (256u << 10)

struct windows {
	struct ckpt_task *t;
	size_t keep;
	window_fn f;
	void *data;
	uint8_t *buf;
	size_t n;	/* bytes in buf */
	uint64_t addr;	/* of buf[0] */
};

/* The memory ends here: all that is left is settled. */
static int flush(struct windows *w, struct err *err)
{
	int ret = w->n ? w->f(w->t, w->addr, w->buf, w->n, w->n, w->data, err) : 0;

	w->n = 0;
	return ret;
}

static int feed(struct windows *w, const struct ckpt_span *s, uint64_t from, uint64_t len, struct err *err)
{
	int ret = 0;

	if (w->n && w->addr + w->n != from)
		ret = flush(w, err);
	while (len && !ret) {
		size_t part = (size_t)MIN(len, (uint64_t)WINDOW), settled;

		if (!w->n)
			w->addr = from;
		if (s->what == CKPT_STORED)
			ret = ckpt_raw_read(s->content, s->off + (from - s->addr), w->buf + w->n, part, err);
		else
			memset(w->buf + w->n, 0, part);
		if (ret)
			return ret;
		w->n += part;
		from += part;
		len -= part;
		if (w->n <= w->keep)
			continue; /* fits: the buffer has room for keep and a window more */
		settled = w->n - w->keep;
		ret = w->f(w->t, w->addr, w->buf, w->n, settled, w->data, err);
		memmove(w->buf, w->buf + settled, w->keep);
		w->addr += settled;
		w->n = w->keep;
	}
	return ret;
}

static int window_span(const struct ckpt_span *s, void *data, struct err *err)
{
	struct windows *w = data;
	uint64_t ends = w->keep + 1;
	int ret;

	if (s->what == CKPT_STORED || (s->what == CKPT_ZERO && s->len <= 2 * ends))
		return feed(w, s, s->addr, s->len, err);
	if (s->what != CKPT_ZERO)
		return flush(w, err);
	ret = feed(w, s, s->addr, ends, err);
	if (!ret)
		ret = flush(w, err);
	return ret ? ret : feed(w, s, s->addr + s->len - ends, ends, err);
}

int search_windows(struct ckpt *c, struct ckpt_task *t, size_t keep, window_fn f, void *data, struct err *err)
{
	cleanup_free uint8_t *buf = xmalloc(keep + WINDOW);
	struct windows w = { .t = t, .keep = keep, .f = f, .data = data, .buf = buf };
	int ret = 0;

	for (size_t i = 0; i < t->nvmas && !ret; i++)
		ret = ckpt_spans(c, t, t->vmas[i], t->vmas[i]->start, t->vmas[i]->end, window_span, &w, err);
	return ret ? ret : flush(&w, err);
}

/* How often a byte is met in memory, roughly, 0 seldom to 9 everywhere: what memory is made of is zeros, small numbers, upper
 * halves of addresses, and text. */
static unsigned commonness(uint8_t b)
{
	if (!b)
		return 9;
	if (b == 0xff || b == 0x7f || b == 0x55 || b == 0x56)
		return 8;
	if (b < 0x10 || strchr(" etaoinsr_", b))
		return 6;
	if (b == 0x48 || b == 0x20 || b == 0x40 || b == 0x80)
		return 5;
	return b >= 'a' && b <= 'z' ? 4 : b < 0x80 ? 2 : 3;
}

void literal_init(struct literal *l, const void *bytes, size_t n)
{
	*l = (struct literal){ bytes, n, 0 };
	for (size_t i = 1; i < n; i++)
		if (commonness(l->bytes[i]) < commonness(l->bytes[l->rare]))
			l->rare = i;
}

const uint8_t *literal_find(const struct literal *l, const uint8_t *p, size_t n)
{
	size_t at = l->rare, misses = 0;

	if (l->n > n)
		return NULL;
	/* Looking for one byte is as fast as memory; when it turns out to be everywhere, the library knows better. */
	while (at <= n - (l->n - l->rare)) {
		const uint8_t *hit = memchr(p + at, l->bytes[l->rare], n - (l->n - l->rare) + 1 - at);

		if (!hit)
			return NULL;
		if (!memcmp(hit - l->rare, l->bytes, l->n))
			return hit - l->rare;
		at = (size_t)(hit - p) + 1;
		if (++misses > 64 && misses > at / 64)
			return memmem(p + at - l->rare, n - (at - l->rare), l->bytes, l->n);
	}
	return NULL;
}

/* Behind what begins at p and is in brackets or is one escaped character. */
static const char *skip_special(const char *p)
{
	if (*p == '\\')
		return p[1] ? p + 2 : p + 1;
	if (*p != '[')
		return p + 1;
	p += p[1] == '^' ? 2 : 1;
	if (*p == ']')
		p++;
	while (*p && *p != ']') {
		if (*p == '[' && (p[1] == ':' || p[1] == '.' || p[1] == '=')) {
			char close = p[1];

			for (p += 2; *p && !(p[0] == close && p[1] == ']'); p++)
				;
			p += *p ? 2 : 0;
		} else {
			p++;
		}
	}
	return *p ? p + 1 : p;
}

char *regex_literal(const char *regex)
{
	char *run = xzalloc(strlen(regex) + 1), *best = xzalloc(strlen(regex) + 1);
	unsigned depth = 0;
	size_t n = 0;

	for (const char *p = regex; *p;) {
		bool plain = !strchr("\\[](){}.*+?^$|", *p);

		if (*p == '|') { /* either side may match */
			best[0] = 0;
			break;
		}
		if (plain && !depth && !(p[1] && strchr("*?{", p[1]))) {
			run[n++] = *p++;
			run[n] = 0;
			if (*p != '+') {
				if (n > strlen(best))
					memcpy(best, run, n + 1);
				continue;
			}
		} else if (*p == '(') {
			depth++;
		} else if (*p == ')' && depth) {
			depth--;
		}
		if (n > strlen(best))
			memcpy(best, run, n + 1);
		n = 0;
		p = *p == '{' ? p + strcspn(p, "}") + (strchr(p, '}') != NULL) : plain || *p == '+' ? p + 1 : skip_special(p);
	}
	free(run);
	return best;
}
