/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What TCP sockets of this host have that nobody told anything: a plan leaves such values to the kernel. */
#ifndef CR_FILE_TCP_NORMAL_H
#define CR_FILE_TCP_NORMAL_H

#include <stdint.h>

struct tcp_normal { uint32_t keepcnt, keepidle, keepintvl, ttl; }; /* 0: not known */

void tcp_normal_ask(struct tcp_normal *out);

#endif
