#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Targets that only the outside has.
# where: host
. "$TOP/test/lib/common.sh"
kthread=
for d in /proc/[0-9]*; do
	s=$(cat "$d/stat" 2>/dev/null) || continue
	s=${s##*) }
	# shellcheck disable=SC2086
	set -- $s
	if [ $(($7 & 0x200000)) != 0 ]; then
		kthread=${d#/proc/}
		break
	fi
done
[ -n "$kthread" ] || skip "no kernel thread is visible here"
mkdir img
refused '1|5' 'kernel thread' "$CR_DUMP" -t "$kthread" -D img -R
no_images img || die "images: $(ls img)"
