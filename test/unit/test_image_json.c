/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images from JSON and back: exact numbers, words, payloads, unknown fields, and text that is refused. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "common/base/io.h"
#include "common/image/json.h"
#include "common/image/text.h"

/* image is empty after a failure. */
static int encode(const char *json, struct strbuf *image, struct err *err)
{
	cleanup_free char *bytes = NULL;
	size_t len = 0;
	FILE *in = fmemopen((void *)(uintptr_t)json, strlen(json), "r"), *out = open_memstream(&bytes, &len);
	int ret;

	*err = (struct err)ERR_INIT;
	ret = image_from_json(in, "input", out, err);
	fclose(in);
	fclose(out);
	strbuf_reset(image);
	if (!ret)
		strbuf_add(image, bytes, len);
	return ret;
}

static int decode(const struct strbuf *image, const struct image_json_opts *opts, struct strbuf *json, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	cleanup_free char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int fd = memfd_create("image", MFD_CLOEXEC), ret;

	*err = (struct err)ERR_INIT;
	assert_int_equal(write_full(fd, image->s, image->len), 0);
	ret = image_reader_fdopen(fd, "image", IMG_KINDS, &rd, err);
	if (!ret)
		ret = image_to_json(rd, opts, out, err);
	fclose(out);
	strbuf_reset(json);
	strbuf_add(json, text, len);
	return ret;
}

/* The JSON comes back as it was, and the words that it is shown in give the same image. */
static void there_and_back(const char *json)
{
	static const struct image_json_opts plain, words = { .words = true, .indent = true };
	cleanup_strbuf struct strbuf image = STRBUF_INIT, again = STRBUF_INIT, text = STRBUF_INIT;
	struct err err;

	if (encode(json, &image, &err))
		fail_msg("%s: %s: %s", json, err.object, err.reason);
	assert_int_equal(decode(&image, &plain, &text, &err), 0);
	assert_true(text.len && text.s[text.len - 1] == '\n');
	text.s[text.len - 1] = 0;
	assert_string_equal(text.s, json);
	assert_int_equal(decode(&image, &words, &text, &err), 0);
	assert_int_equal(encode(text.s, &again, &err), 0);
	assert_int_equal(again.len, image.len);
	assert_memory_equal(again.s, image.s, image.len);
}

#define DESC "{\"key\": 1, \"uid\": 2, \"gid\": 3, \"cuid\": 4, \"cgid\": 5, \"mode\": 384, \"id\": 7}"
#define FOWN "{\"uid\": 0, \"euid\": 0, \"signum\": 0, \"pid_type\": 0, \"pid\": 0}"
#define SK "{\"so_sndbuf\": 1, \"so_rcvbuf\": 1, \"so_snd_tmo_sec\": 0, \"so_snd_tmo_usec\": 0, \"so_rcv_tmo_sec\": 0, " \
	   "\"so_rcv_tmo_usec\": 0, \"so_filter\": [1, 18446744073709551615]}"

static void round_trips(void **state)
{
	there_and_back("{\"magic\": \"FS\", \"entries\": []}");
	there_and_back("{\"magic\": \"SECCOMP\", \"entries\": [{}]}");
	there_and_back("{\"magic\": \"RLIMIT\", \"entries\": [{\"cur\": 18446744073709551615, \"max\": 9223372036854775808}]}");
	there_and_back("{\"magic\": \"FILE_LOCKS\", \"entries\": [{\"flag\": 1, \"type\": 0, \"pid\": -5, \"fd\": -2147483648, "
		       "\"start\": -9223372036854775808, \"len\": 9223372036854775807}]}");
	there_and_back("{\"magic\": \"PAGEMAP\", \"entries\": [{\"pages_id\": 1}, {\"vaddr\": 140737488351232, "
		       "\"compat_nr_pages\": 0, \"in_parent\": true, \"flags\": 13, \"nr_pages\": 3}]}");
	there_and_back("{\"magic\": \"STATS\", \"entries\": [{\"restore\": {\"pages_compared\": 1, \"pages_skipped_cow\": 2, "
		       "\"forking_time\": 3, \"restore_time\": 4}}]}");
	there_and_back("{\"magic\": \"CORE\", \"entries\": [{\"mtype\": \"X86_64\", \"tc\": {\"task_state\": 3, \"exit_code\": 0, "
		       "\"personality\": 0, \"flags\": 1, \"blk_sigset\": 18446744073709551615, \"comm\": \"x\", "
		       "\"old_seccomp_mode\": \"filter\", \"oom_score_adj\": -1000, \"child_subreaper\": false}}, "
		       "{\"mtype\": 99}]}");
	there_and_back("{\"magic\": \"INVENTORY\", \"entries\": [{\"img_version\": 2, \"plugins_entry\": {}}]}");
}

static void text_round_trips(void **state)
{
	there_and_back("{\"magic\": \"UTSNS\", \"entries\": [{\"nodename\": \"h\\u00e9\\ud83d\\ude00\\\"\\\\\\n\\t\\u0001\\u007f/\", "
		       "\"domainname\": \"\"}]}");
	there_and_back("{\"magic\": \"UTSNS\", \"entries\": [{\"nodename\": {\"_base64\": \"/2E=\\n\"}, \"domainname\": \"a\"}]}");
	there_and_back("{\"magic\": \"UNIXSK\", \"entries\": [{\"id\": 1, \"ino\": 2, \"type\": 1, \"state\": 77, \"flags\": 2, "
		       "\"uflags\": 0, \"backlog\": 0, \"peer\": 0, \"fown\": " FOWN ", \"opts\": " SK
		       ", \"name\": \"=00/tmp/=C3=A9 a\\tb=3D=0D\\n=2E\", \"shutdown\": \"BOTH\", \"mnt_id\": -5}]}");
	there_and_back("{\"magic\": \"INETSK\", \"entries\": [{\"id\": 1, \"ino\": 2, \"family\": 2, \"type\": 1, \"proto\": 99, "
		       "\"state\": 7, \"src_port\": 1, \"dst_port\": 2, \"flags\": 2, \"backlog\": 0, \"src_addr\": [16777343], "
		       "\"dst_addr\": [0, 0, 0, 16777216], \"fown\": " FOWN ", \"opts\": " SK "}]}");
	there_and_back("{\"magic\": \"TTY_DATA\", \"entries\": [{\"tty_id\": 1, \"data\": \"\"}, {\"tty_id\": 1, \"data\": "
		       "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4\\nOTo7\\n\"}]}");
	there_and_back("{\"magic\": \"FS\", \"entries\": [{\"cwd_id\": 1, \"root_id\": 2, \"_unknown\": [{\"field\": 60000, "
		       "\"wire\": 2, \"data\": \"A2FiYw==\\n\"}, {\"field\": 60001, \"wire\": 0, \"data\": \"BQ==\\n\"}]}]}");
}

static void payload_round_trips(void **state)
{
	there_and_back("{\"magic\": \"PIPES_DATA\", \"entries\": [{\"pipe_id\": 1, \"bytes\": 3, \"extra\": \"YWJj\\n\"}, "
		       "{\"pipe_id\": 2, \"bytes\": 0, \"extra\": \"\"}]}");
	there_and_back("{\"magic\": \"IPCNS_SEM\", \"entries\": [{\"desc\": " DESC ", \"nsems\": 3, \"extra\": [1, 2, 65535]}]}");
	there_and_back("{\"magic\": \"IPCNS_SHM\", \"entries\": [{\"desc\": " DESC ", \"size\": 5, \"extra\": \"aGVsbG8=\\n\"}, "
		       "{\"desc\": " DESC ", \"size\": 5, \"in_pagemaps\": true, \"extra\": \"\"}]}");
	there_and_back("{\"magic\": \"IPCNS_MSG\", \"entries\": [{\"desc\": " DESC ", \"qbytes\": 100, \"qnum\": 2, \"extra\": "
		       "[{\"mtype\": 1, \"msize\": 3}, \"YWJj\\n\", {\"mtype\": 2, \"msize\": 8}, \"YWJjZGVmZ2g=\\n\"]}]}");
	there_and_back("{\"magic\": \"GHOST_FILE\", \"entries\": [{\"uid\": 0, \"gid\": 0, \"mode\": 33188, \"dev\": 266338304, "
		       "\"rdev\": 1282, \"chunks\": true, \"size\": 100}, {\"len\": 3, \"off\": 0, \"extra\": \"YWJj\\n\"}, "
		       "{\"len\": 2, \"off\": 50, \"extra\": \"YWI=\\n\"}]}");
	there_and_back("{\"magic\": \"GHOST_FILE\", \"entries\": [{\"uid\": 0, \"gid\": 0, \"mode\": 33188, \"extra\": \"YWJj\\n\"}]}");
	there_and_back("{\"magic\": \"TCP_STREAM\", \"entries\": [{\"inq_len\": 3, \"inq_seq\": 4294967295, \"outq_len\": 1, "
		       "\"outq_seq\": 0, \"opt_mask\": 7, \"snd_wscale\": 10, \"mss_clamp\": 65495, "
		       "\"extra\": {\"inq\": \"YWJj\\n\", \"outq\": \"YQ==\\n\"}}]}");
	there_and_back("{\"magic\": \"BPFMAP_DATA\", \"entries\": [{\"map_id\": 1, \"keys_bytes\": 1, \"values_bytes\": 2, "
		       "\"count\": 1, \"extra\": \"YWJj\\n\"}]}");
}

static void words(void **state)
{
	static const struct image_json_opts opts = { .words = true };
	cleanup_strbuf struct strbuf image = STRBUF_INIT, text = STRBUF_INIT;
	struct err err;

	assert_int_equal(encode("{\"magic\":\"VMAS\",\"entries\":[{\"start\":\"0x1000\",\"end\":8192,\"pgoff\":0,\"shmid\":0,"
				"\"prot\":\"PROT_READ | PROT_EXEC\",\"flags\":\"0x22\",\"status\":\"VMA_AREA_REGULAR | 0x10000\","
				"\"fd\":-1}]}", &image, &err), 0);
	assert_int_equal(decode(&image, &opts, &text, &err), 0);
	assert_string_equal(text.s, "{\"magic\": \"VMAS\", \"entries\": [{\"start\": \"0x1000\", \"end\": \"0x2000\", "
				    "\"pgoff\": 0, \"shmid\": 0, \"prot\": \"PROT_READ | PROT_EXEC\", "
				    "\"flags\": \"MAP_PRIVATE | MAP_ANON\", \"status\": \"VMA_AREA_REGULAR | 0x10000\", "
				    "\"fd\": -1}]}\n");
	assert_int_equal(encode("{\"entries\":[{\"uid\":0,\"gid\":0,\"mode\":1,\"dev\":\"254:3\",\"rdev\":\"5:2\","
				"\"extra\":\"\"}],\"magic\":\"GHOST_FILE\"}", &image, &err), 0);
	assert_int_equal(decode(&image, &opts, &text, &err), 0);
	assert_non_null(strstr(text.s, "\"dev\": \"254:3\", \"rdev\": \"5:2\""));
}

#define REFUSED(json, what)                                                            \
	do {                                                                           \
		assert_true(encode(json, &image, &err) < 0);                           \
		assert_int_equal(err.kind, ERR_IMAGE);                                 \
		if (!strstr(err.reason, what) && !strstr(err.object, what))            \
			fail_msg("%s: %s: %s, no \"%s\"", json, err.object, err.reason, what); \
	} while (0)
#define FS(cwd) "{\"magic\":\"FS\",\"entries\":[{\"cwd_id\":" cwd ",\"root_id\":1}]}"
#define PIPE(extra) "{\"magic\":\"PIPES_DATA\",\"entries\":[{\"pipe_id\":1,\"bytes\":3" extra "}]}"

static void refused(void **state)
{
	cleanup_strbuf struct strbuf image = STRBUF_INIT;
	struct err err;

	assert_int_equal(encode(FS("1"), &image, &err), 0);
	REFUSED(" ", "'{' expected");
	REFUSED("[]", "'{' expected");
	REFUSED("{}", "key");
	REFUSED("{\"magic\":\"FS\"}", "entries");
	REFUSED("{\"magic\":\"NOPE\",\"entries\":[]}", "unknown magic");
	REFUSED("{\"magic\":\"PAGES\",\"entries\":[]}", "raw image");
	REFUSED("{\"magic\":\"FS\",\"entries\":{}}", "array");
	REFUSED("{\"magic\":\"FS\",\"entries\":[]} x", "follows");
	REFUSED("{\"magic\":\"FS\",\"entries\":[],\"more\":1}", "unknown key");
	REFUSED("{\"magic\":\"FS\",\"entries\":[", "early");
	REFUSED("{\"magic\":\"FS\",\"entries\":[1]}", "object");
	REFUSED(FS("4294967296"), "range");
	REFUSED(FS("-1"), "range");
	REFUSED(FS("1.5"), "number");
	REFUSED(FS("null"), "number");
	REFUSED(FS("\"O_RDWR\""), "number");
	REFUSED(FS("99999999999999999999999"), "64 bits");
	REFUSED(FS("1,\"nonsense\":1"), "nonsense");
	REFUSED("{\"magic\":\"FS\",\"entries\":[{\"cwd_id\":1}]}", "root_id");
	REFUSED("{\"magic\":\"UTSNS\",\"entries\":[{\"nodename\":\"a\\u0000b\",\"domainname\":\"\"}]}", "NUL");
	REFUSED(FS("1,\"extra\":\"\""), "no payload");
	REFUSED(PIPE(""), "0 bytes");
	REFUSED(PIPE(",\"extra\":\"YWJjZA==\""), "4 bytes");
	REFUSED(PIPE(",\"extra\":\"... <3B>\""), "base64");
	REFUSED("{\"magic\":\"IPCNS_SEM\",\"entries\":[{\"desc\":" DESC ",\"nsems\":2,\"extra\":[1]}]}", "array of 2");
	REFUSED("{\"magic\":\"IPCNS_SEM\",\"entries\":[{\"desc\":" DESC ",\"nsems\":1,\"extra\":[65536]}]}", "16-bit");
}

static void codecs(void **state)
{
	static const char *const bad[] = { "A", "AA", "AAA", "AA=", "=", "AAAA=", "A===", "AA==AA==", "AB==", "A!AA" };

	for (size_t n = 0; n < 300; n++) {
		cleanup_strbuf struct strbuf b = STRBUF_INIT, q = STRBUF_INIT, back = STRBUF_INIT, qback = STRBUF_INIT;
		uint8_t in[300];

		for (size_t i = 0; i < n; i++)
			in[i] = (uint8_t)(i * 7 + n);
		base64_encode(&b, in, n);
		assert_int_equal(base64_decode(&back, b.s ? b.s : "", b.len), 0);
		assert_int_equal(back.len, n);
		quoted_encode(&q, in, n);
		quoted_decode(&qback, q.s ? q.s : "", q.len);
		assert_int_equal(qback.len, n);
		if (n) {
			assert_memory_equal(back.s, in, n);
			assert_memory_equal(qback.s, in, n);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cleanup_strbuf struct strbuf b = STRBUF_INIT;

		if (!base64_decode(&b, bad[i], strlen(bad[i])))
			fail_msg("%s is taken for base64", bad[i]);
	}
	assert_true(utf8_valid("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
	assert_false(utf8_valid("\xc0\x80", 2));
	assert_false(utf8_valid("\xed\xa0\x80", 3));
	assert_false(utf8_valid("\xf4\x90\x80\x80", 4));
	assert_false(utf8_valid("\xe2\x82", 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips), cmocka_unit_test(text_round_trips), cmocka_unit_test(payload_round_trips),
		cmocka_unit_test(words),       cmocka_unit_test(refused),	   cmocka_unit_test(codecs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
