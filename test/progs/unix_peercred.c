// SPDX-License-Identifier: GPL-2.0-or-later
/* SO_PEERCRED and SO_PEERGROUPS: of pairs, both ends of connections, those still waiting, listening sockets, by several users. */
#include <grp.h>
#include <sys/wait.h>

#include "unix.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

static void shows(int s, pid_t pid, uid_t uid, gid_t gid, gid_t group, const char *where)
{
	struct ucred u = { 0 };
	gid_t groups[8];
	socklen_t len = sizeof(u), glen = sizeof(groups);

	CHECK(!getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &len));
	if (u.pid != pid || u.uid != uid || u.gid != gid)
		fail("%s: shows pid %d, uid %u, gid %u, not %d, %u, %u", where, u.pid, u.uid, u.gid, pid, uid, gid);
	CHECK(!getsockopt(s, SOL_SOCKET, SO_PEERGROUPS, groups, &glen));
	if (group && (glen != sizeof(gid_t) || groups[0] != group))
		fail("%s: shows %zu groups, the first %u, not %u", where, glen / sizeof(gid_t), glen ? groups[0] : 0, group);
}

int main(void)
{
	const gid_t group = 3000;
	pid_t self = getpid();
	int pair[2], go[2], up[2], status;
	char c;

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	CHECK(!pipe(go) && !pipe(up));
	int door = new_listener(SOCK_STREAM, "@door", 5), late = new_listener(SOCK_STREAM, "@late", 5);
	pid_t child = fork();
	CHECK(child >= 0);
	if (!child) {
		CHECK(!setgroups(1, &group) && !setgid(2000) && !setuid(1000));
		int s = new_client(SOCK_STREAM, "@door"), own = new_listener(SOCK_STREAM, "@own", 3);
		int waits = new_client(SOCK_STREAM, "@late"), mine[2];
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, mine));
		CHECK_EQ(write(up[1], "u", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		shows(s, self, 0, 0, 0, "connected");
		shows(waits, self, 0, 0, 0, "waiting");
		shows(own, getpid(), 1000, 2000, group, "listening");
		shows(mine[0], getpid(), 1000, 2000, group, "pair of the child");
		shows(mine[1], getpid(), 1000, 2000, group, "pair of the child");
		_exit(0);
	}
	CHECK_EQ(read(up[0], &c, 1), 1);
	int acc = accept(door, NULL, NULL), there = new_client(SOCK_STREAM, "@own");
	CHECK(acc >= 0);
	close(door);

	test_ready();

	shows(pair[0], self, 0, 0, 0, "pair");
	shows(pair[1], self, 0, 0, 0, "pair");
	shows(acc, child, 1000, 2000, group, "accepted");
	shows(there, child, 1000, 2000, group, "connected to the child");
	shows(late, self, 0, 0, 0, "listening");
	int now = accept(late, NULL, NULL);
	shows(now, child, 1000, 2000, group, "accepted now");
	CHECK_EQ(write(go[1], "g", 1), 1);
	CHECK_EQ(wait(&status), child);
	CHECK_EQ(status, 0);
	pass();
}
