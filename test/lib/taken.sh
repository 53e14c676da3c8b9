# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What a dump can read only by taking it, and puts back.

# The program in work, PID, has it all: also after a dump that fails, and after two that leave it running, as it says itself.
still_proves() {
	CR_FAULT=dump:before-commit=ENOSPC "$CR_DUMP" -t "$PID" -D img -R >log 2>&1
	rm -rf img
	dump img "$PID" -R
	wait_for 5 is_free "$PID" || die "the target is not free"
	dump img2 "$PID" -R
	touch work/go
	wait_for 20 test -e work/verdict || die "no verdict"
	grep -q '^pass' work/verdict || die "$(cat work/verdict)"
}
