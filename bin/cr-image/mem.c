/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image mem: the memory of a task as a hex dump or as it is. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "bin/cr-image/checkpoint.h"
#include "bin/cr-image/cr-image.h"
#include "common/base/io.h"

enum { LINE = 16, CHUNK = 256 << 10, DEFAULT_LEN = 256 };

struct dump {
	struct ckpt *c;
	struct ckpt_task *t;
	const VmaEntry *vma;
	bool raw, check; /* check: print nothing, only see whether all is there */
	uint8_t last[LINE]; /* for what repeats */
	bool have_last, starred;
	uint64_t next;
};

/* ADDR, ADDR-END or ADDR+LEN; addresses are hexadecimal with or without 0x, a length is decimal or has 0x. */
static int parse_range(const char *text, uint64_t *from, uint64_t *to, struct err *err)
{
	size_t n = strcspn(text, "-+");
	cleanup_free char *first = xasprintf("%.*s", (int)n, text);
	const char *second = text[n] ? text + n + 1 : NULL;
	uint64_t len = DEFAULT_LEN;
	int ret = parse_u64(first, 16, from);

	if (!ret && text[n] == '+')
		ret = parse_u64(second, strncmp(second, "0x", 2) ? 10 : 16, &len);
	if (!ret && text[n] == '-')
		ret = parse_u64(second, 16, to);
	else
		*to = len > UINT64_MAX - *from ? UINT64_MAX : *from + len;
	if (ret || *to <= *from)
		return err_hint(err, err_set(err, ERR_USAGE, 0, "'%s' is no range of addresses", text),
				"write 7ffc1000, 7ffc1000-7ffc2000 or 7ffc1000+64");
	return 0;
}

static void put_line(struct dump *d, uint64_t addr, const uint8_t *p, size_t n)
{
	if (n == LINE && d->have_last && !memcmp(p, d->last, LINE)) {
		if (!d->starred)
			puts("*");
		d->starred = true;
		return;
	}
	d->starred = false;
	d->have_last = n == LINE;
	memcpy(d->last, p, n);
	printf("%016llx ", (unsigned long long)addr);
	for (size_t i = 0; i < LINE; i++) {
		fputs(i == LINE / 2 ? "  " : " ", stdout);
		if (i < n)
			printf("%02x", p[i]);
		else
			fputs("  ", stdout);
	}
	fputs("  |", stdout);
	for (size_t i = 0; i < n; i++)
		putchar(p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '.');
	puts("|");
}

static int put_bytes(struct dump *d, const struct ckpt_span *s, struct err *err)
{
	cleanup_free uint8_t *buf = xzalloc((size_t)MIN(s->len, (uint64_t)CHUNK));
	int ret = 0;

	for (uint64_t at = 0; at < s->len && !ret && !ferror(stdout);) {
		size_t n = (size_t)MIN(s->len - at, (uint64_t)CHUNK);

		if (s->what == CKPT_STORED)
			ret = ckpt_raw_read(s->content, s->off + at, buf, n, err);
		if (!ret && d->raw)
			fwrite(buf, 1, n, stdout);
		for (size_t i = 0; i < n && !ret && !d->raw; i += LINE)
			put_line(d, s->addr + at + i, buf + i, MIN(n - i, (size_t)LINE));
		at += n;
		/* More zeros change nothing but the time that it takes. */
		if (s->what == CKPT_ZERO && !d->raw && s->len - at > 2 * CHUNK)
			at += (s->len - at - CHUNK) / LINE * LINE;
	}
	return ret;
}

static const char *why_not(enum ckpt_content what)
{
	return what == CKPT_FILE ? "unchanged page of the mapped file" :
	       what == CKPT_KERNEL ? "page of the kernel" : "page of a lazy dump or of a parent that is not there";
}

static int dump_span(const struct ckpt_span *s, void *data, struct err *err)
{
	struct dump *d = data;
	const char *name = ckpt_vma_name(d->c, d->t, d->vma);
	bool there = s->what == CKPT_STORED || s->what == CKPT_ZERO;

	d->next = s->addr + s->len;
	if (there)
		return d->check ? 0 : put_bytes(d, s, err);
	if (d->raw)
		return err_hint(err, err_object(err, err_set(err, ERR_IMAGE, 0, "not in the checkpoint: %s", why_not(s->what)),
						"0x%llx (%s)", (unsigned long long)s->addr, name),
				s->what == CKPT_FILE ? "read the file at byte %llu" : "choose another range",
				(unsigned long long)s->off);
	if (!d->check) {
		printf("%016llx  %llu bytes are not in the checkpoint: %s", (unsigned long long)s->addr,
		       (unsigned long long)s->len, why_not(s->what));
		if (s->what == CKPT_FILE) {
			cleanup_strbuf struct strbuf b = STRBUF_INIT;

			strbuf_put_clean(&b, name);
			printf(", %s at byte %llu", b.s ? b.s : "", (unsigned long long)s->off);
		}
		putchar('\n');
		d->have_last = false;
	}
	return 0;
}

static int walk(struct dump *d, uint64_t from, uint64_t to, bool to_is_given, struct err *err)
{
	for (d->next = from; d->next < to;) {
		int ret;

		d->vma = ckpt_vma_at(d->t, d->next);
		if (!d->vma && d->next > from && !to_is_given)
			return 0;
		if (!d->vma)
			return err_hint(err, err_task(err, (pid_t)d->t->pid, d->t->comm,
						      err_set(err, ERR_USAGE, 0, "nothing is mapped at 0x%llx",
							      (unsigned long long)d->next)), "see cr-image x DIR mems");
		ret = ckpt_spans(d->c, d->t, d->vma, d->next, to, dump_span, d, err);
		if (ret)
			return ret;
	}
	return 0;
}

int cmd_mem(const struct opts *o, struct err *err)
{
	cleanup_ckpt struct ckpt *c = NULL;
	char **operands = opt_operands(o, NULL);
	struct dump d = { .raw = opt_bool(o, OPT_RAW), .check = true };
	bool whole = strpbrk(operands[1], "-+");
	uint64_t from, to;
	int ret = parse_range(operands[1], &from, &to, err);

	if (!ret)
		ret = ckpt_open(operands[0], &c, err);
	if (!ret)
		ret = ckpt_pick(c, opt_int(o, OPT_PID), &d.t, err);
	d.c = c;
	/* First look, then print: what cannot be had in full is refused before the first byte. */
	if (!ret)
		ret = walk(&d, from, to, whole, err);
	d.check = false;
	if (!ret)
		ret = walk(&d, from, to, whole, err);
	if (!ret && !d.raw)
		printf("%016llx\n", (unsigned long long)d.next);
	return ret ? ret : fflush(stdout) ? err_sys(err, "cannot write") : 0;
}
