/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The path of a program that is installed beside this one, so that a build tree runs its own. NULL: out of memory. */
char *program_beside(const char *name);
