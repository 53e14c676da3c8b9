// SPDX-License-Identifier: GPL-2.0-or-later
/* What a task has of terminals beside its descriptors: the controlling terminal, and which descriptors exec closes. */
#include "common/tty/tty_pairs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/sock/tcp.h"

static struct stat device_of(int tty_nr)
{
	const unsigned dev = (unsigned)tty_nr; /* new_encode_dev() */

	return (struct stat){ .st_rdev = makedev(dev >> 8 & 0xfff, (dev & 0xff) | (dev >> 12 & 0xfff00)) };
}

static void name_of(const struct stat *st, char *out, size_t n)
{
	if (tty_is_slave(st))
		snprintf(out, n, "/dev/pts/%u", minor(st->st_rdev));
	else
		snprintf(out, n, "%u:%u", major(st->st_rdev), minor(st->st_rdev));
}

/* Before the session itself is looked at: a terminal says more to people than the number of a session. */
static int check_job(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		     struct err *err)
{
	const struct proc_stat *ps = &d->task->stat;
	const struct stat st = device_of(ps->tty_nr);
	char who[96], name[40];
	int ret;

	if (!ps->tty_nr || d->opts->shell_job || dump_find_task(d, ps->session))
		return 0;
	ret = tcp_refuse_early(d, err);
	if (ret)
		return ret;
	tty_whose(d, &st, who, sizeof(who));
	name_of(&st, name, sizeof(name));
	return err_hint(err, err_refuse(err, "terminal %s belongs to %s outside of the tree", name, who),
			"use --shell-job for a job of that session");
}

const struct state_kind job_kind = {
	.name = "job of a terminal",
	.scope = SCOPE_TASK,
	.dump = check_job,
};

static int dump_controlling(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			    struct err *err)
{
	const struct proc_stat *ps = &d->task->stat;
	const struct stat st = device_of(ps->tty_nr);
	char who[96], name[40];
	int ret;

	/* Those of another session go with it, which session_kind sees to. */
	if (!ps->tty_nr || ps->session != ps->pid || d->opts->shell_job)
		return 0;
	ret = tty_collect(d, err);
	if (ret || (tty_is_slave(&st) && tty_has_master(d, minor(st.st_rdev))))
		return ret;
	tty_whose(d, &st, who, sizeof(who));
	name_of(&st, name, sizeof(name));
	return err_hint(err, err_refuse(err, "its controlling terminal %s belongs to %s outside of the tree", name, who),
			"use --shell-job: it comes back on the terminal of the caller");
}

static int plan_controlling(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			    struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	return tty_plan_leader(m, task, plan, pt, err);
}

const struct state_kind controlling_tty_kind = {
	.name = "controlling terminal",
	.scope = SCOPE_TASK,
	.dump = dump_controlling,
	.plan = plan_controlling,
};

/* ---- close-on-exec ---- */

/*
 * A slave that was opened by TIOCGPTPEER with O_CLOEXEC keeps it among the status flags of its description (ptm_open_peer() in
 * drivers/tty/pty.c, 6.18), and /proc shows it for every duplicate. Only the task itself can tell then.
 */
struct cloexec_asked { size_t n; int *fds; struct step_ref *steps; };

static int ask_cloexec(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct cloexec_asked *a = slot;
	const struct fd_stats *fds;
	int ret = file_stats(d, d->task, &fds, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < fds->n; i++) {
		struct proc_fdinfo info;

		if (!S_ISCHR(fds->st[i].st_mode) || !tty_is_slave(&fds->st[i]))
			continue;
		ret = proc_fdinfo(d->task->proc_fd, fds->numbers[i], d->arena, &info, err);
		if (ret)
			return ret;
		if (!(info.flags & O_CLOEXEC))
			continue;
		if (!a->fds) {
			a->fds = arena_alloc(d->arena, fds->n * sizeof(*a->fds));
			a->steps = arena_alloc(d->arena, fds->n * sizeof(*a->steps));
		}
		a->fds[a->n] = fds->numbers[i];
		a->steps[a->n++] = program_call(prog, 0, "close-on-exec of a terminal", SYS_fcntl, A((uint64_t)fds->numbers[i]),
						A(F_GETFD));
	}
	return 0;
}

static int told_cloexec(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			struct err *err)
{
	const struct cloexec_asked *a = slot;
	int ret = a->n ? tty_collect(d, err) : 0;
	struct tty_table *t = d->files->ttys;

	for (size_t i = 0; !ret && i < a->n; i++) {
		if (program_result(prog, a->steps[i]) & FD_CLOEXEC)
			continue;
		if (t->nkept == t->kept_cap) {
			struct tty_kept_fd *old = t->kept;
			t->kept_cap = t->kept_cap ? 2 * t->kept_cap : 16;
			t->kept = arena_alloc(d->arena, t->kept_cap * sizeof(*t->kept));
			if (t->nkept)
				memcpy(t->kept, old, t->nkept * sizeof(*old));
		}
		t->kept[t->nkept++] = (struct tty_kept_fd){ d->task->pid, a->fds[i] };
	}
	return ret;
}

bool tty_kept_on_exec(const struct dump *d, pid_t pid, int fd)
{
	const struct tty_table *t = d->files->ttys;

	for (size_t i = 0; t && i < t->nkept; i++)
		if (t->kept[i].pid == pid && t->kept[i].fd == fd)
			return true;
	return false;
}

const struct state_kind tty_cloexec_kind = {
	.name = "close-on-exec of terminals",
	.scope = SCOPE_TASK,
	.ask = ask_cloexec,
	.slot_size = sizeof(struct cloexec_asked),
	.dump = told_cloexec,
};
