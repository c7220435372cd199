/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "../qmp/keys.h"
#include "../run/instance.h"
#include "../run/screenshot.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "mem.h"
#include "qmp-call.h"
#include "service.h"
#include "str.h"

/* org.virtbus.qemu1.Screen, on the objects of domains: to see and to do what somebody could who sits before the machine. */

/* --- Screenshot --- */

static void on_picture(int fd, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else
                (void) sd_bus_reply_method_return(m, "hs", fd, "image/png");
}

BUS_HANDLER(method_screenshot, ACTION_CONSOLE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint32_t screen;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "u", &screen);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0) {
                r = screenshot_take(userdata, screen, on_picture, sd_bus_message_ref(m), &f);
                if (r < 0)
                        sd_bus_message_unref(m);
        }
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- keys and pointers --- */

/* The rest of the arguments of both methods that press keys. Takes over `keys`. */
static int press(Domain *d, sd_bus_message *m, json_t *list, Fault *f) {
        json_auto_t *keys = list;
        json_t *arguments;
        uint32_t hold;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "u", &hold);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, f);
        if (r < 0)
                return r;
        if (json_array_size(keys) == 0)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "no keys are given");
        if (hold > KEYS_HOLD_MAX_MSEC)
                return fault_set(f, FAULT_INVALID_ARGS, ERANGE, "keys are held down for %u ms at most, not %" PRIu32, KEYS_HOLD_MAX_MSEC, hold);
        arguments = json_pack("{s:O}", "keys", keys);
        if (arguments && hold > 0 && json_object_set_new(arguments, "hold-time", json_integer(hold)) < 0) {
                json_decref(arguments);
                return fault_oom(f);
        }
        return qmp_call(d, "send-key", arguments, NULL, m, f);
}

static int read_codes(sd_bus_message *m, json_t *keys, Fault *f) {
        const char *word;
        uint32_t code;
        KeyCodes codes;
        int r;

        r = sd_bus_message_read(m, "s", &word);
        if (r < 0)
                return r;
        codes = key_codes_from_string(word);
        if (codes < 0)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.32s\" is no set of key codes, expected linux, usb or qnum", word);
        r = sd_bus_message_enter_container(m, 'a', "u");
        while (r >= 0 && (r = sd_bus_message_read(m, "u", &code)) > 0)
                r = keys_add_code(keys, codes, code, f);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_names(sd_bus_message *m, json_t *keys, Fault *f) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(m, "s", &name)) > 0)
                r = keys_add_name(keys, name, f);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int send_keys(Domain *d, sd_bus_message *m, int (*read)(sd_bus_message *m, json_t *keys, Fault *f), sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_auto_t *keys = json_array();
        int r;

        r = keys ? read(m, keys, &f) : -ENOMEM;
        if (r >= 0)
                r = press(d, m, json_incref(keys), &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

BUS_HANDLER(method_send_keys, ACTION_CONSOLE) {
        return send_keys(userdata, m, read_codes, error);
}

BUS_HANDLER(method_send_key_names, ACTION_CONSOLE) {
        return send_keys(userdata, m, read_names, error);
}

static int read_input(sd_bus_message *m, json_t *events, Fault *f) {
        const char *kind, *what;
        int32_t value;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ssi)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(ssi)", &kind, &what, &value)) > 0)
                r = input_add_event(events, kind, what, value, f);
        if (r >= 0 && json_array_size(events) == 0)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "nothing is to happen");
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Without a screen it goes to whatever takes it. */
static int input_arguments(Domain *d, json_t *events, uint32_t screen, json_t **ret, Fault *f) {
        const char *device;
        uint64_t head;
        int r;

        if (screen == UINT32_MAX) {
                *ret = json_pack("{s:O}", "events", events);
                return 0;
        }
        r = screen_find(d, screen, &device, &head, f);
        if (r >= 0)
                *ret = json_pack("{s:O, s:s, s:I}", "events", events, "device", device, "head", (json_int_t) head);
        return r;
}

static int send_input(Domain *d, sd_bus_message *m, Fault *f) {
        json_auto_t *events = json_array();
        uint32_t screen = UINT32_MAX;
        const BusOption options[] = { { "screen", 'u', &screen } };
        json_t *arguments = NULL;
        uint64_t flags;
        int r;

        r = events ? read_input(m, events, f) : -ENOMEM;
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, options, ARRAY_SIZE(options), f);
        if (r >= 0)
                r = input_arguments(d, events, screen, &arguments, f);
        if (r < 0)
                return r;
        return qmp_call(d, "input-send-event", arguments, "places (abs) need an <input type='tablet'/>, ways (rel) an <input type='mouse'/>", m, f);
}

BUS_HANDLER(method_send_input, ACTION_CONSOLE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = send_input(userdata, m, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

#define FLAGS_NAMES SD_BUS_PARAM(flags) SD_BUS_PARAM(options)

static const sd_bus_vtable screen_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("Screenshot", "uta{sv}", SD_BUS_PARAM(screen) FLAGS_NAMES, "hs", SD_BUS_PARAM(picture) SD_BUS_PARAM(type),
                                 method_screenshot, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SendKeys", "sauuta{sv}", SD_BUS_PARAM(codes) SD_BUS_PARAM(keys) SD_BUS_PARAM(hold_msec) FLAGS_NAMES, NULL,,
                                 method_send_keys, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_NAMES("SendKeyNames", "asuta{sv}", SD_BUS_PARAM(names) SD_BUS_PARAM(hold_msec) FLAGS_NAMES, NULL,,
                                 method_send_key_names, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_NAMES("SendInput", "a(ssi)ta{sv}", SD_BUS_PARAM(events) FLAGS_NAMES, NULL,, method_send_input,
                                 SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable *const screen_vtables[] = { screen_vtable, NULL };

const BusObject screen_object = {
        .path = QEMU1_ROOT "/domain", .many = true, .interface = QEMU1_NAME ".Screen", .vtables = screen_vtables,
        .find = domain_object_find, .details = domain_object_details,
};
