/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operands: files, directories and standard input. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "bin/cr-image/cr-image.h"
#include "common/base/io.h"

int open_image(const char *path, struct image_reader **rd, struct err *err)
{
	bool std = !path || !strcmp(path, "-");
	int fd = std ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return err_object(err, err_sys(err, "cannot open"), "%s", std ? "standard input" : path);
	return image_reader_fdopen(fd, std ? "standard input" : path, IMG_KINDS, rd, err);
}

static int is_image(const struct dirent *d)
{
	unsigned long id;

	return image_kind_of_name(d->d_name, &id) < IMG_KINDS;
}

bool is_directory(const char *path)
{
	struct stat st;

	return strcmp(path, "-") != 0 && !stat(path, &st) && S_ISDIR(st.st_mode);
}

int open_special(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return -1;
	return open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
}

int each_image(const char *path, each_image_fn f, void *data, struct err *err)
{
	struct dirent **names;
	int n, ret = 0;

	if (!is_directory(path))
		return f(path, data, err);
	n = scandir(path, &names, is_image, versionsort);
	if (n < 0)
		return err_object(err, err_sys(err, "cannot read the directory"), "%s", path);
	if (!n)
		ret = err_object(err, err_set(err, ERR_IMAGE, ENOENT, "no image is in this directory"), "%s", path);
	for (int i = 0; i < n; i++) {
		cleanup_free char *file = path_join(path, names[i]->d_name);

		if (!ret)
			ret = f(file, data, err);
		free(names[i]);
	}
	free(names);
	return ret;
}
