/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../run/autostart.h"
#include "../run/define.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "device-bus.h"
#include "device-plug.h"
#include "mem.h"
#include "pending.h"
#include "service.h"
#include "str.h"
#include "xml-write.h"

/* What changes or shows the definition of a domain. */

/* It is not to start with the host any more: nor is one of the same name that is defined later. */
static void on_disabled(Domain *d, int error, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        sd_bus_message *m = userdata;
        int r = error;

        if (error < 0)
                (void) fault_copy(&f, why);
        else if (!d)
                r = fault_set(&f, FAULT_NO_SUCH_DOMAIN, ENOENT, "somebody else has removed it meanwhile");
        else
                r = define_undefine(d, &f);
        if (r < 0)
                (void) bus_reply_fault(m, &f, r);
        else
                (void) sd_bus_reply_method_return(m, NULL);
        sd_bus_message_unref(m);
}

BUS_HANDLER(method_undefine, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Domain *d = userdata;
        uint64_t flags;
        int r = bus_read_flags(m, 0, &flags, error);

        if (r < 0)
                return r;
        if (!d->autostart || !d->config) {
                r = define_undefine(d, &f);
                return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
        }
        r = autostart_set(d, false, on_disabled, sd_bus_message_ref(m), &f);
        if (r < 0) {
                sd_bus_message_unref(m);
                return fault_to_bus(&f, r, error);
        }
        return 1;
}

BUS_HANDLER(method_rename, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *name;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0)
                r = bus_read_flags(m, 0, &flags, error);
        if (r < 0)
                return r;
        r = define_rename(userdata, name, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

static void on_done(Domain *d, int error, const Fault *f, void *userdata) {
        sd_bus_message *m = userdata;

        if (error < 0)
                (void) bus_reply_fault(m, f, error);
        else
                (void) sd_bus_reply_method_return(m, NULL);
        sd_bus_message_unref(m);
}

BUS_HANDLER(method_set_autostart, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int on, r;

        r = sd_bus_message_read(m, "b", &on);
        if (r >= 0)
                r = bus_read_flags(m, 0, &flags, error);
        if (r < 0)
                return r;
        r = autostart_set(userdata, on, on_done, sd_bus_message_ref(m), &f);
        if (r < 0) {
                sd_bus_message_unref(m);
                return fault_to_bus(&f, r, error);
        }
        return 1;
}

BUS_HANDLER(method_reconfigure, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Domain *d = userdata;
        uint64_t flags, generation = 0;
        int keep_secrets = false, r;
        const BusOption options[] = { { "if-generation", 't', &generation }, { "keep-secrets", 'b', &keep_secrets } };
        const char *format, *text;

        r = sd_bus_message_read(m, "ss", &format, &text);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_VALIDATE_ONLY | BUS_FLAG_CONFIG, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0 && !streq(format, "libvirt-xml") && !streq(format, ""))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "\"%.64s\" is no format of definitions, expected libvirt-xml", format);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = define_domain(d->manager, text, strlen(text),
                          (flags & BUS_FLAG_VALIDATE_ONLY ? DEFINE_VALIDATE_ONLY : 0) | (keep_secrets ? DEFINE_KEEP_SECRETS : 0), d, generation,
                          on_done, sd_bus_message_ref(m), &f);
        if (r < 0) {
                sd_bus_message_unref(m);
                return fault_to_bus(&f, r, error);
        }
        return 1;
}

static int export(Domain *d, uint64_t flags, char **ret, Fault *f) {
        unsigned how = flags & BUS_FLAG_SENSITIVE ? XML_WRITE_SECRETS : 0;
        bool live = flags & BUS_FLAG_LIVE || (!(flags & BUS_FLAG_CONFIG) && d->live);

        if (d->state == DOMAIN_BROKEN)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s: %s", d->name, fault_text(&d->broken));
        if (live && !d->live)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s is not running: it has only its persistent definition", d->name);
        if (!live && !d->config)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s is transient: it has only its live definition", d->name);
        return live ? xml_record_to_text(&d->live->head, how | XML_WRITE_LIVE, ret) : define_export(d, how, ret, f);
}

static int export_allowed(sd_bus_message *m, Domain *d, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *text = NULL;
        const char *format;
        uint64_t flags;
        int r;

        (void) sd_bus_message_rewind(m, true);
        r = sd_bus_message_read(m, "st", &format, &flags);
        if (r < 0)
                return r;
        if (!streq(format, "libvirt-xml") && !streq(format, ""))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "\"%.64s\" is no format of definitions, expected libvirt-xml", format);
        else if (flags & ~(BUS_FLAG_LIVE | BUS_FLAG_CONFIG | BUS_FLAG_SENSITIVE))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "this method does not know the flags 0x%" PRIx64,
                              flags & ~(BUS_FLAG_LIVE | BUS_FLAG_CONFIG | BUS_FLAG_SENSITIVE));
        else if ((flags & BUS_FLAG_LIVE) && (flags & BUS_FLAG_CONFIG))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "either the live or the persistent definition, not both");
        else
                r = export(d, flags, &text, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, "s", text);
}

BUS_HANDLER(export_secrets, ACTION_READ_SECURE) {
        return export_allowed(m, userdata, error);
}

/* Which right it takes depends on one flag, so that much is read before asking for it. */
BUS_HANDLER(method_export, BUS_SELF) {
        const char *format;
        uint64_t flags;
        int r = sd_bus_message_read(m, "st", &format, &flags);

        if (r < 0)
                return r;
        return flags & BUS_FLAG_SENSITIVE ? export_secrets(m, userdata, error) : export_allowed(m, userdata, error);
}

BUS_HANDLER(method_get_device, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *path = NULL;
        const Device *device = NULL;
        const Domain *d = userdata;
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        if (r < 0)
                return r;
        if (d->live)
                device = domain_find_device(d->live, name);
        if (!device && d->config)
                device = domain_find_device(d->config, name);
        if (!device) {
                r = fault_set(&f, FAULT_NO_SUCH_DEVICE, ENODEV, "%s has no device %.64s", d->name, name);
                return fault_to_bus(&f, r, error);
        }
        path = device_bus_path(d, device->id);
        return path ? sd_bus_reply_method_return(m, "o", path) : -ENOMEM;
}

#define FLAGS SD_BUS_PARAM(flags) SD_BUS_PARAM(options)

const sd_bus_vtable domain_config_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("Undefine", "ta{sv}", FLAGS, NULL, , method_undefine, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Rename", "sta{sv}", SD_BUS_PARAM(name) FLAGS, NULL, , method_rename, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetAutostart", "bta{sv}", SD_BUS_PARAM(on) FLAGS, NULL, , method_set_autostart,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Reconfigure", "ssta{sv}", SD_BUS_PARAM(format) SD_BUS_PARAM(definition) FLAGS, NULL, ,
                                 method_reconfigure, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_NAMES("ListPendingChanges", NULL,, "a(sssss)", SD_BUS_PARAM(changes), domain_method_list_pending,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetDevice", "s", SD_BUS_PARAM(name), "o", SD_BUS_PARAM(device), method_get_device, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetMemory", "tta{sv}", SD_BUS_PARAM(bytes) FLAGS, "as", SD_BUS_PARAM(plan), domain_method_set_memory,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetVCPUs", "uta{sv}", SD_BUS_PARAM(number) FLAGS, "as", SD_BUS_PARAM(plan), domain_method_set_vcpus,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("AttachDevice", "ssta{sv}", SD_BUS_PARAM(format) SD_BUS_PARAM(definition) FLAGS, "oas",
                                 SD_BUS_PARAM(device) SD_BUS_PARAM(plan), domain_method_attach_device,
                                 SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_NAMES("ExportDefinition", "st", SD_BUS_PARAM(format) SD_BUS_PARAM(flags), "s", SD_BUS_PARAM(definition),
                                 method_export, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_VTABLE_END
};
