/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "guestlog.h"

/* What is written down about a log between two virtlogds. */
#define LOG_NAME_MAX 64u

/* Letters, digits and "_-.", not a dot first. FAULT_INVALID_ARGS. */
int log_name_check(const char *name, Fault *f);

/* Strings of *ret lie in *ret_owner, which the caller frees. -EUCLEAN. */
int log_state_parse(const char *text, size_t length, GuestlogSpec *ret, uint64_t *ret_first, bool *ret_open, json_t **ret_owner);
