# SPDX-License-Identifier: GPL-2.0-or-later
# cr-check as a user meets it: levels, names, exit codes, JSON, and ordinary users.
bats_require_minimum_version 1.5.0

setup() {
	CHECK=${BIN:-$BATS_TEST_DIRNAME/../../build}/cr-check
	export HOME=/
}

nobody() { # runs as an ordinary user without any capability
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$@"
}

@test "the default table is all there on this host, exit 0" {
	run "$CHECK"
	[ "$status" = 0 ]
	[[ ${lines[-1]} == "cr-check: all "*" are there" ]]
	[[ $output == *clone3_set_tid* ]]
	[[ $output != *cap_sys_resource* ]]
}

@test "levels add up, and --all has every row of --list" {
	required=$("$CHECK" --list --json | jq '[.features[] | select(.level == "required")] | length')
	all=$("$CHECK" --list --json | jq '.features | length')
	[ "$("$CHECK" --json | jq '.features | length')" = "$required" ]
	[ "$("$CHECK" --all --json | jq '.features | length')" = "$all" ]
	[ "$("$CHECK" --extra --json | jq '.features | length')" -gt "$required" ]
	[ "$required" -gt 15 ]
}

@test "--feature takes names with commas and repeated, and says 1 when one is not there" {
	run "$CHECK" --feature memfd,mnt_id --feature openat2
	[ "$status" = 0 ]
	[[ ${lines[-1]} == "cr-check: all 3 are there" ]]
	run "$CHECK" --feature memfd,amx,shadow_stack,mem_dirty_track
	case $("$CHECK" --feature amx,shadow_stack,mem_dirty_track --json | jq .ok) in
	true) [ "$status" = 0 ] ;;
	false) [ "$status" = 1 ] ;;
	*) false ;;
	esac
}

@test "wrong usage is exit 2 and one line" {
	for args in "--feature=bogus" "--feature=" "--bogus" "operand"; do
		run --separate-stderr "$CHECK" "$args"
		[ "$status" = 2 ]
		[ "$(wc -l <<<"$stderr")" = 1 ]
		[ -z "$output" ]
	done
}

@test "--quiet prints nothing; the exit code is the answer" {
	run "$CHECK" --quiet
	[ "$status" = 0 ]
	[ -z "$output" ]
	run nobody "$CHECK" --quiet
	[ "$status" = 1 ]
	[ -z "$output" ]
}

@test "an ordinary user: forbidden is never called missing, and the capability is named" {
	root=$("$CHECK" --all --json | jq -r '.features[] | select(.state == "missing") | .name')
	user=$(nobody "$CHECK" --all --json | jq -r '.features[] | select(.state == "missing") | .name')
	[ "$root" = "$user" ]
	run nobody "$CHECK" --feature clone3_set_tid
	[ "$status" = 1 ]
	[[ $output == *"no permission"*"needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN"* ]]
}

@test "in a user namespace it answers, without a crash" {
	unshare -Ur true || skip "no user namespaces here"
	run unshare -Ur "$CHECK" --all
	[ "$status" = 1 ]
	[[ $output == *"although CAP_"*"is held"* ]]
}

@test "it leaves no process behind" {
	run unshare --pid --fork --mount-proc bash -c '"$1" --all >/dev/null; ls -d /proc/[0-9]* | wc -l' _ "$CHECK"
	[ "${lines[-1]}" -le 3 ] # bash, ls, wc
}

@test "a full output is an error" {
	run --separate-stderr bash -c '"$1" >/dev/full' _ "$CHECK"
	[ "$status" != 0 ]
	[[ $stderr == *"cannot write"* ]]
}
