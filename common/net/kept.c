// SPDX-License-Identifier: GPL-2.0-or-later
/* Network locks that outlive whoever made them: tables of nftables with our name and no owner. */
#include "common/net/lock.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>

static void take_table(const struct nlmsghdr *h, void (*found)(void *ctx, const char *table), void *ctx)
{
	struct nlattr *attrs[NFTA_TABLE_MAX + 1];
	const char *name;

	if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE) ||
	    nlmsg_parse((struct nlmsghdr *)h, sizeof(struct nfgenmsg), attrs, NFTA_TABLE_MAX, NULL) < 0 || !attrs[NFTA_TABLE_NAME])
		return;
	name = nla_get_string(attrs[NFTA_TABLE_NAME]);
	/* That of a dump that is under way goes with it. */
	if (attrs[NFTA_TABLE_FLAGS] && ntohl(nla_get_u32(attrs[NFTA_TABLE_FLAGS])) & NFT_TABLE_F_OWNER)
		return;
	if (!strncmp(name, "CRIU-", 5))
		found(ctx, name);
}

int net_locks_kept(void (*found)(void *ctx, const char *table), void *ctx, struct err *err)
{
	const struct { struct nlmsghdr h; struct nfgenmsg g; } ask = {
		.h = { .nlmsg_len = sizeof(ask), .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.g = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 },
	};
	cleanup_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	cleanup_free unsigned char *in = xmalloc(65536);

	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0)
		return err_sys(err, "cannot ask nftables for tables");
	for (;;) {
		ssize_t n = recv(fd, in, 65536, 0);
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot ask nftables for tables");
		for (struct nlmsghdr *h = (void *)in; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			const struct nlmsgerr *e = nlmsg_data(h);

			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return err_set(err, ERR_FAILED, e->error < 0 ? -e->error : EPROTO, "cannot ask nftables for tables");
			take_table(h, found, ctx);
		}
	}
}
