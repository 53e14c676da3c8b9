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
# A copy of /etc with a criu folder in it, and a command that sees it in place of the real one.
private_etc() {
	mkdir etc
	cp -a /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache etc/ 2>/dev/null || true
	mkdir etc/criu
}
with_etc() { unshare --mount --propagation private sh -c 'mount --bind etc /etc && exec "$@"' _ "$@"; }
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
	private_etc
	echo 'images-dir system' >etc/criu/default.conf
	echo 'leave-stopped' >>etc/criu/default.conf
	echo 'images-dir home' >"$HOME/.criu/default.conf"
	with_etc "$BIN/cr-config" >out
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
		libdir /x
	END
	config --json >out
	jq -e '.options[] | select(.name == "work-dir").value == "/a \"b\" # c"' out
	jq -e '.options[] | select(.name == "external").value == ["mnt[/x]:y", "mnt[/z]:y"]' out
	jq -e '.options[] | select(.name == "libdir").acted_on == false' out
	jq -e '.options[] | select(.name == "leave-running").value == false' out
	jq -e '.options[] | select(.name == "leave-running").overrides[0].line == 6' out
}

@test "places of mistakes" {
	local f=$HOME/.criu/default.conf
	printf 'leave-running\n  tre 1\n' >"$f"
	fails "^cr-config: $f:2:3: tre: unknown option; did you mean tree\?" config
	printf 'tree 1 2\n' >"$f"
	fails "$f:1:8: tree: a second value" config
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

@test "a default file of somebody else is passed over with a word, a named one is an error" {
	[ "$(id -u)" = 0 ] || skip "needs root to become somebody else"
	command -v setpriv >/dev/null || skip "no setpriv"
	cp "$BIN/cr-config" .
	chmod 755 . "$HOME" "$HOME/.criu"
	echo leave-running >"$HOME/.criu/default.conf"
	chmod 600 "$HOME/.criu/default.conf"
	setpriv --reuid 65534 --regid 65534 --clear-groups ./cr-config --list >/dev/null 2>&1 || skip "nobody cannot run here"
	nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	nobody ./cr-config >out 2>err
	[ ! -s out ]
	grep -q "default.conf is passed over: cannot read it: Permission denied" err
	nobody ./cr-config --json | jq -e '.notes[0] | test("passed over")'
	fails "default.conf: .*Permission denied" nobody ./cr-config -- cr-dump --config "$HOME/.criu/default.conf"
	CRIU_CONFIG_FILE=$HOME/.criu/default.conf fails "default.conf: .*Permission denied" nobody ./cr-config
	rc=0
	nobody ./cr-config --validate >out || rc=$?
	[ "$rc" = 1 ]
	grep -q "default.conf: warning: .*passed over" out
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
	grep -q 'page-server is known, but this cr-dump does not act on it' dump.log
	echo unprivileged >>"$HOME/.criu/default.conf"
	"$BIN/cr-check" --list -o log >/dev/null
	grep -q 'unprivileged is known, but this cr-check does not act on it' log
	echo unprivileged >"$HOME/.criu/default.conf"
	"$BIN/cr-check" --list 2>&1 >/dev/null | grep -q 'unprivileged is known'
	[ -z "$("$BIN/cr-check" -q --feature clone3_set_tid 2>&1)" ]
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

@test "names are known that criu itself prints" {
	command -v criu >/dev/null || skip "criu is not installed"
	config --list | cut -d' ' -f1 | sort >ours
	# --no-... are the other side of switches.
	criu --help | grep -oE -- '--[a-z][a-z-]+[a-z]' | sed 's/^--//; s/^no-display-stats$/display-stats/' | sort -u >theirs
	[ "$(wc -l <theirs)" -gt 50 ]
	[ -z "$(comm -13 ours theirs | grep -vx no)" ] || { comm -13 ours theirs; false; }
}

problems() { # problems EXIT ARGS...: the output of --validate is in out
	local want=$1 rc=0
	shift
	config --validate "$@" >out 2>err || rc=$?
	cat out err
	[ "$rc" = "$want" ] && [ ! -s err ]
}

@test "--validate tells all problems, with line and caret" {
	printf 'tcp-estabished\n\timages-dir "a b\nleave-running # fine\nnetwork-lock none\nghost-limit 1M\nghost-limit 2M\ndump\n' >f
	problems 1 f
	[ "$(grep -c '^f:' out)" = 5 ]
	grep -qxF 'f:1:1: error: tcp-estabished: unknown option, did you mean tcp-established?' out
	grep -A2 '^f:1:1:' out | tail -2 | cmp - <(printf '  tcp-estabished\n  ^~~~~~~~~~~~~~\n')
	grep -A2 '^f:2:13: error: the quote' out | tail -1 | grep -qx "  ${out:+}            ^~~~"
	grep -q '^f:4:14: error: .*none of iptables|nftables|skip' out
	grep -A2 '^f:4:14:' out | tail -1 | grep -qx '               ^~~~'
	grep -q '^f:6:1: warning: ghost-limit: given twice' out
	grep -q '^f:7:1: error: dump: a command' out
	config --validate --json f >j || true
	jq -e '.clean == false and (.problems | length == 5) and .problems[0].line == 1 and .problems[0].severity == "error"' j
	jq -e '.problems[1] | .column == 13 and .source == "\timages-dir \"a b"' j
}

@test "--validate: conflicts, no effect, files of others, several files, standard input" {
	printf 'leave-stopped\nleave-running\n' >a
	printf 'tcp-close\ntcp-established\nport 80\ntls-key k\n' >b
	echo 'work-dir /x' >c
	problems 0 c
	[ ! -s out ]
	problems 1 a b c
	grep -q '^a:2:1: error: leave-running: contradicts leave-stopped (line 1)' out
	grep -q '^b:2:1: error: tcp-established: contradicts tcp-close (line 1)' out
	grep -q '^b:3:1: warning: port: no effect without page-server or lazy-pages' out
	grep -q '^b:4:1: warning: tls-key: no effect without tls' out
	! grep -q '^c' out || false
	chmod 666 c
	problems 1 c
	grep -q '^c: warning: the file may be written by everybody (mode 666)' out
	chmod 664 c
	problems 1 c
	grep -q 'written by its group' out
	chmod 644 c
	mkdir open
	mv c open/
	chmod 777 open
	problems 1 open/c
	grep -q 'directory of the file may be written' out
	ln -s "$PWD/open/c" link
	problems 1 link
	grep -q 'that the link leads to may be written' out
	chmod 1777 open
	problems 0 open/c
	if [ "$(id -u)" = 0 ]; then
		chown 12345 open/c
		problems 1 open/c
		grep -q 'belongs to uid 12345' out
	fi
	printf 'tre 1\n' | { problems 1 -; }
	grep -q '^<stdin>:1:1: error: tre' out
	# Editors give a socket.
	perl -MSocket -e 'socketpair(A, B, AF_UNIX, SOCK_STREAM, 0); syswrite(B, "tre 1\n"); close B; open STDIN, "<&A"; exec @ARGV' \
		"$BIN/cr-config" --validate - | grep -q '^<stdin>:1:1: error: tre'
	problems 1 none
	grep -q '^none: error: .*No such file' out
	rc=0
	config --validate --no-such || rc=$?
	[ "$rc" = 2 ]
}

@test "--validate without a file looks at the chain, and at what contradicts across files" {
	unshare --mount true 2>/dev/null || skip "no mount namespace"
	private_etc
	problems 0
	echo leave-running >etc/criu/default.conf
	echo leave-stopped >"$HOME/.criu/default.conf"
	echo nonsense >etc/criu/runc.conf
	rc=0
	with_etc "$BIN/cr-config" --validate >out || rc=$?
	cat out
	[ "$rc" = 1 ]
	grep -q '^/etc/criu/runc.conf:1:1: error: nonsense' out
	grep -q "^$HOME/.criu/default.conf:1:1: error: leave-stopped: contradicts leave-running (/etc/criu/default.conf:1:1)" out
	[ "$(grep -c : out)" = 2 ]
	# and the binaries refuse it, with both places
	rc=0
	with_etc "$BIN/cr-config" -- cr-dump -t 1 2>err || rc=$?
	[ "$rc" = 2 ]
	grep -q '/etc/criu/default.conf:1:1.*default.conf:1:1.*contradict' err
}

@test "--validate and --resolve: hostile files end at once" {
	truncate -s 1G big
	mkfifo fifo
	ln -s loop2 loop1
	ln -s loop1 loop2
	mkdir dir
	printf 'work-dir a\0b\n' >nul
	for f in big fifo loop1 dir nul /dev/zero /proc/self/mem; do
		rc=0
		timeout 10 "$BIN/cr-config" --validate "$f" >out || rc=$?
		[ "$rc" = 1 ]
		grep -q "^$f:.*error: " out
		rc=0
		timeout 10 "$BIN/cr-config" -- cr-dump --config "$f" 2>err || rc=$?
		[ "$rc" = 2 ]
		grep -q "$f" err
		rc=0
		CRIU_CONFIG_FILE=$f timeout 10 "$BIN/cr-config" 2>err || rc=$?
		[ "$rc" = 2 ]
	done
	# A mebibyte of mistakes is told line by line in bounded memory.
	yes x | head -c 1000000 >many
	(ulimit -v 400000; timeout 60 "$BIN/cr-config" --validate many) | tail -1 | grep -q '\^'
	# Control characters of a file do not reach the terminal.
	printf 'a\033[31mb\n' >esc
	problems 1 esc
	! grep -q $'\033' out || false
}

@test "--init is a clean file, and stays known when everything in it is taken" {
	config --init >t
	problems 0 t
	[ "$(grep -c '^#[a-z]' t)" -gt 80 ]
	sed 's/^#\([a-z]\)/\1/' t >all
	config --validate all >out || true
	! grep -q 'error: ' <(grep -v contradicts out) || { cat out; false; }
	config --list --json | jq -r '.[] | select(.in_files).name' | sort >names
	grep -oE '^[a-z][a-z-]*' all | sort | cmp - names
}

@test "--explain: meaning, type, default, binaries, interaction, example" {
	config --explain tcp-established >out
	for w in 'type:' 'default:' 'option of:' 'acted on by:' 'interaction:' 'example:' 'in files:'; do grep -q "^  $w" out; done
	grep -q 'contradicts tcp-close' out
	config --explain --json port | jq -e '.interaction[0].kind == "needs" and .example == "27000" and .type == "number"'
}

@test "--conf: a file that gives the same result" {
	cat >"$HOME/.criu/default.conf" <<-'END'
		work-dir "/a \"b\" # c"
		external mnt[/x]:y
		external "mnt[/z z]:y"
		no-leave-running
		verbosity
		ext-unix-sk
		cgroup-props "\"cpu\": #"
	END
	line=(cr-dump -t 7 -D '#x' --timeout=3 -vv)
	config --json -- "${line[@]}" | jq -S '[.options[] | {name, value}]' >one
	config --conf -- "${line[@]}" >conf
	cat conf
	grep -q "^external .*# $HOME/.criu/default.conf:2:1\$" conf
	config --json -- cr-dump --config conf | jq -S '[.options[] | select(.name != "config") | {name, value}]' | cmp - one
	config --conf -- cr-dump --config conf | grep -v '^# on the command line only: config ' | sed 's/ *#.*//' | cmp - <(sed 's/ *#.*//' conf)
	fails 'no configuration file can hold' config --conf -- cr-dump -D $'a\nb'
	fails 'neither --json' config --conf --json
}

@test "--rpc: a request as JSON and as protobuf is a layer, its file the last one" {
	echo 'no-leave-running' >last
	echo 'timeout 7' >"$HOME/.criu/default.conf"
	jq -n --arg f "$PWD/last" '{type: "DUMP", opts: {pid: 4711, images_dir_fd: 5, leave_running: true, tcp_established: true,
		external: ["mnt[a]:b"], cg_root: [{ctrl: "cpu", path: "/x"}, {path: "/y"}], manage_cgroups_mode: "SOFT",
		ps: {address: "192.0.2.1", port: 99}, empty_ns: 1073741824, cpu_cap: 5, notify_scripts: true, log_file: "",
		timeout: 3, config_file: $f}}' >req
	config --rpc req --json >out 2>err
	at() { jq -e --arg n "$1" --arg v "$2" --arg o "$3" '.options[] | select(.name == $n) | (.value | tostring) == $v and .from[0].origin == $o' out; }
	at tree 4711 rpc.pid
	at leave-running false "rpc.config_file=$PWD/last:1:1"
	at timeout 3 rpc.timeout
	at cpu-cap fpu,ins rpc.cpu_cap
	at empty-ns '["net"]' rpc.empty_ns
	at cgroup-root '["cpu:/x","/y"]' 'rpc.cg_root[0]'
	at port 99 rpc.ps.port
	jq -e '.options[] | select(.name == "timeout").overrides[0].origin | endswith("default.conf:1:1")' out
	jq -e '.notes | map(test("notify_scripts")) | any' out
	# {type: DUMP, opts: {images_dir_fd: 5, pid: 4711, leave_running: 1}}
	printf '\x08\x01\x12\x07\x08\x05\x10\xe7\x24\x18\x01' | config --rpc - 2>/dev/null >out
	grep -qE '^tree +4711 +rpc.pid$' out
	grep -qE '^leave-running +yes +rpc.leave_running$' out
	# criu_opts alone, and a restore decides for which binary
	printf '\x10\xe7\x24\x18\x01' | config --rpc - | grep -qE '^tree +4711 '
	printf '{"type": "RESTORE", "opts": {"rst_sibling": true}}' | config --rpc - | grep -qE '^restore-sibling +yes +rpc.rst_sibling$'
	# the request counts after the command line, and its conf resolves to itself
	printf '{"timeout": 9}' | config --rpc - -- cr-dump --timeout 1 | grep -qE '^timeout +9 +rpc.timeout$'
	config --rpc req --conf 2>/dev/null >conf
	config --option timeout -- cr-dump --config conf | grep -qE '^timeout +3 +conf:'
	printf 'nonsense' | fails 'neither JSON' config --rpc -
	printf '{"opts": {"no_such": 1}}' | fails 'no_such' config --rpc -
	printf '{"timeout": 9} x' | fails 'JSON' config --rpc -
	printf '{"manage_cgroups_mode": 77}' | fails 'rpc.manage_cgroups_mode: .*77' config --rpc -
	printf '{"config_file": "/none/x"}' | fails '/none/x: .*No such file' config --rpc -
	fails 'none: cannot read the request' config --rpc none
}

@test "--as runc: the file that runc names counts last" {
	unshare --mount true 2>/dev/null || skip "no mount namespace"
	private_etc
	[ -z "$(with_etc "$BIN/cr-config" --as runc)" ]
	echo tcp-established >etc/criu/runc.conf
	with_etc "$BIN/cr-config" --as runc | grep -qE '^tcp-established +yes +/etc/criu/runc.conf:1:1$'
	printf '{"tcp_established": false}' | with_etc "$BIN/cr-config" --rpc - --as runc >out
	grep -qE '^tcp-established +yes +/etc/criu/runc.conf:1:1$' out
	grep -qE '^ +no +\(rpc.tcp_established, overridden\)$' out
	# another one named by the request takes its place
	echo timeout 5 >mine
	printf '{"config_file": "%s/mine"}' "$PWD" | with_etc "$BIN/cr-config" --rpc - --as runc >out
	! grep -q tcp-established out || false
	grep -qE '^timeout +5 +rpc.config_file=' out
}

@test "an error in the chain stops every binary before anything happens, with one message" {
	printf '\n  tcp-estabished\n' >"$HOME/.criu/default.conf"
	for t in 'cr-dump -t 1 -D .' 'cr-restore -D .' 'cr-check' 'cr-image info x.img' 'cr-config'; do
		[ -x "$BIN/${t%% *}" ] || skip "${t%% *} is not built"
		rc=0
		# shellcheck disable=SC2086
		"$BIN/"$t >out 2>err || rc=$?
		cat out err
		[ "$rc" = 2 ] && [ ! -s out ]
		[ "$(cat err)" = "${t%% *}: $HOME/.criu/default.conf:2:3: tcp-estabished: unknown option; did you mean tcp-established?" ]
	done
}

@test "options of one question are refused with another" {
	fails 'belongs to --resolve' config --list --conf
	fails 'belongs to --resolve' config --validate --for cr-dump
	fails "unexpected argument 'x'" config --explain tree x
	fails 'different questions' config --init --validate
}
