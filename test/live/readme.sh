#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The README, tried: after an install into an empty folder, its commands work as they stand there on a program of ours.
# timeout: 180
. "$TOP/test/lib/common.sh"
need perl jq
mkdir root empty
# -o all: what is installed is what was built; nothing is built while other tests run it.
env -u MAKEFLAGS -u MFLAGS make -o all -s -C "$TOP" BUILD="$BIN" DESTDIR="$W/root" PREFIX=/usr install >make.log 2>&1 || die "make install: $(cat make.log)"
PATH=$W/root/usr/sbin:$PATH
[ "$(command -v cr-dump)" = "$W/root/usr/sbin/cr-dump" ] || die "cr-dump is not installed"
cd empty || die "cd"
start a perl -e '$n = 0; while (1) { $n++; open F, ">", "b.new"; print F "$n\n"; close F; rename "b.new", "b"; select undef, undef, undef, 0.01 }'
wait_for 5 test -s a/b || die "no beat"
# Every line of the typical uses with our pid and folders instead of those of the README; what needs an editor is left out.
sed -n '/^## Typical uses/,/^## What is kept/p' "$TOP/README.md" | grep '^    ' | sed 's/^ *//; s/ *#.*//' |
	sed "s/4711/$PID/g; s|/var/tmp/img|img2|g" >commands
[ "$(wc -l <commands)" -ge 10 ] || die "only $(wc -l <commands) commands in the README"
mkdir -p img img2
tried=0
while read -r line; do
	case $line in
	*" --check "*) ;;
	*EDITOR* | *monday* | *ssh* | *gdb*) continue ;; # an editor, other folders, another host, a debugger at the keyboard
	"cr-image edit "*) export EDITOR=true ;;
	"cr-restore -D img2; echo"*)
		# In front of a program that has its own end to come to.
		continue ;;
	"cr-restore -D img -d --pidfile pid") continue ;; # it lives: its pid is taken
	"cr-dump -t $PID -D img2") rm -rf img2 && mkdir img2 ;;
	"cr-dump "*) rm -rf img && mkdir img ;;
	esac
	out=$(bash -c "set -o pipefail; $line" 2>&1 </dev/null)
	rc=$?
	case $line in cr-image\ search*) [ "$rc" = 1 ] && rc=0 ;; esac # what it looks for need not be there
	case $line in cr-restore\ --check*) [ "$rc" = 1 ] && rc=0 ;; esac # it lives: its pid is taken
	case $line in cr-check*) [ "$rc" -le 3 ] && rc=0 ;; esac # what it finds is this machine's matter
	[ "$rc" = 0 ] || die "'$line' exits with $rc: $out"
	case $line in *" -D img2"*) ;; cr-dump*) kill -CONT "$PID" 2>/dev/null ;; esac
	tried=$((tried + 1))
	[ "$line" != "cr-dump -t $PID -D img2" ] || wait_gone "$PID" || die "still there"
done <commands
[ "$tried" -ge 9 ] || die "only $tried commands were tried"
went_on() { [ "$(cat a/b)" -gt "$n" ]; }
n=$(cat a/b)
wait_for 5 went_on || die "the program does not go on"
