/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One message from a JSON object (the inner half of json.h). */
#ifndef CR_IMAGE_JSON_MESSAGE_H
#define CR_IMAGE_JSON_MESSAGE_H

#include <json-c/json.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/strbuf.h"

/* skip: a key that is not part of the message ("extra"), or NULL. The message lives in the arena. */
int message_from_json(const ProtobufCMessageDescriptor *desc, json_object *o, const char *skip, struct arena *arena,
		      ProtobufCMessage **msg, struct err *err);
/* Base64 text of a JSON string, appended to out. */
int bytes_from_json(json_object *v, struct strbuf *out, struct err *err);

#endif
