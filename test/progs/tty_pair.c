// SPDX-License-Identifier: GPL-2.0-or-later
/* Ptys with both ends here: numbers, settings, sizes, modes, descriptions, what waits in both directions, hung up ends. */
/* test: timeout=60 */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "test.h"

static int queued(int fd)
{
	int n = -1;

	CHECK(!ioctl(fd, FIONREAD, &n));
	return n;
}

static short events(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI };

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents;
}

struct pty { int m, s, n; };

static struct pty pty(int slave_flags)
{
	struct pty p = { .m = open("/dev/ptmx", O_RDWR | O_NOCTTY) };
	int zero = 0;

	if (p.m < 0)
		TEST_SKIP("no ptys here: %s", strerror(errno));
	CHECK(!ioctl(p.m, TIOCSPTLCK, &zero));
	CHECK(!ioctl(p.m, TIOCGPTN, &p.n));
	p.s = slave_flags < 0 ? -1 : ioctl(p.m, TIOCGPTPEER, slave_flags | O_NOCTTY);
	CHECK(slave_flags < 0 || p.s >= 0);
	return p;
}

static void raw(int fd)
{
	struct termios t;

	CHECK(!tcgetattr(fd, &t));
	cfmakeraw(&t);
	t.c_cc[VMIN] = 7;
	CHECK(!tcsetattr(fd, TCSANOW, &t));
}

static void is_read(int fd, const char *want)
{
	char buf[256];

	CHECK_EQ(events(fd) & POLLIN, POLLIN);
	CHECK_EQ(read(fd, buf, sizeof(buf)), (ssize_t)strlen(want));
	CHECK(!memcmp(buf, want, strlen(want)));
}

int main(void)
{
	static char big[40000], got[40000];
	struct termios t, t2, want;
	struct winsize ws = { 24, 81, 3, 4 }, ws2;
	struct stat st;
	char link[64], path[64];
	int v;

	struct pty gap = pty(O_RDWR); /* a free number below the others */
	/* settings, size, modes, several openings */
	struct pty a = pty(O_RDWR);
	int again = ioctl(a.m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK), ro = ioctl(a.m, TIOCGPTPEER, O_RDONLY | O_NOCTTY);
	int dup_m = dup(a.m);
	CHECK(again >= 0 && ro >= 0 && dup_m >= 0);
	CHECK(!tcgetattr(a.s, &t));
	t.c_iflag = IXON | IUTF8;
	t.c_oflag = OPOST | ONLCR | TAB3;
	t.c_lflag = ICANON | ISIG | ECHOCTL | IEXTEN;
	t.c_cc[VINTR] = 'i';
	t.c_cc[VEOL2] = '!';
	cfsetspeed(&t, B9600);
	CHECK(!tcsetattr(a.s, TCSANOW, &t));
	CHECK(!tcgetattr(a.s, &want));
	memset(&t2, 0, sizeof(t2));
	t2.c_lflag = ECHO;
	CHECK(!ioctl(a.m, TIOCSLCKTRMIOS, &t2));
	CHECK(!ioctl(a.m, TIOCSWINSZ, &ws));
	CHECK(!fchown(a.s, 4711, 5) && !fchmod(a.s, 0640));
	v = 1;
	CHECK(!ioctl(a.m, TIOCPKT, &v));
	CHECK(!ioctl(a.s, TIOCEXCL));
	CHECK(!fcntl(a.m, F_SETFL, O_RDWR | O_NONBLOCK));
	/* locked, no slave ever; closed slave with data left */
	struct pty locked = pty(-1), closed = pty(O_RDWR);
	v = 1;
	CHECK(!ioctl(locked.m, TIOCSPTLCK, &v));
	raw(closed.s);
	CHECK_EQ(write(closed.s, "bye", 3), 3);
	close(closed.s);
	/* lines: complete ones, one ended by EOF, an empty one, a literal character, one without its end */
	struct pty lines = pty(O_RDWR);
	CHECK_EQ(write(lines.m, "one\ntwo\nth\x16\x04z\n\x04" "ee\x04par", 21), 21);
	/* raw, both ways, larger than the line discipline's queue */
	struct pty full = pty(O_RDWR | O_NONBLOCK);
	raw(full.s);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 999);
	CHECK(!fcntl(full.m, F_SETFL, O_RDWR | O_NONBLOCK));
	size_t out = 0, in = 0;
	for (ssize_t n; out < sizeof(big) && (n = write(full.s, big + out, 500)) > 0;)
		out += (size_t)n;
	for (ssize_t n; in < sizeof(big) && (n = write(full.m, big + in, 500)) > 0;)
		in += (size_t)n;
	CHECK(out > 8000 && in > 8000);
	CHECK(!fcntl(full.m, F_SETFL, O_RDWR));
	/* few bytes in raw mode, less than VMIN */
	struct pty few = pty(O_RDWR);
	raw(few.s);
	CHECK_EQ(write(few.m, "\x03\x04\0q", 4), 4);
	/* stopped output */
	struct pty stop = pty(O_RDWR | O_NONBLOCK), xoff = pty(O_RDWR | O_NONBLOCK);
	CHECK(!tcflow(stop.s, TCOOFF));
	CHECK_EQ(write(xoff.m, "\x13", 1), 1);
	/* hung up */
	struct pty hung = pty(O_RDWR);
	close(hung.m);
	/* extproc */
	struct pty ext = pty(O_RDWR);
	CHECK(!tcgetattr(ext.s, &t));
	t.c_lflag |= EXTPROC;
	CHECK(!tcsetattr(ext.s, TCSANOW, &t));
	CHECK_EQ(write(ext.m, "half", 4), 4);
	/* closed by exec, and not, though the status flags say so */
	int cloexec = ioctl(ext.m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC), kept = dup(cloexec);
	CHECK(cloexec >= 0 && kept >= 0);
	int cloexec_flags = fcntl(kept, F_GETFL), plain_flags = fcntl(ext.s, F_GETFL);
	close(gap.s);
	close(gap.m);

	test_ready();

	CHECK(!ioctl(a.m, TIOCGPTN, &v));
	CHECK_EQ(v, a.n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", a.s);
	CHECK(readlink(path, link, sizeof(link) - 1) > 0);
	snprintf(path, sizeof(path), "/dev/pts/%d", a.n);
	CHECK(!strncmp(link, path, strlen(path)));
	CHECK(!fstat(a.s, &st));
	CHECK_EQ(minor(st.st_rdev), a.n);
	CHECK_EQ(st.st_uid, 4711);
	CHECK_EQ(st.st_gid, 5);
	CHECK_EQ(st.st_mode & 07777, 0640);
	CHECK(!tcgetattr(a.s, &t));
	CHECK(!memcmp(&t, &want, sizeof(t)));
	CHECK(!ioctl(a.m, TIOCGLCKTRMIOS, &t2));
	CHECK_EQ(t2.c_lflag, ECHO);
	CHECK(!ioctl(again, TIOCGWINSZ, &ws2));
	CHECK(!memcmp(&ws, &ws2, sizeof(ws)));
	CHECK(!ioctl(a.m, TIOCGPKT, &v) && v);
	CHECK(!ioctl(a.s, TIOCGEXCL, &v) && v);
	CHECK(!ioctl(a.m, TIOCGEXCL, &v) && !v);
	CHECK_EQ(fcntl(a.m, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK);
	CHECK_EQ(fcntl(dup_m, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(fcntl(a.s, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
	CHECK_EQ(fcntl(again, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK);
	CHECK_EQ(fcntl(ro, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
	CHECK_EQ(events(a.m), 0);
	CHECK_EQ(write(a.s, "x\n", 2), 2);
	CHECK_EQ(read(dup_m, got, 10), 4); /* a zero for data, x, and the newline as two */
	CHECK(!memcmp(got, "\0x\r\n", 4));

	CHECK(!ioctl(locked.m, TIOCGPTLCK, &v) && v);
	CHECK(ioctl(locked.m, TIOCGPTPEER, O_RDWR | O_NOCTTY) < 0 && errno == EIO);
	CHECK_EQ(events(locked.m), 0);
	CHECK_EQ(events(closed.m) & POLLHUP, POLLHUP);
	is_read(closed.m, "bye");
	CHECK(read(closed.m, got, 1) < 0 && errno == EIO);

	is_read(lines.s, "one\n");
	is_read(lines.s, "two\n");
	is_read(lines.s, "th\x04z\n");
	is_read(lines.s, "");
	is_read(lines.s, "ee");
	CHECK_EQ(events(lines.s), 0);
	CHECK_EQ(write(lines.m, "\x7ft\n", 3), 3);
	while (!(events(lines.s) & POLLIN))
		usleep(1000);
	is_read(lines.s, "pat\n");

	size_t n = 0;
	while (n < in && events(full.s) & POLLIN) {
		ssize_t k = read(full.s, got + n, sizeof(got) - n);
		CHECK(k > 0);
		n += (size_t)k;
	}
	CHECK_EQ(n, in);
	CHECK(!memcmp(got, big, in));
	for (n = 0; n < out && events(full.m) & POLLIN;) {
		ssize_t k = read(full.m, got + n, sizeof(got) - n);
		CHECK(k > 0);
		n += (size_t)k;
	}
	CHECK_EQ(n, out);
	CHECK(!memcmp(got, big, out));
	CHECK_EQ(queued(full.m), 0);

	CHECK_EQ(events(few.s), 0); /* as many as VMIN wants are not there */
	CHECK_EQ(queued(few.s), 4);
	CHECK_EQ(write(few.m, "abc", 3), 3);
	CHECK_EQ(read(few.s, got, 100), 7);
	CHECK(!memcmp(got, "\x03\x04\0qabc", 7));

	CHECK(write(stop.s, "x", 1) < 0 && errno == EAGAIN);
	CHECK_EQ(write(stop.m, "\x11", 1), 1);
	usleep(20000);
	CHECK(write(stop.s, "x", 1) < 0 && errno == EAGAIN); /* the START character does not start it */
	CHECK(!tcflow(stop.s, TCOON));
	CHECK_EQ(write(stop.s, "x", 1), 1);
	CHECK(write(xoff.s, "x", 1) < 0 && errno == EAGAIN);
	CHECK_EQ(write(xoff.m, "\x11", 1), 1);
	usleep(20000);
	CHECK_EQ(write(xoff.s, "x", 1), 1);

	CHECK_EQ(read(hung.s, got, 1), 0);
	CHECK(write(hung.s, "x", 1) < 0 && errno == EIO);
	CHECK(!fstat(hung.s, &st));
	CHECK_EQ(minor(st.st_rdev), hung.n);

	CHECK_EQ(fcntl(cloexec, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(kept, F_GETFD), 0);
	CHECK_EQ(fcntl(ext.s, F_GETFD), 0);
	CHECK_EQ(fcntl(kept, F_GETFL), cloexec_flags);
	CHECK_EQ(fcntl(ext.s, F_GETFL), plain_flags);
	CHECK(!tcgetattr(ext.s, &t) && t.c_lflag & EXTPROC);
	is_read(ext.s, "half");
	pass();
}
