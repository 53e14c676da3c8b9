/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images as JSON and back. Plain JSON keeps numbers; words shows flags, addresses and kinds in words. Both give the same
 * image again, byte for byte. Entries go one by one, so memory does not grow with the image.
 *
 * Beyond the names of the messages there are three keys: "extra", the payload of an entry; "_unknown", fields that our
 * messages do not have, [{"field": N, "wire": N, "data": base64}]; and in place of a string that is not UTF-8
 * an object {"_base64": ...}.
 */
#ifndef CR_IMAGE_JSON_H
#define CR_IMAGE_JSON_H

#include "common/image/image.h"

struct image_json_opts {
	bool words;	    /* flags, addresses and kinds in words */
	bool indent;	    /* many lines */
	bool no_payload;    /* "... <11B>" instead of the bytes; cannot be encoded again */
	unsigned depth;	    /* objects around it: more indentation, and no newline at the end */
	const char *lines;  /* one object a line for each entry, with this as its "file"; NULL: one object for the image */
};

/* Writes all entries that are left in rd. */
int image_to_json(struct image_reader *rd, const struct image_json_opts *opts, FILE *out, struct err *err);

/* Reads one image from JSON. name is what errors call the input. */
int image_from_json(FILE *in, const char *name, FILE *out, struct err *err);

/* ---- how a field is shown ---- */

enum hint_kind { HINT_NONE, HINT_HEX, HINT_FLAGS, HINT_DICT, HINT_DEV, HINT_ODEV, HINT_IPADD, HINT_QUOTED };
struct field_hint {
	enum hint_kind kind;
	const char *table; /* of HINT_FLAGS and HINT_DICT */
};
/* outer: the hint of the message that holds the field; hex goes inward. */
struct field_hint image_field_hint(const ProtobufCMessageDescriptor *desc, const ProtobufCFieldDescriptor *field,
				   struct field_hint outer);

/* A value in a table, "field" for dictionaries and NULL for flags. */
struct word {
	const char *table, *field, *name;
	uint64_t value;
};
extern const struct word image_words[]; /* ends with a NULL table */

#endif
