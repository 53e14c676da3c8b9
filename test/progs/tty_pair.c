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

static char big[40000];

static size_t fill(int fd)
{
	size_t done = 0;

	for (ssize_t n; done < sizeof(big) && (n = write(fd, big + done, 500)) > 0;)
		done += (size_t)n;
	return done;
}

static void is_drained(int fd, size_t want, const char *way)
{
	static char got[sizeof(big)];
	size_t done = 0;

	while (done < want && events(fd) & POLLIN) {
		ssize_t n = read(fd, got + done, sizeof(got) - done);
		CHECK(n > 0);
		done += (size_t)n;
	}
	if (done != want || memcmp(got, big, want))
		fail("%s: %zu bytes of %zu, or other ones", way, done, want);
}

/* Settings, size, owner, modes, and several openings with flags of their own. */
static struct {
	struct pty p;
	int again, ro, dup_m;
	struct termios t;
} set;
static const struct winsize size = { 24, 81, 3, 4 };

static void make_set(void)
{
	struct termios t, lock = { .c_lflag = ECHO };
	int on = 1;

	set.p = pty(O_RDWR);
	set.again = ioctl(set.p.m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK);
	set.ro = ioctl(set.p.m, TIOCGPTPEER, O_RDONLY | O_NOCTTY);
	set.dup_m = dup(set.p.m);
	CHECK(set.again >= 0 && set.ro >= 0 && set.dup_m >= 0);
	CHECK(!tcgetattr(set.p.s, &t));
	t.c_iflag = IXON | IUTF8;
	t.c_oflag = OPOST | ONLCR | TAB3;
	t.c_lflag = ICANON | ISIG | ECHOCTL | IEXTEN;
	t.c_cc[VINTR] = 'i';
	t.c_cc[VEOL2] = '!';
	cfsetspeed(&t, B9600);
	CHECK(!tcsetattr(set.p.s, TCSANOW, &t));
	CHECK(!tcgetattr(set.p.s, &set.t));
	CHECK(!ioctl(set.p.m, TIOCSLCKTRMIOS, &lock));
	CHECK(!ioctl(set.p.m, TIOCSWINSZ, &size));
	CHECK(!fchown(set.p.s, 4711, 5) && !fchmod(set.p.s, 0640));
	CHECK(!ioctl(set.p.m, TIOCPKT, &on));
	CHECK(!ioctl(set.p.s, TIOCEXCL));
	CHECK(!fcntl(set.p.m, F_SETFL, O_RDWR | O_NONBLOCK));
}

static void check_number_and_owner(void)
{
	char link[64], path[64];
	struct stat st;
	int v;

	CHECK(!ioctl(set.p.m, TIOCGPTN, &v));
	CHECK_EQ(v, set.p.n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", set.p.s);
	CHECK(readlink(path, link, sizeof(link) - 1) > 0);
	snprintf(path, sizeof(path), "/dev/pts/%d", set.p.n);
	CHECK(!strncmp(link, path, strlen(path)));
	CHECK(!fstat(set.p.s, &st));
	CHECK_EQ(minor(st.st_rdev), set.p.n);
	CHECK_EQ(st.st_uid, 4711);
	CHECK_EQ(st.st_gid, 5);
	CHECK_EQ(st.st_mode & 07777, 0640);
}

static void check_settings(void)
{
	struct termios t;
	struct winsize ws;
	int v;

	CHECK(!tcgetattr(set.p.s, &t));
	CHECK(!memcmp(&t, &set.t, sizeof(t)));
	CHECK(!ioctl(set.p.m, TIOCGLCKTRMIOS, &t));
	CHECK_EQ(t.c_lflag, ECHO);
	CHECK(!ioctl(set.again, TIOCGWINSZ, &ws));
	CHECK(!memcmp(&ws, &size, sizeof(ws)));
	CHECK(!ioctl(set.p.m, TIOCGPKT, &v) && v);
	CHECK(!ioctl(set.p.s, TIOCGEXCL, &v) && v);
	CHECK(!ioctl(set.p.m, TIOCGEXCL, &v) && !v);
}

static void check_openings(void)
{
	char got[10];

	CHECK_EQ(fcntl(set.p.m, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK);
	CHECK_EQ(fcntl(set.dup_m, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(fcntl(set.p.s, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
	CHECK_EQ(fcntl(set.again, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK);
	CHECK_EQ(fcntl(set.ro, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
	CHECK_EQ(events(set.p.m), 0);
	CHECK_EQ(write(set.p.s, "x\n", 2), 2);
	CHECK_EQ(read(set.dup_m, got, 10), 4); /* a zero for data, x, and the newline as two */
	CHECK(!memcmp(got, "\0x\r\n", 4));
}

/* Locked, no slave ever. */
static struct pty locked;

static void make_locked(void)
{
	int on = 1;

	locked = pty(-1);
	CHECK(!ioctl(locked.m, TIOCSPTLCK, &on));
}

static void check_locked(void)
{
	int v;

	CHECK(!ioctl(locked.m, TIOCGPTLCK, &v) && v);
	CHECK(ioctl(locked.m, TIOCGPTPEER, O_RDWR | O_NOCTTY) < 0 && errno == EIO);
	CHECK_EQ(events(locked.m), 0);
}

/* The slave is closed, and left data. */
static struct pty closed;

static void make_closed(void)
{
	closed = pty(O_RDWR);
	raw(closed.s);
	CHECK_EQ(write(closed.s, "bye", 3), 3);
	close(closed.s);
}

static void check_closed(void)
{
	char got;

	CHECK_EQ(events(closed.m) & POLLHUP, POLLHUP);
	is_read(closed.m, "bye");
	CHECK(read(closed.m, &got, 1) < 0 && errno == EIO);
}

/* Lines: complete ones, one ended by EOF, an empty one, a literal character, one without its end. */
static struct pty lines;

static void make_lines(void)
{
	lines = pty(O_RDWR);
	CHECK_EQ(write(lines.m, "one\ntwo\nth\x16\x04z\n\x04" "ee\x04par", 21), 21);
}

static void check_lines(void)
{
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
}

/* Raw, both ways, larger than the line discipline's queue. */
static struct { struct pty p; size_t out, in; } full;

static void make_full(void)
{
	full.p = pty(O_RDWR | O_NONBLOCK);
	raw(full.p.s);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 999);
	CHECK(!fcntl(full.p.m, F_SETFL, O_RDWR | O_NONBLOCK));
	full.out = fill(full.p.s);
	full.in = fill(full.p.m);
	CHECK(full.out > 8000 && full.in > 8000);
	CHECK(!fcntl(full.p.m, F_SETFL, O_RDWR));
}

static void check_full(void)
{
	is_drained(full.p.s, full.in, "to the slave");
	is_drained(full.p.m, full.out, "to the master");
	CHECK_EQ(queued(full.p.m), 0);
}

/* Few bytes in raw mode, less than VMIN. */
static struct pty few;

static void make_few(void)
{
	few = pty(O_RDWR);
	raw(few.s);
	CHECK_EQ(write(few.m, "\x03\x04\0q", 4), 4);
}

static void check_few(void)
{
	char got[100];

	CHECK_EQ(events(few.s), 0); /* as many as VMIN wants are not there */
	CHECK_EQ(queued(few.s), 4);
	CHECK_EQ(write(few.m, "abc", 3), 3);
	CHECK_EQ(read(few.s, got, 100), 7);
	CHECK(!memcmp(got, "\x03\x04\0qabc", 7));
}

/* Output that a call stopped, and that the STOP character did. */
static struct pty stop, xoff;

static void make_stopped(void)
{
	stop = pty(O_RDWR | O_NONBLOCK);
	xoff = pty(O_RDWR | O_NONBLOCK);
	CHECK(!tcflow(stop.s, TCOOFF));
	CHECK_EQ(write(xoff.m, "\x13", 1), 1);
}

static void check_stopped(void)
{
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
}

/* The master is closed. */
static struct pty hung;

static void make_hung(void)
{
	hung = pty(O_RDWR);
	close(hung.m);
}

static void check_hung(void)
{
	struct stat st;
	char got;

	CHECK_EQ(read(hung.s, &got, 1), 0);
	CHECK(write(hung.s, "x", 1) < 0 && errno == EIO);
	CHECK(!fstat(hung.s, &st));
	CHECK_EQ(minor(st.st_rdev), hung.n);
}

/* Processed outside; closed by exec, and not, though the status flags say so. */
static struct { struct pty p; int cloexec, kept, cloexec_flags, plain_flags; } ext;

static void make_ext(void)
{
	struct termios t;

	ext.p = pty(O_RDWR);
	CHECK(!tcgetattr(ext.p.s, &t));
	t.c_lflag |= EXTPROC;
	CHECK(!tcsetattr(ext.p.s, TCSANOW, &t));
	CHECK_EQ(write(ext.p.m, "half", 4), 4);
	ext.cloexec = ioctl(ext.p.m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ext.kept = dup(ext.cloexec);
	CHECK(ext.cloexec >= 0 && ext.kept >= 0);
	ext.cloexec_flags = fcntl(ext.kept, F_GETFL);
	ext.plain_flags = fcntl(ext.p.s, F_GETFL);
}

static void check_ext(void)
{
	struct termios t;

	CHECK_EQ(fcntl(ext.cloexec, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(ext.kept, F_GETFD), 0);
	CHECK_EQ(fcntl(ext.p.s, F_GETFD), 0);
	CHECK_EQ(fcntl(ext.kept, F_GETFL), ext.cloexec_flags);
	CHECK_EQ(fcntl(ext.p.s, F_GETFL), ext.plain_flags);
	CHECK(!tcgetattr(ext.p.s, &t) && t.c_lflag & EXTPROC);
	is_read(ext.p.s, "half");
}

int main(void)
{
	struct pty gap = pty(O_RDWR); /* a free number below the others */

	make_set();
	make_locked();
	make_closed();
	make_lines();
	make_full();
	make_few();
	make_stopped();
	make_hung();
	make_ext();
	close(gap.s);
	close(gap.m);

	test_ready();

	check_number_and_owner();
	check_settings();
	check_openings();
	check_locked();
	check_closed();
	check_lines();
	check_full();
	check_few();
	check_stopped();
	check_hung();
	check_ext();
	pass();
}
