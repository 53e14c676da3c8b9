// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * on_tty ROWS COLUMNS COMMAND...: runs the command as the leader of a session on a new pty, whose output goes to our standard
 * output and whose input comes from our standard input. That may be a file to which keys are appended. Exits like the command.
 */
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct winsize ws = { 0 };
	char buf[4096];
	int zero = 0, status;

	if (argc < 4)
		errx(2, "on_tty ROWS COLUMNS COMMAND...");
	ws.ws_row = (unsigned short)strtol(argv[1], NULL, 10);
	ws.ws_col = (unsigned short)strtol(argv[2], NULL, 10);
	int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (m < 0 || ioctl(m, TIOCSPTLCK, &zero))
		err(2, "/dev/ptmx");
	int s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s < 0 || ioctl(m, TIOCSWINSZ, &ws))
		err(2, "slave");
	pid_t pid = fork();
	if (pid < 0)
		err(2, "fork");
	if (!pid) {
		setsid();
		/* What a script runs in the background ignores these; what a terminal's owner runs does not. */
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		if (ioctl(s, TIOCSCTTY, 0))
			err(2, "TIOCSCTTY");
		for (int i = 0; i < 3; i++)
			dup2(s, i);
		execvp(argv[3], argv + 3);
		err(2, "%s", argv[3]);
	}
	close(s);
	struct pollfd p[2] = { { .fd = m, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	struct stat st;
	int file = !fstat(0, &st) && S_ISREG(st.st_mode);
	for (;;) {
		if (poll(p, file ? 1 : 2, file ? 20 : -1) < 0)
			err(2, "poll");
		if (file)
			p[1].revents = POLLIN;
		if (p[0].revents) {
			ssize_t n = read(m, buf, sizeof(buf));
			if (n <= 0)
				break; /* nobody has the other end any more */
			if (write(1, buf, (size_t)n) != n)
				err(2, "output");
		}
		if (p[1].revents) {
			ssize_t n = read(0, buf, sizeof(buf));
			if (n <= 0)
				p[1].fd = file ? 0 : -1;
			else if (write(m, buf, (size_t)n) != n)
				err(2, "input");
		}
	}
	if (waitpid(pid, &status, 0) < 0)
		err(2, "waitpid");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
