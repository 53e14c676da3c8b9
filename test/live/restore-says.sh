#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A step of a restore that fails is told by the name of the call, the object, and what helps.
. "$TOP/test/lib/common.sh"
own_net
need perl
listener='use IO::Socket::INET; $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 7777, Listen => 5) or die;
	open $r, ">", "ready"; close $r; sleep 1000'
start a perl -e "$listener"
wait_for 5 test -e a/ready || die "not ready: $(cat a/stderr)"
old=$PID
dump img "$old"
wait_gone "$old" || die "still there"
start b perl -e "$listener"
wait_for 5 test -e b/ready || die "not ready: $(cat b/stderr)"
refused 1 'has the address 127.0.0.1:7777 of TCP, which is in use on this host \(ss -anp' "$CR_RESTORE" -D img -d
"$CR_RESTORE" -D img -d 2>&1 | grep -q 'syscall_' && die "a call without a name"
is_gone "$old" || die "somebody was made"
kill "$PID"
wait_gone "$PID" || die "does not end"
restore img
