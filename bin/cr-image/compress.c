/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image compress and decompress: the form of images in their directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>

#include "bin/cr-image/cr-image.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/image/convert.h"
#include "common/image/threads.h"

struct run {
	struct convert_opts opts;
	bool pack;
	bool terminal;
	uint64_t start_ns, last_ns;
	size_t changed, kept;
	uint64_t plain, packed; /* of those that were changed */
	uint64_t done;		/* bytes of the images before this one */
};

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static void show_progress(void *arg, const char *name, uint64_t done, uint64_t size)
{
	struct run *r = arg;
	uint64_t now = now_ns();

	/* Short work needs no words; more than a few times a second nobody reads. */
	if (now - r->start_ns < 1000000000u || now - r->last_ns < 200000000u)
		return;
	r->last_ns = now;
	fprintf(stderr, "\r\033[K%s: %3.0f %% of %.0f MiB, %.0f MiB/s", name, size ? 100.0 * (double)done / (double)size : 100.0,
		mib(size), mib(r->done + done) / ((double)(now - r->start_ns) / 1e9));
	fflush(stderr);
}

static int one(struct run *r, int dirfd, const char *name, struct err *err)
{
	struct convert_result res;
	int ret = (r->pack ? image_compress : image_decompress)(dirfd, name, &r->opts, &res, err);

	if (ret)
		return ret;
	r->done += res.plain;
	if (!res.changed) {
		r->kept++;
		return 0;
	}
	r->changed++;
	r->plain += res.plain;
	r->packed += res.packed;
	return 0;
}

/* Two of us in one directory would take each other's files for leftovers. Readers need no lock. */
static int lock(int dirfd, struct err *err)
{
	if (!flock(dirfd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(err, ERR_FAILED, EBUSY, "another cr-image is at work in this directory");
	return 0; /* a file system without locks */
}

static int is_image(const struct dirent *d)
{
	unsigned long id;

	return image_kind_of_name(d->d_name, &id) < IMG_KINDS;
}

static int directory(struct run *r, int dirfd, struct err *err)
{
	struct dirent **names;
	char last[64] = "";
	int n = scandirat(dirfd, ".", &names, is_image, versionsort), ret = 0;

	if (n < 0)
		return err_sys(err, "cannot read the directory");
	if (!n)
		ret = err_set(err, ERR_IMAGE, ENOENT, "no image is in this directory");
	for (int i = 0; i < n; i++) {
		unsigned long id;
		enum image_kind kind = image_kind_of_name(names[i]->d_name, &id);
		char name[64];

		image_name(kind, id, name);
		/* NAME and NAME.zst are neighbours in this order. */
		if (!ret && strcmp(name, last))
			ret = one(r, dirfd, name, err);
		memcpy(last, name, sizeof(last));
		free(names[i]);
	}
	free(names);
	return ret;
}

static int single(struct run *r, int dirfd, const char *file, struct err *err)
{
	unsigned long id;
	enum image_kind kind = image_kind_of_name(file, &id);
	char name[64];

	if (kind == IMG_KINDS)
		return err_object(err, err_set(err, ERR_IMAGE, EINVAL, "no image has such a name"), "%s", file);
	image_name(kind, id, name);
	r->opts.always = true; /* that was asked for by name */
	return one(r, dirfd, name, err);
}

static int operand(struct run *r, const char *path, struct err *err)
{
	bool dir = is_directory(path);
	cleanup_free char *for_dir = xstrdup(path), *for_base = xstrdup(path);
	const char *where = dir ? path : dirname(for_dir);
	cleanup_fd int dirfd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (dirfd < 0)
		return err_object(err, err_sys(err, "cannot open the directory"), "%s", where);
	ret = lock(dirfd, err);
	if (!ret)
		ret = dir ? directory(r, dirfd, err) : single(r, dirfd, basename(for_base), err);
	return ret && strcmp(where, ".") ? err_object(err, ret, "%s", where) : ret;
}

static void summary(const struct run *r)
{
	double s = (double)(now_ns() - r->start_ns) / 1e9;

	printf("%zu image%s %scompressed, %zu left as %s", r->changed, r->changed == 1 ? "" : "s", r->pack ? "" : "de", r->kept,
	       r->kept == 1 ? "it is" : "they are");
	if (r->changed)
		printf("; %.1f MiB are %.1f MiB compressed (%.2f : 1), %.0f MiB/s", mib(r->plain), mib(r->packed),
		       r->packed ? (double)r->plain / (double)r->packed : 1.0, mib(r->done) / MAX(s, 1e-6));
	putchar('\n');
}

static int convert_all(const struct opts *o, bool pack, struct err *err)
{
	int64_t threads = opt_int(o, OPT_THREADS);
	struct run r = {
		.opts = { .level = pack ? (int)opt_int(o, OPT_LEVEL) : 0,
			  .threads = threads ? (unsigned)threads : image_threads_default() },
		.pack = pack, .terminal = isatty(STDERR_FILENO), .start_ns = now_ns(),
	};
	int n, ret = 0;
	char **paths = opt_operands(o, &n);

	if (r.terminal) {
		r.opts.progress = show_progress;
		r.opts.arg = &r;
	}
	for (int i = 0; i < n && !ret; i++)
		ret = operand(&r, paths[i], err);
	if (r.last_ns)
		fputs("\r\033[K", stderr);
	if (ret)
		return ret;
	summary(&r);
	return fflush(stdout) ? err_sys(err, "cannot write") : 0;
}

int cmd_compress(const struct opts *o, struct err *err)
{
	return convert_all(o, true, err);
}

int cmd_decompress(const struct opts *o, struct err *err)
{
	return convert_all(o, false, err);
}
