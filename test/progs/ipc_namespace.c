/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * An IPC namespace of the tree's own, with all that may be in it: semaphores (with keys, owners, modes; a child waits for one),
 * messages of several types, shared memory that is attached and that nobody has attached, POSIX message queues, settings. A
 * file of the namespace itself is open.
 */
#include "test.h"

#include <mqueue.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

#define KEY 0x43520001

struct message { long type; char text[3000]; };
union semun { int val; struct semid_ds *buf; unsigned short *array; };

static long setting(const char *path, const char *set)
{
	char text[64] = "";
	int fd = open(path, set ? O_RDWR : O_RDONLY);

	CHECK(fd >= 0);
	if (set)
		CHECK_EQ(write(fd, set, strlen(set)), (ssize_t)strlen(set));
	CHECK(pread(fd, text, sizeof(text) - 1, 0) > 0);
	close(fd);
	return strtol(text, NULL, 10);
}

static void send(int q, long type, size_t n)
{
	struct message m = { .type = type };

	memset(m.text, (int)('a' + type), n);
	CHECK(!msgsnd(q, &m, n, IPC_NOWAIT));
}

static void receive(int q, long type, size_t n)
{
	struct message m;

	CHECK_EQ(msgrcv(q, &m, sizeof(m.text), 0, IPC_NOWAIT), (ssize_t)n);
	CHECK_EQ(m.type, type);
	for (size_t i = 0; i < n; i++)
		CHECK_EQ(m.text[i], 'a' + type);
}

/* The namespace itself, of which a file is open, with settings. */
static int ns;

static void make_namespace(void)
{
	if (unshare(CLONE_NEWIPC))
		TEST_SKIP("no IPC namespace can be made: %s", strerror(errno));
	ns = open("/proc/self/ns/ipc", O_RDONLY);
	CHECK(ns >= 0);
	setting("/proc/sys/kernel/msgmax", "5000");
	setting("/proc/sys/kernel/shmmni", "77");
	/* Gaps in the ids. */
	CHECK(!semctl(semget(IPC_PRIVATE, 1, 0600), 0, IPC_RMID));
	CHECK(!msgctl(msgget(IPC_PRIVATE, 0600), IPC_RMID, NULL));
}

static void check_namespace(void)
{
	struct stat st, self;

	CHECK(!fstat(ns, &st) && !stat("/proc/self/ns/ipc", &self));
	CHECK_EQ(st.st_ino, self.st_ino);
	CHECK_EQ(setting("/proc/sys/kernel/msgmax", NULL), 5000);
	CHECK_EQ(setting("/proc/sys/kernel/shmmni", NULL), 77);
}

static int sem, other;
static unsigned short values[5] = { 0, 3, 0, 32767, 1 };

static void make_semaphores(void)
{
	struct semid_ds ds;

	sem = semget(KEY, 5, IPC_CREAT | IPC_EXCL | 0640);
	other = semget(IPC_PRIVATE, 1, 0600);
	CHECK(sem >= 0 && other >= 0 && !semctl(sem, 0, SETALL, (union semun){ .array = values }));
	CHECK(!semctl(other, 0, IPC_STAT, (union semun){ .buf = &ds }));
	ds.sem_perm.uid = 1234;
	CHECK(!semctl(other, 0, IPC_SET, (union semun){ .buf = &ds }));
}

static void check_semaphores(void)
{
	unsigned short now[5];
	struct semid_ds ds;

	CHECK_EQ(semget(KEY, 5, 0), sem);
	CHECK(!semctl(sem, 0, GETALL, (union semun){ .array = now }));
	CHECK(!memcmp(values, now, sizeof(now)));
	CHECK(!semctl(sem, 0, IPC_STAT, (union semun){ .buf = &ds }));
	CHECK_EQ(ds.sem_perm.mode & 0777, 0640);
	CHECK(!semctl(other, 0, IPC_STAT, (union semun){ .buf = &ds }));
	CHECK_EQ(ds.sem_perm.uid, 1234);
}

static int q, empty;

static void make_messages(void)
{
	struct msqid_ds ds;

	q = msgget(KEY, IPC_CREAT | IPC_EXCL | 0620);
	empty = msgget(IPC_PRIVATE, 0600);
	CHECK(q >= 0 && empty >= 0);
	send(q, 5, 3000);
	send(q, 1, 0);
	send(q, 2, 13);
	CHECK(!msgctl(empty, IPC_STAT, &ds));
	ds.msg_qbytes = 999;
	CHECK(!msgctl(empty, IPC_SET, &ds));
}

static void check_messages(void)
{
	struct msqid_ds ds;

	CHECK_EQ(msgget(KEY, 0), q);
	CHECK(!msgctl(q, IPC_STAT, &ds));
	CHECK_EQ(ds.msg_qnum, 3);
	CHECK_EQ(ds.msg_perm.mode & 0777, 0620);
	receive(q, 5, 3000);
	receive(q, 1, 0);
	receive(q, 2, 13);
	CHECK(!msgctl(empty, IPC_STAT, &ds));
	CHECK_EQ(ds.msg_qbytes, 999);
	CHECK_EQ(ds.msg_qnum, 0);
}

/* Memory that is attached, at mem, and that nobody has attached. */
static int attached, detached;
static char *mem;

static void make_memory(void)
{
	attached = shmget(KEY, 5000, IPC_CREAT | IPC_EXCL | 0600);
	detached = shmget(KEY + 1, 70000, IPC_CREAT | IPC_EXCL | 0644);
	CHECK(attached >= 0 && detached >= 0);
	mem = shmat(detached, NULL, 0);
	CHECK(mem != (void *)-1);
	strcpy(mem + 65000, "nobody is here");
	CHECK(!shmdt(mem));
	mem = shmat(attached, NULL, 0);
	CHECK(mem != (void *)-1);
	strcpy(mem, "here");
}

static void check_memory(void)
{
	CHECK_EQ(shmget(KEY, 0, 0), attached);
	CHECK_EQ(shmget(KEY + 1, 0, 0), detached);
	char *found = shmat(detached, NULL, 0);
	CHECK(found != (void *)-1);
	CHECK(!strcmp(found + 65000, "nobody is here"));
}

/* -1 where the kernel has no POSIX message queues */
static mqd_t mq;

static void make_mqueue(void)
{
	struct mq_attr attr = { .mq_maxmsg = 7, .mq_msgsize = 33 };

	mq = mq_open("/cr-test", O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	CHECK(mq != (mqd_t)-1 || errno == ENOSYS);
}

static void check_mqueue(void)
{
	struct mq_attr a;
	char text[33];

	if (mq == (mqd_t)-1)
		return;
	mqd_t again = mq_open("/cr-test", O_RDONLY | O_NONBLOCK);
	CHECK(again != (mqd_t)-1 && !mq_getattr(mq, &a));
	CHECK_EQ(a.mq_maxmsg, 7);
	CHECK_EQ(a.mq_msgsize, 33);
	CHECK_EQ(a.mq_curmsgs, 0);
	CHECK(!mq_send(mq, "hello", 6, 3));
	CHECK_EQ(mq_receive(again, text, sizeof(text), NULL), 6);
	CHECK(!strcmp(text, "hello"));
	CHECK(!mq_unlink("/cr-test"));
}

static void await_wait(void)
{
	while (semctl(sem, 0, GETNCNT) != 1)
		test_sleep_ms(1);
}

/* A child that waits for a semaphore, and then says in the memory that it got it. */
static pid_t make_waiter(void)
{
	struct sembuf down = { 0, -2, 0 };
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		if (semop(sem, &down, 1))
			_exit(1);
		strcat(mem, " and there");
		_exit(0);
	}
	await_wait();
	return pid;
}

static void check_waiter(pid_t pid)
{
	int status;

	await_wait(); /* again */
	CHECK(!semctl(sem, 0, SETVAL, (union semun){ .val = 3 }));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(semctl(sem, 0, GETVAL), 1);
	CHECK(!strcmp(mem, "here and there"));
}

int main(void)
{
	make_namespace();
	make_semaphores();
	make_messages();
	make_memory();
	make_mqueue();
	pid_t waiter = make_waiter();

	test_ready();

	check_namespace();
	check_semaphores();
	check_waiter(waiter);
	check_memory();
	check_messages();
	check_mqueue();
	pass();
}
