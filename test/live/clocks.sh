#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A checkpoint from a host that ran longer: absolute times come late, which is a warning and no failure.
. "$TOP/test/lib/common.sh"
need jq
start t sleep 1000
pid=$PID
dump img "$pid"
wait_gone "$pid" || die "still there"
"$CR_RESTORE" -D img -d -v2 -o "$W/log" </dev/null || die "restore"
! grep -q CLOCK_ log || die "the same host, and yet: $(cat log)"
kill -9 "$pid"
wait_gone "$pid" || die "still there"
# ahead WHICH SECONDS NAME
ahead() {
	cp -r img "img.$1"
	"$CR_IMAGE" decode -i img/timens-0.img | jq ".entries[0].$1.tv_sec += $2" >timens.json || die "cannot edit the clocks"
	"$CR_IMAGE" encode -i timens.json -o "img.$1/timens-0.img" || die "cannot encode the clocks"
	"$CR_IMAGE" seal "img.$1" >seal.out 2>&1 || die "cannot seal: $(cat seal.out)"
	"$CR_RESTORE" -D "img.$1" -d -v2 -o "$W/log" </dev/null || die "$1: the restore fails"
	[ "$(grep -c "$3.*late" log)" = 1 ] || die "$1: no single warning: $(cat log)"
	one_of "$pid" S || die "$1: it is $(state_of "$pid")"
	kill -9 "$pid"
	wait_gone "$pid" || die "still there"
}
ahead monotonic 5000 CLOCK_MONOTONIC
ahead boottime 6000 CLOCK_BOOTTIME
# No second has that many nanoseconds.
"$CR_IMAGE" decode -i img/timens-0.img | jq '.entries[0].monotonic.tv_nsec = 1000000000' >timens.json
"$CR_IMAGE" encode -i timens.json -o img/timens-0.img || die "cannot encode the clocks"
"$CR_IMAGE" seal img >seal.out 2>&1 || die "cannot seal: $(cat seal.out)"
refused 4 'timens-0.img' "$CR_RESTORE" -D img -d
wait_for 2 nobody_there || die "somebody is left: $(ns_procs)"
