/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image show: JSON for people, of files and of whole directories. */
#include <errno.h>
#include <string.h>

#include "bin/cr-image/cr-image.h"
#include "common/image/json.h"

struct show {
	struct image_json_opts json;
	bool lines;
	bool many; /* say which file comes */
	bool started;
};

static int show_one(const char *path, void *data, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	struct show *s = data;
	struct image_json_opts json = s->json;
	int ret = open_image(path, &rd, err);

	if (ret)
		return ret;
	if (!image_kinds[image_reader_kind(rd)].message && s->many)
		return 0; /* raw: pages and archives have nothing to show */
	if (s->lines)
		json.lines = path;
	else if (s->many)
		printf("%s# %s\n", s->started ? "\n" : "", path);
	s->started = true;
	ret = image_to_json(rd, &json, stdout, err);
	return ret ? err_object(err, ret, "%s", path) : 0;
}

int cmd_show(const struct opts *o, struct err *err)
{
	int n, ret = 0;
	char **paths = opt_operands(o, &n);
	struct show s = {
		.json = { .words = true, .indent = !opt_bool(o, OPT_LINES), .no_payload = opt_bool(o, OPT_NOPL) },
		.lines = opt_bool(o, OPT_LINES),
	};

	for (int i = 0; i < n && !ret; i++) {
		s.many = n > 1 || is_directory(paths[i]);
		ret = each_image(paths[i], show_one, &s, err);
	}
	if (!ret && fflush(stdout))
		ret = err_sys(err, "cannot write");
	return ret;
}
