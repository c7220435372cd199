/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "verbs.h"

/* Descriptors can't travel by ssh. Of a verb that needs one, says so before anything is done, and what works instead. 0, or an exit status. */
int remote_check(const Client *c, const Verb *verb, char **words);
