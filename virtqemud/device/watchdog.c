/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <watchdog>: does something when the guest no longer tells that it is alive. */
typedef struct Watchdog {
        Device device;
        int model, action;
} Watchdog;

typedef enum WatchdogModel { WATCHDOG_UNSET, WATCHDOG_I6300ESB, WATCHDOG_IB700, WATCHDOG_ITCO, WATCHDOG_DIAG288 } WatchdogModel;
static const char *const model_words[] = { NULL, "i6300esb", "ib700", "itco", "diag288" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

typedef enum WatchdogAction {
        ACTION_UNSET,
        ACTION_RESET,
        ACTION_SHUTDOWN,
        ACTION_POWEROFF,
        ACTION_PAUSE,
        ACTION_NOTHING,
        ACTION_DUMP,
        ACTION_NMI
} WatchdogAction;
static const char *const action_words[] = { NULL, "reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi" };
static const EnumTable action_table = { action_words, ARRAY_SIZE(action_words) };

static const Field watchdog_fields[] = {
        { "@model", &field_enum, offsetof(Watchdog, model), FIELD_REQUIRED, .words = &model_table },
        { "@action", &field_enum, offsetof(Watchdog, action), .words = &action_table },
        DEVICE_FIELDS(Watchdog),
};

static const RecordType watchdog_record = {
        "watchdog", sizeof(Watchdog), RECORD_FIELDS(watchdog_fields), .clear = device_clear, .copied = device_copied,
};

static int watchdog_fill(Device *d, DomainDef *def, Fault *f) {
        Watchdog *w = (Watchdog *) d;

        if (w->action == ACTION_UNSET)
                w->action = ACTION_RESET;
        return 0;
}

static SlotKind watchdog_slot(const Device *d, const DomainDef *def) {
        return ((const Watchdog *) d)->model == WATCHDOG_I6300ESB ? SLOT_PCI : SLOT_NONE;
}

static int check_model(const Watchdog *w, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Record *r = &w->device.head;
        const char *model = enum_to_word(&model_table, w->model);

        if (w->model == WATCHDOG_DIAG288)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "model 'diag288' is that of a machine of type s390x");
        if (w->model == WATCHDOG_ITCO && !domain_is_q35(def))
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "model 'itco' is part of the board 'q35', this one is '%s'", def->machine);
        if (caps && w->model != WATCHDOG_ITCO && !caps_has_device(caps, model))
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", model);
        return 0;
}

static int watchdog_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Watchdog *w = (const Watchdog *) d;

        if (w->action == ACTION_DUMP) {
                xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "action 'dump' is not supported");
                fault_hint(f, "let it pause the guest, whose memory can be looked at then");
                return -EOPNOTSUPP;
        }
        DEVICE_FOREACH(Watchdog, other, def, DEVICE_WATCHDOG) {
                if (other == w)
                        break;
                if (other->model == w->model)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is one of model '%s' already", enum_to_word(&model_table, w->model));
                if (other->action != w->action)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "QEMU has one action for all: that of the watchdog in line %u is '%s'",
                                         other->device.head.line, enum_to_word(&action_table, other->action));
        }
        return check_model(w, def, caps, f);
}

static const char *action_for_qemu(const Watchdog *w) {
        static const char *const words[] = {
                [ACTION_RESET] = "reset", [ACTION_SHUTDOWN] = "shutdown", [ACTION_POWEROFF] = "poweroff", [ACTION_PAUSE] = "pause",
                [ACTION_NOTHING] = "none", [ACTION_NMI] = "inject-nmi",
        };

        return words[w->action];
}

static int watchdog_args(const Device *d, Args *a, Fault *f) {
        const Watchdog *w = (const Watchdog *) d;
        json_auto_t *json = NULL;
        int r;

        if (w->model == WATCHDOG_ITCO) /* without the pin strap that says so it would not reset */
                return args_option(a, "-global", "ICH9-LPC.noreboot=off");
        json = json_pack("{s:s, s:s}", "driver", enum_to_word(&model_table, w->model), "id", d->id);
        if (!json)
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static int watchdog_settle(const Device *d, const DomainDef *def, json_t *commands) {
        return args_command(commands, "watchdog-set-action", json_pack("{s:s}", "action", action_for_qemu((const Watchdog *) d)));
}

const DeviceOps device_watchdog = {
        .kind = DEVICE_WATCHDOG, .element = "watchdog", .type = &watchdog_record,
        .fill = watchdog_fill, .slot = watchdog_slot, .check = watchdog_check, .args = watchdog_args, .settle = watchdog_settle,
};
