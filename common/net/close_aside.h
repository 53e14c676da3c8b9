/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors whose close the kernel takes long for. */
#ifndef CR_NET_CLOSE_ASIDE_H
#define CR_NET_CLOSE_ASIDE_H

/*
 * Closes fd, and lets a thread of the kernel wait for what that takes, if it is the last one of its description: some ms later. Where
 * the kernel does not do that (before Linux 6.8), as close(2).
 */
void close_aside(int fd);

#endif
