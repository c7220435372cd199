/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/graphics.h"
#include "domain.h"

/* The screens of a running domain. Its QEMU listens nowhere: this daemon does, where the definition says so, and hands on who comes. */
typedef struct Displays Displays;

/* Listens for all <graphics> of the live definition, at up to three ports each, and writes those that were found into it. With `again` they
 * are where they were before this daemon was started anew, and what can't be opened is a warning of the domain. FAULT_INVALID_STATE: a port
 * is taken. */
int displays_open(Domain *d, bool again, Displays **ret, Fault *f);
Displays *displays_free(Displays *s);
DEFINE_CLEANUP(Displays *, displays_free)
/* Its QEMU has ended: sockets with a name in the file system go. */
void displays_forget(Displays *s);

typedef enum ClientFlags {
        CLIENT_TRUSTED = 1 << 0,     /* need not know the password */
        CLIENT_TLS     = 1 << 1,     /* speaks TLS */
} ClientFlags;

/* Gives a client's connection to QEMU, which takes `fd`, also on failure. The callback comes exactly once, later, at the latest when the
 * Displays are freed. */
typedef void (*DisplayDone)(const Fault *why, void *userdata);
int displays_add_client(Displays *s, const Graphics *g, int fd, ClientFlags flags, DisplayDone done, void *userdata, Fault *f);

const char *display_socket(const Graphics *g);
