/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the supervisor does to the rest of the world; here nothing. */
void watch_kill(Watch *w) {
        w->phase = PHASE_KILLED;
}

void notify(_unused_ const char *fmt, ...) {}

/* The first byte chooses what the supervisor is doing, the rest is what QEMU says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Watch w = { .monitor = -1, .log = -1, .qemu_fd = -1, .on_poweroff = "restart", .on_reboot = "destroy", .on_crash = "restart", .press_at = NEVER,
                    .give_up_at = NEVER, .extend_at = NEVER, .interval = 1000 };
        int pair[2];

        if (size == 0 || size > 65536 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return 0;
        w.monitor = pair[0];
        w.phase = (Phase) (data[0] % 5);
        w.ready = data[0] & 8;
        w.held = data[0] & 16;
        (void) !write(pair[1], data + 1, size - 1);
        watch_read_monitor(&w);
        watch_on_signal(&w, data[0] & 32 ? 15 : 2);
        watch_read_monitor(&w);
        watch_on_time(&w);
        if (w.monitor >= 0)
                close(w.monitor);
        close(pair[1]);
        free(w.line);
        return 0;
}
