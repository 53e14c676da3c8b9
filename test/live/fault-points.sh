#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every named point of the sources (common/base/fault.h): death there, and failure there. The target of a dump goes on correct and without
# a trace; a restore leaves nothing. A name that neither tool ever reaches is a defect of the name.
# timeout: 240
. "$TOP/test/lib/common.sh"
# Those of cr-image and of certain objects are met by tests of their own.
mapfile -t names < <(grep -rhoE 'fault\("[^"]+"\)|"(dump|restore):[a-z-]+"' "$TOP/common" "$TOP/bin" --include=*.c | sed 's/.*"\(.*\)".*/\1/' | grep -vE '^(cr-image|give|tcp|tty|mqueue):' | sort -u)
[ ${#names[@]} -gt 3 ] || die "only ${#names[@]} named points"
watchdog_start
fast_dir img
one_line() { [ "$(printf '%s\n' "$1" | wc -l)" = 1 ] && [ -n "$1" ]; }
declare -A reached=()
for n in "${names[@]}"; do
	out=$(CR_FAULT=$n "$CR_DUMP" -t "$DOG" -D img -R 2>&1)
	rc=$?
	case $rc in
	0) ;;
	137)
		reached[$n]=dump
		dog_well "cr-dump died at $n" ;;
	*) die "cr-dump with CR_FAULT=$n exits with $rc: $out" ;;
	esac
	rm -rf img/*
	[ -n "${reached[$n]:-}" ] || continue
	out=$(CR_FAULT=$n=5 "$CR_DUMP" -t "$DOG" -D img -R 2>&1)
	rc=$?
	# A failure that only makes things slower or costs a warning is no failure of the dump.
	if [ "$rc" != 0 ]; then
		[ "$rc" = 1 ] || die "cr-dump failing at $n exits with $rc: $out"
		one_line "$out" || die "cr-dump failing at $n does not say one line: $out"
		no_images img || die "cr-dump failing at $n leaves images: $(ls img)"
	fi
	dog_well "cr-dump failed at $n"
	rm -rf img/*
done
dump img "$DOG"
wait_gone "$DOG" || die "still there"
for n in "${names[@]}"; do
	for how in "" =5; do
		out=$(CR_FAULT=$n$how "$CR_RESTORE" -D img -d 2>&1 </dev/null)
		rc=$?
		case $rc in
		0)
			dog_well "restored with CR_FAULT=$n$how"
			kill -9 "$DOG"
			wait_gone "$DOG" || die "cannot be killed" ;;
		137)
			reached[$n]+=restore
			# Points behind the release of the process exist as well.
			if dog_lives "cr-restore died at $n"; then
				dog_well "cr-restore died at $n"
				kill -9 "$DOG"
				wait_gone "$DOG" || die "cannot be killed"
			fi ;;
		*)
			reached[$n]+=restore
			one_line "$out" || die "cr-restore failing at $n does not say one line: $out" ;;
		esac
		wait_for 2 nobody_there || die "cr-restore with CR_FAULT=$n$how leaves: $(ns_procs)"
	done
done
for n in "${names[@]}"; do [ -n "${reached[$n]:-}" ] || die "nothing reaches the point $n"; done
restore img
dog_well "the last restore"
dog_ends
