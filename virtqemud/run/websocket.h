/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/graphics.h"
#include "domain.h"

/* Viewers that come to a display by websockets, which QEMU takes only where it listens itself: a program for each carries their bytes, and
 * speaks TLS with them where the display has it. It is a unit where VMs are units, so that it outlives us as they do. */
typedef struct WebSockets WebSockets;

/* Whether one more may come (websockets_may_admit()) is another matter now. */
typedef void (*WebSocketsChanged)(void *userdata);

/* The certificates, if there are to be any, are read again, as this may be after a restart; so nobody may come yet. */
int websockets_new(Domain *d, const Graphics *g, WebSocketsChanged changed, void *userdata, WebSockets **ret, Fault *f);
WebSockets *websockets_free(WebSockets *w);
DEFINE_CLEANUP(WebSockets *, websockets_free)

bool websockets_may_admit(const WebSockets *w);
/* The connection of a viewer, and what QEMU has the other end of. Both stay the caller's. */
int websockets_admit(WebSockets *w, int viewer, int stream, Fault *f);
