// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POSIX message queues (ipc/mqueue.c): files of a file system that each IPC namespace has, mounted or not.
 *
 * A message can be read only by taking it. So all of a queue are taken and sent again while everybody who lives in the
 * namespace stands still: what goes out first (by priority, then by age) is sent first, and so the queue is the same again. A
 * process of ours does that, which blocks all signals and has all memory that it needs: who kills cr-dump meanwhile does not
 * take the messages with it; and we go on with its work if somebody kills it. A task of the tree would be no better for that: it
 * need not have permission for a queue, and its seccomp filters need not allow these calls.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <mqueue.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/base/apart.h"
#include "common/base/fault.h"
#include "common/base/io.h"
#include "common/file/file.h"
#include "common/ipc/ipcns.h"
#include "common/restore/verify.h"

#define NAME_LONGEST 255
#define BESIDE 32u    /* bytes of an image that come with each message, at most */
#define ALL_LONGEST (IMAGE_ENTRY_MAX / 2)

/* ---- dump ---- */

static int open_all(int *dir, struct err *err)
{
	cleanup_fd int fs = (int)syscall(SYS_fsopen, "mqueue", FSOPEN_CLOEXEC), root = -1;

	*dir = -1;
	if (fs < 0 && errno == ENODEV)
		return 0; /* a kernel without */
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return err_sys(err, "cannot look at POSIX message queues (fsopen)");
	root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	*dir = root < 0 ? -1 : openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *dir < 0 ? err_sys(err, "cannot look at POSIX message queues (fsmount)") : 0;
}

/* Messages while they are in no queue, in memory that is ours and that of the process that takes them. */
struct taken {
	int queue;
	size_t longest, max, n, back; /* in the queue; taken; sent again */
	bool sending;
	struct { size_t off, len; unsigned prio; } v[]; /* max of them, and then the bytes */
};

static char *bytes_of(struct taken *t)
{
	return (char *)&t->v[t->max];
}

/* Goes on where somebody was who did not come to the end. */
static void take_and_send(void *arg)
{
	struct taken *t = arg;
	const struct timespec past = { 0, 0 }, moment = { 0, 1000000 };

	for (; !t->sending && t->n < t->max; t->n++) {
		size_t off = t->n ? t->v[t->n - 1].off + t->v[t->n - 1].len : 0;
		ssize_t got = mq_timedreceive(t->queue, bytes_of(t) + off, t->longest, &t->v[t->n].prio, &past);

		if (got < 0)
			break;
		t->v[t->n].off = off;
		t->v[t->n].len = (size_t)got;
	}
	t->sending = true;
	fault("mqueue:taken");
	for (; t->back < t->n; t->back++)
		/* The kernel may lack memory just now, but not for ever. */
		while (mq_send(t->queue, bytes_of(t) + t->v[t->back].off, t->v[t->back].len, t->v[t->back].prio))
			nanosleep(&moment, NULL);
}

static void keep(struct dump *d, struct taken *t, MqueueEntry *e)
{
	e->n_messages = t->n;
	e->messages = arena_alloc(d->arena, t->n * sizeof(*e->messages));
	for (size_t i = 0; i < t->n; i++) {
		MqueueMessage *m = e->messages[i] = arena_msg(d->arena, MqueueMessage, mqueue_message__init);

		m->priority = t->v[i].prio;
		m->text = (ProtobufCBinaryData){ t->v[i].len, arena_dup(d->arena, bytes_of(t) + t->v[i].off, t->v[i].len) };
	}
}

static int dump_messages(struct dump *d, int dir, const struct mq_attr *attr, uint64_t bytes, MqueueEntry *e, struct err *err)
{
	const size_t n = (size_t)attr->mq_curmsgs, longest = (size_t)attr->mq_msgsize;
	cleanup_fd int q = openat(dir, e->name, O_RDWR | O_CLOEXEC);
	struct taken *t;
	size_t room = sizeof(*t) + n * sizeof(t->v[0]) + bytes + longest;
	int ret;

	if (q < 0)
		return err_sys(err, "cannot open POSIX message queue /%s", e->name);
	/* Nothing of it is to be found while messages are nowhere else. */
	t = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (t == MAP_FAILED)
		return err_sys(err, "no memory for the messages of POSIX message queue /%s", e->name);
	t->queue = q;
	t->longest = longest;
	t->max = n;
	ret = apart(take_and_send, t, true, "mqueue:taking", err);
	if (ret)
		err_object(err, ret, "POSIX message queue /%s", e->name);
	if (!ret && t->n != n)
		ret = err_set(err, ERR_FAILED, 0, "somebody outside of the tree takes messages from POSIX message queue /%s", e->name);
	if (!ret)
		keep(d, t, e);
	munmap(t, room);
	return ret;
}

/* A number of the one line that such a file tells of itself; 0 when it is not there. */
static uint64_t told(const char *text, const char *word)
{
	const char *p = strstr(text, word);
	uint64_t v = 0;

	if (p)
		p += strlen(word);
	return p && !fdinfo_number(&p, 10, &v) ? v : 0;
}

static int dump_one(struct dump *d, int dir, const char *name, size_t *all, MqueueEntry **out, struct err *err)
{
	MqueueEntry *e = *out = arena_msg(d->arena, MqueueEntry, mqueue_entry__init);
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint64_t pid, bytes;
	char text[256] = "";
	struct mq_attr attr;
	struct stat st;

	/* An opened file of that file system is a queue's descriptor. */
	if (fd < 0 || fstat(fd, &st) || syscall(SYS_mq_getsetattr, fd, NULL, &attr) || read(fd, text, sizeof(text) - 1) < 0)
		return err_sys(err, "cannot look at POSIX message queue /%s", name);
	pid = told(text, "NOTIFY_PID:");
	if (pid)
		return err_refuse(err, "POSIX message queue /%s is to notify pid %d (mq_notify)", name, (int)pid);
	bytes = told(text, "QSIZE:");
	*all += bytes + (size_t)attr.mq_curmsgs * BESIDE;
	if (*all > ALL_LONGEST)
		return err_refuse(err, "POSIX message queues hold more than %u bytes", ALL_LONGEST);
	e->name = arena_strdup(d->arena, name);
	e->uid = st.st_uid;
	e->gid = st.st_gid;
	e->mode = st.st_mode & 07777;
	e->maxmsg = (uint64_t)attr.mq_maxmsg;
	e->msgsize = (uint64_t)attr.mq_msgsize;
	/* A check only looks. */
	return attr.mq_curmsgs && !d->found ? dump_messages(d, dir, &attr, bytes, e, err) : 0;
}

int mqueues_dump(struct dump *d, IpcVarEntry *var, struct err *err)
{
	struct dirent *e;
	DIR *all = NULL;
	size_t cap = 0, bytes = 0;
	int dir, ret = open_all(&dir, err);

	if (dir >= 0)
		all = fdopendir(dir);
	while (all && !ret && (e = readdir(all))) {
		MqueueEntry *entry, **old = var->mqueues;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		ret = dump_note(d, dump_one(d, dirfd(all), e->d_name, &bytes, &entry, err), err);
		if (var->n_mqueues == cap) {
			cap = cap ? 2 * cap : 8;
			var->mqueues = arena_alloc(d->arena, cap * sizeof(*var->mqueues));
			if (old)
				memcpy(var->mqueues, old, var->n_mqueues * sizeof(*old));
		}
		var->mqueues[var->n_mqueues++] = entry;
	}
	if (all)
		closedir(all);
	return ret;
}

/* ---- restore ---- */

int mqueue_check(const MqueueEntry *q, const struct where *at, struct err *err)
{
	if (!*q->name || strlen(q->name) > NAME_LONGEST || strchr(q->name, '/') || !strcmp(q->name, ".") || !strcmp(q->name, ".."))
		return bad_image(err, at, "a POSIX message queue cannot have the name \"%s\"", q->name);
	if (!q->maxmsg || q->maxmsg > INT32_MAX || !q->msgsize || q->msgsize > INT32_MAX || q->mode & ~07777u)
		return bad_image(err, at, "POSIX message queue /%s: %lu messages of %lu bytes, mode %o", q->name, q->maxmsg,
				 q->msgsize, q->mode);
	if (q->n_messages > q->maxmsg)
		return bad_image(err, at, "POSIX message queue /%s: %zu messages, where %lu have room", q->name, q->n_messages,
				 q->maxmsg);
	for (size_t i = 0; i < q->n_messages; i++)
		if (q->messages[i]->text.len > q->msgsize || q->messages[i]->priority >= MQ_PRIO_MAX)
			return bad_image(err, at, "POSIX message queue /%s: a message of %zu bytes with priority %u", q->name,
					 q->messages[i]->text.len, q->messages[i]->priority);
	return 0;
}

void mqueue_plan(struct program *p, const MqueueEntry *e)
{
	struct mq_attr attr = { .mq_maxmsg = (long)e->maxmsg, .mq_msgsize = (long)e->msgsize };
	struct step_ref fd = program_call(p, MAKE_OBJECTS, "POSIX message queue", SYS_mq_open, A_DATA(program_string(p, e->name)),
					  A(O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NONBLOCK), A(e->mode & 0777),
					  A_DATA(program_data(p, &attr, sizeof(attr))));

	for (size_t i = 0; i < e->n_messages; i++) {
		const MqueueMessage *m = e->messages[i];

		program_call(p, MAKE_OBJECTS, "message", SYS_mq_timedsend, A_RESULT(fd),
			     A_DATA(program_data(p, m->text.data, m->text.len)), A(m->text.len), A(m->priority), A(0));
	}
	program_call(p, MAKE_OBJECTS, "its owner", SYS_fchown, A_RESULT(fd), A(e->uid), A(e->gid));
	program_call(p, MAKE_OBJECTS, "its mode", SYS_fchmod, A_RESULT(fd), A(e->mode));
	program_call(p, MAKE_OBJECTS, "its descriptor", SYS_close, A_RESULT(fd));
}
