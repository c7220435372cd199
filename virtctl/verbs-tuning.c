/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "client.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* `virtctl set`: PROPERTY=VALUE of org.virtbus.qemu1.Tuning. Nothing behind the "=" is as if nothing had been said. */

typedef enum Shape { SHAPE_NUMBER, SHAPE_BYTES, SHAPE_TEXT, SHAPE_PINS, SHAPE_THREADS } Shape;

static const struct {
        const char *name;
        Shape shape;
} properties[] = {
        { "CPUWeight", SHAPE_NUMBER }, { "CPUQuotaPerSecUSec", SHAPE_NUMBER }, { "CPUQuotaPeriodUSec", SHAPE_NUMBER }, { "HostMemoryMax", SHAPE_BYTES },
        { "VCPUQuotaPerSecUSec", SHAPE_NUMBER }, { "VCPUQuotaPeriodUSec", SHAPE_NUMBER }, { "EmulatorQuotaPerSecUSec", SHAPE_NUMBER },
        { "EmulatorQuotaPeriodUSec", SHAPE_NUMBER }, { "IOThreadQuotaPerSecUSec", SHAPE_NUMBER }, { "IOThreadQuotaPeriodUSec", SHAPE_NUMBER },
        { "HostMemoryHigh", SHAPE_BYTES }, { "HostMemorySwapMax", SHAPE_BYTES }, { "IOWeight", SHAPE_NUMBER }, { "AllowedCPUs", SHAPE_TEXT },
        { "EmulatorPin", SHAPE_TEXT }, { "VCPUPins", SHAPE_PINS }, { "IOThreads", SHAPE_THREADS }, { "IOThreadPins", SHAPE_PINS },
};

static int append_number(sd_bus_message *m, Shape shape, const char *text) {
        uint64_t n = UINT64_MAX;

        if (*text && shape == SHAPE_BYTES && value_read_size(text, &n) != 0)
                return -EINVAL;
        if (*text && shape == SHAPE_NUMBER && parse_u64(text, 10, &n) < 0)
                return client_fail("\"%s\" is no number", text), -EINVAL;
        return sd_bus_message_append(m, "v", "t", n);
}

/* "0:0-3" or "2"; what follows is behind a space. */
static int append_item(sd_bus_message *m, Shape shape, char *item) {
        char *colon = strchr(item, ':');
        uint32_t thread;

        if (colon)
                *colon = '\0';
        if (!colon == (shape == SHAPE_PINS) || parse_u32(item, &thread) < 0)
                return client_fail(shape == SHAPE_PINS ? "\"%s\" is not like 0:2-3" : "\"%s\" is no number of a thread", item), -EINVAL;
        return shape == SHAPE_PINS ? sd_bus_message_append(m, "(us)", thread, colon + 1) : sd_bus_message_append(m, "u", thread);
}

static int append_list(sd_bus_message *m, Shape shape, const char *text) {
        const char *type = shape == SHAPE_PINS ? "(us)" : "u", *signature = shape == SHAPE_PINS ? "a(us)" : "au";
        _cleanup_free_ char *copy = strdup(text);
        char *rest = copy, *item;
        int r = copy ? sd_bus_message_open_container(m, 'v', signature) : -ENOMEM;

        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', type);
        while (r >= 0 && (item = strsep(&rest, " ")))
                if (*item)
                        r = append_item(m, shape, item);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_value(sd_bus_message *m, Shape shape, const char *text) {
        switch (shape) {
        case SHAPE_NUMBER:
        case SHAPE_BYTES:
                return append_number(m, shape, text);
        case SHAPE_TEXT:
                return sd_bus_message_append(m, "v", "s", text);
        case SHAPE_PINS:
        case SHAPE_THREADS:
                break;
        }
        return append_list(m, shape, text);
}

static int append_property(sd_bus_message *m, const char *argument) {
        const char *equals = strchr(argument, '=');
        size_t length = equals ? (size_t) (equals - argument) : 0;
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(properties); i++) {
                if (!equals || strlen(properties[i].name) != length || strncmp(properties[i].name, argument, length) != 0)
                        continue;
                r = sd_bus_message_open_container(m, 'r', "sv");
                if (r >= 0)
                        r = sd_bus_message_append(m, "s", properties[i].name);
                if (r >= 0)
                        r = append_value(m, properties[i].shape, equals + 1);
                return r < 0 ? r : sd_bus_message_close_container(m);
        }
        return client_fail(equals ? "\"%s\": there is no such property; virtctl(1) lists them" : "\"%s\" is not like CPUWeight=200", argument), -EINVAL;
}

static int append_all(sd_bus_message *m, int argc, char **argv) {
        int r = sd_bus_message_open_container(m, 'a', "(sv)");

        for (int i = 1; i < argc && r >= 0; i++)
                r = append_property(m, argv[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int verb_set(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        uint64_t flags = 0;
        int r = client_domain(c, argv[0], &domain) ?: change_flags(c, domain, &flags) ?: client_new_call(c, &m, domain, QEMU1 ".Tuning", "SetProperties");

        if (r != 0)
                return r;
        r = append_all(m, argc, argv);
        if (r == -EINVAL)
                return USAGE;
        if (r >= 0)
                r = sd_bus_message_append(m, "ta{sv}", flags, 0);
        if (r < 0)
                return client_garbled(r);
        r = client_send(c, TAKE_PTR(m), &reply);
        return r ?: change_print_plan(reply);
}
