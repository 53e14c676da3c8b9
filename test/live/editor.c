// SPDX-License-Identifier: GPL-2.0-or-later
/* What an editor does with its terminal: raw settings, keys one by one, the window's size whenever it changes. q ends it. */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t resized;

static void winch(int sig)
{
	(void)sig;
	resized = 1;
}

static void size(void)
{
	struct winsize ws;

	if (ioctl(0, TIOCGWINSZ, &ws))
		err(1, "TIOCGWINSZ");
	printf("<%dx%d>\r\n", ws.ws_row, ws.ws_col);
	fflush(stdout);
}

int main(void)
{
	struct sigaction sa = { .sa_handler = winch };
	struct termios was, raw, now;

	sigaction(SIGWINCH, &sa, NULL);
	if (tcgetattr(0, &was))
		err(1, "tcgetattr");
	raw = was;
	cfmakeraw(&raw);
	raw.c_cc[VINTR] = 'i';
	if (tcsetattr(0, TCSAFLUSH, &raw))
		err(1, "tcsetattr");
	size();
	FILE *f = fopen("editor.pid.new", "w");
	if (!f || fprintf(f, "%d\n", getpid()) < 0 || fclose(f) || rename("editor.pid.new", "editor.pid"))
		err(1, "editor.pid");
	for (;;) {
		char c;
		ssize_t n = read(0, &c, 1);

		if (resized) {
			resized = 0;
			size();
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			err(1, "read gives %zd", n);
		if (tcgetattr(0, &now) || memcmp(&now, &raw, sizeof(now)))
			errx(1, "other settings");
		if (tcgetpgrp(0) != getpgrp())
			errx(1, "not in the foreground");
		printf("[%c]\r\n", c);
		fflush(stdout);
		if (c == 'q')
			break;
	}
	tcsetattr(0, TCSAFLUSH, &was);
	return 7;
}
