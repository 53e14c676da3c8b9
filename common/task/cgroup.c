/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Membership in control groups, of both versions: one place in each hierarchy. A thread that was where cr-dump was is left
 * where cr-restore is; any other goes back to its group. Settings of groups are not kept, so a group that has to be made
 * anew (--manage-cgroups=soft) has the system's default ones.
 */
#include "common/task/cgroup.h"
#include "common/task/cgroup_mode.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/remote/freezer.h"
#include "common/task/kin.h"
#include "common/task/task.h"

#define TEXT_MAX (1 << 20)
#define DELETED " (deleted)"
#define OWN_SET 1 /* the dumper's */

/* What /proc says of members; the first is the dumper itself. Index + 1 is the id of the set. */
struct cgroup_sets { char **text; size_t n, cap; };

/* ---- dump ---- */

int cgroup_begin(struct dump *d, struct err *err)
{
	cleanup_free char *text = NULL;
	struct cgroup_sets *s;
	size_t len;
	int ret;

	if (d->opts->cgroups == CGROUPS_IGNORE)
		return 0;
	ret = read_file_at(AT_FDCWD, "/proc/self/cgroup", TEXT_MAX, &text, &len);

	if (ret == -ENOENT) /* a kernel without control groups */
		text = xstrdup("");
	else if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read /proc/self/cgroup");
	s = d->cgroups = arena_alloc(d->arena, sizeof(*s));
	array_reserve(&s->text, &s->cap, 0, sizeof(*s->text));
	s->text[s->n++] = arena_strdup(d->arena, text);
	return 0;
}

static uint32_t set_of(struct dump *d, const char *text)
{
	struct cgroup_sets *s = d->cgroups;

	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->text[i], text))
			return (uint32_t)i + OWN_SET;
	array_reserve(&s->text, &s->cap, s->n, sizeof(*s->text));
	s->text[s->n] = arena_strdup(d->arena, text);
	return (uint32_t)s->n++ + OWN_SET;
}

static bool names_removed(const char *text)
{
	for (const char *p = text; (p = strstr(p, DELETED)); p++)
		if (p[strlen(DELETED)] == '\n')
			return true;
	return false;
}

/* The same words again are those of the thread before. */
static const char *keep_text(const struct dump *d, const char *text, const char *last)
{
	return last && !strcmp(text, last) ? last : arena_strdup(d->arena, text);
}

int cgroup_look(const struct dump *d, struct err *err)
{
	/* The parent's group was looked at. */
	const struct dump_task *parent = d->task->parent;
	const char *last = parent && parent->threads ? parent->threads[0].cgroups : NULL;

	for (size_t i = d->task->fz.speaker; i < d->task->nthreads && d->cgroups; i++) {
		struct dump_thread *thread = &d->task->threads[i];
		cleanup_free char *text = NULL;
		char path[THREAD_PATH_MAX];
		int ret;

		if (thread->alike & ALIKE_CGROUP) {
			thread->cgroups = d->task->threads[d->task->fz.speaker].cgroups;
			continue;
		}
		if (i == d->task->fz.speaker && d->task->kin & KIN_CGROUP && parent->threads[parent->fz.speaker].cgroups) {
			thread->cgroups = last = parent->threads[parent->fz.speaker].cgroups;
			continue;
		}
		dump_thread_path(d->task, thread->frozen->tid, "cgroup", path);
		ret = proc_read_piece(d->task->proc_fd, path, TEXT_MAX, &text, err);
		if (ret == -ENOENT && !d->cgroups->text[0][0]) {
			*err = (struct err)ERR_INIT;
			continue;
		}
		if (!ret && names_removed(text))
			ret = err_hint(err, err_refuse(err, "it is in a cgroup that was removed"),
				       "--manage-cgroups=ignore leaves cgroups out");
		if (!ret && (!last || strcmp(text, last)))
			ret = freezer_check(text, err);
		if (!ret)
			thread->cgroups = last = keep_text(d, text, last);
		else if (i)
			err_object(err, ret, "thread %d", thread->frozen->tid);
		ret = dump_note(d, ret, err);
		if (ret)
			return ret;
	}
	return 0;
}

void cgroup_dump(struct dump *d)
{
	const char *last = NULL;
	uint32_t set = 0;

	for (size_t i = 0; i < d->task->nthreads; i++) {
		struct dump_thread *thread = &d->task->threads[MAX(i, d->task->fz.speaker)]; /* a dead leader was where it is */
		ThreadCoreEntry *tcore = task_thread_core(d, &d->task->threads[i]);

		if (!thread->cgroups)
			continue;
		set = thread->cgroups == last ? set : set_of(d, thread->cgroups);
		last = thread->cgroups;
		tcore->has_cg_set = true;
		tcore->cg_set = set;
	}
}

static int by_name(const void *va, const void *vb)
{
	const CgMemberEntry *const *a = va, *const *b = vb;

	return strcmp((*a)->name, (*b)->name);
}

/* "4:memory:/a/b", "1:name=systemd:/", "0::/a" */
static CgSetEntry *parse_set(struct dump *d, char *text, uint32_t id)
{
	CgSetEntry *set = arena_msg(d->arena, CgSetEntry, cg_set_entry__init);
	size_t n = 1;

	for (const char *p = text; (p = strchr(p, '\n')); p++)
		n++;
	set->id = id;
	set->ctls = arena_alloc(d->arena, n * sizeof(*set->ctls));
	for (char *line = text, *next; *line; line = next) {
		CgMemberEntry *m = arena_msg(d->arena, CgMemberEntry, cg_member_entry__init);
		char *name = strchr(line, ':'), *path = name ? strchr(name + 1, ':') : NULL;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (!path || path >= next)
			continue;
		*path++ = 0;
		m->name = name + 1;
		m->path = path;
		set->ctls[set->n_ctls++] = m;
	}
	qsort(set->ctls, set->n_ctls, sizeof(*set->ctls), by_name);
	return set;
}

uint32_t cgroup_put(struct dump *d)
{
	CgroupEntry e = CGROUP_ENTRY__INIT;
	struct cgroup_sets *s = d->cgroups;

	if (!s)
		return 0;
	if (s->n > 1) {
		e.sets = arena_alloc(d->arena, s->n * sizeof(*e.sets));
		for (size_t i = 0; i < s->n; i++)
			e.sets[e.n_sets++] = parse_set(d, s->text[i], (uint32_t)i + OWN_SET);
		image_store_put(d->store, IMG_CGROUP, 0, &e.base);
	}
	return OWN_SET;
}

void cgroup_sets_free(struct dump *d)
{
	if (d->cgroups)
		free(d->cgroups->text);
	d->cgroups = NULL;
}

/* ---- restore ---- */

static uint32_t set_id(const struct model *m, const struct model_thread *t)
{
	const CoreEntry *core = t->core;
	uint32_t id = core->thread_core && core->thread_core->has_cg_set ? core->thread_core->cg_set :
		      core->tc && core->tc->has_cg_set			  ? core->tc->cg_set :
									    0;

	return m->inventory->has_root_cg_set && id == m->inventory->root_cg_set ? 0 : id;
}

static const CgSetEntry *find_set(const struct model *m, uint32_t id)
{
	for (size_t i = 0; m->cgroup && i < m->cgroup->n_sets; i++)
		if (m->cgroup->sets[i]->id == id)
			return m->cgroup->sets[i];
	return NULL;
}

static const CgMemberEntry *member(const CgSetEntry *s, const char *name)
{
	for (size_t i = 0; s && i < s->n_ctls; i++)
		if (!strcmp(s->ctls[i]->name, name))
			return s->ctls[i];
	return NULL;
}

int cgroup_verify(const struct model *m, const struct model_thread *t, const char **why)
{
	uint32_t id = set_id(m, t);
	const CgSetEntry *s = id ? find_set(m, id) : NULL;

	*why = NULL;
	if (id && !s)
		*why = "its cgroup set is not in cgroup.img";
	for (size_t i = 0; s && i < s->n_ctls; i++) {
		const char *path = s->ctls[i]->path;

		if (path[0] != '/' || strlen(path) > 4000 || !strcmp(path, "/..") || strstr(path, "/../") ||
		    (strlen(path) > 3 && !strcmp(path + strlen(path) - 3, "/..")))
			*why = "the path of its cgroup is none";
	}
	return *why ? -EINVAL : 0;
}

static bool has_words(const char *list, const char *words)
{
	for (const char *w = words; *w;) {
		size_t n = strcspn(w, ","), at = 0;
		bool found = false;

		for (const char *p = list; *p && !found; p += at + (p[at] == ',')) {
			at = strcspn(p, ",");
			found = at == n && !strncmp(p, w, n);
		}
		if (!found)
			return false;
		w += n + (w[n] == ',');
	}
	return true;
}

/* Where the hierarchy is mounted here: like clocks, this is asked of the host while planning. NULL: nowhere. */
static const char *hierarchy(struct plan *plan, const char *name)
{
	struct err ignore = ERR_INIT;
	struct proc_mount *v;
	cleanup_fd int self = -1;
	size_t n;

	if (proc_open(getpid(), &self, &ignore) || proc_mountinfo(self, plan->arena, &v, &n, &ignore))
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(v[i].root, "/") && (*name ? !strcmp(v[i].fstype, "cgroup") && has_words(v[i].super, name)
						      : !strcmp(v[i].fstype, "cgroup2")))
			return v[i].point;
	return NULL;
}

static const char members_note[] = "members of the cgroup";

/* The slot of a file of the group that takes members. */
static int members_slot(struct plan *plan, const CgMemberEntry *e, const char *file, uint32_t *slot, struct err *err)
{
	const char *mount = hierarchy(plan, e->name);
	struct program *c = plan->controller;
	char *dir, *path;

	if (!mount)
		return err_hint(err,
				err_refuse(err, "cgroup %s of hierarchy \"%s\", which is not mounted here", e->path, e->name),
				"--manage-cgroups=ignore leaves tasks in the cgroup of cr-restore");
	dir = arena_printf(plan->arena, "%s%s", mount, e->path);
	path = arena_printf(plan->arena, "%s/%s", dir, file);
	for (size_t i = 0; i < plan->nslots; i++)
		if (!strcmp(plan->slot_names[i], path)) {
			*slot = (uint32_t)i;
			return 0;
		}
	/* Each directory of the way, from the top. */
	for (char *p = dir + strlen(mount) + 1; plan->cgroups == CGROUPS_SOFT && p && *p;) {
		p += strcspn(p, "/");
		char kept = *p;

		*p = 0;
		struct plan_cgroup *g = arena_alloc(plan->arena, sizeof(*g));

		g->made = program_try(c, MAKE_OBJECTS, "cgroup, when it is not there", SYS_mkdir,
				      A_DATA(program_string(c, dir)), A(0755));
		g->dir = arena_strdup(plan->arena, dir);
		g->next = plan->groups;
		plan->groups = g;
		*p = kept;
		p += kept == '/';
	}
	*slot = plan_slot(plan, path);
	plan_slot_is(plan, *slot, program_call(c, MAKE_OBJECTS, members_note, SYS_openat, A((uint64_t)AT_FDCWD),
					       A_DATA(program_string(c, path)), A(O_WRONLY | O_CLOEXEC)));
	return 0;
}

void cgroups_tell(const struct plan *plan, const struct log *log)
{
	for (const struct plan_cgroup *g = plan->groups; g; g = g->next)
		if (!program_result(plan->controller, g->made))
			log_warn(log, "cgroup %s was not there and was made with default settings: limits that it had are lost",
				 g->dir);
}

static bool all_move(const struct model *m)
{
	for (size_t i = 0; i < m->ntasks; i++)
		if (!m->tasks[i].zombie && !set_id(m, &m->tasks[i].threads[0]))
			return false;
	return true;
}

/*
 * The leader moves its process, as early as may be, so that memory is charged to its group; but when others stay, only after
 * they are born, because children are born into the group of their parent.
 */
static int move_process(const struct model *m, const CgSetEntry *set, struct plan *plan, struct plan_task *pt,
			struct err *err)
{
	struct program *prog = pt->threads[0].prog;
	const CgSetEntry *root = find_set(m, m->inventory->root_cg_set);

	for (size_t i = 0; i < set->n_ctls; i++) {
		const CgMemberEntry *there = member(root, set->ctls[i]->name);
		uint32_t slot;
		int ret;

		if (there && !strcmp(there->path, set->ctls[i]->path))
			continue;
		ret = members_slot(plan, set->ctls[i], "cgroup.procs", &slot, err);
		if (ret)
			return ret;
		program_call_eq(prog, all_move(m) ? TASK_SESSION : TASK_GROUPS, "joins its cgroup", 1, SYS_write,
				A_SLOT(slot), A_DATA(program_string(prog, "0")), A(1));
	}
	return 0;
}

/* A thread elsewhere than its leader: told by number, when all stand ready. */
static int move_thread(const struct model *m, const CgSetEntry *set, const CgSetEntry *leaders, struct plan *plan,
		       const struct plan_thread *pth, struct err *err)
{
	char *tid = arena_printf(plan->arena, "%d", pth->tid);

	for (size_t i = 0; i < set->n_ctls; i++) {
		const CgMemberEntry *e = set->ctls[i], *there = member(leaders, e->name);
		uint32_t slot;
		int ret;

		if (there && !strcmp(there->path, e->path))
			continue;
		ret = members_slot(plan, e, *e->name ? "tasks" : "cgroup.threads", &slot, err);
		if (ret)
			return ret;
		program_call_eq(plan->last, 0, "thread joins its cgroup", strlen(tid), SYS_write, A_SLOT(slot),
				A_DATA(program_string(plan->last, tid)), A(strlen(tid)));
	}
	return 0;
}

static int plan_cgroup(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		       struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	uint32_t id = set_id(m, thread), leaders = set_id(m, &task->threads[0]);

	if (plan->cgroups == CGROUPS_IGNORE || !m->cgroup)
		return 0;
	if (thread == &task->threads[0])
		return id ? move_process(m, find_set(m, id), plan, pt, err) : 0;
	/* CRIU gives sets to leaders only: a thread without one is where its leader is. */
	if (id == leaders || !(thread->core->thread_core->has_cg_set && thread->core->thread_core->cg_set))
		return 0;
	const CgSetEntry *set = find_set(m, id ? id : m->inventory->root_cg_set);

	return set ? move_thread(m, set, find_set(m, leaders ? leaders : m->inventory->root_cg_set), plan, pth, err) : 0;
}

/* The way to a group that is not there: where it ends. */
static void check_group(const char *path, enum cgroups_mode mode, finding_fn report, void *ctx)
{
	cleanup_free char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');

	*slash = 0;
	if (freezer_is_frozen(dir)) {
		report(ctx, dir, "this cgroup is frozen: who joins it would stand still before it is restored; thaw it");
		return;
	}
	if (!access(path, W_OK))
		return;
	if (errno != ENOENT) {
		report(ctx, dir, errno == EROFS ? "this cgroup is on a file system that is mounted read-only"
						: "this cgroup takes no members from us");
		return;
	}
	if (mode != CGROUPS_SOFT) {
		report(ctx, dir, "this cgroup does not exist here (--manage-cgroups=soft makes it, ignore does without)");
		return;
	}
	while (access(dir, F_OK) && (slash = strrchr(dir, '/')) && slash != dir)
		*slash = 0;
	if (access(dir, W_OK))
		report(ctx, path, "this cgroup does not exist here, and cannot be made");
}

void cgroup_preflight(const struct plan *plan, finding_fn report, void *ctx)
{
	for (size_t i = 0; i < plan->nslots; i++) {
		const struct plan_bind *b = &plan->binds[i];

		if (b->source == SLOT_STEP && !strcmp(program_note(plan->controller, b->step.i), members_note))
			check_group(plan->slot_names[i], plan->cgroups, report, ctx);
	}
}

const struct state_kind cgroup_kind = {
	.name = "cgroups",
	.scope = SCOPE_THREAD,
	.plan = plan_cgroup,
};

int cgroups_mode(const char *word, enum cgroups_mode *mode, struct err *err)
{
	*mode = CGROUPS_SOFT;
	if (!word || !strcmp(word, "soft"))
		return 0;
	*mode = !strcmp(word, "none") ? CGROUPS_NONE : CGROUPS_IGNORE;
	if (!strcmp(word, "none") || !strcmp(word, "ignore"))
		return 0;
	return err_hint(err, err_set(err, ERR_USAGE, 0, "--manage-cgroups=%s restores settings of cgroups, which this version lacks",
				     word),
			"soft, none and ignore are there");
}
