#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A reader on the same host that refuses what the small images tell (an option that the dumper had is not there) refuses it before the
# dumper has ended anything: process, connection and peer go on, and no lock is left.
# timeout: 120
. "$TOP/test/lib/common.sh"
own_net
need perl
peer=$BIN/test/live/tcp_peer
# More than any pipe holds, which no reader may take before it knows.
cat >serve.pl <<'E2'
my $m = join '', map { pack 'Q*', map { int rand 2 ** 62 } 1 .. 4096 } 1 .. 1024; # 32 MiB
use Socket; socket my $l, AF_INET, SOCK_STREAM, 0; setsockopt $l, SOL_SOCKET, SO_REUSEADDR, 1;
bind $l, sockaddr_in(4100, INADDR_LOOPBACK) or die; listen $l, 1; open my $r, '>', 'ready'; close $r;
accept my $c, $l or die; my $n = 0;
while (sysread $c, my $b, 1) { syswrite $c, $b; $n++ }
E2
cat >talk.pl <<'E2'
use Socket; socket my $c, AF_INET, SOCK_STREAM, 0; connect $c, sockaddr_in(4100, INADDR_LOOPBACK) or die "connect: $!";
for (my $n = 0;; $n++) {
	my $b = chr($n % 256); defined syswrite $c, $b or die "write: $!"; my $got = sysread $c, my $a, 1;
	die "read: ", $got // $! unless $got; die "another byte" if $a ne $b; open my $f, '>', 'count'; print $f $n; close $f; select undef, undef, undef, 0.01;
}
E2
begin() {
	rm -rf serve talk
	start serve perl "$W/serve.pl"
	SERVER=$PID
	wait_for 10 test -e serve/ready || die "the server is not ready: $(cat serve/stderr)"
	start talk perl "$W/talk.pl"
	TALK=$PID
	wait_for 10 test -s talk/count || die "nobody talks: $(cat talk/stderr)"
}
more() { local n; n=$(cat talk/count); [ "${n:-0}" -gt "$1" ]; }
goes_on() {
	local n
	n=$(cat talk/count)
	[ -d "/proc/$SERVER" ] || die "$1: the server is gone; $(cat err out)"
	[ "$("$peer" tables)" = 0 ] || die "$1: a lock is left"
	wait_for 10 more "${n:-0}" || die "$1: the connection does not go on: $(cat talk/stderr); the server is $(state_of "$SERVER"); $(cat err out)"
	[ ! -s talk/stderr ] || die "$1: $(cat talk/stderr)"
	wait_for 5 is_free "$SERVER" || die "$1: somebody traces it"
}
begin
# Without the pipe's writer, what the reader has to say.
"$CR_DUMP" -t "$SERVER" -D - -R --tcp-established >s.tar 2>err || die "cr-dump: $(cat err)"
refused 5 'use --tcp-established' sh -c '"$0" -D - -d <s.tar' "$CR_RESTORE"
for way in '' --compress --iterate=3 '--iterate=2 --compress'; do
	# shellcheck disable=SC2086
	"$CR_DUMP" -t "$SERVER" -D - --tcp-established $way 2>err | "$CR_RESTORE" -D - -d >out 2>&1
	status=${PIPESTATUS[*]}
	[ "$status" = "1 5" ] || die "$way: statuses $status, said: $(cat err out)"
	grep -q -- '--tcp-established' out || die "$way: cr-restore says: $(cat out)"
	grep -q 'gone away before its end' err || die "$way: cr-dump says: $(cat err)"
	goes_on "$way"
done
# With the option, all is as it was.
"$CR_DUMP" -t "$SERVER" -D - --tcp-established 2>err | "$CR_RESTORE" -D - -d --tcp-established >out 2>&1 || die "with the option: $(cat err out)"
goes_on "with the option"
kill "$TALK" "$SERVER"
