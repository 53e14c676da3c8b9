/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image diff: what changed between two checkpoints. */
#include <errno.h>
#include <string.h>

#include "bin/cr-image/cr-image.h"
#include "bin/cr-image/diff.h"

static void change(json_object *changes, const char *what, uint32_t pid, json_object *row)
{
	row_text(row, "what", what);
	if (pid)
		row_number(row, "pid", pid);
	json_object_array_add(changes, row);
}

static json_object *old_new(const char *key, const char *old, const char *new)
{
	json_object *row = json_object_new_object();

	row_text(row, "name", key);
	if (old)
		row_text(row, "old", old);
	if (new)
		row_text(row, "new", new);
	return row;
}

/* What makes a row the same object in both checkpoints. */
static void key_of(json_object *row, const char *const *keys, struct strbuf *b)
{
	strbuf_reset(b);
	for (; *keys; keys++)
		strbuf_printf(b, "%s%s", b->len ? " " : "", row_get(row, *keys));
}

/* Rows by key, each with the first row of that key. */
static json_object *index_rows(json_object *rows, const char *const *keys)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	json_object *index = json_object_new_object();

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		json_object *row = json_object_array_get_idx(rows, i);

		key_of(row, keys, &b);
		if (!json_object_object_get_ex(index, b.s, NULL))
			json_object_object_add(index, b.s, json_object_get(row));
	}
	return index;
}

static uint32_t pid_of(json_object *row)
{
	json_object *v;

	return json_object_object_get_ex(row, "pid", &v) ? (uint32_t)json_object_get_uint64(v) : 0;
}

/* Members that differ, as one row each. */
static void compare_row(json_object *changes, const char *what, const char *name, json_object *a, json_object *b,
			const char *const *fields)
{
	for (; *fields; fields++) {
		const char *old = row_get(a, *fields), *new = row_get(b, *fields);
		cleanup_free char *key = NULL;

		if (!strcmp(old, new))
			continue;
		key = xasprintf("%s: %s", name, *fields);
		change(changes, what, pid_of(a), old_new(key, old, new));
	}
}

void diff_rows(json_object *changes, const char *what, json_object *old, json_object *new, const char *const *keys,
	       const char *const *fields)
{
	cleanup_rows json_object *a = index_rows(old, keys), *b = index_rows(new, keys);

	/* Iteration is in the order of the rows: json-c keeps it. */
	json_object_object_foreach(a, name, row) {
		json_object *other;

		if (json_object_object_get_ex(b, name, &other))
			compare_row(changes, what, name, row, other, fields);
		else
			change(changes, what, pid_of(row),
			       old_new(name, row_get(row, fields[0])[0] ? row_get(row, fields[0]) : "there", NULL));
	}
	json_object_object_foreach(b, name2, row2)
		if (!json_object_object_get_ex(a, name2, NULL))
			change(changes, what, pid_of(row2),
			       old_new(name2, NULL, row_get(row2, fields[0])[0] ? row_get(row2, fields[0]) : "there"));
}

typedef int (*rows_fn)(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err);

static int diff_view(struct ckpt *a, struct ckpt *b, const char *what, rows_fn f, const char *const *keys,
		     const char *const *fields, json_object *changes, struct err *err)
{
	cleanup_rows json_object *old = json_object_new_array(), *new = json_object_new_array();
	int ret = f(a, NULL, old, err);

	if (!ret)
		ret = f(b, NULL, new, err);
	if (!ret)
		diff_rows(changes, what, old, new, keys, fields);
	return ret;
}

static int rows_threads(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	for (size_t i = 0; i < c->ntasks; i++)
		for (size_t k = 0; k < c->tasks[i].nthreads; k++) {
			const struct ckpt_thread *th = &c->tasks[i].threads[k];
			const ThreadCoreEntry *tc = th->core ? th->core->thread_core : NULL;
			json_object *row = json_object_new_object();

			row_number(row, "pid", c->tasks[i].pid);
			row_number(row, "tid", th->tid);
			row_text(row, "comm", tc && tc->comm ? tc->comm : c->tasks[i].comm);
			if (tc && tc->has_sched_policy)
				row_number(row, "policy", tc->sched_policy);
			if (tc && tc->has_sched_nice)
				json_object_object_add(row, "nice", json_object_new_int(tc->sched_nice));
			if (th->core && !k && th->core->tc) /* the leader's mask is that of the task */
				row_hex(row, "blocked", th->core->tc->blk_sigset);
			else if (tc)
				row_hex(row, "blocked", tc->blk_sigset);
			json_object_array_add(rows, row);
		}
	return 0;
}

static void row_words(json_object *row, const char *key, const uint32_t *v, size_t n)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	for (size_t i = 0; i < n; i++)
		strbuf_printf(&b, "%s%u", i ? " " : "", v[i]);
	row_text(row, key, b.s);
}

static int rows_creds(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	for (size_t i = 0; i < c->ntasks; i++)
		for (size_t k = 0; k < c->tasks[i].nthreads; k++) {
			const struct ckpt_thread *th = &c->tasks[i].threads[k];
			const CredsEntry *e = th->core && th->core->thread_core ? th->core->thread_core->creds : NULL;
			const uint32_t ids[8] = { e ? e->uid : 0, e ? e->euid : 0, e ? e->suid : 0, e ? e->fsuid : 0,
						  e ? e->gid : 0, e ? e->egid : 0, e ? e->sgid : 0, e ? e->fsgid : 0 };
			json_object *row;

			if (!e)
				continue;
			row = json_object_new_object();
			row_number(row, "pid", c->tasks[i].pid);
			row_number(row, "tid", th->tid);
			row_words(row, "uids", ids, 4);
			row_words(row, "gids", ids + 4, 4);
			row_words(row, "groups", e->groups, e->n_groups);
			row_words(row, "inheritable", e->cap_inh, e->n_cap_inh);
			row_words(row, "permitted", e->cap_prm, e->n_cap_prm);
			row_words(row, "effective", e->cap_eff, e->n_cap_eff);
			row_words(row, "bounding", e->cap_bnd, e->n_cap_bnd);
			row_words(row, "ambient", e->cap_amb, e->n_cap_amb);
			row_number(row, "securebits", e->secbits);
			row_number(row, "no_new_privs", e->no_new_privs);
			row_text(row, "label", e->lsm_profile);
			json_object_array_add(rows, row);
		}
	return 0;
}

static int diff_all(struct ckpt *a, struct ckpt *b, json_object *changes, struct err *err)
{
	static const char *const pid[] = { "pid", NULL }, *const tid[] = { "tid", NULL }, *const fd[] = { "pid", "fd", NULL },
		*const range[] = { "pid", "start", NULL };
	static const char *const task[] = { "command", "ppid", "pgid", "sid", "state", "exit_status", "killed_by", NULL },
		*const thread[] = { "comm", "policy", "nice", "blocked", NULL },
		*const creds[] = { "uids", "gids", "groups", "inheritable", "permitted", "effective", "bounding", "ambient",
				   "securebits", "no_new_privs", "label", NULL },
		*const map[] = { "name", "end", "perms", "offset", NULL },
		*const file[] = { "name", "type", "mode", "cloexec", "position", NULL },
		*const sock[] = { "local", "peer", "family", "kind", "state", NULL },
		*const ns[] = { "pid", "kind", NULL }, *const whose[] = { "whose", NULL };
	int ret = diff_view(a, b, "task", rows_ps, pid, task, changes, err);

	if (!ret)
		ret = diff_view(a, b, "thread", rows_threads, tid, thread, changes, err);
	if (!ret)
		ret = diff_view(a, b, "credentials", rows_creds, tid, creds, changes, err);
	if (!ret)
		ret = diff_view(a, b, "namespace", rows_namespaces, ns, whose, changes, err);
	if (!ret)
		ret = diff_view(a, b, "mapping", rows_mems, range, map, changes, err);
	if (!ret)
		ret = diff_view(a, b, "file", rows_fds, fd, file, changes, err);
	if (!ret)
		ret = diff_view(a, b, "socket", rows_sockets, fd, sock, changes, err);
	return ret ? ret : diff_pages(a, b, changes, err);
}

static const struct column columns[] = {
	{ "what", "WHAT" }, { "pid", "PID", true }, { "name", "OBJECT" }, { "old", "OLD" }, { "new", "NEW" }, { NULL },
};

int cmd_diff(const struct opts *o, struct err *err)
{
	cleanup_ckpt struct ckpt *a = NULL, *b = NULL;
	cleanup_rows json_object *changes = json_object_new_array();
	char **operands = opt_operands(o, NULL);
	size_t n;
	int ret = ckpt_open(operands[0], &a, err);

	if (!ret)
		ret = ckpt_open(operands[1], &b, err);
	if (!ret)
		ret = diff_all(a, b, changes, err);
	if (ret)
		return ret;
	n = json_object_array_length(changes);
	if (opt_bool(o, OPT_JSON))
		ret = rows_print_json(changes, stdout, err);
	else if (n)
		rows_print(changes, columns, stdout);
	if (!ret && fflush(stdout))
		ret = err_sys(err, "cannot write");
	return ret ? ret : n != 0;
}
