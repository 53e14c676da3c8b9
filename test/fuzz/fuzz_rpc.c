/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests, as protobuf and as JSON, as hostile input: refused as wrong usage, or options of which each has its field. */
#include <string.h>

#include "common/opt/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[] = { (char *)"cr", NULL };
	cleanup_rpc struct opt_rpc *rpc = NULL;
	struct err err = ERR_INIT;

	if (opt_rpc_parse("fuzz", data, size, &rpc, &err) < 0) {
		if (err.kind != ERR_USAGE || !err.reason[0])
			abort();
		return 0;
	}
	for (const struct opt_tool *tool = opt_tools; tool->name && !tool->commands; tool++) {
		struct opt_env env = { NULL, NULL, NULL, rpc };
		cleanup_opts struct opts *o = NULL;
		cleanup_strbuf struct strbuf conf = STRBUF_INIT;
		struct err wrong = ERR_INIT;

		if (opt_resolve(tool, 1, argv, &env, &o, &wrong) < 0) {
			if (wrong.kind != ERR_USAGE || !wrong.reason[0])
				abort();
			continue;
		}
		for (unsigned i = 0; i < OPT_COUNT_; i++) {
			size_t n;
			const struct opt_use *u = opt_uses(o, (enum opt_id)i, &n);

			for (size_t k = 0; k < n; k++)
				if (u[k].origin.layer < OPT_L_RPC || !u[k].origin.field)
					abort();
		}
		(void)opt_put_conf(o, OPT_COUNT_, &conf, &wrong);
	}
	return 0;
}
