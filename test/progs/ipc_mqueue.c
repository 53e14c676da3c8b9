/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * POSIX message queues of the tree's own IPC namespace that hold messages: of several priorities, several of each, empty ones and
 * longest ones; a full one at which a child waits to send, an empty one at which another waits to receive; one that has an owner and
 * a mode, and that nobody has open. test/live/mqueue-killed.sh uses it, too.
 */
#include "test.h"

#include <mqueue.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LONGEST 40
#define N 12

/* As they are sent; they are received by priority, and by age where that is the same. */
static const struct { unsigned prio; char first; size_t len; } sent[N] = {
	{ 5, 'a', 3 },	{ 0, 'b', 1 },	   { 5, 'c', LONGEST }, { 32767, 'd', 7 }, { 0, 'e', 0 },  { 1, 'f', 5 },
	{ 5, 'g', 20 }, { 32767, 'h', 9 }, { 1, 'i', 0 },	{ 0, 'j', LONGEST }, { 5, 'k', 2 }, { 1, 'l', 11 },
};

static void text_of(size_t i, char text[LONGEST])
{
	for (size_t k = 0; k < LONGEST; k++)
		text[k] = (char)(sent[i].first + (char)k); /* has zeros and all bits in it somewhere */
	text[1] = 0;
}

static mqd_t make(const char *name, long max, mode_t mode)
{
	struct mq_attr attr = { .mq_maxmsg = max, .mq_msgsize = LONGEST };
	mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, mode, &attr);

	CHECK(q != (mqd_t)-1);
	return q;
}

/* A setting of the namespace: as many as that are possible without a privilege. */
static void allow(const char *n)
{
	int fd = open("/proc/sys/fs/mqueue/msg_max", O_WRONLY);

	CHECK(fd >= 0 && write(fd, n, strlen(n)) == (ssize_t)strlen(n) && !close(fd));
}

static void fill(mqd_t q)
{
	char text[LONGEST];

	for (size_t i = 0; i < N; i++) {
		text_of(i, text);
		CHECK(!mq_send(q, text, sent[i].len, sent[i].prio));
	}
}

static long messages_in(mqd_t q, long max)
{
	struct mq_attr a;

	CHECK(!mq_getattr(q, &a));
	CHECK_EQ(a.mq_msgsize, LONGEST);
	CHECK_EQ(a.mq_maxmsg, max);
	return a.mq_curmsgs;
}

/* All, in order. */
static void drain(mqd_t q)
{
	static const unsigned prios[] = { 32767, 5, 1, 0 };
	char text[LONGEST], want[LONGEST];
	unsigned prio;

	CHECK_EQ(messages_in(q, N), N);
	for (size_t p = 0; p < sizeof(prios) / sizeof(*prios); p++)
		for (size_t i = 0; i < N; i++) {
			if (sent[i].prio != prios[p])
				continue;
			text_of(i, want);
			CHECK_EQ(mq_receive(q, text, sizeof(text), &prio), sent[i].len);
			CHECK_EQ(prio, sent[i].prio);
			CHECK(!memcmp(text, want, sent[i].len));
		}
	CHECK_EQ(messages_in(q, N), 0);
}

static pid_t child(const char *name, bool sends)
{
	const struct timespec late = { 4000000000, 0 };
	pid_t pid = fork();
	char text[LONGEST] = "last";
	mqd_t q;

	CHECK(pid >= 0);
	if (pid)
		return pid;
	q = mq_open(name, O_RDWR);
	if (q == (mqd_t)-1)
		_exit(1);
	if (sends)
		_exit(mq_send(q, text, 5, 3) ? 2 : 0);
	_exit(mq_timedreceive(q, text, sizeof(text), NULL, &late) == 6 && !strcmp(text, "first") ? 0 : 3);
}

static void await_sleep(pid_t pid, long nr)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	do {
		int fd = open(path, O_RDONLY);

		memset(text, 0, sizeof(text));
		CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
		close(fd);
		test_sleep_ms(1);
	} while (strtol(text, NULL, 10) != nr);
}

static void check_full(mqd_t full, pid_t sender)
{
	char text[LONGEST];
	unsigned prio;
	int status;

	await_sleep(sender, SYS_mq_timedsend);
	CHECK_EQ(messages_in(full, 2), 2);
	CHECK_EQ(mq_receive(full, text, sizeof(text), &prio), 4);
	CHECK_EQ(prio, 9);
	CHECK_EQ(waitpid(sender, &status, 0), sender);
	CHECK_EQ(status, 0);
	CHECK_EQ(mq_receive(full, text, sizeof(text), &prio), 5);
	CHECK_EQ(prio, 3);
	CHECK(!strcmp(text, "last"));
	CHECK_EQ(mq_receive(full, text, sizeof(text), &prio), 6);
	CHECK_EQ(prio, 2);
}

static void check_waited_for(mqd_t empty, pid_t receiver)
{
	int status;

	await_sleep(receiver, SYS_mq_timedreceive);
	CHECK_EQ(messages_in(empty, 3), 0);
	CHECK(!mq_send(empty, "first", 6, 0));
	CHECK_EQ(waitpid(receiver, &status, 0), receiver);
	CHECK_EQ(status, 0);
}

static void check_other(void)
{
	mqd_t other = mq_open("/other", O_RDWR | O_NONBLOCK);
	struct stat st;

	CHECK(other != (mqd_t)-1 && !fstat(other, &st));
	CHECK_EQ(st.st_uid, 1234);
	CHECK_EQ(st.st_gid, 4321);
	CHECK_EQ(st.st_mode & 07777, 0240);
	drain(other);
}

int main(void)
{
	pid_t sender, receiver;
	mqd_t q, full, empty, other;

	if (unshare(CLONE_NEWIPC))
		TEST_SKIP("no IPC namespace can be made: %s", strerror(errno));
	q = mq_open("/none", O_RDONLY);
	if (q == (mqd_t)-1 && errno == ENOSYS)
		TEST_SKIP("no POSIX message queues");
	allow("20");
	q = make("/ordered", N, 0600);
	full = make("/full", 2, 0600);
	empty = make("/empty", 3, 0600);
	other = make("/other", N, 0600);
	fill(q);
	fill(other);
	CHECK(!fchown(other, 1234, 4321) && !fchmod(other, 0240) && !mq_close(other));
	CHECK(!mq_send(full, "two--", 6, 2) && !mq_send(full, "one", 4, 9));
	sender = child("/full", true);
	receiver = child("/empty", false);
	await_sleep(sender, SYS_mq_timedsend);
	await_sleep(receiver, SYS_mq_timedreceive);

	test_ready();

	drain(q);
	check_other();
	check_full(full, sender);
	check_waited_for(empty, receiver);
	pass();
}
