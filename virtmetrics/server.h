/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

/* Answers requests on listening sockets. Each client has one request, SERVER_READ_USEC to say it and SERVER_WRITE_USEC to take
 * the answer, and holds up nobody else: while SERVER_CLIENTS_MAX are there, further ones wait for one of them to go. */
#define SERVER_CLIENTS_MAX 64u
#define SERVER_READ_USEC UINT64_C(5000000)
#define SERVER_WRITE_USEC UINT64_C(30000000)

typedef struct Server Server;

/* `idle` is called when the last client has gone; may be NULL. */
int server_new(sd_event *event, bool user, void (*idle)(void *userdata), void *userdata, Server **ret);
Server *server_free(Server *s);
DEFINE_CLEANUP(Server *, server_free)

/* Takes over a listening stream socket. */
int server_listen(Server *s, int fd);
bool server_is_idle(const Server *s);
