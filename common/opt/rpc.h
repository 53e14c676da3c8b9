/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of an RPC request as layers of the chain: container runtimes talk to the engine in criu_req messages,
 * whose options count after the command line, and which may name one more configuration file, which counts last.
 */
#ifndef CR_OPT_RPC_H
#define CR_OPT_RPC_H

#include "common/opt/opt.h"
#include "common/opt/rpc_table.h"

#define OPT_RPC_MAX (1u << 20) /* bytes of a request */

struct opt_rpc_field {
	const char *name;
	enum opt_id id; /* OPT_COUNT_: none */
	enum opt_rpc_kind kind;
	const char *form;
};
extern const struct opt_rpc_field opt_rpc_fields[]; /* ends with a NULL name */

/*
 * Takes a criu_req or a criu_opts, as protobuf or as JSON (an object with the names of rpc.proto). name is what messages
 * call it. *out is the caller's (opt_rpc_free). Errors are ERR_USAGE.
 */
int opt_rpc_parse(const char *name, const void *data, size_t len, struct opt_rpc **out, struct err *err);
/* The same from a file, or from standard input ("-"). */
int opt_rpc_load(const char *path, struct opt_rpc **out, struct err *err);
/* A request without options, for what surrounds it. */
struct opt_rpc *opt_rpc_new(void);
void opt_rpc_free(struct opt_rpc *r);
void opt_rpc_freep(struct opt_rpc **r);
#define cleanup_rpc cleanup(opt_rpc_freep)

/* The last layer when the request names none; it may be missing. path must live as long as r. */
void opt_rpc_assume_file(struct opt_rpc *r, const char *path);
/* TOOL_* that the type of a criu_req asks for; 0 when it has none, or is about no binary. */
unsigned opt_rpc_tool(const struct opt_rpc *r);

#endif
