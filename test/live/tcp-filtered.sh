#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A packet filter of the host drops every other packet by which a restore brings connections into their states of closing: they are sent again.
# timeout: 120
. "$TOP/test/lib/common.sh"
need ip nft
own_net
nft 'add table inet half; add chain inet half out { type filter hook output priority 0; }; add rule inet half out meta mark 0xC114 numgen inc mod 2 == 0 drop' 2>/dev/null ||
	skip "no such rule can be made"
"$TOP/test/lib/prog" tcp_closing || exit
nft list table inet half >/dev/null || die "a table of others is gone"
