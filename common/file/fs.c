// SPDX-License-Identifier: GPL-2.0-or-later
/* fs_struct of a task: current directory, root directory, umask. */
#include <string.h>
#include <sys/syscall.h>

#include "common/file/file.h"
#include "common/task/kin.h"
#include "fs.pb-c.h"

static int fs_look(struct dump *d, struct err *err)
{
	struct dump_task *t = d->task;
	int ret = 0;

	if (t->fs_shared)
		return 0;
	t->cwd = t->kin & KIN_CWD ? t->parent->cwd : NULL;
	t->root = t->kin & KIN_ROOT ? t->parent->root : NULL;
	if (!t->cwd)
		ret = file_see_path(d, "cwd", &t->cwd, err);
	return ret || t->root ? ret : file_see_path(d, "root", &t->root, err);
}

static int fs_dump(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		   struct err *err)
{
	FsEntry fs = FS_ENTRY__INIT;
	int ret;

	if (d->task->fs_shared || !d->task->cwd || !d->task->root) /* a check was told why */
		return 0;
	ret = file_dump_seen(d, "cwd", d->task->cwd, O_RDONLY | O_DIRECTORY, &fs.cwd_id, err);
	if (ret < 0)
		return ret;
	ret = file_dump_seen(d, "root", d->task->root, O_RDONLY | O_DIRECTORY, &fs.root_id, err);
	if (ret < 0)
		return ret;
	if (!thread->status.has_umask)
		return err_set(err, ERR_FEATURE, 0, "this kernel does not show the umask in /proc/PID/status");
	fs.has_umask = true;
	fs.umask = thread->status.umask;
	image_store_put(d->store, IMG_FS, (unsigned long)d->task->fz.pid, &fs.base);
	return 0;
}

static int fs_plan(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		   struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	struct program *prog = pth->prog;
	const FsEntry *fs = task->fs;
	uint32_t cwd, root;
	int ret;

	if (task->fs_owner != pt->index)
		return 0;
	if (!fs)
		return err_image(err, "fs-%d.img: is missing", (int)pt->pid);
	const RegFileEntry *top = model_reg(m, fs->root_id);
	if (!top)
		return err_image(err, "fs-%d.img: no file %u for the root directory", (int)pt->pid, fs->root_id);
	ret = plan_file_slot(m, plan, FD_TYPES__REG, fs->cwd_id, O_RDONLY | O_DIRECTORY, &cwd, err);
	if (ret < 0)
		return err_object(err, ret, "cwd");
	/* Everybody starts at "/" of the namespace. */
	if (strcmp(top->name, "/")) {
		ret = plan_file_slot(m, plan, FD_TYPES__REG, fs->root_id, O_RDONLY | O_DIRECTORY, &root, err);
		if (ret < 0)
			return err_object(err, ret, "root directory");
		program_call(prog, TASK_FS, "root directory", SYS_fchdir, A_SLOT(root));
		program_call(prog, TASK_FS, "root directory", SYS_chroot, A_DATA(program_string(prog, ".")));
	}
	program_call(prog, TASK_FS, "current directory", SYS_fchdir, A_SLOT(cwd));
	if (fs->has_umask)
		program_call(prog, TASK_FS, "umask", SYS_umask, A(fs->umask & 0777));
	return 0;
}

const struct state_kind fs_kind = {
	.name = "cwd, root and umask",
	.scope = SCOPE_TASK,
	.look = fs_look,
	.dump = fs_dump,
	.plan = fs_plan,
};
