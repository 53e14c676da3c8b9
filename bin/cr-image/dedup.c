/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image dedup and flatten: checkpoints and their parents. */
#include <errno.h>
#include <string.h>

#include "bin/cr-image/cr-image.h"
#include "common/image/incremental.h"

static double mib(uint64_t pages)
{
	return (double)pages / 256;
}

int cmd_dedup(const struct opts *o, struct err *err)
{
	struct incremental_result r;
	int n, ret = image_dedup(opt_operands(o, &n)[0], &r, err);

	if (ret)
		return ret;
	printf("%.1f MiB of %.1f MiB are in the parent and dropped here\n", mib(r.dropped), mib(r.pages));
	return fflush(stdout) ? err_sys(err, "cannot write") : 0;
}

int cmd_flatten(const struct opts *o, struct err *err)
{
	struct incremental_result r;
	const char *out = opt_str(o, OPT_OUT);
	int n, ret;
	char **paths = opt_operands(o, &n);

	if (!out)
		return err_hint(err, err_set(err, ERR_USAGE, 0, "no directory for the result is given"), "-o DIR");
	ret = image_flatten(paths[0], out, &r, err);
	if (ret)
		return ret;
	printf("%zu directories, %.1f MiB of memory, %.1f MiB of them from parents\n", r.dirs, mib(r.pages), mib(r.inherited));
	return fflush(stdout) ? err_sys(err, "cannot write") : 0;
}
