/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For ends-at-once.sh: threads that all want to be the first to end their process, when they see the file "go". */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *look(void *arg)
{
	while (access("go", F_OK))
		;
	_exit(7);
}

/* A child that ends so, too, and the root, which ends with what it hears of that. */
int main(int argc, char **argv)
{
	pthread_t t;
	pid_t child = argc > 1 ? fork() : 0;
	int status;

	if (!child) {
		for (int i = 0; i < 20; i++)
			pthread_create(&t, NULL, look, NULL);
		close(open("ready", O_CREAT | O_WRONLY, 0600));
		look(NULL);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}
