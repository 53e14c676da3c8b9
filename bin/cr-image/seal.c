/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image seal: the manifest of a directory. */
#include <errno.h>
#include <fcntl.h>

#include "bin/cr-image/cr-image.h"
#include "common/image/manifest.h"
#include "common/image/threads.h"

int cmd_seal(const struct opts *o, struct err *err)
{
	int n, ret = 0;
	char **paths = opt_operands(o, &n);
	int64_t threads = opt_int(o, OPT_THREADS);

	for (int i = 0; i < n && !ret; i++) {
		cleanup_fd int dirfd = open(paths[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		size_t images = 0;

		if (dirfd < 0)
			return err_object(err, err_sys(err, "cannot open the images directory"), "%s", paths[i]);
		ret = manifest_seal(dirfd, "cr-image", threads ? (unsigned)threads : image_threads_default(), &images, err);
		if (ret)
			return err_object(err, ret, "%s", paths[i]);
		printf("%s/" MANIFEST_NAME ": %zu images\n", paths[i], images);
	}
	return fflush(stdout) ? err_sys(err, "cannot write") : ret;
}
