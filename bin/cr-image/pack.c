/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image pack and unpack: a checkpoint as a tar stream. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bin/cr-image/cr-image.h"
#include "common/base/io.h"
#include "common/image/stream.h"

int cmd_pack(const struct opts *o, struct err *err)
{
	struct stream_result res;
	int n;
	char **paths = opt_operands(o, &n);

	if (isatty(STDOUT_FILENO))
		return err_hint(err, err_set(err, ERR_USAGE, 0, "an archive is not written to a terminal"),
				"cr-image pack DIR > FILE, or | tar t");
	pipe_widen(STDOUT_FILENO);
	return stream_pack(paths[0], STDOUT_FILENO, &res, err);
}

int cmd_unpack(const struct opts *o, struct err *err)
{
	struct stream_result res;
	const char *in = opt_str(o, OPT_IN);
	int n;
	char **paths = opt_operands(o, &n);
	cleanup_fd int fd = in && strcmp(in, "-") != 0 ? open(in, O_RDONLY | O_CLOEXEC | O_NOCTTY) :
							 fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return err_object(err, err_sys(err, "cannot open"), "%s", in ? in : "standard input");
	pipe_widen(fd);
	return stream_unpack(fd, paths[0], &res, err);
}
