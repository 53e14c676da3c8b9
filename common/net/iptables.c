// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/net/iptables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/strbuf.h"

extern char **environ;

/* A rule as it is printed has so many words at most; ours have 18. */
#define WORDS 32

/* Runs it with files for its standard input and output; what it complains about is not for our user. */
static int run(const char *const *argv, int in, int out, struct err *err)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int ret, status = 0;
	sigset_t none;
	pid_t pid = 0;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	ret = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	if (!ret)
		ret = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	if (!ret)
		ret = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (!ret)
		ret = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	if (!ret)
		ret = posix_spawnp(&pid, argv[0], &files, &attr, (char *const *)(uintptr_t)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	if (ret)
		return err_hint(err, err_set(err, ERR_FEATURE, ret, "connections of this checkpoint may be held by rules of iptables, "
					     "and %s cannot be run", argv[0]), "--network-lock skip leaves such rules alone");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "waiting for %s", argv[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_set(err, ERR_FAILED, 0, "%s ended with status %d", argv[0],
			       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

/* "10.0.0.1/32" */
static bool same_address(const char *word, bool v6, const uint8_t *address)
{
	char text[INET6_ADDRSTRLEN + 8];
	uint8_t bytes[16];
	size_t n = strcspn(word, "/");

	if (n >= sizeof(text))
		return false;
	memcpy(text, word, n);
	text[n] = 0;
	return inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) == 1 && !memcmp(bytes, address, v6 ? 16 : 4);
}

static const char *after(char *const *words, size_t n, const char *option)
{
	for (size_t i = 0; i + 1 < n; i++)
		if (!strcmp(words[i], option))
			return words[i + 1];
	return "";
}

static uint64_t number_after(char *const *words, size_t n, const char *option, int base)
{
	uint64_t v;

	return parse_u64(after(words, n, option), base, &v) ? UINT64_MAX : v;
}

/* Does this rule drop what the connection sends (out) or gets, but for what has our mark? */
static bool drops(char *const *words, size_t n, bool out, const struct net_connection *c)
{
	const char *source = out ? "-s" : "-d", *dest = out ? "-d" : "-s";
	const char *sport = out ? "--sport" : "--dport", *dport = out ? "--dport" : "--sport";

	return same_address(after(words, n, source), c->v6, c->local) && same_address(after(words, n, dest), c->v6, c->remote) &&
	       number_after(words, n, sport, 10) == ntohs(c->local_port) &&
	       number_after(words, n, dport, 10) == ntohs(c->remote_port);
}

static bool is_lock(char *line, bool v6, const struct net_connection *v, size_t nv)
{
	char *words[WORDS], *save = NULL;
	size_t n = 0;
	bool out;

	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (n == WORDS)
			return false;
		words[n++] = w;
	}
	if (n < 4 || strcmp(words[0], "-A") != 0 || strcmp(after(words, n, "-j"), "DROP") != 0 ||
	    strcmp(after(words, n, "!"), "--mark") != 0 || number_after(words, n, "--mark", 0) != NET_LOCK_MARK)
		return false;
	out = !strcmp(words[1], "OUTPUT");
	if (!out && strcmp(words[1], "INPUT") != 0)
		return false;
	for (size_t i = 0; i < nv; i++)
		if (v[i].v6 == v6 && drops(words, n, out, &v[i]))
			return true;
	return false;
}

/* The same lines with -D, as iptables-restore takes them. */
static size_t choose(char *saved, bool v6, const struct net_connection *v, size_t n, struct strbuf *out)
{
	size_t found = 0;
	char *save = NULL;

	strbuf_puts(out, "*filter\n");
	for (char *line = strtok_r(saved, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		cleanup_free char *copy = xstrdup(line);

		if (!is_lock(copy, v6, v, n))
			continue;
		strbuf_printf(out, "-D%s\n", line + 2);
		found++;
	}
	strbuf_puts(out, "COMMIT\n");
	return found;
}

static int unlock_family(bool v6, const struct net_connection *v, size_t n, size_t *removed, struct err *err)
{
	static const char *const save[2][4] = { { "iptables-save", "-t", "filter", NULL }, { "ip6tables-save", "-t", "filter", NULL } };
	static const char *const restore[2][5] = { { "iptables-restore", "-w", "10", "--noflush", NULL },
					     { "ip6tables-restore", "-w", "10", "--noflush", NULL } };
	cleanup_fd int in = open("/dev/null", O_RDWR | O_CLOEXEC), out = memfd_create("iptables", MFD_CLOEXEC);
	cleanup_fd int lines = memfd_create("iptables", MFD_CLOEXEC);
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	cleanup_free char *saved = NULL;
	size_t found;
	off_t len;
	int ret;

	if (in < 0 || out < 0 || lines < 0)
		return err_sys(err, "a file for rules of iptables");
	ret = run(save[v6], in, out, err);
	if (ret)
		return ret;
	len = lseek(out, 0, SEEK_END);
	saved = xzalloc((size_t)MAX(len, 0) + 1);
	if (len < 0 || pread_full(out, saved, (size_t)len, 0) < 0)
		return err_sys(err, "reading rules of iptables");
	found = choose(saved, v6, v, n, &text);
	if (!found)
		return 0;
	ret = write_full(lines, text.s, text.len);
	if (ret < 0 || lseek(lines, 0, SEEK_SET))
		return err_sys(err, "writing rules of iptables");
	*removed += found;
	return run(restore[v6], lines, in, err);
}

int iptables_unlock(const struct net_connection *v, size_t n, size_t *removed, struct err *err)
{
	int ret = 0;

	*removed = 0;
	for (int v6 = 0; v6 < 2 && !ret; v6++)
		for (size_t i = 0; i < n; i++)
			if (v[i].v6 == v6) {
				ret = unlock_family(v6, v, n, removed, err);
				break;
			}
	return ret;
}
