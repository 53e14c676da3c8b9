/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cr-image report: a checkpoint as one page that needs nothing else. All text of images is escaped, and the page forbids itself
 * whatever is not in it.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "bin/cr-image/cr-image.h"
#include "bin/cr-image/report.h"
#include "common/base/io.h"

/* More mappings of one task than a page can show are cut, and the page says so. */
#define PICTURE_MAX 2000

void html_text(FILE *f, const char *s)
{
	cleanup_strbuf struct strbuf clean = STRBUF_INIT;

	strbuf_put_clean(&clean, s);
	for (const char *p = clean.s; p && *p; p++)
		switch (*p) {
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '&': fputs("&amp;", f); break;
		case '"': fputs("&quot;", f); break;
		case '\'': fputs("&#39;", f); break;
		default: putc(*p, f);
		}
}

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
	"script-src 'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
	"body{font:14px/1.4 system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}\n"
	"h1{font-size:1.4em}h2{font-size:1.1em;margin:1.6em 0 .4em;border-bottom:1px solid #ccc}\n"
	"table{border-collapse:collapse}th{text-align:left;background:#f3f3f3;position:sticky;top:2.6em}\n"
	"th,td{padding:.15em .7em;border-bottom:1px solid #eee;font-family:ui-monospace,monospace;font-size:12px;white-space:pre}\n"
	".n{text-align:right}.d{display:none}#bar{position:sticky;top:0;background:#fff;padding:.5em 0}\n"
	"#search{font:inherit;width:24em;padding:.2em .5em}svg text{font:11px ui-monospace,monospace}\n"
	"i{display:inline-block;width:1em;height:1em;margin:0 .3em 0 1em;vertical-align:-.1em}\n"
	"</style>\n";

static const char script[] =
	"<script>\n"
	"const box = document.getElementById('search'), count = document.getElementById('count');\n"
	"function find() {\n"
	"\tconst words = box.value.toLowerCase().split(/\\s+/).filter(w => w);\n"
	"\tlet shown = 0;\n"
	"\tfor (const e of document.querySelectorAll('tbody tr, svg g')) {\n"
	"\t\tconst text = e.textContent.toLowerCase();\n"
	"\t\tconst hit = words.every(w => text.includes(w));\n"
	"\t\te.classList.toggle('d', !hit);\n"
	"\t\tshown += hit;\n"
	"\t}\n"
	"\tcount.textContent = words.length ? shown + ' found' : '';\n"
	"}\n"
	"box.addEventListener('input', find);\n"
	"if (location.hash.length > 1) { box.value = decodeURIComponent(location.hash.slice(1)); find(); }\n"
	"</script>\n";

static void put_table(json_object *rows, const struct column *columns, FILE *f)
{
	fputs("<table><thead><tr>", f);
	for (const struct column *c = columns; c->key; c++)
		fprintf(f, "<th%s>%s</th>", c->right ? " class=\"n\"" : "", c->title);
	fputs("</tr></thead><tbody>\n", f);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		json_object *row = json_object_array_get_idx(rows, i), *depth;

		fputs("<tr>", f);
		for (const struct column *c = columns; c->key; c++) {
			fprintf(f, "<td%s>", c->right ? " class=\"n\"" : "");
			if (c->indent && json_object_object_get_ex(row, "depth", &depth))
				for (uint64_t d = MIN(json_object_get_uint64(depth), (uint64_t)64); d; d--)
					fputs(d == 1 ? "\u2514\u2500 " : "   ", f);
			html_text(f, row_get(row, c->key));
			fputs("</td>", f);
		}
		fputs("</tr>\n", f);
	}
	fputs("</tbody></table>\n", f);
}

static int section(struct ckpt *c, const char *id, const char *title,
		   int (*fill)(struct ckpt *, const struct ckpt_task *, json_object *, struct err *),
		   const struct column *columns, FILE *f, struct err *err)
{
	cleanup_rows json_object *rows = json_object_new_array();
	int ret = fill(c, NULL, rows, err);

	if (ret)
		return ret;
	fprintf(f, "<section id=\"%s\"><h2>%s (%zu)</h2>\n", id, title, json_object_array_length(rows));
	put_table(rows, columns, f);
	fputs("</section>\n", f);
	return 0;
}

/* ---- memory as a picture: a bar for each mapping, as long as its size on a logarithmic scale ---- */

static const struct { enum ckpt_content what; const char *colour, *name; } kinds[] = {
	{ CKPT_STORED, "#2b6cb0", "stored" }, { CKPT_FILE, "#a0aec0", "of the file" }, { CKPT_ZERO, "#e2e8f0", "zero" },
	{ CKPT_MISSING, "#e53e3e", "missing" }, { CKPT_KERNEL, "#d6bcfa", "the kernel's" },
};
#define PARENT_COLOUR "#90cdf4"

/* Length of the bar: 24 pixels for each doubling of a page, which keeps a page visible beside a gigabyte. */
static double bar_length(uint64_t bytes)
{
	double len = 24;
	uint64_t unit = CKPT_PAGE;

	for (; unit < bytes && unit <= UINT64_MAX / 2; unit *= 2)
		len += 24;
	return len;
}

static void put_bar(double *x, double width, double y, const char *colour, FILE *f)
{
	if (width <= 0)
		return;
	fprintf(f, "<rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"12\" fill=\"%s\"/>", *x, y, MAX(width, 1.0), colour);
	*x += width;
}

static int put_mapping(struct ckpt *c, struct ckpt_task *t, const VmaEntry *v, double y, FILE *f, struct err *err)
{
	double x = 330, scale = bar_length(v->end - v->start) / (double)(v->end - v->start);
	struct ckpt_sizes z;
	char perms[5];
	int ret = ckpt_sizes(c, t, v, &z, err);

	if (ret)
		return ret;
	ckpt_vma_perms(v, perms);
	fprintf(f, "<g><title>%llu bytes: %llu stored, %llu in parents, %llu zero, %llu of the file</title>",
		(unsigned long long)(v->end - v->start), (unsigned long long)(z.by[CKPT_STORED] - z.parent),
		(unsigned long long)z.parent, (unsigned long long)z.by[CKPT_ZERO], (unsigned long long)z.by[CKPT_FILE]);
	fprintf(f, "<text x=\"0\" y=\"%.0f\">%012llx-%012llx %s</text>", y + 10, (unsigned long long)v->start,
		(unsigned long long)v->end, perms);
	z.by[CKPT_STORED] -= z.parent;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		put_bar(&x, (double)z.by[kinds[i].what] * scale, y, kinds[i].colour, f);
		if (!i)
			put_bar(&x, (double)z.parent * scale, y, PARENT_COLOUR, f);
	}
	fprintf(f, "<text x=\"%.0f\" y=\"%.0f\">", x + 8, y + 10);
	html_text(f, ckpt_vma_name(c, t, v));
	fputs("</text></g>\n", f);
	return 0;
}

static int put_picture(struct ckpt *c, struct ckpt_task *t, FILE *f, struct err *err)
{
	size_t n = MIN(t->nvmas, (size_t)PICTURE_MAX);

	fprintf(f, "<h3>%u ", t->pid);
	html_text(f, t->comm);
	fprintf(f, "</h3>\n<svg class=\"map\" width=\"1400\" height=\"%zu\" role=\"img\" aria-label=\"memory map\">\n", n * 15 + 2);
	for (size_t i = 0; i < n; i++) {
		int ret = put_mapping(c, t, t->vmas[i], (double)i * 15, f, err);

		if (ret)
			return ret;
	}
	fputs("</svg>\n", f);
	if (n < t->nvmas)
		fprintf(f, "<p>%zu further mappings are in the table below only.</p>\n", t->nvmas - n);
	return 0;
}

static int put_pictures(struct ckpt *c, FILE *f, struct err *err)
{
	fputs("<section id=\"memory\"><h2>Memory</h2>\n<p>", f);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		fprintf(f, "<i style=\"background:%s\"></i>%s", kinds[i].colour, kinds[i].name);
		if (!i)
			fputs("<i style=\"background:" PARENT_COLOUR "\"></i>in a parent", f);
	}
	fputs("; the length of a bar grows with the logarithm of the size.</p>\n", f);
	for (size_t i = 0; i < c->ntasks; i++) {
		int ret = c->tasks[i].mm ? put_picture(c, &c->tasks[i], f, err) : 0;

		if (ret)
			return ret;
	}
	fputs("</section>\n", f);
	return 0;
}

/* ---- images ---- */

static int add_image(const char *path, void *data, struct err *err)
{
	json_object *rows = data, *row = json_object_new_object();
	const char *base = strrchr(path, '/');
	struct stat st = { 0 };
	unsigned long id;
	enum image_kind kind = image_kind_of_name(base ? base + 1 : path, &id);

	if (stat(path, &st) < 0)
		st.st_size = 0;
	row_text(row, "name", base ? base + 1 : path);
	row_text(row, "kind", kind < IMG_KINDS ? image_kinds[kind].name : "");
	row_number(row, "bytes", (uint64_t)st.st_size);
	row_number(row, "disk", (uint64_t)st.st_blocks * 512);
	json_object_array_add(rows, row);
	return 0;
}

static int rows_images(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	return each_image(c->path, add_image, rows, err);
}

static const struct column image_columns[] = {
	{ "name", "IMAGE" }, { "kind", "KIND" }, { "bytes", "BYTES", true }, { "disk", "ON DISK", true }, { NULL },
}, ns_columns[] = {
	{ "pid", "PID", true }, { "comm", "NAME" }, { "kind", "KIND" }, { "id", "ID", true }, { "whose", "WHOSE" }, { NULL },
};

int report_write(struct ckpt *c, FILE *f, struct err *err)
{
	static const struct { const char *view, *title; } more[] = {
		{ "rss", "Sizes" }, { "fds", "Files" }, { "sockets", "Sockets" }, { "mounts", "Mounts" }, { "timers", "Timers" },
		{ "mems", "Mappings" }, { "env", "Environment" },
	};
	int ret;

	fputs(head, f);
	fputs("<title>Checkpoint ", f);
	html_text(f, c->path);
	fputs("</title>\n</head>\n<body>\n<h1>Checkpoint ", f);
	html_text(f, c->path);
	fputs("</h1>\n<div id=\"bar\"><input id=\"search\" type=\"search\" placeholder=\"search in everything\" autofocus> "
	      "<span id=\"count\"></span></div>\n", f);
	ret = section(c, "ps", "Tasks", rows_ps, view_named("ps")->columns, f, err);
	if (!ret)
		ret = section(c, "namespaces", "Namespaces", rows_namespaces, ns_columns, f, err);
	if (!ret)
		ret = put_pictures(c, f, err);
	for (size_t i = 0; i < ARRAY_SIZE(more) && !ret; i++)
		ret = section(c, more[i].view, more[i].title, view_named(more[i].view)->rows, view_named(more[i].view)->columns, f,
			      err);
	if (!ret)
		ret = section(c, "images", "Images", rows_images, image_columns, f, err);
	fputs(script, f);
	fputs("</body>\n</html>\n", f);
	return ret;
}

int cmd_report(const struct opts *o, struct err *err)
{
	cleanup_ckpt struct ckpt *c = NULL;
	cleanup_free char *text = NULL;
	const char *path = opt_str(o, OPT_OUT);
	cleanup_fd int special = -1;
	size_t n = 0;
	FILE *f;
	int ret = ckpt_open(opt_operands(o, NULL)[0], &c, err);

	if (ret)
		return ret;
	f = open_memstream(&text, &n);
	if (!f)
		return err_sys(err, "cannot make the page");
	ret = report_write(c, f, err);
	if (fclose(f) && !ret)
		ret = err_sys(err, "cannot make the page");
	special = path && strcmp(path, "-") ? open_special(path) : -1;
	if (!ret && (!path || !strcmp(path, "-") || special >= 0)) {
		ret = write_full(special >= 0 ? special : STDOUT_FILENO, text, n);
		ret = ret ? err_set(err, ERR_FAILED, -ret, "cannot write") : 0;
	} else if (!ret) {
		cleanup_new_file struct new_file out = NEW_FILE_INIT;

		ret = new_file_begin(&out, path);
		if (!ret)
			ret = new_file_commit(&out, text, n);
		ret = ret ? err_object(err, err_set(err, ERR_FAILED, -ret, "cannot write"), "%s", path) : 0;
	}
	return ret;
}
