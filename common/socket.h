/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "macro.h"
#include "netaddr.h"

/* AF_UNIX stream sockets by path, of any path length the file system allows (sun_path holds only 107 bytes). */

/* A listening socket at `path` with that mode; a stale socket file is replaced, anything else there is -EEXIST. Close-on-exec,
 * blocking. */
int socket_listen_unix(const char *path, mode_t mode);

/* A listening TCP socket, close-on-exec and non-blocking. */
int socket_listen_ip(const IpAddress *ip, uint16_t port);

/* A TCP socket that is being connected, close-on-exec and non-blocking: it can be written to, or has its error, when that has ended. */
int socket_connect_ip(const IpAddress *ip, uint16_t port);

/* A UDP socket at our address, which hears and speaks to theirs alone; close-on-exec and non-blocking. */
int socket_udp(const IpAddress *ours, uint16_t our_port, const IpAddress *theirs, uint16_t their_port);

/* A connected socket, close-on-exec and non-blocking. Never waits: -EAGAIN when the other side's queue is full. */
int socket_connect_unix(const char *path);
