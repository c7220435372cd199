/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "screen.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define BUFFER ((size_t) 256 * 1024)   /* a screen is written at once, so that it does not flicker */

static struct termios before;
static bool is_entered, has_keys;

void screen_leave(void) {
        if (!is_entered)
                return;
        is_entered = false;
        fputs(LEAVE, stdout);
        (void) fflush(stdout);
        if (has_keys)
                (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

void screen_enter(void) {
        static bool begun;
        struct termios t;

        if (!begun) {
                (void) setvbuf(stdout, NULL, _IOFBF, BUFFER);
                (void) atexit(screen_leave);
                begun = true;
        }
        has_keys = tcgetattr(STDIN_FILENO, &before) >= 0;
        if (has_keys) {
                t = before;
                t.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
                t.c_cc[VMIN] = 1;
                t.c_cc[VTIME] = 0;
                (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
        }
        is_entered = true;
        fputs(ENTER, stdout);
}

void screen_begin(void) {
        fputs("\033[H\033[J", stdout);
}

void screen_show(void) {
        (void) fflush(stdout);
}
