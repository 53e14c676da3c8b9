#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A refusal names an option; the option goes into /etc/criu/default.conf, which nobody between the user and cr-dump knows; and what
# it was set by can be seen. With a connected TCP client, and with a job of a shell. /etc is a private copy.
. "$TOP/test/lib/common.sh"
need perl jq

mkdir etc && cp -a /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache etc/ 2>/dev/null
mkdir -p etc/criu && mount --bind etc /etc || die "cannot put a private /etc in place"
conf=/etc/criu/default.conf
export HOME=$W
mkdir img

# acts BINARY OPTION: this version does what the option says.
acts() { "$CR_CONFIG" --explain "$2" --json | jq -e --arg t "$1" '.acted_on_by | index($t)' >/dev/null; }
# says OPTION ORIGIN COMMAND...: cr-config resolves it to yes, from there.
says() {
	local option=$1 origin=$2
	shift 2
	"$CR_CONFIG" --resolve --option "$option" --json -- "$@" >resolved || die "cr-config exits with $?"
	jq -e --arg o "$origin" '.options[0] | .value == true and .from[0].origin == $o' resolved >/dev/null ||
		die "$option is not set by $origin: $(cat resolved)"
}

# ---- a TCP client and its server ----
start server perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die;
	open $f, ">", "port.new"; print $f $s->sockport; close $f; rename "port.new", "port"; $c = $s->accept; print $c "hello\n";
	$c->flush; print while <$c>'
server=$PID
wait_for 10 test -e server/port || die "no server: $(cat server/stderr)"
start client perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:'"$(cat server/port)"'") or die;
	$l = <$s>; open $f, ">", "ready"; close $f; sleep 1 while !-e "go"; print $s "and bye\n"; close $s; exit($l ne "hello\n")'
client=$PID
wait_for 10 test -e client/ready || die "the client is not connected: $(cat client/stderr)"

refused 5 '^cr-dump: pid '"$client"' .*TCP connection.*--tcp-established' "$CR_DUMP" -t "$client" -D img
no_images img || die "images of a refused dump"
is_free "$client" || die "the client is not free after the refusal"

echo 'tcp-established   # for the client' >$conf
says tcp-established $conf:1:1 cr-dump -t "$client" -D img
if acts cr-dump tcp-established; then
	cycle img "$client"
else
	# The value arrives, and nobody pretends: a word that it is without effect, and the refusal as before.
	out=$("$CR_DUMP" -t "$client" -D img 2>&1) && die "cr-dump does what it says it cannot"
	printf '%s\n' "$out" | grep -q "$conf:1:1: tcp-established is known, but this cr-dump does not act on it" ||
		die "nothing says that the option is without effect: $out"
	printf '%s\n' "$out" | tail -1 | grep -q -- '--tcp-established' || die "the refusal is gone: $out"
	is_free "$client" || die "the client is not free after the second refusal"
fi
touch client/go
wait_gone "$client" 10 || die "the client does not end"
wait_for 5 grep -q 'and bye' server/stdout || die "the server did not hear the client: $(cat server/stdout server/stderr)"
wait_gone "$server" 5 || kill "$server"

# ---- a job of a shell ----
: >$conf
start shell bash -c 'sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >job.new; mv job.new job; wait'
wait_for 10 test -s shell/job || die "no job"
job=$(cat shell/job)
rm -rf img && mkdir img
refused 5 '^cr-dump: pid '"$job"' \(sleep\).*--shell-job' "$CR_DUMP" -t "$job" -D img
is_free "$job" || die "the job is not free after the refusal"
echo shell-job >$conf
says shell-job $conf:1:1 cr-dump -t "$job" -D img
says shell-job $conf:1:1 cr-restore -D img
dump img "$job"
wait_gone "$job" || die "the job is still there after the dump"
restore img
is_free "$job" || die "the job does not run after the restore"
[ "$(cat "/proc/$job/comm")" = sleep ] || die "pid $job is not the job"
kill "$job"

# ---- a mistake in the file stops all of them alike, before anything happens ----
printf '# options\n\ttcp-estabished\n' >$conf
want="$conf:2:2: tcp-estabished: unknown option; did you mean tcp-established?"
for c in "cr-dump -t $$ -D img" "cr-restore -D img -d" cr-check "cr-image info img/inventory.img" "cr-config --resolve"; do
	# shellcheck disable=SC2086
	out=$("$BIN/"$c 2>&1)
	rc=$?
	[ "$rc" = 2 ] && [ "$out" = "${c%% *}: $want" ] || die "$c: exit status $rc: $out"
done
"$CR_CONFIG" --validate >out && die "--validate finds nothing"
grep -q "^$conf:2:2: error: tcp-estabished: unknown option, did you mean tcp-established?" out || die "--validate: $(cat out)"
