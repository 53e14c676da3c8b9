# SPDX-License-Identifier: GPL-2.0-or-later
# cr-config and the layers, with real files, a private HOME and a private /etc/criu where that is possible.

setup() {
	BIN=${BIN:-$BATS_TEST_DIRNAME/../../build}
	export HOME=$BATS_TEST_TMPDIR/home
	unset CRIU_CONFIG_FILE
	mkdir -p "$HOME/.criu"
	cd "$BATS_TEST_TMPDIR" || return 1
}

config() { "$BIN/cr-config" "$@"; }
fails() { # fails PATTERN COMMAND...
	local re=$1 rc=0
	shift
	"$@" >out 2>err || rc=$?
	echo "exit $rc: $(cat out err)"
	[ "$rc" = 2 ] && [ ! -s out ] && [ "$(wc -l <err)" = 1 ] && grep -qE -- "$re" err
}

@test "nothing is set when nothing is there; --all shows the defaults" {
	rm -r "$HOME/.criu"
	[ -e /etc/criu/default.conf ] && skip "this system has a default.conf"
	[ -z "$(config)" ]
	config --all | grep -qE '^ghost-limit +1M +default$'
	config --all --for cr-restore | grep -qE '^file-validation +buildid +default$'
	! config --all --for cr-restore | grep -q '^ghost-limit' || false
}

@test "each layer wins over those before it, and the loser is shown" {
	echo 'images-dir home' >"$HOME/.criu/default.conf"
	echo 'images-dir env' >env
	echo 'images-dir named' >named
	config | grep -qE "^images-dir +home +$HOME/.criu/default.conf:1:1$"
	export CRIU_CONFIG_FILE=$PWD/env
	config >out
	grep -qE "^images-dir +env +CRIU_CONFIG_FILE=$PWD/env:1:1$" out
	grep -qE "^ +home +\($HOME/.criu/default.conf:1:1, overridden\)$" out
	config -- cr-dump --config named >out
	grep -qE '^images-dir +named +named:1:1$' out
	! grep -q home out || false
	config -- cr-dump --config named -t 1 -D argv >out
	grep -qE '^images-dir +argv +argv\[5\]$' out
	config -- cr-dump --no-default-config >out
	grep -qE '^images-dir +env ' out
	! grep -q home out || false
}

@test "/etc/criu/default.conf comes first" {
	unshare --mount true 2>/dev/null || skip "no mount namespace"
	mkdir etc
	echo 'images-dir system' >etc/default.conf
	echo 'leave-stopped' >>etc/default.conf
	echo 'images-dir home' >"$HOME/.criu/default.conf"
	[ -d /etc/criu ] || skip "no /etc/criu to mount over"
	BIN=$BIN unshare --mount --propagation private sh -c 'mount --bind etc /etc/criu && "$BIN/cr-config"' >out
	grep -qE "^images-dir +home +$HOME" out
	grep -qE '^ +system +\(/etc/criu/default.conf:1:1, overridden\)$' out
	grep -qE '^leave-stopped +yes +/etc/criu/default.conf:2:1$' out
}

@test "no HOME, an empty HOME and an empty CRIU_CONFIG_FILE are no layers" {
	env -u HOME "$BIN/cr-config"
	HOME= CRIU_CONFIG_FILE= "$BIN/cr-config"
}

@test "values in quotes, comments, negation, repeats" {
	cat >"$HOME/.criu/default.conf" <<-'END'
		# a comment
		work-dir "/a \"b\" # c"   # and one behind
		external mnt[/x]:y
		external mnt[/z]:y
		external mnt[/x]:y
		leave-running
		no-leave-running
	END
	config --json >out
	jq -e '.options[] | select(.name == "work-dir").value == "/a \"b\" # c"' out
	jq -e '.options[] | select(.name == "external").value == ["mnt[/x]:y", "mnt[/z]:y"]' out
	jq -e '.options[] | select(.name == "external").acted_on == false' out
	jq -e '.options[] | select(.name == "leave-running").value == false' out
	jq -e '.options[] | select(.name == "leave-running").overrides[0].line == 6' out
}

@test "places of mistakes" {
	local f=$HOME/.criu/default.conf
	printf 'leave-running\n  tre 1\n' >"$f"
	fails "^cr-config: $f:2:3: unknown option tre; did you mean tree\?" config
	printf 'tree 1 2\n' >"$f"
	fails "$f:1:8: a second value" config
	printf 'work-dir "x\n' >"$f"
	fails "$f:1:10: the quote" config
	printf 'work-dir a\0b\n' >"$f"
	fails "$f:1:11: a NUL byte" config
	head -c 70000 /dev/zero | tr '\0' x >"$f"
	fails "$f:1:65537: the line is longer" config
	head -c 1048577 /dev/zero | tr '\0' '\n' >"$f"
	fails "$f: .*1048576 bytes" config
	rm "$f"
	mkdir "$f"
	fails "$f: .*a directory" config
	rmdir "$f"
	mkfifo "$f"
	fails "$f: .*a FIFO" timeout 10 "$BIN/cr-config"
	rm "$f"
	CRIU_CONFIG_FILE=$PWD/none fails "$PWD/none: .*No such file" config
	fails "none: .*No such file" config -- cr-dump --config none
}

@test "an unreadable default file is an error, not silence" {
	[ "$(id -u)" = 0 ] || skip "needs root to become somebody else"
	command -v setpriv >/dev/null || skip "no setpriv"
	cp "$BIN/cr-config" .
	chmod 755 . "$HOME" "$HOME/.criu"
	echo leave-running >"$HOME/.criu/default.conf"
	chmod 600 "$HOME/.criu/default.conf"
	setpriv --reuid 65534 --regid 65534 --clear-groups ./cr-config --list >/dev/null 2>&1 || skip "nobody cannot run here"
	fails "default.conf: .*Permission denied" setpriv --reuid 65534 --regid 65534 --clear-groups ./cr-config
}

@test "a CRIU configuration file works unchanged, with a note for what is not done" {
	cat >"$HOME/.criu/default.conf" <<-END
		tcp-established
		file-locks
		enable-fs all
		log-file restore.log
		restore-detached
		manage-cgroups soft
		network-lock nftables
		page-server
		address 127.0.0.1
		port 9999
		ext-unix-sk
		cpu-cap ins
	END
	for t in cr-dump cr-restore cr-check; do config --for $t >/dev/null; done
	config --for cr-restore | grep -qE '^restore-detached +yes '
	! config --for cr-dump | grep -q '^restore-detached' || false
	config --for cr-dump | grep -q 'cr-dump does not act on it'
	# the note reaches the log of the binary itself
	"$BIN/cr-check" --list -o log >/dev/null
	"$BIN/cr-dump" -t 4194304 -D . -o dump.log 2>err || true
	grep -q 'tcp-established is known, but this cr-dump does not act on it' dump.log
}

@test "--option shows one, set or not; wrong names are told" {
	config --option timeout | grep -qE '^timeout +10 +default$'
	[ "$(config --option timeout -- cr-dump --timeout 3 | wc -l)" = 1 ]
	config --option --timeout --json | jq -e '.options | length == 1 and .[0].value == 10 and .[0].set == false'
	fails 'unknown option timeot; did you mean timeout' config --option timeot
	fails 'cr-restore has no option tree' config --for cr-restore --option tree
}

@test "--for and the command line after --" {
	config -- /usr/sbin/cr-restore -d | grep -qE '^restore-detached +yes +argv\[1\]$'
	config --for cr-image --all -- cr-image decode --pretty | grep -qE '^pretty +yes '
	fails 'not one of the binaries' config -- criu dump
	fails 'contradict|--for says' config --for cr-dump -- cr-restore
	fails 'needs a command' config --for cr-image
	fails 'unknown option --no-such' config -- cr-dump --no-such
	fails 'different questions' config --list --explain tree
}

@test "the values of every option resolve to themselves" {
	config --list --json >list
	[ "$(jq length list)" -gt 80 ]
	n=0
	while IFS=$'\t' read -r name arg tool; do
		case $name in config | no-default-config | help | version | in | out) continue ;; esac
		case $tool in cr-dump | cr-restore | cr-check) ;; *) continue ;; esac
		case $arg in
		null) v= want=true ;;
		*) v=$(jq -r --arg n "$name" 'map(select(.name == $n))[0].default // "7"' list) want= ;;
		esac
		case $name in manage-cgroups) v=full ;; esac
		echo "$name $v" >one
		grep -q "command line only" <(config -- "$tool" --config one 2>&1) && continue
		config --option "$name" --json -- "$tool" --config one >got
		jq -e --arg w "$want" '.options[0].set and ($w == "" or .options[0].value == true)' got >/dev/null || { echo "$name: $(cat got)"; exit 1; }
		n=$((n + 1))
	done < <(jq -r '.[] | [.name, .argument // "null", .option_of[0]] | @tsv' list)
	[ "$n" -gt 60 ]
}

@test "--list and --explain know every option" {
	config --list >list
	while read -r name _; do
		config --explain "$name" >text
		grep -q -- "--$name" text
		grep -q '^  default:' text
	done <list
	config --explain ghost-limit | grep -q '1M'
	fails 'did you mean ghost-limit' config --explain ghost-limti
}

@test "a result that cannot be written is an error" {
	rc=0
	config --list >/dev/full 2>err || rc=$?
	[ "$rc" = 1 ]
	grep -q 'No space' err
}
