/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus.h"

/* The connections to the private socket of a Bus: who is let in, what is heard of whom, and when. Part of a Bus. */
typedef struct BusPeers BusPeers;
typedef struct BusPeer BusPeer;

/* `options` must stay. */
int bus_peers_new(Bus *b, const BusOptions *options, BusPeers **ret);
BusPeers *bus_peers_free(BusPeers *s);
DEFINE_CLEANUP(BusPeers *, bus_peers_free)
/* Takes over the listening socket. */
int bus_peers_listen(BusPeers *s, int fd);
/* Nobody else is let in. */
void bus_peers_close(BusPeers *s);

bool bus_peers_have(const BusPeers *s, const sd_bus *connection);
bool bus_peers_any(const BusPeers *s);
/* Somebody has not taken yet what is there. */
bool bus_peers_unwritten(const BusPeers *s);
/* A message of one of them has come: more of its messages may have to wait. */
void bus_peers_heard(BusPeers *s, sd_bus *connection);
/* Signals go to everybody; who takes none for so long has gone, as far as anybody can tell. */
void bus_peers_drop_unread(BusPeers *s);

/* For BUS_PEERS_FOREACH(): begins with `*at` as NULL, ends with NULL. */
sd_bus *bus_peers_next(const BusPeers *s, BusPeer **at);
/* Those who are told what happens here: strangers are not. */
#define BUS_PEERS_FOREACH(connection, peers) \
        for (BusPeer *connection##_at = NULL; (connection = bus_peers_next((peers), &connection##_at));)

/* From bus.c: all objects, for one more connection. */
int bus_add_objects(Bus *b, sd_bus *connection);
