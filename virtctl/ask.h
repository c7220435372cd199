/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* Calls whose failure is an answer like others: it is not told, but given back. */

/* Returns a negative errno, with *error set (may be NULL). */
int ask(Client *c, const char *path, const char *interface, const char *method, sd_bus_error *error, sd_bus_message **ret, const char *types, ...);
/* What is only nice to know, as JSON; NULL where there is no answer. Nobody is asked for a password for it. */
json_t *ask_json(Client *c, const char *path, const char *interface, const char *method, const char *types, ...);

/* The sentence of an error, and what to do about it (NULL: it says nothing); new strings. */
int ask_error(const sd_bus_error *error, int r, char **ret_sentence, char **ret_hint);
