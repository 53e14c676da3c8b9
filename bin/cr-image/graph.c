/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image graph: who is whose child and who shares what, as a graph for dot(1). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bin/cr-image/cr-image.h"
#include "bin/cr-image/x.h"

/* Text inside of a quoted DOT string. */
static void put_quoted(FILE *f, const char *s)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	strbuf_put_clean(&b, s);
	for (const char *p = b.s; p && *p; p++) {
		if (*p == '"' || *p == '\\')
			putc('\\', f);
		putc(*p, f);
	}
}

static void put_tasks(const struct ckpt *c, FILE *f)
{
	for (size_t i = 0; i < c->ntasks; i++) {
		const struct ckpt_task *t = &c->tasks[i];

		fprintf(f, "\tt%u [shape=box, style=%s, label=\"%u ", t->pid,
			t->state == CKPT_ZOMBIE ? "dashed" : t->state == CKPT_STOPPED ? "\"rounded,dotted\"" : "rounded", t->pid);
		put_quoted(f, t->comm);
		fprintf(f, "\\n%s, %zu thread%s\"];\n", state_name(t->state), t->nthreads, t->nthreads == 1 ? "" : "s");
		if (ckpt_task(c, t->ppid))
			fprintf(f, "\tt%u -> t%u [style=bold, arrowhead=none];\n", t->ppid, t->pid);
	}
}

/* The node of an open file: pipes and fifos are one node for all their ends. */
static void node_name(const FileEntry *f, char out[32])
{
	if (f->pipe)
		snprintf(out, 32, "pipe%u", f->pipe->pipe_id);
	else if (f->fifo)
		snprintf(out, 32, "fifo%u", f->fifo->pipe_id);
	else
		snprintf(out, 32, "f%u", f->id);
}

static const char *shape(const FileEntry *f)
{
	if (f->pipe || f->fifo)
		return "cds";
	if (f->isk || f->usk || f->psk || f->nlsk)
		return "hexagon";
	return f->reg ? "note" : "ellipse";
}

static int by_inode(const void *a, const void *b)
{
	const FileEntry *x = *(FileEntry *const *)a, *y = *(FileEntry *const *)b;

	return x->usk->ino < y->usk->ino ? -1 : x->usk->ino > y->usk->ino;
}

/* Connected unix sockets, from the one with the smaller inode; the other one may not be there. */
static void put_connections(const struct ckpt *c, FILE *out)
{
	cleanup_free const FileEntry **v = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < c->nfiles; i++)
		if (c->files[i]->usk) {
			array_reserve(&v, &cap, n, sizeof(*v));
			v[n++] = c->files[i];
		}
	if (n)
		qsort(v, n, sizeof(*v), by_inode);
	for (size_t i = 0; i < n; i++)
		for (size_t lo = 0, hi = n, want = v[i]->usk->peer; want;) {
			size_t mid = lo + (hi - lo) / 2;

			if (lo == hi)
				break;
			if (v[mid]->usk->ino == want) {
				if (v[i]->usk->ino < want || v[mid]->usk->peer != v[i]->usk->ino)
					fprintf(out, "\tf%u -> f%u [dir=both, color=blue];\n", v[i]->id, v[mid]->id);
				break;
			}
			if (v[mid]->usk->ino < want)
				lo = mid + 1;
			else
				hi = mid;
		}
}

static void put_node(const struct ckpt *c, const FileEntry *f, FILE *out)
{
	char name[32];

	node_name(f, name);
	fprintf(out, "\t%s [shape=%s, label=\"", name, shape(f));
	put_quoted(out, ckpt_file_name(c, f));
	fputs("\"];\n", out);
}

static void put_edge(const struct ckpt_task *t, const FdinfoEntry *fd, const FileEntry *f, FILE *out)
{
	unsigned access = f->pipe ? f->pipe->flags & O_ACCMODE : f->reg ? f->reg->flags & O_ACCMODE : O_RDWR;
	char name[32];

	node_name(f, name);
	if (access == O_RDONLY)
		fprintf(out, "\t%s -> t%u [label=\"%u\"];\n", name, t->pid, fd->fd);
	else
		fprintf(out, "\tt%u -> %s [label=\"%u\"%s];\n", t->pid, name, fd->fd, access == O_RDWR ? ", dir=both" : "");
}

static int by_pointer(const void *a, const void *b)
{
	const FileEntry *x = *(FileEntry *const *)a, *y = *(FileEntry *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* Files that a task has open, each once, and who has them open. */
static void put_files(const struct ckpt *c, FILE *out)
{
	cleanup_free const FileEntry **used = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < c->ntasks; i++)
		for (size_t k = 0; k < c->tasks[i].nfds; k++) {
			const FileEntry *f = ckpt_file(c, c->tasks[i].fds[k]->id);

			if (!f)
				continue;
			put_edge(&c->tasks[i], c->tasks[i].fds[k], f, out);
			array_reserve(&used, &cap, n, sizeof(*used));
			used[n++] = f;
		}
	if (n)
		qsort(used, n, sizeof(*used), by_pointer);
	for (size_t i = 0; i < n; i++)
		if (!i || used[i] != used[i - 1])
			put_node(c, used[i], out);
}

/* Namespaces that are not the host's, and the tasks in them. */
static int put_namespaces(struct ckpt *c, FILE *f, struct err *err)
{
	cleanup_rows json_object *rows = json_object_new_array();
	int ret = rows_namespaces(c, NULL, rows, err);

	for (size_t i = 0; !ret && i < json_object_array_length(rows); i++) {
		json_object *row = json_object_array_get_idx(rows, i);
		const char *kind = row_get(row, "kind");

		if (strcmp(row_get(row, "whose"), "own"))
			continue;
		fprintf(f, "\tns_%s_%s [shape=folder, label=\"%s namespace %s\"];\n", kind, row_get(row, "id"), kind,
			row_get(row, "id"));
		fprintf(f, "\tns_%s_%s -> t%s [style=dotted, arrowhead=none];\n", kind, row_get(row, "id"), row_get(row, "pid"));
	}
	return ret;
}

int cmd_graph(const struct opts *o, struct err *err)
{
	cleanup_ckpt struct ckpt *c = NULL;
	int ret = ckpt_open(opt_operands(o, NULL)[0], &c, err);

	if (ret)
		return ret;
	fputs("digraph checkpoint {\n\trankdir=LR;\n\tnode [fontname=\"monospace\", fontsize=10];\n\tedge [fontsize=9];\n", stdout);
	put_tasks(c, stdout);
	put_files(c, stdout);
	put_connections(c, stdout);
	ret = put_namespaces(c, stdout, err);
	fputs("}\n", stdout);
	return ret ? ret : fflush(stdout) ? err_sys(err, "cannot write") : 0;
}
