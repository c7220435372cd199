/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "verbs.h"

/* Both return the exit status. */
int help_all(const Client *c);
int help_verb(const Verb *verb);
