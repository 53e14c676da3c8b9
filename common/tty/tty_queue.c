// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What waits in a pty. There is no call that looks without taking, so all is read and put back by TIOCSTI, which enters a
 * byte into a line discipline as if the other side had sent it; what was still on its way there is sent again. Relied upon
 * (drivers/tty/n_tty.c, pty.c, tty_io.c, 6.18): poll waits for what is on its way; a master's line discipline has raw
 * settings for ever, settings given to a master are the slave's; a process without a controlling terminal is never stopped.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/apart.h"
#include "common/tty/tty.h"

/* Result of the process that does it, in memory shared with us. */
struct kept {
	int errnum;
	const char *what; /* a literal: the same address in both */
	uint32_t stopped;
	struct kept_end {
		uint32_t n, nrecords, first; /* bytes; first: how many of them the line discipline held */
		uint32_t records[TTY_QUEUE_MAX];
		unsigned char bytes[TTY_QUEUE_MAX];
	} end[2];
};

struct pty {
	int master, slave; /* slave -1: none is open */
	struct termios2 was;
	struct kept *kept;
};

static int failed(struct pty *p, const char *what)
{
	if (!p->kept->errnum) {
		p->kept->errnum = errno ? errno : EIO;
		p->kept->what = what;
	}
	return -1;
}

static bool polled(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) == 1 && (p.revents & events);
}

static int settings(struct pty *p, const struct termios2 *t)
{
	return ioctl(p->master, TCSETS2, t) ? failed(p, "cannot change the settings of") : 0;
}

struct termios2 tty_literal(const struct termios2 *t)
{
	struct termios2 w = *t;

	w.c_oflag = 0;
	w.c_iflag = t->c_iflag & IXON; /* taking it away would start an output that was stopped */
	w.c_lflag = t->c_lflag & (ICANON | EXTPROC | IEXTEN);
	memset(w.c_cc, 0, sizeof(w.c_cc)); /* no character means anything */
	w.c_cc[VMIN] = 1;
	w.c_cc[VEOL] = t->c_cc[VEOL];
	w.c_cc[VEOL2] = t->c_cc[VEOL2];
	return w;
}

static bool canonical(const struct termios2 *t)
{
	return t->c_lflag & ICANON && !(t->c_lflag & EXTPROC);
}

/* ---- reading ---- */

static int read_some(struct pty *p, int fd, struct kept_end *k, size_t *got)
{
	ssize_t n = read(fd, k->bytes + k->n, TTY_QUEUE_MAX - k->n);

	*got = 0;
	if (n < 0)
		return failed(p, "cannot read what waits in");
	k->n += (uint32_t)n;
	*got = (size_t)n;
	return 0;
}

static int read_all(struct pty *p, int fd, struct kept_end *k)
{
	size_t n;

	while (k->n < TTY_QUEUE_MAX && polled(fd, POLLIN))
		if (read_some(p, fd, k, &n) || !n)
			return -1;
	return 0;
}

static bool ends_line(const struct termios2 *t, unsigned char c)
{
	return c == '\n' || (c && c == t->c_cc[VEOL]) || (c && t->c_lflag & IEXTEN && c == t->c_cc[VEOL2]);
}

/* Each read gives one line; one without its end was ended by the EOF character, which is not given. */
static int read_lines(struct pty *p, struct kept_end *k)
{
	struct termios2 w = tty_literal(&p->was);
	size_t n;

	while (k->n < TTY_QUEUE_MAX && k->nrecords < TTY_QUEUE_MAX - 1 && polled(p->slave, POLLIN)) {
		if (read_some(p, p->slave, k, &n))
			return -1;
		bool ended = n && ends_line(&p->was, k->bytes[k->n - 1]);
		k->records[k->nrecords++] = (uint32_t)n << 2 | (ended ? TTY_LINE_ENDED : TTY_LINE_EOF);
	}
	/* What stands before the cursor, a line that has no end yet, can be seen only out of canonical mode. */
	size_t before = k->n;
	w.c_lflag &= ~(tcflag_t)ICANON;
	if (settings(p, &w) || read_all(p, p->slave, k))
		return -1;
	if (k->n > before)
		k->records[k->nrecords++] = (uint32_t)(k->n - before) << 2 | TTY_LINE_OPEN;
	w.c_lflag |= ICANON;
	return settings(p, &w);
}

/* ---- putting back ---- */

static int enter(struct pty *p, int fd, unsigned char c)
{
	return ioctl(fd, TIOCSTI, &c) ? failed(p, "cannot put a byte back into") : 0;
}

/*
 * How much to write at once. What is on its way lies in buffers (drivers/tty/tty_buffer.c), which are given as long as
 * 8 KiB are not exceeded: small ones first and the largest at the end take in more than any writer could have left there.
 */
size_t tty_send_size(size_t left)
{
	return left > 3584 ? 256 : left;
}

/* The rest was on its way: from the other side, into an empty channel that held it before. */
static int send_all(struct pty *p, int fd, const unsigned char *bytes, size_t n)
{
	int flags = fcntl(fd, F_GETFL), ret = 0;

	if (!n)
		return 0;
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (n && !ret) {
		ssize_t done = write(fd, bytes, tty_send_size(n));
		if (done < 0 && errno == EAGAIN)
			done = write(fd, bytes, n < 256 ? n : 256); /* free ones of the smallest size know no limit */
		if (done <= 0) {
			ret = failed(p, "cannot send back all that was in");
			break;
		}
		bytes += done;
		n -= (size_t)done;
	}
	fcntl(fd, F_SETFL, flags);
	return ret;
}

/*
 * The last buffer of an empty channel stays, and may be a large one that has no room left. Bytes that nobody sees push it
 * out; a small one takes its place.
 */
static int wash(struct pty *p, int to, int from)
{
	static const unsigned char nothing[256];
	unsigned char buf[4096];

	for (int i = 0; i < 16; i++) {
		if (send_all(p, to, nothing, sizeof(nothing)))
			return -1;
		while (polled(from, POLLIN))
			if (read(from, buf, sizeof(buf)) <= 0)
				return failed(p, "cannot read what was just written to");
	}
	return 0;
}

/* What goes from `to` to `from` and does not fit into the line discipline of that end. */
static int wash_for(struct pty *p, const struct kept_end *k, int to, int from)
{
	struct termios2 w = tty_literal(&p->was);
	int ret;

	if (k->n <= TTY_LINE_MAX)
		return 0;
	w.c_lflag &= ~(tcflag_t)ICANON;
	ret = settings(p, &w) || wash(p, to, from);
	w = tty_literal(&p->was);
	return settings(p, &w) || ret ? -1 : 0;
}

static int enter_eof(struct pty *p)
{
	struct termios2 w = tty_literal(&p->was);

	w.c_cc[VEOF] = 4;
	if (settings(p, &w) || enter(p, p->slave, 4))
		return -1;
	w.c_cc[VEOF] = 0;
	return settings(p, &w);
}

/* The first bytes, as many as the line discipline takes; k->first says how many that were. */
static int put_lines(struct pty *p, struct kept_end *k)
{
	uint32_t at = 0, used = 0, i;

	for (i = 0; i < k->nrecords; i++) {
		uint32_t len = k->records[i] >> 2, mark = (k->records[i] & 3) == TTY_LINE_EOF;
		for (; len && used < TTY_LINE_MAX; len--, used++)
			if (enter(p, p->slave, k->bytes[at++]))
				return -1;
		if (len || used >= TTY_LINE_MAX)
			break;
		if (mark && enter_eof(p))
			return -1;
		used += mark;
	}
	k->first = at;
	return 0;
}

static int put_bytes(struct pty *p, int fd, struct kept_end *k)
{
	for (k->first = 0; k->first < k->n && k->first < TTY_LINE_MAX; k->first++)
		if (enter(p, fd, k->bytes[k->first]))
			return -1;
	return 0;
}

static int put_back(struct pty *p)
{
	struct kept_end *s = &p->kept->end[0], *m = &p->kept->end[1];
	int slave = p->slave, ret;

	if (m->n > TTY_LINE_MAX && slave < 0) {
		/* The last one who wrote has closed its end. Ours is closed too, then all is as before. */
		slave = ioctl(p->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (slave < 0)
			return failed(p, "cannot open the other end of");
	}
	ret = wash_for(p, m, slave, p->master);
	if (!ret)
		ret = wash_for(p, s, p->master, slave);
	if (!ret)
		ret = canonical(&p->was) ? put_lines(p, s) : put_bytes(p, p->slave, s);
	if (!ret)
		ret = put_bytes(p, p->master, m);
	if (!ret)
		ret = send_all(p, p->master, s->bytes + s->first, s->n - s->first);
	if (!ret)
		ret = send_all(p, slave, m->bytes + m->first, m->n - m->first);
	if (slave != p->slave)
		close(slave);
	return ret;
}

/* ---- both ---- */

/* Output of the slave waits although there is room: it was stopped. By whom is seen from what starts it. */
static int look_stopped(struct pty *p)
{
	struct termios2 w = tty_literal(&p->was);

	if (p->slave < 0 || polled(p->slave, POLLOUT))
		return 0;
	if (ioctl(p->slave, TCXONC, TCOON))
		return failed(p, "cannot start the output of");
	if (polled(p->slave, POLLOUT)) {
		p->kept->stopped = TTY_STOPPED_CALL;
		return 0;
	}
	w.c_iflag |= IXON;
	w.c_cc[VSTART] = 'Q' & 31;
	if (settings(p, &w) || enter(p, p->slave, 'Q' & 31))
		return -1;
	w = tty_literal(&p->was);
	if (polled(p->slave, POLLOUT))
		p->kept->stopped = TTY_STOPPED_CHAR;
	return settings(p, &w);
}

static int stop_again(struct pty *p)
{
	struct termios2 w = tty_literal(&p->was);

	if (p->kept->stopped == TTY_STOPPED_CALL && ioctl(p->slave, TCXONC, TCOOFF))
		return failed(p, "cannot stop the output of");
	if (p->kept->stopped != TTY_STOPPED_CHAR)
		return 0;
	w.c_iflag |= IXON;
	w.c_cc[VSTOP] = 'S' & 31;
	return settings(p, &w) || enter(p, p->slave, 'S' & 31) ? -1 : 0;
}

/* Nothing to be read at either end, and nothing that can hide. */
static bool quiet(const struct pty *p)
{
	return !polled(p->master, POLLIN) &&
	       (p->slave < 0 || (!canonical(&p->was) && !polled(p->slave, POLLIN) && polled(p->slave, POLLOUT) &&
				 (p->was.c_cc[VMIN] <= 1 || p->was.c_cc[VTIME])));
}

/* In a process apart: a terminal of ours, the same perhaps, has no power over that. */
static void read_and_put_back(void *arg)
{
	struct pty *p = arg;
	const struct termios2 w = tty_literal(&p->was);
	int off = 0, on = 1, packet = 0, ret;

	ioctl(p->master, TIOCGPKT, &packet);
	if (packet && ioctl(p->master, TIOCPKT, &off))
		packet = 0;
	ret = settings(p, &w) || read_all(p, p->master, &p->kept->end[1]);
	if (!ret && p->slave >= 0) {
		ret = look_stopped(p);
		if (!ret && canonical(&p->was))
			ret = read_lines(p, &p->kept->end[0]);
		else if (!ret)
			ret = read_all(p, p->slave, &p->kept->end[0]);
	}
	/* Whatever went wrong: what was taken goes back. */
	put_back(p);
	stop_again(p);
	settings(p, &p->was);
	if (packet)
		ioctl(p->master, TIOCPKT, &on);
}

static int open_slave(struct pty *p)
{
	int locked = 0, zero = 0;

	/* Of our own, nonblocking: the tree's descriptions keep their flags. */
	ioctl(p->master, TIOCGPTLCK, &locked);
	if (locked)
		ioctl(p->master, TIOCSPTLCK, &zero);
	p->slave = ioctl(p->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (p->slave < 0)
		failed(p, "cannot open the other end of");
	if (locked)
		ioctl(p->master, TIOCSPTLCK, &locked);
	return p->slave < 0 ? -1 : 0;
}

static int keep(struct dump *d, const struct kept *k, struct tty_queues *q, struct err *err)
{
	if (k->errnum)
		return err_set(err, ERR_FAILED, k->errnum, "%s the terminal", k->what);
	for (int i = 0; i < 2; i++) {
		const struct kept_end *e = &k->end[i];
		if (e->n >= TTY_QUEUE_MAX || e->nrecords >= TTY_QUEUE_MAX)
			return err_refuse(err, "more waits in the terminal than any kernel is known to hold");
		q->end[i] = (struct tty_queue){ e->n, e->nrecords, arena_dup(d->arena, e->bytes, e->n),
						arena_dup(d->arena, e->records, e->nrecords * sizeof(*e->records)) };
	}
	q->stopped = k->stopped;
	return 0;
}

int tty_queues_read(struct dump *d, int master, bool slave, struct tty_queues *q, struct err *err)
{
	struct pty p = { .master = master, .slave = -1 };
	int ret;

	if (ioctl(master, TCGETS2, &p.was))
		return err_sys(err, "cannot read its settings");
	p.kept = mmap(NULL, sizeof(*p.kept), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p.kept == MAP_FAILED)
		return err_sys(err, "no memory for what waits in a terminal");
	ret = slave ? open_slave(&p) : 0;
	if (ret || quiet(&p))
		goto out;
	if (polled(master, POLLPRI)) {
		ret = err_refuse(err, "its packet mode has news that nobody has read yet");
		goto out;
	}
	/* A pointer to nowhere: only permission is asked for. */
	if (ioctl(master, TIOCSTI, NULL) && errno != EFAULT) {
		ret = err_hint(err, err_sys(err, "cannot look into its queues, for nothing could be put back"),
			       "it takes CAP_SYS_ADMIN (TIOCSTI)");
		goto out;
	}
	ret = apart(read_and_put_back, &p, false, "tty:reading", err);
out:
	if (!err->kind)
		ret = keep(d, p.kept, q, err);
	if (p.slave >= 0)
		close(p.slave);
	munmap(p.kept, sizeof(*p.kept));
	return ret;
}
