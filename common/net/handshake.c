/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/net/handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/io.h"
#include "common/bpf/btf.h"
#include "common/bpf/load.h"

/* include/uapi/linux/bpf.h, Linux 6.6 */
#define TCX_INGRESS 46
#define TCX_BEFORE (1u << 3)
#define TCX_NEXT (-1)
#define TCX_PASS 0
#define TCX_DROP 2

#define ASSIGN "bpf_sk_assign_tcp_reqsk"
#define ATTRS "bpf_tcp_req_attrs"
#define ATTRS_MAX 64
#define WORDS 11 /* IPv6: two addresses, two ports, two numbers */
#define ANSWER_WORDS 9 /* without the numbers */
#define SEEN (-48) /* of the program's stack */
#define KEY (-52)

/* What the program and we share: one connection at a time. */
struct turn {
	_Atomic uint32_t made; /* it is this one's turn */
	_Atomic uint32_t waits; /* and the segment is yet to come */
	uint32_t v6, result;
	uint32_t segment[WORDS];
	uint32_t answer[ANSWER_WORDS], mask[ANSWER_WORDS]; /* any segment the other way */
	uint8_t attrs[ATTRS_MAX];
};

enum attr { TSVAL, TSECR, MSS, RCV_WSCALE, SND_WSCALE, ECN, WSCALE, SACK, TSTAMP, USEC, ATTR_FIELDS };
static const char *const attr_names[ATTR_FIELDS] = { "rcv_tsval", "rcv_tsecr", "mss", "rcv_wscale", "snd_wscale", "ecn_ok", "wscale_ok",
						      "sack_ok", "tstamp_ok", "usec_ts_ok" };
struct attr_place { uint32_t at, size; };

struct handshake {
	int turns, listener, prog, link;
	bool listens;
	struct turn *turn;
	struct attr_place attrs[ATTR_FIELDS];
	uint32_t attrs_size, assign; /* the kernel's function */
};

/* ---- the program ---- */

struct code { struct bpf_insn v[256]; size_t n, leave[64], nleave; };

static void put(struct code *c, unsigned op, unsigned to, unsigned from, int off, int imm)
{
	c->v[c->n++] = bpf_insn(op, to, from, off, imm);
}

#define LOAD(size, to, from, off) put(c, BPF_LDX | BPF_MEM | (size), to, from, off, 0)
#define STORE(size, to, off, from) put(c, BPF_STX | BPF_MEM | (size), to, from, off, 0)
#define SET(to, imm) put(c, BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, imm)
#define COPY(to, from) put(c, BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define ADD(to, imm) put(c, BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, imm)
#define CALL(what) put(c, BPF_JMP | BPF_CALL, 0, 0, 0, what)

/* Lets the packet go on where the last instruction, a jump, says so. */
static void or_leave(struct code *c, unsigned op, unsigned reg, unsigned other, int imm)
{
	c->leave[c->nleave++] = c->n;
	put(c, BPF_JMP | op, reg, other, 0, imm);
}

static void put_map(struct code *c, unsigned to, unsigned kind, int map)
{
	put(c, BPF_LD | BPF_IMM | BPF_DW, to, kind, 0, map);
	put(c, 0, 0, 0, 0, 0);
}

/* Addresses, ports and numbers: in both families they follow each other, for we send no options of IP. */
static void load_segment(struct code *c, int protocol, int from, int len)
{
	LOAD(BPF_W, BPF_REG_1, BPF_REG_6, offsetof(struct __sk_buff, protocol));
	or_leave(c, BPF_JNE | BPF_K, BPF_REG_1, 0, protocol);
	COPY(BPF_REG_1, BPF_REG_6);
	SET(BPF_REG_2, from);
	COPY(BPF_REG_3, BPF_REG_10);
	ADD(BPF_REG_3, SEEN);
	SET(BPF_REG_4, len);
	SET(BPF_REG_5, BPF_HDR_START_NET);
	CALL(BPF_FUNC_skb_load_bytes_relative);
	or_leave(c, BPF_JNE | BPF_K, BPF_REG_0, 0, 0);
}

static void put_load(const struct handshake *h, struct code *c)
{
	size_t six, over;

	COPY(BPF_REG_6, BPF_REG_1);
	put_map(c, BPF_REG_7, BPF_PSEUDO_MAP_VALUE, h->turns);
	LOAD(BPF_W, BPF_REG_1, BPF_REG_7, offsetof(struct turn, made));
	or_leave(c, BPF_JEQ | BPF_K, BPF_REG_1, 0, 0);
	SET(BPF_REG_1, 0);
	for (int i = 0; i < 6; i++)
		STORE(BPF_DW, BPF_REG_10, SEEN + 8 * i, BPF_REG_1);
	LOAD(BPF_W, BPF_REG_1, BPF_REG_7, offsetof(struct turn, v6));
	six = c->n;
	put(c, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, 0, 0, 0);
	load_segment(c, htons(ETH_P_IP), 12, 20);
	over = c->n;
	put(c, BPF_JMP | BPF_JA, 0, 0, 0, 0);
	c->v[six].off = (int16_t)(c->n - six - 1);
	load_segment(c, htons(ETH_P_IPV6), 8, 44);
	c->v[over].off = (int16_t)(c->n - over - 1);
}

/* What the connection answers while it is being made meets nobody here who would answer that: its peer may be long gone. */
static void put_answer(struct code *c)
{
	LOAD(BPF_W, BPF_REG_1, BPF_REG_6, offsetof(struct __sk_buff, mark));
	const size_t ours = c->n;
	put(c, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, NET_LOCK_MARK);
	for (int i = 0; i < ANSWER_WORDS; i++) {
		LOAD(BPF_W, BPF_REG_1, BPF_REG_10, SEEN + 4 * i);
		LOAD(BPF_W, BPF_REG_2, BPF_REG_7, (int)offsetof(struct turn, mask) + 4 * i);
		put(c, BPF_ALU64 | BPF_AND | BPF_X, BPF_REG_1, BPF_REG_2, 0, 0);
		LOAD(BPF_W, BPF_REG_2, BPF_REG_7, (int)offsetof(struct turn, answer) + 4 * i);
		or_leave(c, BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_2, 0);
	}
	SET(BPF_REG_0, TCX_DROP);
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	c->v[ours].off = (int16_t)(c->n - ours - 1);
}

static void put_match(struct code *c)
{
	LOAD(BPF_W, BPF_REG_1, BPF_REG_7, offsetof(struct turn, waits));
	or_leave(c, BPF_JEQ | BPF_K, BPF_REG_1, 0, 0);
	for (int i = 0; i < WORDS; i++) {
		LOAD(BPF_W, BPF_REG_1, BPF_REG_10, SEEN + 4 * i);
		LOAD(BPF_W, BPF_REG_2, BPF_REG_7, (int)offsetof(struct turn, segment) + 4 * i);
		or_leave(c, BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_2, 0);
	}
}

static void put_program(const struct handshake *h, struct code *c)
{
	put_load(h, c);
	put_answer(c);
	put_match(c);
	SET(BPF_REG_1, 0);
	STORE(BPF_W, BPF_REG_10, KEY, BPF_REG_1);
	put_map(c, BPF_REG_1, BPF_PSEUDO_MAP_FD, h->listener);
	COPY(BPF_REG_2, BPF_REG_10);
	ADD(BPF_REG_2, KEY);
	CALL(BPF_FUNC_map_lookup_elem);
	or_leave(c, BPF_JEQ | BPF_K, BPF_REG_0, 0, 0);
	COPY(BPF_REG_8, BPF_REG_0);
	COPY(BPF_REG_1, BPF_REG_6);
	COPY(BPF_REG_2, BPF_REG_8);
	COPY(BPF_REG_3, BPF_REG_7);
	ADD(BPF_REG_3, offsetof(struct turn, attrs));
	SET(BPF_REG_4, (int)h->attrs_size);
	put(c, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, (int)h->assign);
	COPY(BPF_REG_9, BPF_REG_0);
	COPY(BPF_REG_1, BPF_REG_8);
	CALL(BPF_FUNC_sk_release);
	STORE(BPF_W, BPF_REG_7, offsetof(struct turn, result), BPF_REG_9);
	SET(BPF_REG_1, 0);
	STORE(BPF_W, BPF_REG_7, offsetof(struct turn, waits), BPF_REG_1);
	SET(BPF_REG_0, TCX_PASS);
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	for (size_t i = 0; i < c->nleave; i++)
		c->v[c->leave[i]].off = (int16_t)(c->n - c->leave[i] - 1);
	SET(BPF_REG_0, TCX_NEXT);
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* ---- the kernel ---- */

static int find_types(struct handshake *h, struct err *err)
{
	cleanup_btf struct btf *b = NULL;
	int ret = btf_open(&b, err);

	if (ret < 0)
		return ret;
	h->assign = btf_function(b, ASSIGN);
	if (!h->assign)
		return err_set(err, ERR_FEATURE, 0, "the kernel has no " ASSIGN "()");
	h->attrs_size = btf_size(b, ATTRS);
	for (int i = 0; i < ATTR_FIELDS; i++) {
		struct btf_place p;

		if (!btf_find(b, ATTRS, attr_names[i], &p) || p.n != 1 || h->attrs_size > ATTRS_MAX)
			return err_set(err, ERR_FEATURE, 0, "struct " ATTRS " of this kernel has other fields");
		h->attrs[i] = (struct attr_place){ p.hop[0], p.size };
	}
	return 0;
}

static int allowed_here(struct err *err)
{
	cleanup_free char *text = NULL;
	size_t n;
	int ret = read_file_at(AT_FDCWD, "/proc/sys/net/ipv4/tcp_syncookies", 64, &text, &n);

	if (ret == -ENOENT)
		return err_set(err, ERR_FEATURE, 0, "the kernel has no syncookies (CONFIG_SYN_COOKIES)");
	if (ret < 0)
		return err_set(err, ERR_FEATURE, -ret, "/proc/sys/net/ipv4/tcp_syncookies");
	return text[0] != '0' ? 0 : err_set(err, ERR_FEATURE, 0, "net.ipv4.tcp_syncookies is 0");
}

int handshake_possible(struct err *err)
{
	struct handshake h = { 0 };
	int ret = allowed_here(err);

	return ret ? ret : find_types(&h, err);
}

static int load_program(struct handshake *h, struct err *err)
{
	struct code c = { .n = 0 };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SCHED_CLS, .expected_attach_type = (enum bpf_attach_type)TCX_INGRESS,
				.insns = (uintptr_t)c.v, .license = (uintptr_t)"GPL" };

	h->turns = bpf_map(BPF_MAP_TYPE_ARRAY, sizeof(*h->turn), BPF_F_MMAPABLE);
	h->listener = bpf_map(BPF_MAP_TYPE_SOCKMAP, 4, 0);
	if (h->turns < 0 || h->listener < 0)
		return err_set(err, ERR_FEATURE, errno, "cannot make a map for BPF programs");
	h->turn = mmap(NULL, sizeof(*h->turn), PROT_READ | PROT_WRITE, MAP_SHARED, h->turns, 0);
	if (h->turn == MAP_FAILED)
		return err_set(err, ERR_FEATURE, errno, "cannot map a map of BPF programs");
	put_program(h, &c);
	attr.insn_cnt = (uint32_t)c.n;
	h->prog = bpf_load(&attr);
	return h->prog < 0 ? err_set(err, ERR_FEATURE, errno, "cannot load a program that calls " ASSIGN "()") : 0;
}

static int attach(struct handshake *h, struct err *err)
{
	union bpf_attr attr = { .link_create.prog_fd = (uint32_t)h->prog, .link_create.target_ifindex = HANDSHAKE_DEVICE,
				.link_create.attach_type = TCX_INGRESS, .link_create.flags = TCX_BEFORE };

	h->link = bpf_sys(BPF_LINK_CREATE, &attr);
	return h->link < 0 ? err_set(err, ERR_FEATURE, errno, "cannot look at packets on the loopback device (tcx)") : 0;
}

static int prepare(struct handshake **out, bool use, struct err *err)
{
	struct handshake *h = *out = xzalloc(sizeof(*h));
	int ret;

	h->turns = h->listener = h->prog = h->link = -1;
	h->turn = MAP_FAILED;
	ret = allowed_here(err);
	if (!ret)
		ret = find_types(h, err);
	if (!ret)
		ret = load_program(h, err);
	if (!ret && use)
		ret = attach(h, err);
	if (ret >= 0 && use)
		return 0;
	handshake_close(take_ptr(*out));
	return err_hint(err, ret, "Linux 6.9 with CONFIG_DEBUG_INFO_BTF, CAP_BPF, CAP_NET_ADMIN and net.ipv4.tcp_syncookies let it");
}

int handshake_try(struct err *err)
{
	struct handshake *h;

	return prepare(&h, false, err);
}

int handshake_open(struct handshake **out, struct err *err)
{
	return prepare(out, true, err);
}

void handshake_close(struct handshake *h)
{
	struct err ignore = ERR_INIT;

	if (!h)
		return;
	handshake_listener(h, -1, &ignore);
	if (h->turn != MAP_FAILED)
		munmap(h->turn, sizeof(*h->turn));
	for (size_t i = 0; i < 4; i++) {
		const int fds[] = { h->link, h->prog, h->listener, h->turns };

		if (fds[i] >= 0)
			close(fds[i]);
	}
	free(h);
}

int handshake_listener(struct handshake *h, int fd, struct err *err)
{
	const uint32_t key = 0, value = (uint32_t)fd;
	union bpf_attr attr = { .map_fd = (uint32_t)h->listener, .key = (uintptr_t)&key };

	if (h->listens && bpf_sys(BPF_MAP_DELETE_ELEM, &attr) < 0)
		return err_sys(err, "cannot take a socket from a map of BPF programs");
	h->listens = false;
	if (fd < 0)
		return 0;
	attr.value = (uintptr_t)&value;
	if (bpf_sys(BPF_MAP_UPDATE_ELEM, &attr) < 0)
		return err_set(err, ERR_FEATURE, errno, "cannot show a listening socket to BPF programs (CONFIG_BPF_STREAM_PARSER)");
	h->listens = true;
	return 0;
}

static void set_attr(struct handshake *h, enum attr which, uint32_t value)
{
	memcpy(h->turn->attrs + h->attrs[which].at, &value, MIN(h->attrs[which].size, sizeof(value)));
}

void handshake_next(struct handshake *h, const struct net_connection *c, uint32_t seq, uint32_t ack, const struct handshake_options *o)
{
	const size_t a = c->v6 ? 16 : 4;
	struct turn *t = h->turn;
	uint8_t *at = (uint8_t *)t->segment;

	memset(t->segment, 0, sizeof(t->segment));
	memset(t->answer, 0, sizeof(t->answer));
	memset(t->mask, 0, sizeof(t->mask));
	memset(t->attrs, 0, sizeof(t->attrs));
	seq = htonl(seq);
	ack = htonl(ack);
	memcpy(t->answer, c->local, a);
	memcpy((uint8_t *)t->answer + a, c->remote, a);
	memcpy((uint8_t *)t->answer + 2 * a, &c->local_port, 2);
	memcpy((uint8_t *)t->answer + 2 * a + 2, &c->remote_port, 2);
	memset(t->mask, 0xff, 2 * a + 4);
	memcpy(at, c->remote, a);
	memcpy(at += a, c->local, a);
	memcpy(at += a, &c->remote_port, 2);
	memcpy(at += 2, &c->local_port, 2);
	memcpy(at += 2, &seq, 4);
	memcpy(at + 4, &ack, 4);
	t->v6 = c->v6;
	set_attr(h, MSS, o->mss);
	set_attr(h, WSCALE, o->wscale);
	set_attr(h, SND_WSCALE, o->wscale ? o->snd_wscale : 0);
	set_attr(h, RCV_WSCALE, o->wscale ? o->rcv_wscale : 0);
	set_attr(h, SACK, o->sack);
	set_attr(h, ECN, o->ecn);
	set_attr(h, TSTAMP, o->timestamps);
	set_attr(h, USEC, o->timestamps && o->usec);
	set_attr(h, TSVAL, o->ts_recent);
	set_attr(h, TSECR, o->clock);
	t->result = 0;
	atomic_store(&t->waits, 1);
	atomic_store(&t->made, 1);
}

void handshake_done(struct handshake *h)
{
	atomic_store(&h->turn->made, 0);
}

int handshake_result(const struct handshake *h)
{
	return atomic_load(&h->turn->waits) ? 1 : (int)h->turn->result;
}
