/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* What a program prints, found on PATH. -ENOENT: there is none; -ETIMEDOUT: it took too long and was ended; -EIO: it failed. New string. */
int program_output(char *const *argv, unsigned seconds, char **ret);
