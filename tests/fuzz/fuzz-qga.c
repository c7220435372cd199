/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qga.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_reply(_unused_ json_t *result, _unused_ const Fault *why, _unused_ void *userdata) {}

/* The number that the client wants to hear is put in where the input has an '@', so that what follows is an answer. */
static void feed(Qga *q, int peer, const char *data, size_t size) {
        const char *at = memchr(data, '@', size), *number;
        char said[4096] = "", step[64];
        size_t before = at ? (size_t) (at - data) : size;

        qga_feed(q, data, before);
        if (!at || recv(peer, said, sizeof(said) - 1, MSG_DONTWAIT) <= 0 || !(number = strstr(said, "\"id\":")))
                return;
        (void) snprintf(step, sizeof(step), "\xff{\"return\":%lu}\n", strtoul(number + 5, NULL, 10));
        qga_feed(q, step, strlen(step));
        qga_feed(q, at + 1, size - before - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        sd_event *event = NULL;
        Qga *q = NULL;
        int pair[2];

        if (size == 0)
                return 0;
        assert(sd_event_new(&event) >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        assert(qga_new(event, "fuzz", "/nowhere", NULL, NULL, &q) >= 0 && qga_open_fd(q, pair[0]) >= 0);
        for (unsigned i = 0; i < 3; i++)
                assert(qga_send(q, "guest-ping", NULL, 0, on_reply, NULL, NULL, NULL) >= 0);
        (void) sd_event_run(event, 0);
        feed(q, pair[1], (const char *) data, size);
        qga_free(q);
        sd_event_unref(event);
        close(pair[1]);
        return 0;
}
