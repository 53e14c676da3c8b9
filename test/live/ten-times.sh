#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Dumped and restored ten times in a row, busy all the time; nothing may pile up in it.
# timeout: 180
. "$TOP/test/lib/common.sh"
watchdog_start
for i in 1 2 3 4 5 6 7 8 9 10; do
	cycle img "$DOG"
	dog_well "after restore $i"
	mv img "img.$i"
done
[ "$(ls img.1 | tr '\n' ' ')" = "$(ls img.10 | tr '\n' ' ')" ] || die "other images after ten times: $(diff <(ls img.1) <(ls img.10))"
dog_ends
