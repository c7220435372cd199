/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "definition.h"
#include "show.h"
#include "str.h"
#include "value-input.h"
#include "values.h"
#include "verbs.h"

/* VMs without a definition, and what QEMU is told beside all that has a verb of its own. */

int verb_run(Client *c, int argc, char **argv) {
        int status = 0;

        for (int i = 0; i < argc; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                _cleanup_free_ char *text = NULL;
                const char *domain, *job;
                int r = definition_read(argv[i], &text) ?:
                        client_call(c, QEMU1_ROOT, MANAGER_INTERFACE, "StartTransient", &reply, "ssahta{sv}", "libvirt-xml", text, 0,
                                    c->no_wait ? FLAG_NO_WAIT : UINT64_C(0), 0);

                if (r == 0) {
                        r = sd_bus_message_read(reply, "oo", &domain, &job);
                        r = r < 0 ? client_garbled(r) : client_wait_job(c, job);
                }
                if (r != 0)
                        fprintf(stderr, "  %s was not started.\n", argv[i]);
                status = status ?: r;
        }
        return status;
}

static int inject(Client *c, const char *path) {
        return client_call(c, path, DOMAIN_INTERFACE, "InjectNMI", NULL, "ta{sv}", UINT64_C(0), 0);
}

int verb_inject_nmi(Client *c, int argc, char **argv) {
        return client_each(c, argc, argv, client_domain, inject);
}

int verb_qmp(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        json_auto_t *answer = NULL;
        const char *text;
        int r = client_domain(c, argv[0], &domain) ?: client_call(c, domain, DOMAIN_INTERFACE, "QMPCommand", &reply, "s", argv[1]);

        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return client_garbled(r);
        answer = c->json == JSON_PRETTY ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
        return answer ? print_json(c, json_incref(answer)) : puts(text) < 0 ? client_fail("standard output can't be written to") : DONE;
}

int verb_set_write_threshold(Client *c, int argc, char **argv) {
        _cleanup_free_ char *domain = NULL, *device = NULL;
        uint64_t bytes = 0;

        return value_read_size(argv[2], &bytes) ?: client_domain(c, argv[0], &domain) ?: device_find(c, domain, argv[1], &device) ?:
               client_call(c, device, QEMU1 ".Disk", "SetWriteThreshold", NULL, "tta{sv}", bytes, UINT64_C(0), 0);
}

int verb_set_display_password(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *domain = NULL, *device = NULL, *what = strf("Password of %s of %s", argv[1], argv[0]);
        _cleanup_value_input_ ValueInput value = {};
        uint64_t until;
        int r = client_timeout(c, 0, &until);

        if (r != 0)
                return r;
        if (until > 0)
                until += now_usec(CLOCK_REALTIME);
        r = client_domain(c, argv[0], &domain) ?: device_find(c, domain, argv[1], &device) ?:
            value_input_read(what ?: "", argc > 2 ? argv[2] : NULL, &value) ?: client_new_call(c, &m, device, QEMU1 ".Graphics", "SetPassword");
        if (r != 0)
                return r;
        if (memchr(value.data, '\0', value.length))
                return client_fail("a password has no NUL bytes");
        value.data[value.length] = '\0'; /* where the end of its line was, or there is one */
        if (sd_bus_message_sensitive(m) < 0 || sd_bus_message_append(m, "stta{sv}", value.data, until, UINT64_C(0), 0) < 0)
                return client_fail("out of memory");
        return client_send(c, TAKE_PTR(m), NULL);
}

/* --- how fast memory is written to --- */

#define LOOK_USEC 200000
#define GROUP_DIRTY_RATE (UINT64_C(1) << 10)

static int read_rate(Client *c, const char *domain, json_t **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *all = NULL;
        int r = client_call(c, QEMU1_ROOT, MANAGER_INTERFACE, "GetStatistics", &reply, "aota{sv}", 1, domain, GROUP_DIRTY_RATE, 0);

        if (r != 0)
                return r;
        all = value_to_json(reply);
        *ret = json_incref(json_array_get(json_array_get(all, 0), 1));
        return 0;
}

/* QEMU has no event for its end, and what was sampled before may be of an earlier one. */
static int wait_rate(Client *c, const char *domain, uint32_t seconds, json_t **ret) {
        uint64_t begun = now_usec(CLOCK_MONOTONIC);

        for (unsigned n = 0; n < 10 * 1000000 / LOOK_USEC; n++) {
                json_auto_t *said = NULL;
                int r;

                (void) usleep(n == 0 ? seconds * 1000000 : LOOK_USEC);
                r = read_rate(c, domain, &said);
                if (r != 0)
                        return r;
                if (streq(show_text(said, "dirtyrate.calc_status"), "measured") &&
                    show_number(said, "dirty-rate.age") < now_usec(CLOCK_MONOTONIC) - begun) {
                        *ret = json_incref(said);
                        return 0;
                }
        }
        return client_fail("QEMU has not measured anything");
}

int verb_dirty_rate(Client *c, int argc, char **argv) {
        _cleanup_free_ char *domain = NULL;
        json_auto_t *said = NULL;
        uint32_t seconds = 1;
        int r;

        if (argc > 1 && parse_u32(argv[1], &seconds) < 0) {
                (void) client_fail("\"%s\" is no number of seconds", argv[1]);
                return USAGE;
        }
        r = client_domain(c, argv[0], &domain) ?:
            client_call(c, domain, DOMAIN_INTERFACE, "MeasureDirtyRate", NULL, "uta{sv}", seconds, UINT64_C(0), 0) ?:
            wait_rate(c, domain, seconds, &said);
        if (r != 0 || c->json != JSON_OFF)
                return r ?: print_json(c, json_incref(said));
        printf("%lluM/s\n", (unsigned long long) show_number(said, "dirtyrate.megabytes_per_second"));
        return DONE;
}
