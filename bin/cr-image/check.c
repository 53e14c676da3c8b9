/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image check: is this checkpoint whole? Exit status 0 clean, 1 with findings. */
#include <errno.h>
#include <inttypes.h>

#include "bin/cr-image/cr-image.h"
#include "common/base/strbuf.h"
#include "common/image/check.h"
#include "common/image/threads.h"

struct told {
	const char *dir;
	bool json, many;
	size_t n;
};

static void tell_json(const struct told *t, const struct check_finding *f)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	strbuf_puts(&b, t->n ? ",\n    {\"file\": \"" : "\n    {\"file\": \"");
	strbuf_put_json(&b, f->file);
	if (f->entry)
		strbuf_printf(&b, "\", \"entry\": %ld, \"text\": \"", f->entry);
	else
		strbuf_puts(&b, "\", \"text\": \"");
	strbuf_put_json(&b, f->text);
	strbuf_puts(&b, "\"}");
	fputs(b.s, stdout);
}

static void tell(void *arg, const struct check_finding *f)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	struct told *t = arg;

	if (t->json) {
		tell_json(t, f);
		t->n++;
		return;
	}
	t->n++;
	if (t->many) {
		strbuf_put_clean(&b, t->dir);
		strbuf_puts(&b, "/");
	}
	strbuf_puts(&b, f->file);
	if (f->entry)
		strbuf_printf(&b, ": entry %ld", f->entry);
	strbuf_puts(&b, ": ");
	strbuf_put_clean(&b, f->text);
	puts(b.s);
}

static void summary(const struct told *t, const struct check_result *r)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	if (t->json) {
		printf("%s],\n  \"clean\": %s, \"images\": %zu, \"bytes\": %" PRIu64 ", \"manifest\": %s, \"without_checksum\": %zu, "
		       "\"tree\": %s}\n",
		       t->n ? "\n  " : "", t->n ? "false" : "true", r->images, r->bytes, r->manifest ? "true" : "false", r->unsummed,
		       r->tree ? "true" : "false");
		return;
	}
	strbuf_put_clean(&b, t->dir);
	printf("%s: %s%zu image%s, %" PRIu64 " bytes", b.s, t->n ? "" : "clean: ", r->images, r->images == 1 ? "" : "s", r->bytes);
	if (!r->manifest)
		printf(", no manifest");
	else if (r->unsummed)
		printf(", %zu without a checksum in the manifest", r->unsummed);
	else
		printf(", as the manifest says");
	if (!r->tree && !t->n)
		printf("; memory only: a pre-dump, of which only the dump after it can be restored");
	if (t->n)
		printf("; %zu finding%s", t->n, t->n == 1 ? "" : "s");
	putchar('\n');
}

int cmd_check(const struct opts *o, struct err *err)
{
	int n, status = 0, ret = 0;
	char **paths = opt_operands(o, &n);
	int64_t threads = opt_int(o, OPT_THREADS);

	for (int i = 0; i < n && !ret; i++) {
		struct told t = { .dir = paths[i], .json = opt_bool(o, OPT_JSON), .many = n > 1 };
		struct check_result r;

		if (t.json) {
			cleanup_strbuf struct strbuf b = STRBUF_INIT;

			strbuf_put_json(&b, paths[i]);
			printf("{\"directory\": \"%s\", \"findings\": [", b.s);
		}
		ret = image_check(paths[i], threads ? (unsigned)threads : image_threads_default(), tell, &t, &r, err);
		if (!ret)
			summary(&t, &r);
		if (t.n)
			status = 1;
	}
	if (!ret && fflush(stdout))
		ret = err_sys(err, "cannot write");
	return ret ? ret : status;
}
