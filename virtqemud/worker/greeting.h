/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* The first word of a program of ours that stands beside QEMU, over its standard input: virtqemud waits for it. */

/* It can do what it is for. */
void greet(void);
/* Why it can't, in words that go on behind "serial serial0: "; also for the log. Ends the program. */
_noreturn_ void give_up(const char *fmt, ...) _printf_(1, 2);
