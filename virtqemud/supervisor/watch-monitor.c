/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "watch.h"

/* A client of QEMU's monitor that knows a handful of commands and looks at a handful of events. What QEMU says is not to be trusted:
 * a line that is too long or no JSON ends the conversation, after which there are only signals. */

static void lose(Watch *w, const char *why) {
        fprintf(stderr, "QEMU's monitor can't be used any more: %s\n", why);
        (void) close(w->monitor);
        w->monitor = -1;
        free(w->line);
        w->line = NULL;
        w->length = w->allocated = 0;
        watch_on_monitor_lost(w);
}

static void send_text(Watch *w, const char *text) {
        size_t length = strlen(text);

        if (w->monitor < 0)
                return;
        /* QEMU reads at once unless it hangs, and then the socket's buffer holds far more than we ever say. */
        if (send(w->monitor, text, length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t) length)
                lose(w, errno == EAGAIN ? "it does not read" : strerror(errno));
}

void watch_command(Watch *w, const char *command) {
        char text[96];

        (void) snprintf(text, sizeof(text), "{\"execute\":\"%s\"}\n", command);
        send_text(w, text);
}

void watch_hold(Watch *w, bool hold) {
        send_text(w, hold ? "{\"execute\":\"set-action\",\"arguments\":{\"shutdown\":\"pause\"}}\n"
                          : "{\"execute\":\"set-action\",\"arguments\":{\"shutdown\":\"poweroff\"}}\n");
}

static void take_message(Watch *w, const json_t *message) {
        const char *event = json_string_value(json_object_get(message, "event"));
        const json_t *error = json_object_get(message, "error"), *reply = json_object_get(message, "return");

        if (json_object_get(message, "QMP"))
                watch_command(w, "qmp_capabilities");
        else if (event)
                watch_on_event(w, event, json_object_get(message, "data"));
        else if (reply && w->ready)
                watch_on_reply(w, reply);
        else if (reply) {
                w->ready = true;
                watch_on_ready(w);
        } else if (error)
                fprintf(stderr, "QEMU refused a command: %.200s\n", json_string_value(json_object_get(error, "desc")) ?: "?");
}

static void take_line(Watch *w, const char *line, size_t length) {
        json_t *message = json_loadb(line, length, 0, NULL);

        if (!json_is_object(message))
                lose(w, "it says what is no JSON object");
        else
                take_message(w, message);
        json_decref(message);
}

/* Takes all whole lines out of the buffer. Handling one may lose the monitor, and with it the buffer. */
static void take_lines(Watch *w) {
        size_t begin = 0;

        while (w->line) {
                char *end = memchr(w->line + begin, '\n', w->length - begin);
                size_t length;

                if (!end)
                        break;
                length = (size_t) (end - w->line) - begin;
                if (length > 1) /* QEMU ends lines with \r\n */
                        take_line(w, w->line + begin, length);
                begin += length + 1;
        }
        if (!w->line || begin == 0)
                return;
        memmove(w->line, w->line + begin, w->length - begin);
        w->length -= begin;
        if (w->length == 0 && w->allocated > 4096) {
                free(w->line);
                w->line = NULL;
                w->allocated = 0;
        }
}

static bool make_room(Watch *w) {
        char *grown;

        if (w->length < w->allocated)
                return true;
        if (w->allocated >= LINE_MAX_BYTES)
                return false;
        grown = realloc(w->line, w->allocated ? w->allocated * 2 : 4096);
        if (!grown)
                return false;
        w->line = grown;
        w->allocated = w->allocated ? w->allocated * 2 : 4096;
        return true;
}

void watch_read_monitor(Watch *w) {
        while (w->monitor >= 0) {
                ssize_t n;

                if (!make_room(w)) {
                        lose(w, "it says a line without end");
                        return;
                }
                n = recv(w->monitor, w->line + w->length, w->allocated - w->length, MSG_DONTWAIT);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                if (n <= 0) { /* its end comes as an event of its own */
                        (void) close(w->monitor);
                        w->monitor = -1;
                        return;
                }
                w->length += (size_t) n;
                take_lines(w);
        }
}
