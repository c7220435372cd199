/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What standard output was when virtctl began; a pager may stand before it since. */

/* Columns; 0: it is no terminal, so that nothing need be cut. */
size_t terminal_width(void);
size_t terminal_height(void);
/* Whether it can be drawn on, and not only written to. */
bool terminal_is_screen(void);
/* Its size may be another one now. */
void terminal_look_again(void);

/* ANSI sequences, "" where there are no colours. */
const char *terminal_bold(void);
const char *terminal_plain(void);
/* For a state: what is well, what is in between, what is not. */
const char *terminal_state(const char *state);

/* Columns that text takes on a screen, and how many bytes of it fit into so many. */
size_t text_width(const char *s);
size_t text_fits(const char *s, size_t columns);
