/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transaction behind edit and set. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bin/cr-image/edit.h"
#include "common/image/json.h"
#include "common/image/manifest.h"

int spawn(const char *const argv[], int in, int out, pid_t *pid, struct err *err)
{
	*pid = fork();
	if (*pid < 0)
		return err_sys(err, "cannot start %s", argv[0]);
	if (*pid)
		return 0;
	if ((in >= 0 && dup2(in, STDIN_FILENO) < 0) || (out >= 0 && dup2(out, STDOUT_FILENO) < 0))
		_exit(127);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

int spawn_wait(pid_t pid, const char *name, struct err *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for %s", name);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, ERR_FAILED, ENOENT, "cannot run %s", name);
	if (WIFSIGNALED(status))
		return err_set(err, ERR_FAILED, 0, "%s was ended by signal %d; the image is as it was", name, WTERMSIG(status));
	if (WEXITSTATUS(status))
		return err_set(err, ERR_FAILED, 0, "%s failed with exit status %d; the image is as it was", name, WEXITSTATUS(status));
	return 0;
}

static int make_tmp(struct edit *e, struct err *err)
{
	const char *dir = getenv("TMPDIR");

	e->tmp = xasprintf("%s/cr-image.XXXXXX.json", dir && dir[0] ? dir : "/tmp");
	e->fd = mkostemps(e->tmp, (int)strlen(".json"), O_CLOEXEC); /* only its owner may read it */
	if (e->fd < 0) {
		int ret = err_object(err, err_sys(err, "cannot create"), "%s", e->tmp);

		e->tmp[0] = 0;
		return ret;
	}
	return 0;
}

int edit_begin(struct edit *e, const char *path, bool words, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	struct image_json_opts json = { .words = words, .indent = words };
	size_t len = strlen(path);
	FILE *f;
	int ret, fd;

	e->path = realpath(path, NULL);
	if (!e->path)
		return err_object(err, err_sys(err, "cannot open"), "%s", path);
	if (len > 4 && !strcmp(path + len - 4, ".zst"))
		return err_object(err, err_hint(err, err_set(err, ERR_USAGE, 0, "a compressed image"),
						"run cr-image decompress first"), "%s", path);
	ret = open_image(e->path, &rd, err);
	if (ret)
		return ret;
	e->kind = image_reader_kind(rd);
	ret = make_tmp(e, err);
	if (ret)
		return ret;
	fd = fcntl(e->fd, F_DUPFD_CLOEXEC, 3);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		ret = err_sys(err, "cannot write");
		if (fd >= 0)
			close(fd);
		return ret;
	}
	ret = image_to_json(rd, &json, f, err);
	if (fclose(f) && !ret)
		ret = err_sys(err, "cannot write");
	return ret ? err_object(err, ret, "%s", path) : 0;
}

/* Every entry of the new image must be what readers take. */
static int validate(const struct edit *e, int fd, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	cleanup_arena struct arena *arena = arena_new();
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	int ret = copy < 0 ? err_sys(err, "fcntl") : image_reader_fdopen(copy, "the new image", e->kind, &rd, err);

	for (; !ret; arena_reset(arena)) {
		ProtobufCMessage *msg;

		ret = image_reader_next(rd, arena, &msg, err);
		if (ret <= 0)
			break;
		ret = 0;
	}
	return ret;
}

static int same_content(int a, int b)
{
	char x[4096], y[4096];
	struct stat sa, sb;

	if (fstat(a, &sa) < 0 || fstat(b, &sb) < 0 || sa.st_size != sb.st_size)
		return false;
	for (off_t at = 0; at < sa.st_size; at += (off_t)sizeof(x)) {
		size_t n = (size_t)MIN((off_t)sizeof(x), sa.st_size - at);

		if (pread_full(a, x, n, at) || pread_full(b, y, n, at) || memcmp(x, y, n))
			return false;
	}
	return true;
}

/* The manifest of its directory, when there is one, knows of a change that was made on purpose. */
static int update_manifest(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir = slash ? xasprintf("%.*s", (int)(slash - path + 1), path) : xstrdup(".");
	cleanup_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_object(err, err_sys(err, "cannot open the directory"), "%s", dir);
	return manifest_update(fd, slash ? slash + 1 : path, err);
}

/* The new image takes the place, owner and mode of the old one, which stays as FILE~. */
static int replace(const struct edit *e, struct new_file *out, struct err *err)
{
	cleanup_fd int old = open(e->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	cleanup_free char *backup = xasprintf("%s~", e->path);
	struct stat st;

	if (old < 0 || fstat(old, &st) < 0)
		return err_object(err, err_sys(err, "cannot open"), "%s", e->path);
	if (same_content(old, out->fd))
		return 0;
	if (fchown(out->fd, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		return err_sys(err, "cannot give the new image its owner");
	if (fchmod(out->fd, st.st_mode & 07777) < 0 || fsync(out->fd) < 0)
		return err_object(err, err_sys(err, "cannot write"), "%s", out->tmp);
	if (unlink(backup) < 0 && errno != ENOENT)
		return err_object(err, err_sys(err, "cannot replace"), "%s", backup);
	if (link(e->path, backup) < 0)
		return err_object(err, err_sys(err, "cannot keep the old image"), "%s", backup);
	if (rename(out->tmp, e->path) < 0)
		return err_object(err, err_sys(err, "cannot replace"), "%s", e->path);
	free(take_ptr(out->tmp));
	return update_manifest(e->path, err);
}

int edit_commit(struct edit *e, int in, struct err *err)
{
	cleanup_new_file struct new_file out = NEW_FILE_INIT;
	cleanup_file FILE *from = NULL;
	FILE *to;
	int ret = new_file_begin(&out, e->path), fd = fcntl(in, F_DUPFD_CLOEXEC, 3);

	if (ret) {
		if (fd >= 0)
			close(fd);
		return err_object(err, err_set(err, ERR_FAILED, -ret, "cannot create"), "%s", e->path);
	}
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0 || !(from = fdopen(fd, "r"))) {
		ret = err_sys(err, "cannot read the JSON");
		if (fd >= 0)
			close(fd);
		return ret;
	}
	fd = fcntl(out.fd, F_DUPFD_CLOEXEC, 3);
	to = fd < 0 ? NULL : fdopen(fd, "w");
	if (!to) {
		ret = err_sys(err, "cannot write");
		if (fd >= 0)
			close(fd);
		return ret;
	}
	ret = image_from_json(from, "the new JSON", to, err);
	if (fclose(to) && !ret)
		ret = err_sys(err, "cannot write");
	if (!ret)
		ret = validate(e, out.fd, err);
	return ret ? ret : replace(e, &out, err);
}

void edit_release(struct edit *e)
{
	if (e->fd >= 0)
		close(e->fd);
	if (e->tmp && e->tmp[0])
		unlink(e->tmp);
	free(e->tmp);
	free(e->path);
}
