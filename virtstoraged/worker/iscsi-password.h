/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "fault.h"

/* What CHAP takes from a secret: text that is wiped when it is freed. */
int iscsi_password(const void *data, size_t length, char **ret, Fault *f);
char *password_free(char *text);
DEFINE_CLEANUP(char *, password_free)
