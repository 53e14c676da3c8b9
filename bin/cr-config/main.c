/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-config: what the resolver of all binaries makes of files, environment, requests and a command line. */
#include "common/base/start.h"
#include "bin/cr-config/cr-config.h"

static const char prog[] = "cr-config";

/* Options that only one of the questions has a use for: with another one they would have no effect, and silence lies. */
static int check_options(const struct opts *o, bool resolves, bool validates, struct err *err)
{
	static const enum opt_id of_resolve[] = { OPT_OPTION, OPT_ALL, OPT_CONF, OPT_RPC, OPT_AS, OPT_FOR };
	int n;

	for (size_t i = 0; i < ARRAY_SIZE(of_resolve) && !resolves; i++)
		if (opt_is_set(o, of_resolve[i]))
			return err_set(err, ERR_USAGE, 0, "--%s belongs to --resolve", opt_defs[of_resolve[i]].name);
	if (!resolves && !validates && *opt_operands(o, &n))
		return err_set(err, ERR_USAGE, 0, "unexpected argument '%s'", *opt_operands(o, &n));
	if (opt_bool(o, OPT_CONF) && (opt_bool(o, OPT_JSON) || opt_bool(o, OPT_ALL)))
		return err_set(err, ERR_USAGE, 0, "--conf prints a file with what is set: neither --json nor --all");
	return 0;
}

static int run(const struct opts *o, char **own, struct err *err)
{
	bool validate = opt_bool(o, OPT_VALIDATE), list = opt_bool(o, OPT_LIST), explain = opt_is_set(o, OPT_EXPLAIN),
	     init = opt_bool(o, OPT_INIT);
	int ret;

	if (opt_bool(o, OPT_RESOLVE) + validate + list + explain + init > 1)
		return err_set(err, ERR_USAGE, 0,
			       "--resolve, --validate, --list, --explain and --init are different questions: ask one");
	ret = check_options(o, !validate && !list && !explain && !init, validate, err);
	if (ret < 0)
		return ret;
	ret = validate	? cmd_validate(o, err)
	      : list	? cmd_list(o, err)
	      : explain ? cmd_explain(o, err)
	      : init	? cmd_init(o, err)
			: cmd_resolve(o, own, err);
	if (ret >= 0 && (fflush(stdout) || ferror(stdout)))
		ret = err_sys(err, "cannot write to standard output");
	return ret;
}

int main(int argc, char **argv)
{
	cleanup_opts struct opts *o = NULL;
	struct err err = ERR_INIT;
	int ret;

	process_begin();
	ret = opt_parse(TOOL_CONFIG, argc, argv, &o, &err);
	if (ret > 0)
		return 0;
	if (ret == 0)
		ret = run(o, argv, &err);
	return ret < 0 ? opt_fail(o, prog, argv, &err) : ret;
}
