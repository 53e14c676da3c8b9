// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names: paths, relative ones, abstract ones, the longest; files that were moved, removed, or whose directory was; mode and
 * owner; listening sockets with their backlog, accepted connections, and connections that wait to be accepted.
 */
#include "unix.h"

static void check_dead(const char *path)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(link_to(s, path) < 0);
	close(s);
}

int main(void)
{
	char cwd[PATH_MAX], path[108], longest[109];
	struct stat st;
	CHECK(getcwd(cwd, sizeof(cwd)));
	CHECK(snprintf(path, sizeof(path), "%s/stream", cwd) < (int)sizeof(path));

	int stream = new_listener(SOCK_STREAM, path, 7), client = new_client(SOCK_STREAM, path), served = accept(stream, NULL, NULL);
	CHECK(!chmod("stream", 0640));
	CHECK(!chown("stream", 1234, 2345));
	int waits[3];
	for (int i = 2; i >= 0; i--) /* numbers fall while places rise */
		waits[i] = new_client(SOCK_STREAM, path);
	memset(longest, 'x', 108);
	memcpy(longest, path, strlen(path));
	longest[108] = 0;
	int seq = new_listener(SOCK_SEQPACKET, longest, 1), seq_client = new_client(SOCK_SEQPACKET, longest),
	    seq_served = accept(seq, NULL, NULL);
	int abs = new_listener(SOCK_STREAM, "@cr-utils test name", 3), abs_client = new_client(SOCK_STREAM, "@cr-utils test name"),
	    abs_served = accept(abs, NULL, NULL);
	/* The one that listened is closed. */
	int gone = new_listener(SOCK_STREAM, "@cr-utils closed", 3), orphan = new_client(SOCK_STREAM, "@cr-utils closed"),
	    orphan_served = accept(gone, NULL, NULL);
	close(gone);
	CHECK(!mkdir("dir", 0755) && !mkdir("dir/sub", 0755) && !mkdir("away", 0755) && !mkdir("doomed", 0755));
	int rel = new_listener(SOCK_STREAM, "dir/rel", 1);
	CHECK(!chdir("dir/sub"));
	int up = new_listener(SOCK_STREAM, "../up", 1);
	CHECK(!chdir(cwd));
	int moved = new_listener(SOCK_STREAM, "before", 1), moved_waits = new_client(SOCK_STREAM, "before");
	CHECK(!rename("before", "away/after"));
	int deleted = new_listener(SOCK_STREAM, "deleted", 1), deleted_waits = new_client(SOCK_STREAM, "deleted");
	CHECK(!unlink("deleted"));
	int doomed = new_listener(SOCK_STREAM, "doomed/sock", 1);
	CHECK(!unlink("doomed/sock") && !rmdir("doomed"));
	/* Its place is another one's now. */
	int old = new_listener(SOCK_STREAM, "twice", 1), old_waits = new_client(SOCK_STREAM, "twice");
	CHECK(!unlink("twice"));
	int new = new_listener(SOCK_STREAM, "twice", 1);
	/* The client has a name, too; and a bound socket that nobody listens on. */
	int named = new_bound(SOCK_STREAM, "client");
	CHECK(!link_to(named, path));
	int named_served, lone = new_bound(SOCK_STREAM, "@cr-utils lone"), autob = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX }, auto_name = { 0 };
	socklen_t auto_len = sizeof(auto_name), len;
	CHECK(!bind(autob, (struct sockaddr *)&a, sizeof(sa_family_t)));
	CHECK(!getsockname(autob, (struct sockaddr *)&auto_name, &auto_len));

	test_ready();

	check_talk(client, served, "named");
	check_name(served, path, "accepted");
	check_peer_name(client, path, "client");
	check_name(client, "", "client");
	CHECK(!stat(path, &st));
	CHECK_EQ(st.st_mode, S_IFSOCK | 0640);
	CHECK_EQ(st.st_uid, 1234);
	CHECK_EQ(st.st_gid, 2345);
	for (int i = 2; i >= 0; i--) {
		int s = accept(stream, NULL, NULL);
		CHECK(s >= 0);
		check_talk(waits[i], s, "waited");
	}
	named_served = accept(stream, NULL, NULL);
	check_talk(named, named_served, "client with a name");
	check_peer_name(named_served, "client", "client with a name");
	/* A backlog of 7 means 8 that wait, and no ninth. */
	for (int i = 0; i <= 8; i++) {
		int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), r = link_to(s, path);
		CHECK_EQ(r < 0 ? errno : 0, i < 8 ? 0 : EAGAIN);
	}
	check_talk(seq_client, seq_served, "seqpacket");
	check_name(seq, longest, "longest");
	check_peer_name(seq_client, longest, "longest");
	new_client(SOCK_SEQPACKET, longest);
	check_talk(abs_client, abs_served, "abstract");
	check_peer_name(abs_client, "@cr-utils test name", "abstract");
	check_reach(abs, "@cr-utils test name", "abstract");
	check_talk(orphan, orphan_served, "listener closed");
	check_name(orphan_served, "@cr-utils closed", "listener closed");
	close(new_bound(SOCK_STREAM, "@cr-utils closed")); /* the name is free */
	check_name(rel, "dir/rel", "relative");
	check_reach(rel, "dir/rel", "relative");
	check_name(up, "../up", "relative");
	check_reach(up, "dir/up", "relative");
	check_name(moved, "before", "moved");
	CHECK(stat("before", &st) < 0);
	check_talk(moved_waits, accept(moved, NULL, NULL), "moved");
	check_reach(moved, "away/after", "moved");
	check_name(deleted, "deleted", "deleted");
	CHECK(stat("deleted", &st) < 0);
	check_talk(deleted_waits, accept(deleted, NULL, NULL), "deleted");
	check_name(doomed, "doomed/sock", "deleted directory");
	CHECK(stat("doomed", &st) < 0);
	check_talk(old_waits, accept(old, NULL, NULL), "replaced");
	check_name(old, "twice", "replaced");
	check_reach(new, "twice", "in its place");
	check_name(lone, "@cr-utils lone", "not listening");
	check_name(named, "client", "client with a name");
	check_dead("client");
	a = (struct sockaddr_un){ 0 };
	len = sizeof(a);
	CHECK(!getsockname(autob, (struct sockaddr *)&a, &len));
	CHECK_EQ(len, auto_len);
	CHECK(!memcmp(&a, &auto_name, len));
	int v = 0;
	len = sizeof(v);
	CHECK(!getsockopt(stream, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	CHECK_EQ(v, 1);
	pass();
}
