/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What shells ask: `virtctl __complete WORD...` prints what the last word may become, one a line. "/file" and "/folder" alone say that it
 * is a path, which shells know better. */
#define COMPLETE_WORD "__complete"

int completion_print(int n, char **words);
