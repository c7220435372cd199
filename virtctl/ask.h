/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* Calls whose failure is an answer like others: it is not told, but given back. Returns negative errno, with *error set. */
int ask(Client *c, const char *path, const char *interface, const char *method, sd_bus_error *error, sd_bus_message **ret, const char *types, ...);

/* The sentence of an error, and what to do about it (NULL: it says nothing); new strings. */
int ask_error(const sd_bus_error *error, int r, char **ret_sentence, char **ret_hint);
