# SPDX-License-Identifier: GPL-2.0-or-later
# What every binary says of itself, and what it says to those who call it wrongly. BIN is the build directory.

setup() {
	BIN=${BIN:-$BATS_TEST_DIRNAME/../../build}
	tools="cr-dump cr-restore cr-check cr-image cr-config"
	export HOME=$BATS_TEST_TMPDIR
	unset CRIU_CONFIG_FILE
	cd "$BATS_TEST_TMPDIR" || return 1
}

# usage_error PATTERN COMMAND...: exit code 2, nothing on stdout, one line on stderr that matches.
usage_error() {
	local re=$1 rc=0
	shift
	"$@" >out 2>err </dev/null || rc=$?
	echo "$* exits with $rc and says: $(cat out err)"
	[ "$rc" = 2 ] && [ ! -s out ] && [ "$(wc -l <err)" = 1 ] && grep -q "^${1##*/}: " err && grep -qE -- "$re" err
}

@test "--help and -h print the same, on standard output, within 80 columns" {
	for t in $tools; do
		"$BIN/$t" --help >long 2>err
		[ ! -s err ]
		"$BIN/$t" -h | cmp - long
		head -1 long | grep -q "^Usage: $t "
		grep -q '^Exit codes:' long
		grep -q -- '-V, --version' long
		! grep -nE '.{81}' long || false
		! grep -E -- '--(completion|man-options)' long || false
	done
}

@test "--help of each command of cr-image has its own options" {
	for c in show decode encode info; do
		"$BIN/cr-image" $c --help >help
		head -1 help | grep -q "^Usage: cr-image $c "
		"$BIN/cr-image" --help | grep -q "^  $c "
	done
	"$BIN/cr-image" decode --help | grep -q -- '-i, --in FILE'
	! "$BIN/cr-image" info --help | grep -q -- --pretty || false
}

@test "--help works though a configuration file is broken" {
	mkdir .criu
	echo 'no such thing' >.criu/default.conf
	"$BIN/cr-dump" --help >/dev/null
	"$BIN/cr-dump" -V >/dev/null
	usage_error "$HOME/.criu/default.conf:1:1: no: unknown option" "$BIN/cr-dump" -t 1
}

@test "-V names binary, kernel, machine and libraries" {
	for t in $tools; do
		"$BIN/$t" --version >v
		"$BIN/$t" -V | cmp - v
		head -1 v | grep -qE "^$t [0-9]+\.[0-9]+"
		grep -qF "$(uname -r) $(uname -m)" v
		for l in protobuf-c json-c zstd libcap libnl; do grep -qE "$l [0-9]+\.[0-9]+" v; done
	done
}

@test "help and version into a full device are an error" {
	for t in $tools; do
		rc=0
		"$BIN/$t" --help >/dev/full 2>err || rc=$?
		[ "$rc" = 1 ]
		grep -q 'No space left' err
	done
}

@test "unknown options: exit code 2, one line, the nearest name" {
	for t in $tools; do
		usage_error 'unknown option --no-such-option' "$BIN/$t" --no-such-option
		usage_error 'unknown option -Z' "$BIN/$t" -Z
		usage_error 'did you mean --version' "$BIN/$t" --verison
	done
	usage_error 'did you mean --images-dir' "$BIN/cr-dump" --image-dir x
	usage_error 'did you mean --leave-running' "$BIN/cr-dump" --leave-run
	usage_error 'did you mean decode' "$BIN/cr-image" decod
}

@test "options of others and options without effect are refused by name" {
	usage_error 'cr-dump has no option --plan; it is one of cr-restore' "$BIN/cr-dump" --plan
	usage_error '--lazy-pages but does not act on it' "$BIN/cr-restore" --lazy-pages
	usage_error 'one of cr-restore|option of cr-restore' "$BIN/cr-dump" -d
}

@test "what cr-dump needs and what excludes itself" {
	usage_error '--tree PID' "$BIN/cr-dump"
	usage_error 'out of range' "$BIN/cr-dump" -t 0
	usage_error 'not a number' "$BIN/cr-dump" -t 12x
	usage_error "argument 'x'" "$BIN/cr-dump" -t 1 x
	usage_error 'leave-running \(argv\[3\]\) and leave-stopped \(argv\[3\]\)' "$BIN/cr-dump" -t 1 -Rs
	echo leave-running >conf
	usage_error 'leave-running \(conf:1:1\) and leave-stopped' "$BIN/cr-dump" --config conf -t 1 -s
	usage_error 'auto-dedup .* and images-dir - .*--no-auto-dedup' "$BIN/cr-dump" -t 1 -D - --auto-dedup
	usage_error 'pre-dump .* and images-dir - .*--iterate' "$BIN/cr-dump" -t 1 -D - --pre-dump
	usage_error 'prev-images-dir .* and images-dir - .*leave one of them out' "$BIN/cr-dump" -t 1 -D - --prev-images-dir x
	usage_error 'cow-pages .* and iterate ' "$BIN/cr-dump" -t 1 --cow-pages --iterate
	usage_error 'cow-pages .* and prev-images-dir ' "$BIN/cr-dump" -t 1 --cow-pages --prev-images-dir x
	usage_error 'pre-dump .* and cow-pages ' "$BIN/cr-dump" -t 1 --cow-pages --pre-dump
	usage_error 'pre-dump .* and iterate ' "$BIN/cr-dump" -t 1 --iterate --pre-dump
	usage_error 'pre-dump .* and leave-stopped ' "$BIN/cr-dump" -t 1 -s --pre-dump
	usage_error 'work-dir /nowhere: No such file' "$BIN/cr-dump" -t 1 -W /nowhere
	usage_error 'work-dir conf: Not a directory' "$BIN/cr-restore" -D . -W conf
	usage_error 'pidfile ./pstree.img: that is the name of an image' "$BIN/cr-dump" -t 1 --pidfile ./pstree.img
	usage_error 'log-file x/stats-dump: that is' "$BIN/cr-restore" -o x/stats-dump
	usage_error '-o \(--out\) is an option of another subcommand' "$BIN/cr-image" unpack -o x
}

@test "what cr-restore needs and what excludes itself" {
	usage_error "argument 'x'.*--exec-cmd" "$BIN/cr-restore" x
	usage_error 'without a command' "$BIN/cr-restore" --exec-cmd
	usage_error 'no command no-such-command in PATH' "$BIN/cr-restore" --exec-cmd -- no-such-command
	usage_error 'cannot run the command ./none' "$BIN/cr-restore" --exec-cmd -- ./none
	usage_error 'exec-cmd .* and restore-sibling ' "$BIN/cr-restore" -S --exec-cmd -- true
	usage_error 'plan .* and check ' "$BIN/cr-restore" --plan --check
	usage_error 'auto-dedup .* and images-dir - ' "$BIN/cr-restore" -D - --auto-dedup
	# What only a dump would make of a file is no business of a restore.
	echo prev-images-dir x >conf
	usage_error 'auto-dedup' "$BIN/cr-restore" --config conf -D - --auto-dedup
	rc=0
	"$BIN/cr-restore" --config conf -D - 2>err </dev/null || rc=$?
	[ "$rc" = 4 ] && ! grep -q prev-images err
}

@test "--log-format=json makes errors objects, those of usage too" {
	for t in $tools; do
		rc=0
		"$BIN/$t" --log-format=json --no-such-option 2>err || rc=$?
		[ "$rc" = 2 ]
		[ "$(wc -l <err)" = 1 ]
		jq -e --arg t "$t" '.level == "error" and .tool == $t and .exit == 2 and (.reason | test("no-such-option"))' err
	done
	rc=0
	"$BIN/cr-dump" --log-format json -t $'\xff\n' 2>err || rc=$?
	jq -e '.exit == 2' err
}

@test "completion scripts are valid and complete options, values and commands" {
	for t in $tools; do
		"$BIN/$t" --completion >c
		bash -n c
		if command -v shellcheck >/dev/null; then shellcheck -s bash -S error c; fi
	done
	complete_() {
		bash -c 'compopt() { :; }; source <("$BIN/$1" --completion); shift; f=$1; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "$f"; printf "%s\n" "${COMPREPLY[@]}"' _ "$@"
	}
	export BIN
	complete_ cr-dump _cr_dump cr-dump --leave | grep -qx -- --leave-running
	complete_ cr-dump _cr_dump cr-dump --log-format js | grep -qx json
	complete_ cr-dump _cr_dump cr-dump --log-format = js | grep -qx json
	complete_ cr-dump _cr_dump cr-dump -t '' | grep -qx 1
	complete_ cr-image _cr_image cr-image de | grep -qx decode
	complete_ cr-image _cr_image cr-image decode --p | grep -qx -- --pretty
	! complete_ cr-image _cr_image cr-image info --p | grep -q . || false
	complete_ cr-config _cr_config cr-config --explain ghost | grep -qx ghost-limit
}

@test "man pages render without a warning and have each option" {
	command -v man >/dev/null || skip "no man"
	for t in $tools; do
		[ -e "$BIN/man/$t.8" ]
		LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -l -E UTF-8 -Tutf8 -Z "$BIN/man/$t.8" 2>&1 >/dev/null | tee warnings
		[ ! -s warnings ]
		LC_ALL=C.UTF-8 MANWIDTH=100 man -l "$BIN/man/$t.8" | col -b >text
		for s in NAME SYNOPSIS DESCRIPTION OPTIONS 'EXIT STATUS' EXAMPLES 'SEE ALSO'; do grep -qx "$s" text; done
		! grep -q '@' text || false
		"$BIN/$t" --help | grep -oE -- ' --[a-z][a-z-]+' | sort -u | while read -r o; do
			case $o in --no-*) continue ;; esac
			grep -q -- "$o" text || { echo "$t.8 lacks $o"; exit 1; }
		done
	done
}
