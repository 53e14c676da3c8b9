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
	echo "$output"
	[ "$status" = 0 ]
	[[ ${lines[-1]} == "cr-check: all "*" are there" ]]
	[[ $output == *clone3_set_tid* ]]
	[[ $output != *cap_sys_resource* ]]
}

@test "a network lock that is kept is named, with what removes it" {
	command -v nft >/dev/null || skip "nft is not installed"
	[ "$(id -u)" = 0 ] || skip "not root"
	run unshare --net sh -c "nft add table inet CRIU-some-run && nft add table inet other && \$0; \$0 --json | jq -c .network_locks" "$CHECK"
	echo "$output"
	[[ $output == *"kept "*"CRIU-some-run "*"nft delete table inet CRIU-some-run"* ]]
	[ "${lines[-1]}" = '["CRIU-some-run"]' ]
	run unshare --net sh -c "\$0 --json | jq -c .network_locks" "$CHECK"
	[ "$output" = '[]' ]
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

kconfigs=$BATS_TEST_DIRNAME/../unit/data/kconfig

@test "one table: groups by purpose, then the kernel configuration, then the verdict" {
	run "$CHECK" --all
	for title in "Dump a process" "Containers" "TCP connections" "Incremental dumps" "Lazy migration" "Unprivileged: "* "Kernel configuration"*; do
		printf '%s\n' "${lines[@]}" | grep -qE "^${title//\*/.*}"
	done
	[[ ${lines[-1]} == "cr-check: "* ]]
	[ "$(printf '%s\n' "${lines[@]}" | grep -cE '^  (ok|missing|no permission|unknown) ')" = "$("$CHECK" --list --json | jq "(.features + .kconfig.options | length) - 2")" ]
}

@test "all names of criu's --feature are known" {
	for name in mnt_id mem_dirty_track aio_remap timerfd tun tun_ns userns fdinfo_lock seccomp_suspend seccomp_filters loginuid \
		cgroupns autofs tcp_half_closed compat_cr uffd uffd-noncoop can_map_vdso sk_ns sk_unix_file net_diag_raw nsid link_nsid \
		kcmp_epoll timens external_net_ns clone3_set_tid newifindex nftables has_ipt_legacy pidfd_store ns_pid \
		apparmor_stacking network_lock_nftables sockopt_buf_lock memfd_hugetlb move_mount_set_group openat2 get_rseq_conf \
		ipv6_freebind pagemap_scan timer_cr_ids overlayfs_maps breakpoints pagemap_scan_guard_pages; do
		run "$CHECK" --feature "$name"
		[ "$status" -le 1 ]
		[[ $output == *" $name "* ]]
	done
}

@test "JSON has the same names in each row, and the sentence of the engines" {
	"$CHECK" --all --json >"$BATS_TEST_TMPDIR/all" || true
	jq -e '.features | all(has("name") and has("level") and has("group") and has("what_for") and has("state") and has("why") and
		has("hint") and has("time_us"))' "$BATS_TEST_TMPDIR/all"
	jq -e '.features | all(.name as $n | .state as $s | .sentence | startswith($s + ": " + $n + " ("))' "$BATS_TEST_TMPDIR/all"
	jq -e '[.features[].group] | unique - ["dump", "restore", "memory", "incremental", "lazy", "containers", "tcp", "network",
		"unprivileged"] == []' "$BATS_TEST_TMPDIR/all"
	jq -e '.kconfig.options | all(has("name") and has("menu") and has("why") and has("without") and has("value") and has("state")
		and has("disagrees"))' "$BATS_TEST_TMPDIR/all"
	jq -e '.ok == ([.features[], .kconfig.options[] | select(.name != "EXPERT" and .name != "EMBEDDED") | .state] | all(. == "ok"))' \
		"$BATS_TEST_TMPDIR/all"
}

@test "--kconfig judges a file alone: exit 0, 1 and 2" {
	run "$CHECK" --kconfig "$kconfigs/debian-6.12-amd64.config" --all
	[ "$status" = 0 ]
	[[ ${lines[0]} == "Kernel configuration ("*"debian-6.12-amd64.config)" ]]
	[[ $output == *"CONFIG_TUN=m"* ]]
	run "$CHECK" --kconfig "$kconfigs/vm-6.18.config"
	[ "$status" = 0 ]
	run "$CHECK" --kconfig "$kconfigs/vm-6.18.config" --extra
	[ "$status" = 1 ]
	[[ $output == *"missing "*"CONFIG_MEM_SOFT_DIRTY=n"*"Memory Management options > Track memory changes"* ]]
	for file in /nonexistent /dev/null /etc/passwd /proc; do
		run --separate-stderr "$CHECK" --kconfig "$file"
		[ "$status" = 2 ]
		[ "$(wc -l <<<"$stderr")" = 1 ]
		[ -z "$output" ]
	done
}

@test "EXPERT is named where it hides CHECKPOINT_RESTORE, and only there" {
	run "$CHECK" --kconfig "$kconfigs/old-hidden.config"
	[ "$status" = 1 ]
	[[ $output == *"missing "*"CONFIG_EXPERT=n"* ]]
	[[ ${lines[-1]} != *EXPERT* ]]
	run "$CHECK" --kconfig "$kconfigs/vm-6.18.config"
	[[ $output != *EXPERT* ]]
}

@test "a fragment has only lines of a configuration, and nothing when nothing is missing" {
	run "$CHECK" --kconfig "$kconfigs/old-hidden.config" --kconfig-fragment
	[ "$status" = 1 ]
	printf '%s\n' "${lines[@]}" | { ! grep -vE '^(# .*|CONFIG_[A-Z0-9_]+=[ym])$'; }
	printf '%s\n' "$output" | cat "$kconfigs/old-hidden.config" - >"$BATS_TEST_TMPDIR/merged"
	run "$CHECK" --kconfig "$BATS_TEST_TMPDIR/merged" --kconfig-fragment
	[ "$status" = 0 ]
	[ -z "$output" ]
	gzip "$BATS_TEST_TMPDIR/merged"
	run "$CHECK" --kconfig "$BATS_TEST_TMPDIR/merged.gz"
	[ "$status" = 0 ]
}

# as_if CONFIG COMMAND...: in mounts of its own, with this file in place of /proc/config.gz
as_if() {
	unshare -m sh -c 'mount --bind "$1" /proc/config.gz && shift && exec "$@"' _ "$@"
}

@test "where configuration and probe disagree the probe wins, and it is shown" {
	[ -e /proc/config.gz ] || skip "no /proc/config.gz here"
	sed 's/^CONFIG_EPOLL=y/# CONFIG_EPOLL is not set/; s/^# CONFIG_MEM_SOFT_DIRTY.*/CONFIG_MEM_SOFT_DIRTY=y/' \
		"$kconfigs/vm-6.18.config" >"$BATS_TEST_TMPDIR/lie"
	run as_if "$BATS_TEST_TMPDIR/lie" "$CHECK"
	[ "$status" = 0 ]
	[[ $output == *"ok "*"CONFIG_EPOLL=n"*"the probe of epoll worked"* ]]
	"$CHECK" --quiet --feature mem_dirty_track && return
	run as_if "$BATS_TEST_TMPDIR/lie" "$CHECK" --feature mem_dirty_track
	[ "$status" = 1 ]
	[[ $output == *"missing "*"CONFIG_MEM_SOFT_DIRTY=y"*"but the probe says: "* ]]
	[ "$(as_if "$BATS_TEST_TMPDIR/lie" "$CHECK" --feature mem_dirty_track --json | jq '.kconfig.options[0].disagrees')" = true ]
}

@test "without any configuration the probes decide, and --kconfig-fragment says what it lacks" {
	[ -e /proc/config.gz ] || skip "no /proc/config.gz here"
	[ ! -e "/boot/config-$(uname -r)" ] && [ ! -e "/lib/modules/$(uname -r)/config" ] || skip "there are others here"
	run as_if /dev/null "$CHECK"
	[ "$status" = 0 ]
	[[ $output == *"the configuration of this kernel is not to be had: /proc/config.gz: "* ]]
	run --separate-stderr as_if /dev/null "$CHECK" --kconfig-fragment
	[ "$status" = 2 ]
	[[ $stderr == *"--kconfig"* ]]
}

@test "with dropped capabilities nothing is called missing that is there" {
	command -v capsh >/dev/null || skip "capsh is not installed"
	here=$("$CHECK" --all --json | jq -r '.features[] | select(.state == "missing") | .name')
	for caps in cap_sys_admin cap_sys_ptrace,cap_net_admin cap_sys_admin,cap_checkpoint_restore,cap_sys_ptrace,cap_net_raw; do
		there=$(capsh --drop=$caps -- -c '"$0" --all --json' "$CHECK" | jq -r '.features[] | select(.state == "missing") | .name')
		[ "$here" = "$there" ]
	done
}

@test "in poor surroundings nothing is called missing that is there" {
	missing() { jq -r '.features[] | select(.state == "missing") | .name' | sort; }
	here=$("$CHECK" --all --json | missing)
	# Where it cannot even look, it may know less than here, but never more.
	nothing_new() { # COMMAND...
		local there
		"$@" --all --json >"$BATS_TEST_TMPDIR/there" || [ $? = 1 ]
		[ "$(jq '.features | length' "$BATS_TEST_TMPDIR/there")" -gt 100 ]
		there=$(missing <"$BATS_TEST_TMPDIR/there")
		diff /dev/null <(comm -13 <(echo "$here") <(sed '/^$/d' <<<"$there"))
	}
	for n in 8 10 12 14 16; do nothing_new prlimit --nofile=$n "$CHECK"; done
	for dir in /dev /sys /tmp /run; do
		case $CHECK in "$dir"/*) continue ;; esac # it would hide the tool itself
		nothing_new unshare -m sh -c 'mount -t tmpfs x "$1" && shift && exec "$@"' _ $dir "$CHECK"
	done
	nothing_new unshare -Urpmnf --mount-proc "$CHECK"
	mkdir -p "$BATS_TEST_TMPDIR/root/proc"
	cp "$CHECK" "$BATS_TEST_TMPDIR/root/cr-check"
	for lib in $(ldd "$CHECK" | grep -o '/[^ ]*'); do
		mkdir -p "$BATS_TEST_TMPDIR/root${lib%/*}"
		cp -L "$lib" "$BATS_TEST_TMPDIR/root$lib"
	done
	nothing_new chroot "$BATS_TEST_TMPDIR/root" /cr-check
}

@test "cr-dump and cr-restore say of a lack what cr-check says of it" {
	bin=$(dirname "$CHECK")
	withhold=$bin/test/live/withhold
	[ -x "$withhold" ] && [ -x "$bin/cr-dump" ] && [ -x "$bin/cr-restore" ] || skip "not built"
	same() { # FEATURE ERRNO CALL TOOL...
		local feature=$1 errno=$2 call=$3 sentence
		shift 3
		sentence=$("$withhold" "$errno" "$call" "$CHECK" --feature "$feature" --json | jq -r '.features[0].sentence')
		run "$withhold" "$errno" "$call" "$@"
		[ "$status" = 3 ]
		[[ $sentence == *": $feature ("* ]]
		[[ ${lines[-1]} == *"$sentence"* ]]
	}
	cd "$BATS_TEST_TMPDIR"
	mkdir img
	# Without the descriptors of this test, which would be refused.
	bash -c 'for fd in /proc/$$/fd/*; do fd=${fd##*/}; [ "$fd" -le 2 ] || eval "exec $fd>&-"; done; exec setsid sleep 1000' \
		</dev/null >/dev/null 2>&1 &
	pid=$!
	until [ "$(cat /proc/$pid/comm)" = sleep ]; do sleep 0.02; done
	same kcmp 1 312 "$bin/cr-dump" -t $pid -D img
	same pidfd_getfd 38 438 "$bin/cr-dump" -t $pid -D img
	same process_vm_readv 1 310 "$bin/cr-dump" -t $pid -D img
	"$bin/cr-dump" -t $pid -D img
	wait $pid || true
	same clone3_set_tid 1 435 "$bin/cr-restore" -D img -d
	same prctl_mm_map 1 157:1=14 "$bin/cr-restore" -D img -d
	sentence=$(capsh --drop=cap_sys_ptrace,cap_sys_admin,cap_checkpoint_restore -- -c '"$0" --feature cap_checkpoint_restore --json' "$CHECK" |
		jq -r '.features[0].sentence')
	run capsh --drop=cap_sys_ptrace,cap_sys_admin,cap_checkpoint_restore -- -c '"$0" -D img -d' "$bin/cr-restore"
	[ "$status" != 0 ]
	[[ $output == *"$sentence"* ]]
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
