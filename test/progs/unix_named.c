// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names: paths, relative ones, abstract ones, the longest; files that were moved, removed, or whose directory was; mode and
 * owner; listening sockets with their backlog, accepted connections, and connections that wait to be accepted.
 */
#include <endian.h>
#include <sys/xattr.h>

#include "unix.h"

static void check_dead(const char *path)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(link_to(s, path) < 0);
	close(s);
}

struct link { int listener, client, served; };

static struct link linked(int type, const char *name, int backlog)
{
	struct link l;

	l.listener = new_listener(type, name, backlog);
	l.client = new_client(type, name);
	l.served = accept(l.listener, NULL, NULL);
	return l;
}

struct waiting { int listener, client; };

/* A connection that nobody accepted yet */
static struct waiting waiting(const char *name)
{
	struct waiting w;

	w.listener = new_listener(SOCK_STREAM, name, 1);
	w.client = new_client(SOCK_STREAM, name);
	return w;
}

static void check_waiting(struct waiting w, const char *where)
{
	check_talk(w.client, accept(w.listener, NULL, NULL), where);
}

static char cwd[PATH_MAX];

/* A path with mode and owner: a connection, and more that wait, the last one from a client that has a name, too. */
static struct { char path[108]; struct link l; int waits[3], named; } stream;

static void make_stream(void)
{
	CHECK(snprintf(stream.path, sizeof(stream.path), "%s/stream", cwd) < (int)sizeof(stream.path));
	stream.l = linked(SOCK_STREAM, stream.path, 7);
	CHECK(!chmod("stream", 0640));
	CHECK(!chown("stream", 1234, 2345));
	for (int i = 2; i >= 0; i--) /* numbers fall while places rise */
		stream.waits[i] = new_client(SOCK_STREAM, stream.path);
	stream.named = new_bound(SOCK_STREAM, "client");
	CHECK(!link_to(stream.named, stream.path));
}

static void check_stream(void)
{
	struct stat st;
	int v = 0;
	socklen_t len = sizeof(v);

	check_talk(stream.l.client, stream.l.served, "named");
	check_name(stream.l.served, stream.path, "accepted");
	check_peer_name(stream.l.client, stream.path, "client");
	check_name(stream.l.client, "", "client");
	CHECK(!stat(stream.path, &st));
	CHECK_EQ(st.st_mode, S_IFSOCK | 0640);
	CHECK_EQ(st.st_uid, 1234);
	CHECK_EQ(st.st_gid, 2345);
	CHECK(!getsockopt(stream.l.listener, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	CHECK_EQ(v, 1);
}

static void check_backlog(void)
{
	for (int i = 2; i >= 0; i--) {
		int s = accept(stream.l.listener, NULL, NULL);
		CHECK(s >= 0);
		check_talk(stream.waits[i], s, "waited");
	}
	int served = accept(stream.l.listener, NULL, NULL);
	check_talk(stream.named, served, "client with a name");
	check_peer_name(served, "client", "client with a name");
	check_name(stream.named, "client", "client with a name");
	check_dead("client");
	/* A backlog of 7 means 8 that wait, and no ninth. */
	for (int i = 0; i <= 8; i++) {
		int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), r = link_to(s, stream.path);
		CHECK_EQ(r < 0 ? errno : 0, i < 8 ? 0 : EAGAIN);
	}
}

/* The longest path that there can be. */
static struct { char path[109]; struct link l; } longest;

static void make_longest(void)
{
	memset(longest.path, 'x', 108);
	memcpy(longest.path, stream.path, strlen(stream.path));
	longest.l = linked(SOCK_SEQPACKET, longest.path, 1);
}

static void check_longest(void)
{
	check_talk(longest.l.client, longest.l.served, "seqpacket");
	check_name(longest.l.listener, longest.path, "longest");
	check_peer_name(longest.l.client, longest.path, "longest");
	new_client(SOCK_SEQPACKET, longest.path);
}

/* Abstract names: of a listener, of a closed one, of a socket that does not listen, and one that the kernel chose. */
static struct { struct link l, orphan; int lone, chosen; struct sockaddr_un name; socklen_t len; } abstract;

static void make_abstract(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	abstract.l = linked(SOCK_STREAM, "@cr-utils test name", 3);
	abstract.orphan = linked(SOCK_STREAM, "@cr-utils closed", 3);
	close(abstract.orphan.listener);
	abstract.lone = new_bound(SOCK_STREAM, "@cr-utils lone");
	abstract.chosen = socket(AF_UNIX, SOCK_STREAM, 0);
	abstract.len = sizeof(abstract.name);
	CHECK(!bind(abstract.chosen, (struct sockaddr *)&a, sizeof(sa_family_t)));
	CHECK(!getsockname(abstract.chosen, (struct sockaddr *)&abstract.name, &abstract.len));
}

static void check_abstract(void)
{
	struct sockaddr_un a = { 0 };
	socklen_t len = sizeof(a);

	check_talk(abstract.l.client, abstract.l.served, "abstract");
	check_peer_name(abstract.l.client, "@cr-utils test name", "abstract");
	check_reach(abstract.l.listener, "@cr-utils test name", "abstract");
	check_talk(abstract.orphan.client, abstract.orphan.served, "listener closed");
	check_name(abstract.orphan.served, "@cr-utils closed", "listener closed");
	close(new_bound(SOCK_STREAM, "@cr-utils closed")); /* the name is free */
	check_name(abstract.lone, "@cr-utils lone", "not listening");
	CHECK(!getsockname(abstract.chosen, (struct sockaddr *)&a, &len));
	CHECK_EQ(len, abstract.len);
	CHECK(!memcmp(&a, &abstract.name, len));
}

/* Paths from the directory of the moment. */
static struct { int down, up; } relative;

static void make_relative(void)
{
	CHECK(!mkdir("dir", 0755) && !mkdir("dir/sub", 0755));
	relative.down = new_listener(SOCK_STREAM, "dir/rel", 1);
	CHECK(!chdir("dir/sub"));
	relative.up = new_listener(SOCK_STREAM, "../up", 1);
	CHECK(!chdir(cwd));
}

static void check_relative(void)
{
	check_name(relative.down, "dir/rel", "relative");
	check_reach(relative.down, "dir/rel", "relative");
	check_name(relative.up, "../up", "relative");
	check_reach(relative.up, "dir/up", "relative");
}

/* Files that are not where they were: moved, removed, gone with the directory; the place of one is another one's now. */
static struct { struct waiting moved, deleted, old; int doomed, new; } gone;

static void make_gone(void)
{
	CHECK(!mkdir("away", 0755) && !mkdir("doomed", 0755));
	gone.moved = waiting("before");
	CHECK(!rename("before", "away/after"));
	gone.deleted = waiting("deleted");
	CHECK(!unlink("deleted"));
	gone.doomed = new_listener(SOCK_STREAM, "doomed/sock", 1);
	CHECK(!unlink("doomed/sock") && !rmdir("doomed"));
	gone.old = waiting("twice");
	CHECK(!unlink("twice"));
	gone.new = new_listener(SOCK_STREAM, "twice", 1);
}

static void check_gone(void)
{
	struct stat st;

	check_name(gone.moved.listener, "before", "moved");
	CHECK(stat("before", &st) < 0);
	check_waiting(gone.moved, "moved");
	check_reach(gone.moved.listener, "away/after", "moved");
	check_name(gone.deleted.listener, "deleted", "deleted");
	CHECK(stat("deleted", &st) < 0);
	check_waiting(gone.deleted, "deleted");
	check_name(gone.doomed, "doomed/sock", "deleted directory");
	CHECK(stat("doomed", &st) < 0);
	check_waiting(gone.old, "replaced");
	check_name(gone.old.listener, "twice", "replaced");
	check_reach(gone.new, "twice", "in its place");
}

/*
 * Access control lists: of files with one (bound by an absolute name and by a relative one), and of one without in a directory that gives
 * one to all that is made there. The group bits of the mode are the mask of such a list: without it they would let the group in.
 */
static struct { char path[108], bare[108], value[64]; bool has; int listener, relative, without; struct stat st, st2; } acl;

static const struct { uint16_t tag, perm; uint32_t id; } user_4321[] = { /* linux/posix_acl_xattr.h */
	{ 1, 6, UINT32_MAX }, { 2, 6, 4321 }, { 4, 0, UINT32_MAX }, { 16, 6, UINT32_MAX }, { 32, 0, UINT32_MAX },
};
#define ACL "system.posix_acl_access"
#define ACL_SIZE (4 + sizeof(user_4321))

static void make_acl(void)
{
	const struct timespec times[] = { { 1000, 0 }, { 2000, 123456789 } };
	const uint32_t version = htole32(2);

	CHECK(!mkdir("lists", 0755));
	CHECK(snprintf(acl.path, sizeof(acl.path), "%s/lists/acl", cwd) < (int)sizeof(acl.path));
	CHECK(snprintf(acl.bare, sizeof(acl.bare), "%s/lists/bare", cwd) < (int)sizeof(acl.bare));
	memcpy(acl.value, &version, 4);
	memcpy(acl.value + 4, user_4321, sizeof(user_4321));
	acl.listener = new_listener(SOCK_STREAM, acl.path, 1);
	acl.relative = new_listener(SOCK_STREAM, "lists/relative", 1);
	acl.without = new_listener(SOCK_STREAM, acl.bare, 1);
	CHECK(!chmod(acl.path, 0600) && !chmod("lists/relative", 0600) && !chmod(acl.bare, 0660));
	acl.has = !setxattr(acl.path, ACL, acl.value, ACL_SIZE, 0);
	CHECK(acl.has || errno == EOPNOTSUPP);
	if (acl.has) {
		CHECK(!setxattr("lists/relative", ACL, acl.value, ACL_SIZE, 0));
		CHECK(!setxattr("lists", "system.posix_acl_default", acl.value, ACL_SIZE, 0));
		CHECK(!setxattr(acl.path, "trusted.word", "here", 4, 0) || errno == EPERM || errno == EOPNOTSUPP);
	}
	CHECK(!utimensat(AT_FDCWD, acl.path, times, 0));
	CHECK(!stat(acl.path, &acl.st) && !stat("lists/relative", &acl.st2));
}

static void check_acl(void)
{
	char value[64];
	struct stat st;

	CHECK(!stat(acl.path, &st));
	CHECK_EQ(st.st_mode, acl.st.st_mode);
	CHECK_EQ(st.st_mtim.tv_sec, 2000);
	CHECK_EQ(st.st_mtim.tv_nsec, acl.st.st_mtim.tv_nsec);
	CHECK(!stat("lists/relative", &st));
	CHECK_EQ(st.st_mode, acl.st2.st_mode);
	CHECK_EQ(st.st_mtim.tv_sec, acl.st2.st_mtim.tv_sec);
	CHECK(!stat(acl.bare, &st));
	CHECK_EQ(st.st_mode & 07777, 0660);
	if (acl.has) {
		CHECK_EQ(getxattr(acl.path, ACL, value, sizeof(value)), (long)ACL_SIZE);
		CHECK(!memcmp(value, acl.value, ACL_SIZE));
		CHECK_EQ(getxattr("lists/relative", ACL, value, sizeof(value)), (long)ACL_SIZE);
		CHECK(!memcmp(value, acl.value, ACL_SIZE));
		CHECK(getxattr(acl.bare, ACL, value, sizeof(value)) < 0 && errno == ENODATA);
		CHECK(getxattr(acl.path, "trusted.word", value, sizeof(value)) == 4 || geteuid() != 0);
	}
	check_reach(acl.listener, acl.path, "with a list");
	check_reach(acl.relative, "lists/relative", "with a list, relative");
}

int main(void)
{
	CHECK(getcwd(cwd, sizeof(cwd)));
	make_stream();
	make_longest();
	make_abstract();
	make_relative();
	make_gone();
	make_acl();

	test_ready();

	check_stream();
	check_backlog();
	check_longest();
	check_abstract();
	check_relative();
	check_gone();
	check_acl();
	pass();
}
