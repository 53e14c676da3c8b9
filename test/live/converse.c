/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * converse SEED: two processes that connect to each other, send, read, shut down and close, all at random, over twelve connections
 * at a time, until `go` is there. Each checks every byte that it reads, that an end comes behind as many bytes as were sent, and that no
 * connection is reset whose other side has not closed it. Makes `ready`, and at last `verdict`: how many connections and bytes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 12
#define ENDS_MS 60000

/* Of one connection, seen by both. [side]: 0 connects, 1 accepts. */
struct talk {
	_Atomic uint32_t number; /* it is the so-manieth one of all */
	_Atomic uint32_t port;   /* of who connects */
	_Atomic uint64_t sent[2];
	_Atomic bool ends[2], closed[2];
};

static struct shared {
	struct talk talk[SLOTS];
	_Atomic bool no_more, failed; /* connections; whoever fails has told why */
	_Atomic uint64_t bytes;
} *sh;

/* Our end. */
static struct { int fd; uint64_t got, sent; bool error, end, shut; } my[SLOTS];
static int side, listener;
static uint64_t seed;
static struct sockaddr_in6 where;

static _Noreturn void fail(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > 0 && !atomic_exchange(&sh->failed, true)) {
		int fd = open(".verdict", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		line[n] = '\n';
		if (fd >= 0 && write(fd, line, (size_t)n + 1) == n + 1)
			rename(".verdict", "verdict");
	}
	exit(1);
}

static uint32_t any(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % n;
}

static unsigned char byte_at(uint32_t number, int from, uint64_t i)
{
	return (unsigned char)((i + number * 2654435761u + (unsigned)from * 97) * 0x9e3779b97f4a7c15ull >> 56);
}

static void begin(int i, int fd)
{
	memset(&my[i], 0, sizeof(my[i]));
	my[i].fd = fd;
}

/* A reset is no surprise where the other side has closed: with something unread, or before we sent more. */
static void had_error(int i, const char *what)
{
	if (!sh->talk[i].closed[!side])
		fail("side %d, connection %u: %s: %s, and the other side has not closed it", side, sh->talk[i].number, what, strerror(errno));
	my[i].error = true;
}

static void connect_one(int i)
{
	static _Atomic uint32_t count;
	struct sockaddr_in6 own = { .sin6_family = AF_INET6 }, to = where;
	socklen_t len = sizeof(own);
	struct talk *t = &sh->talk[i];
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket: %s", strerror(errno));
	inet_pton(AF_INET6, i % 2 ? "::1" : "::ffff:127.0.0.1", &own.sin6_addr);
	to.sin6_addr = own.sin6_addr;
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) || getsockname(fd, (struct sockaddr *)&own, &len))
		fail("bind: %s", strerror(errno));
	t->number = ++count;
	t->sent[0] = t->sent[1] = 0;
	t->ends[0] = t->ends[1] = t->closed[0] = t->closed[1] = false;
	t->port = own.sin6_port;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		fail("connection %u: connect: %s", t->number, strerror(errno));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	begin(i, fd);
}

static bool accept_one(void)
{
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);
	int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	for (int i = 0; fd >= 0 && i < SLOTS; i++)
		if (my[i].fd < 0 && sh->talk[i].port == from.sin6_port && !sh->talk[i].closed[1]) {
			begin(i, fd);
			return true;
		}
	fail("accept: %s", fd < 0 ? strerror(errno) : "from nobody");
}

static void send_some(int i)
{
	struct talk *t = &sh->talk[i];
	unsigned char buf[8192];
	size_t want = 1 + any(any(4) ? 700 : sizeof(buf));
	ssize_t n;

	if (my[i].shut || my[i].error)
		return;
	for (size_t k = 0; k < want; k++)
		buf[k] = byte_at(t->number, side, my[i].sent + k);
	n = send(my[i].fd, buf, want, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		had_error(i, "send");
	if (n > 0)
		t->sent[side] = my[i].sent += (uint64_t)n;
}

/* False: that was all. */
static bool read_some(int i)
{
	struct talk *t = &sh->talk[i];
	unsigned char buf[8192];
	ssize_t n = recv(my[i].fd, buf, 1 + any(sizeof(buf)), 0);

	if (n < 0 && errno != EAGAIN)
		had_error(i, "recv");
	for (ssize_t k = 0; k < n; k++)
		if (buf[k] != byte_at(t->number, !side, my[i].got + (uint64_t)k))
			fail("side %d, connection %u: byte %llu is wrong", side, t->number, (unsigned long long)my[i].got + (uint64_t)k);
	if (n > 0 && my[i].end)
		fail("side %d, connection %u: %zd bytes behind the end", side, t->number, n);
	if (n > 0)
		my[i].got += (uint64_t)n;
	if (n > 0)
		sh->bytes += (uint64_t)n;
	if (n == 0 && !my[i].error && (!t->ends[!side] || my[i].got != t->sent[!side]))
		fail("side %d, connection %u, port %u: an end behind %llu of %llu bytes%s%s", side, t->number, ntohs((uint16_t)t->port),
		     (unsigned long long)my[i].got, (unsigned long long)t->sent[!side], t->ends[!side] ? "" : ", and nobody said one",
		     t->closed[!side] ? ", and the other side has closed it" : "");
	my[i].end |= n == 0;
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static void say_end(int i)
{
	sh->talk[i].ends[side] = true;
	if (!my[i].shut && shutdown(my[i].fd, SHUT_WR) && errno != ENOTCONN)
		fail("shutdown: %s", strerror(errno));
	my[i].shut = true;
}

static void close_it(int i)
{
	sh->talk[i].ends[side] = sh->talk[i].closed[side] = true;
	close(my[i].fd);
	my[i].fd = -1;
}

static void do_something(void)
{
	const int i = (int)any(SLOTS), what = (int)any(100);
	const struct talk *t = &sh->talk[i];

	if (side)
		while (accept_one())
			;
	if (my[i].fd < 0) {
		if (!side && (!t->number || (t->closed[0] && t->closed[1])))
			connect_one(i);
	} else if (what < 45) {
		send_some(i);
	} else if (what < 80) {
		read_some(i);
	} else if (what < 86) {
		say_end(i);
	} else if (what < (my[i].end || my[i].error ? 100 : 89)) {
		close_it(i);
	}
	if (!any(3))
		usleep(any(3000));
}

/* Everything that was sent comes, and then the end. */
static void finish(int i)
{
	if (my[i].fd < 0)
		return;
	for (;;) {
		struct pollfd p = { my[i].fd, POLLIN, 0 };
		int n = poll(&p, 1, ENDS_MS);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != 1)
			fail("side %d, connection %u: nothing comes behind %llu of %llu bytes", side, sh->talk[i].number,
			     (unsigned long long)my[i].got, (unsigned long long)sh->talk[i].sent[!side]);
		if (!read_some(i))
			break;
	}
}

static void converse(void)
{
	for (int i = 0; i < SLOTS; i++)
		my[i].fd = -1;
	while (access("go", F_OK) && !sh->failed)
		do_something();
	if (!side)
		sh->no_more = true;
	for (int i = 0; !sh->no_more && !sh->failed && i < ENDS_MS; i++)
		usleep(1000);
	if (side)
		while (accept_one())
			;
	for (int i = 0; i < SLOTS; i++)
		if (my[i].fd >= 0)
			say_end(i);
	for (int i = 0; i < SLOTS; i++)
		finish(i);
}

int main(int argc, char **argv)
{
	socklen_t len = sizeof(where);
	uint32_t n = 0;
	int status;

	if (argc != 2)
		return 2;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	where.sin6_family = AF_INET6;
	listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* Or what is left of its connections (TIME_WAIT) keeps its port from it. */
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (sh == MAP_FAILED || bind(listener, (struct sockaddr *)&where, sizeof(where)) || listen(listener, SLOTS) ||
	    getsockname(listener, (struct sockaddr *)&where, &len))
		return 2;
	pid_t child = fork();
	if (child < 0)
		return 2;
	side = !child;
	seed = (strtoull(argv[1], NULL, 0) + 1) * 0x9e3779b97f4a7c15ull + (unsigned)side;
	if (side) {
		converse();
		return 0;
	}
	close(listener);
	close(open("ready", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	converse();
	if (waitpid(child, &status, 0) != child || status)
		fail("the other side ends with status %x", status);
	for (int i = 0; i < SLOTS; i++)
		n = n > sh->talk[i].number ? n : sh->talk[i].number;
	fail("pass: %u connections, %llu bytes", n, (unsigned long long)sh->bytes);
}
