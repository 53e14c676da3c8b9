/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image: images of a checkpoint as JSON and back. */
#include <string.h>

#include "common/base/start.h"
#include "bin/cr-image/cr-image.h"

static const struct {
	const char *name;
	int (*run)(const struct opts *o, struct err *err);
} commands[] = {
	{ "show", cmd_show },
	{ "decode", cmd_decode },
	{ "encode", cmd_encode },
	{ "info", cmd_info },
	{ "x", cmd_x },
	{ "compress", cmd_compress },
	{ "decompress", cmd_decompress },
	{ "seal", cmd_seal },
	{ "check", cmd_check },
	{ "pack", cmd_pack },
	{ "unpack", cmd_unpack },
	{ "dedup", cmd_dedup },
	{ "flatten", cmd_flatten },
	{ "mem", cmd_mem },
	{ "search", cmd_search },
	{ "strings", cmd_strings },
	{ "core", cmd_core },
	{ "diff", cmd_diff },
	{ "graph", cmd_graph },
	{ "report", cmd_report },
	{ "edit", cmd_edit },
	{ "set", cmd_set },
};

int main(int argc, char **argv)
{
	cleanup_opts struct opts *o = NULL;
	struct err err = ERR_INIT;
	int ret;

	process_begin();
	ret = opt_parse(TOOL_IMAGE, argc, argv, &o, &err);
	if (ret > 0)
		return 0;
	for (size_t i = 0; !ret && i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, opt_command(o)->name))
			ret = commands[i].run(o, &err);
	return ret < 0 ? opt_fail(o, "cr-image", argv, &err) : ret;
}
