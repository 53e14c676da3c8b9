/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads JSON value by value from a stream, so that only one value at a time is in memory. */
#ifndef CR_IMAGE_JSON_SCAN_H
#define CR_IMAGE_JSON_SCAN_H

#include <json-c/json.h>

#include "common/base/err.h"

struct json_scan;

struct json_scan *json_scan_new(FILE *f);
void json_scan_freep(struct json_scan **s);
#define cleanup_scan cleanup(json_scan_freep)

/* The next character that is no blank, without taking it; EOF at the end. */
int json_scan_peek(struct json_scan *s);
/* Takes that character if it is c. */
bool json_scan_take(struct json_scan *s, char c);
/* Parses one value. *v is the caller's (json_object_put). */
int json_scan_value(struct json_scan *s, json_object **v, struct err *err);
/* "line 7" of what comes next. */
unsigned long json_scan_line(const struct json_scan *s);

static inline void cleanup_json_(json_object **v)
{
	json_object_put(*v);
}
#define cleanup_json cleanup(cleanup_json_)

#endif
