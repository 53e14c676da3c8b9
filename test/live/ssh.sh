#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An ssh session that runs top on a terminal: the client is dumped and restored, then the server with all that the session runs. Neither
# notices: both check each packet's sequence and digest.
# timeout: 120
. "$TOP/test/lib/common.sh"
need ssh ssh-keygen top ip
sshd=/usr/sbin/sshd
[ -x $sshd ] || skip "sshd is not installed"
own_net

# sshd's own demands, in this test's mounts only.
mount -t tmpfs none /run && mkdir -m 755 /run/sshd || die "no /run/sshd"
ssh-keygen -q -t ed25519 -N '' -f host_key && ssh-keygen -q -t ed25519 -N '' -f user_key || die "no keys"
cp user_key.pub authorized
chmod 600 authorized host_key user_key
cat >sshd_config <<END
ListenAddress 127.0.0.1:2222
HostKey $W/host_key
AuthorizedKeysFile $W/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
PidFile none
PrintMotd no
PrintLastLog no
SetEnv TERM=xterm
END
cat >ssh_config <<END
Host there
HostName 127.0.0.1
Port 2222
User root
IdentityFile $W/user_key
IdentitiesOnly yes
IdentityAgent none
StrictHostKeyChecking no
UserKnownHostsFile $W/known
LogLevel ERROR
END
start d $sshd -D -e -f "$W/sshd_config"
server=$PID
answers() { ssh -F ssh_config there true 2>ssh.err </dev/null; }
wait_for 10 answers || skip "sshd takes no session here: $(tail -1 ssh.err) $(tail -1 d/stderr)"

# The client is a job of nobody: on_tty, a terminal, and ssh on it are one tree.
start c "$BIN/test/live/on_tty" 24 80 env TERM=xterm ssh -F "$W/ssh_config" -tt there "top -d 0.1; echo top says \$?; cat"
client=$PID
# Each round of top tells the time and the tasks again.
size() { stat -c %s c/stdout; }
rounds() { [ "$(size)" -gt $(($1 + 1000)) ] || is_dead "$client"; }
goes_on() {
	local n
	n=$(size)
	wait_for 20 rounds "$n" && ! is_dead "$client" || die "$1: top shows nothing more: $(tail -c 300 c/stdout) $(cat c/stderr d/stderr)"
}
goes_on "at the beginning"
grep -q 'Tasks:' c/stdout || die "this is not top: $(head -c 300 c/stdout)"
echo tcp-established >tcp.conf
export CRIU_CONFIG_FILE=$W/tcp.conf
for i in 1 2; do
	cycle "client$i" "$client"
	goes_on "client, restore $i"
	cycle "server$i" "$server"
	goes_on "server, restore $i"
done
answers || die "the server takes no new session: $(cat ssh.err d/stderr)"
# The session ends as it should.
kill "$(pgrep -x top)"
says() { grep -q 'top says 0' c/stdout; }
wait_for 10 says || die "the shell on the other side does not say the status: $(tail -c 300 c/stdout)"
kill "$(pgrep -x cat)"
wait_gone "$client" 10 || die "ssh does not end"
grep -qiE 'mac|corrupt|disconnect.*(error|bad)|packet' d/stderr && die "sshd: $(cat d/stderr)"
kill "$server"
wait_gone "$server" 10 || die "sshd does not end"
unset CRIU_CONFIG_FILE

# Both ends in one tree, with as much data between them as they can carry.
cat >both <<END
$sshd -D -e -f $W/sshd_config &
until ssh -F $W/ssh_config there true 2>/dev/null; do sleep 0.1; done
head -c 150000000 /dev/urandom | tee >(sha256sum >sent) | ssh -F $W/ssh_config there 'touch $W/b/begun; sha256sum' >got
touch sent.all
until [ -e seen ]; do sleep 0.1; done
kill %1
wait
END
start b bash "$W/both"
wait_for 20 test -e b/begun || die "no session: $(cat b/stderr)"
export CRIU_CONFIG_FILE=$W/tcp.conf
fast_dir img
n=0
while [ ! -e b/sent.all ] && [ $n -lt 12 ]; do
	cycle "img/$n" "$PID"
	rm -rf "img/$n"
	n=$((n + 1))
	sleep 0.1
done
[ $n -ge 2 ] || die "only $n dumps while data went"
# Nobody of them ends while he is being dumped.
wait_for 60 test -e b/sent.all || die "the transfer does not end: $(cat b/stderr)"
touch b/seen
wait_gone "$PID" 60 || die "the transfer does not end: $(cat b/stderr)"
[ -s b/got ] && cmp b/sent b/got || die "other data came than was sent: $(cat b/sent b/got b/stderr)"
