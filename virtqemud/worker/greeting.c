/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "greeting.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"

void greet(void) {
        (void) !write(STDIN_FILENO, "\n", 1);
}

void give_up(const char *fmt, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, fmt);
        if (vasprintf(&text, fmt, ap) < 0)
                text = NULL;
        va_end(ap);
        fprintf(stderr, "%s\n", text ?: "out of memory");
        (void) !write(STDIN_FILENO, text ?: "out of memory", strlen(text ?: "out of memory"));
        exit(EXIT_FAILURE);
}
