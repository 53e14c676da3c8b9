/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image x: readable views of tasks and their memory. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "bin/cr-image/cr-image.h"
#include "bin/cr-image/x.h"

/* Command lines and environments that are longer are cut. */
#define TEXT_MAX (256u << 10)

const char *state_name(unsigned state)
{
	return state == CKPT_ALIVE ? "alive" : state == CKPT_ZOMBIE ? "zombie" : state == CKPT_STOPPED ? "stopped" : "unknown";
}

static json_object *new_row(json_object *rows, const struct ckpt_task *t)
{
	json_object *row = json_object_new_object();

	json_object_array_add(rows, row);
	row_number(row, "pid", t->pid);
	row_text(row, "comm", t->comm);
	return row;
}

/* The strings between two addresses of the task, as far as they are in the checkpoint. *n bytes, malloc'ed. */
static int read_strings(struct ckpt *c, struct ckpt_task *t, uint64_t from, uint64_t to, char **out, size_t *n, struct err *err)
{
	size_t len = to > from ? (size_t)MIN(to - from, (uint64_t)TEXT_MAX) : 0;
	ssize_t got;

	*out = xzalloc(len + 1);
	got = ckpt_read(c, t, from, *out, len, err);
	*n = got < 0 ? 0 : (size_t)got;
	return got < 0 ? (int)got : 0;
}

static int add_cmdline(struct ckpt *c, struct ckpt_task *t, json_object *row, struct err *err)
{
	cleanup_free char *text = NULL;
	size_t n = 0;
	int ret = t->mm ? read_strings(c, t, t->mm->mm_arg_start, t->mm->mm_arg_end, &text, &n, err) : 0;

	if (ret)
		return ret;
	while (n && !text[n - 1])
		n--;
	for (size_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	if (n)
		row_text(row, "command", text);
	else
		row_text(row, "command", arena_printf(c->arena, t->state == CKPT_ZOMBIE ? "[%s] <defunct>" : "[%s]", t->comm));
	return 0;
}

static void add_exit(json_object *row, const struct ckpt_task *t)
{
	const CoreEntry *core = t->threads[0].core;
	int status = core && core->tc ? (int)core->tc->exit_code : 0;

	if (t->state == CKPT_ZOMBIE && WIFSIGNALED(status))
		row_number(row, "killed_by", (uint64_t)WTERMSIG(status));
	else if (t->state == CKPT_ZOMBIE)
		row_number(row, "exit_status", (uint64_t)WEXITSTATUS(status));
	if (t->state == CKPT_STOPPED && core->tc->has_stop_signo)
		row_number(row, "stop_signal", core->tc->stop_signo);
}

static void add_threads(json_object *row, const struct ckpt_task *t)
{
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < t->nthreads; i++) {
		const ThreadCoreEntry *tc = t->threads[i].core ? t->threads[i].core->thread_core : NULL;
		json_object *o = json_object_new_object();

		row_number(o, "tid", t->threads[i].tid);
		row_text(o, "comm", tc && tc->comm ? tc->comm : t->comm);
		json_object_array_add(list, o);
	}
	json_object_object_add(row, "threads", list);
	row_number(row, "nthreads", t->nthreads);
}

static const CredsEntry *creds_of(const struct ckpt_task *t)
{
	const CoreEntry *core = t->threads[0].core;

	return core && core->thread_core ? core->thread_core->creds : NULL;
}

int rows_ps(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	for (size_t i = 0; i < c->ntasks; i++) {
		struct ckpt_task *t = &c->tasks[i];
		json_object *row;
		int ret;

		if (only && only != t)
			continue;
		row = new_row(rows, t);
		row_number(row, "ppid", t->ppid);
		row_number(row, "pgid", t->pgid);
		row_number(row, "sid", t->sid);
		row_number(row, "depth", t->depth);
		row_text(row, "state", state_name(t->state));
		if (creds_of(t)) {
			row_number(row, "uid", creds_of(t)->euid);
			row_number(row, "gid", creds_of(t)->egid);
		}
		add_threads(row, t);
		add_exit(row, t);
		ret = add_cmdline(c, t, row, err);
		if (ret)
			return ret;
	}
	return 0;
}

static void add_sizes(json_object *row, const struct ckpt_sizes *z)
{
	row_number(row, "stored", z->by[CKPT_STORED] - z->parent);
	row_number(row, "parent", z->parent);
	row_number(row, "zero", z->by[CKPT_ZERO]);
	row_number(row, "file", z->by[CKPT_FILE]);
	row_number(row, "missing", z->by[CKPT_MISSING]);
}

int rows_mems(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	for (size_t i = 0; i < c->ntasks; i++)
		for (size_t k = 0; k < c->tasks[i].nvmas && (!only || only == &c->tasks[i]); k++) {
			struct ckpt_task *t = &c->tasks[i];
			const VmaEntry *v = t->vmas[k];
			struct ckpt_sizes z;
			json_object *row;
			char perms[5];
			int ret = ckpt_sizes(c, t, v, &z, err);

			if (ret)
				return ret;
			row = new_row(rows, t);
			ckpt_vma_perms(v, perms);
			row_hex(row, "start", v->start);
			row_hex(row, "end", v->end);
			row_text(row, "perms", perms);
			row_number(row, "size", v->end - v->start);
			add_sizes(row, &z);
			row_number(row, "offset", v->pgoff);
			row_text(row, "name", ckpt_vma_name(c, t, v));
		}
	return 0;
}

int rows_rss(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	for (size_t i = 0; i < c->ntasks; i++) {
		struct ckpt_task *t = &c->tasks[i];
		struct ckpt_sizes sum = { { 0 }, 0 };
		uint64_t size = 0, shared = 0;
		json_object *row;

		if ((only && only != t) || !t->mm)
			continue;
		for (size_t k = 0; k < t->nvmas; k++) {
			struct ckpt_sizes z;
			int ret = ckpt_sizes(c, t, t->vmas[k], &z, err);

			if (ret)
				return ret;
			for (size_t w = 0; w < ARRAY_SIZE(z.by); w++)
				sum.by[w] += z.by[w];
			sum.parent += z.parent;
			size += t->vmas[k]->end - t->vmas[k]->start;
			if (ckpt_vma_shared(t->vmas[k]))
				shared += z.by[CKPT_STORED];
		}
		row = new_row(rows, t);
		row_number(row, "mappings", t->nvmas);
		row_number(row, "size", size);
		add_sizes(row, &sum);
		row_number(row, "shared", shared);
	}
	return 0;
}

int rows_env(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	for (size_t i = 0; i < c->ntasks; i++) {
		struct ckpt_task *t = &c->tasks[i];
		cleanup_free char *text = NULL;
		size_t n;
		int ret;

		if ((only && only != t) || !t->mm)
			continue;
		ret = read_strings(c, t, t->mm->mm_env_start, t->mm->mm_env_end, &text, &n, err);
		if (ret)
			return ret;
		for (size_t at = 0; at < n; at += strlen(text + at) + 1) {
			char *eq = strchr(text + at, '=');
			size_t len = strlen(text + at);
			json_object *row;

			if (!len)
				continue;
			row = new_row(rows, t);
			row_text(row, "value", eq ? eq + 1 : "");
			if (eq)
				*eq = 0;
			row_text(row, "name", text + at);
			if (eq)
				*eq = '=';
		}
	}
	return 0;
}

/* ---- the command ---- */

static const struct column ps_columns[] = {
	{ "pid", "PID", true }, { "ppid", "PPID", true }, { "pgid", "PGID", true }, { "sid", "SID", true },
	{ "uid", "UID", true }, { "nthreads", "THREADS", true }, { "state", "STATE" }, { "command", "COMMAND", .indent = true }, { NULL },
}, mems_columns[] = {
	{ "pid", "PID", true }, { "start", "START", true }, { "end", "END", true }, { "perms", "PERM" }, { "size", "BYTES", true },
	{ "stored", "STORED", true }, { "parent", "PARENT", true }, { "zero", "ZERO", true }, { "file", "FILE", true },
	{ "missing", "MISSING", true }, { "name", "NAME" }, { NULL },
}, rss_columns[] = {
	{ "pid", "PID", true }, { "mappings", "MAPPINGS", true }, { "size", "BYTES", true }, { "stored", "STORED", true },
	{ "parent", "PARENT", true }, { "shared", "SHARED", true }, { "zero", "ZERO", true }, { "file", "FILE", true },
	{ "missing", "MISSING", true }, { "comm", "NAME" }, { NULL },
}, env_columns[] = {
	{ "pid", "PID", true }, { "name", "VARIABLE" }, { "value", "VALUE" }, { NULL },
}, fds_columns[] = {
	{ "pid", "PID", true }, { "fd", "FD", true }, { "type", "TYPE" }, { "mode", "MODE" }, { "cloexec", "CLOEXEC" },
	{ "position", "POSITION", true }, { "id", "ID", true }, { "name", "NAME" }, { NULL },
}, socket_columns[] = {
	{ "pid", "PID", true }, { "fd", "FD", true }, { "family", "FAMILY" }, { "kind", "TYPE" }, { "state", "STATE" },
	{ "local", "LOCAL" }, { "peer", "PEER" }, { "inode", "INODE", true }, { NULL },
}, mount_columns[] = {
	{ "ns", "NS", true }, { "id", "ID", true }, { "parent", "PARENT", true }, { "type", "TYPE" }, { "source", "SOURCE" },
	{ "root", "ROOT" }, { "mountpoint", "MOUNTPOINT" }, { "options", "OPTIONS" }, { NULL },
}, timer_columns[] = {
	{ "pid", "PID", true }, { "kind", "KIND" }, { "id", "ID", true }, { "clock", "CLOCK" }, { "left", "LEFT", true },
	{ "interval", "INTERVAL", true }, { "notify", "NOTIFY" }, { NULL },
};

const struct view views[] = {
	{ "ps", "tasks and threads as a tree", rows_ps, ps_columns },
	{ "fds", "open files of each task", rows_fds, fds_columns },
	{ "mems", "mappings, and where their content is", rows_mems, mems_columns },
	{ "rss", "memory of each task", rows_rss, rss_columns },
	{ "sockets", "sockets with their addresses", rows_sockets, socket_columns },
	{ "mounts", "mounts of each mount namespace", rows_mounts, mount_columns },
	{ "env", "environment of each task", rows_env, env_columns },
	{ "timers", "timers of each task", rows_timers, timer_columns },
	{ NULL },
};

const struct view *view_named(const char *name)
{
	for (const struct view *v = views; v->name; v++)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

int cmd_x(const struct opts *o, struct err *err)
{
	cleanup_ckpt struct ckpt *c = NULL;
	cleanup_rows json_object *rows = json_object_new_array();
	char **operands = opt_operands(o, NULL);
	const struct view *v = view_named(operands[1]);
	struct ckpt_task *only = NULL;
	int ret;

	if (!v)
		return err_hint(err, err_set(err, ERR_USAGE, 0, "there is no view %s", operands[1]),
				"the views are ps, fds, mems, rss, sockets, mounts, env and timers");
	ret = ckpt_open(operands[0], &c, err);
	if (!ret && opt_int(o, OPT_PID))
		ret = ckpt_pick(c, opt_int(o, OPT_PID), &only, err);
	if (!ret)
		ret = v->rows(c, only, rows, err);
	if (ret)
		return ret;
	if (opt_bool(o, OPT_JSON))
		ret = rows_print_json(rows, stdout, err);
	else
		rows_print(rows, v->columns, stdout);
	return ret ? ret : fflush(stdout) ? err_sys(err, "cannot write") : 0;
}
