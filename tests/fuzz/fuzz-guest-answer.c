/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../virtqemud/bus/guest-answer.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
        int (*answer)(sd_bus_message *reply, const json_t *result);
        const char *types;
} rows[] = {
        { guest_answer_users, "a(sst)" },
        { guest_answer_hostname, "s" },
        { guest_answer_timezone, "si" },
        { guest_answer_time, "t" },
        { guest_answer_number, "u" },
        { guest_answer_filesystems, "a(sssttas)" },
        { guest_answer_disks, "a(sbs)" },
        { guest_answer_interfaces, "a(ssa(ayy))" },
        { guest_answer_vcpus, "a(tbb)" },
        { guest_answer_trimmed, "a(sts)" },
        { guest_answer_status, "s" },
        { guest_answer_keys, "as" },
        { guest_answer_json, "s" },
};

/* Messages need a connection, and no more of it. */
static sd_bus *make_bus(void) {
        sd_bus *bus = NULL;
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 || sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, pair[0], pair[0]) < 0 ||
            sd_bus_start(bus) < 0)
                abort();
        return bus;
}

/* Whatever a guest's agent says of anything: it is refused, or it is what the method promises. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static sd_bus *bus;
        json_auto_t *result = json_loadb((const char *) data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);

        if (!bus)
                bus = make_bus();
        for (size_t i = 0; result && i < ARRAY_SIZE(rows); i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

                if (sd_bus_message_new_signal(bus, &m, "/a", "a.b", "C") < 0)
                        abort();
                if (rows[i].answer(m, result) >= 0 && !streq(sd_bus_message_get_signature(m, true), rows[i].types))
                        abort();
        }
        return 0;
}
