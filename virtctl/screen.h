/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The terminal as a whole screen, for verbs that draw it again and again: what stood on it comes back, however we end. Standard input gives keys as they are
 * pressed, and shows none. */
void screen_enter(void);
void screen_leave(void);

/* What is printed from here on is drawn over what was there, when screen_show() comes. */
void screen_begin(void);
void screen_show(void);
