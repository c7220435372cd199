/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/socket.h>
#include <unistd.h>

#include "guest-event.h"
#include "qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever it is called: its data as those of every event that is told. */
static void on_event(_unused_ Qmp *q, _unused_ const char *name, json_t *json, _unused_ uint64_t usec, _unused_ void *userdata) {
        for (GuestEvent e = 0; e < _GUEST_EVENT_MAX; e++) {
                json_t *details = guest_event_details(e, json);
                char *text = guest_event_text(e, guest_event_device(json), details);

                assert(details && text);
                free(text);
                json_decref(details);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const QmpWatch watch = { .event = on_event };
        sd_event *event = NULL;
        Qmp *q = NULL;
        int pair[2];

        assert(sd_event_new(&event) >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        assert(qmp_new(event, pair[0], "fuzz", 0, &watch, NULL, &q) >= 0);
        for (unsigned i = 0; i < 3; i++)
                assert(qmp_send(q, "stop", NULL, 0, NULL, NULL, NULL) >= 0);
        qmp_feed(q, (const char *) data, size);
        qmp_free(q);
        sd_event_unref(event);
        close(pair[1]);
        return 0;
}
