/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../def/wipe-def.h"
#include "../run/volume-run.h"
#include "../run/volumes.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "service.h"
#include "str.h"

/* org.virtbus.storage1.Volume. */

static int begun(int r, const Fault *f, sd_bus_error *error) {
        return r < 0 ? fault_to_bus(f, r, error) : 1;
}

BUS_HANDLER(method_resize, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int shrink = 0, allocate = 0, r;
        VolumeResize how = {};
        const BusOption options[] = { { "shrink", 'b', &shrink }, { "allocate", 'b', &allocate }, { "secret", 's', &how.secret } };
        uint64_t flags;

        r = sd_bus_message_read(m, "t", &how.capacity);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_NO_WAIT, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0) {
                how.shrink = shrink;
                how.allocate = allocate;
                how.no_wait = flags & BUS_FLAG_NO_WAIT;
                r = volume_resize(userdata, &how, m, &f);
        }
        return begun(r, &f, error);
}

BUS_HANDLER(method_wipe, ACTION_VOLUME_DATA) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *algorithm = "zero";
        const BusOption options[] = { { "algorithm", 's', &algorithm } };
        uint64_t flags;
        int r;

        r = bus_read_options(m, BUS_FLAG_NO_WAIT, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0 && wipe_algorithm_from_string(algorithm) < 0)
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL,
                              "\"%.32s\" is no algorithm: zero, random, nnsa, dod, bsi, gutmann, schneier, pfitzner7, pfitzner33 or trim", algorithm);
        if (r >= 0)
                r = volume_wipe(userdata, algorithm, flags & BUS_FLAG_NO_WAIT, m, &f);
        return begun(r, &f, error);
}

BUS_HANDLER(method_set_format, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *format;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "s", &format);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = volume_set_format(userdata, format, m, &f);
        return begun(r, &f, error);
}

BUS_HANDLER(method_probe_format, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r;

        r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = volume_probe_format(userdata, m, &f);
        return begun(r, &f, error);
}

BUS_HANDLER(method_delete, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r;

        r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = volume_remove(userdata, m, &f);
        return begun(r, &f, error);
}

BUS_HANDLER(method_open, ACTION_VOLUME_DATA) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int writable = 0, r;
        const BusOption options[] = { { "writable", 'b', &writable } };
        uint64_t flags;

        r = bus_read_options(m, 0, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = volume_open(userdata, writable, m, &f);
        return begun(r, &f, error);
}

static int transfer(Volume *v, bool up, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t offset, length, flags;
        int fd, sparse = 0, r;
        const BusOption options[] = { { "sparse", 'b', &sparse } };

        r = sd_bus_message_read(m, "htt", &fd, &offset, &length);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_NO_WAIT, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = volume_transfer(v, up, fd, offset, length, sparse, flags & BUS_FLAG_NO_WAIT, m, &f);
        return begun(r, &f, error);
}

BUS_HANDLER(method_upload, ACTION_VOLUME_DATA) {
        return transfer(userdata, true, m, error);
}

BUS_HANDLER(method_download, ACTION_VOLUME_DATA) {
        return transfer(userdata, false, m, error);
}

BUS_HANDLER(method_export, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *text = NULL;
        const char *format;
        Volume *v = userdata;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "st", &format, &flags);
        if (r >= 0 && (!streq(format, "libvirt-xml") || flags != 0))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "the format is libvirt-xml, and there are no flags");
        if (r >= 0)
                r = volume_info_to_xml(&v->info, &text);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, "s", text);
}

/* --- properties --- */

static int append_text(sd_bus_message *reply, const char *text) {
        return sd_bus_message_append(reply, "s", text ?: "");
}

BUS_GETTER(get_name) {
        return append_text(reply, ((Volume *) userdata)->info.name);
}

BUS_GETTER(get_path) {
        return append_text(reply, ((Volume *) userdata)->info.path);
}

BUS_GETTER(get_key) {
        return append_text(reply, ((Volume *) userdata)->info.key);
}

BUS_GETTER(get_kind) {
        return append_text(reply, volume_kind_to_string(((Volume *) userdata)->info.kind));
}

BUS_GETTER(get_format) {
        return append_text(reply, volume_format_to_string(((Volume *) userdata)->info.format));
}

BUS_GETTER(get_capacity) {
        return sd_bus_message_append(reply, "t", ((Volume *) userdata)->info.capacity);
}

BUS_GETTER(get_allocation) {
        return sd_bus_message_append(reply, "t", ((Volume *) userdata)->info.allocation);
}

BUS_GETTER(get_physical) {
        return sd_bus_message_append(reply, "t", ((Volume *) userdata)->info.physical);
}

BUS_GETTER(get_backing_path) {
        return append_text(reply, ((Volume *) userdata)->info.backing_path);
}

BUS_GETTER(get_backing_format) {
        return append_text(reply, volume_format_to_string(((Volume *) userdata)->info.backing_format));
}

BUS_GETTER(get_encryption) {
        return append_text(reply, encryption_format_to_string(((Volume *) userdata)->info.encryption));
}

BUS_GETTER(get_problem) {
        return append_text(reply, ((Volume *) userdata)->info.problem);
}

BUS_GETTER(get_used_by) {
        return sd_bus_message_append_strv(reply, ((Volume *) userdata)->used_by);
}

void volume_bus_changed(Bus *b, const Volume *v, unsigned what) {
        static const struct {
                unsigned what;
                const char *property;
        } rows[] = {
                {VOLUME_CHANGED_INFO, "Path"},        {VOLUME_CHANGED_INFO, "Key"},           {VOLUME_CHANGED_INFO, "Format"},
                {VOLUME_CHANGED_INFO, "Capacity"},    {VOLUME_CHANGED_INFO, "Allocation"},    {VOLUME_CHANGED_INFO, "Physical"},
                {VOLUME_CHANGED_INFO, "BackingPath"}, {VOLUME_CHANGED_INFO, "BackingFormat"}, {VOLUME_CHANGED_INFO, "Encryption"},
                {VOLUME_CHANGED_INFO, "Problem"},     {VOLUME_CHANGED_USED_BY, "UsedBy"},
        };
        _cleanup_free_ char *path = volume_object_path(v->pool, v->id);

        for (size_t i = 0; path && i < ARRAY_SIZE(rows); i++)
                if (rows[i].what & what)
                        bus_changed(b, path, STORAGE1_VOLUME, rows[i].property);
}

#define CONST(name, type, getter) SD_BUS_PROPERTY(name, type, getter, 0, SD_BUS_VTABLE_PROPERTY_CONST)
#define EMITS(name, type, getter) SD_BUS_PROPERTY(name, type, getter, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
#define FLAGS SD_BUS_PARAM(flags) SD_BUS_PARAM(options)
static const sd_bus_vtable volume_vtable[] = {
        SD_BUS_VTABLE_START(0),
        CONST("Name", "s", get_name),
        EMITS("Path", "s", get_path),
        EMITS("Key", "s", get_key),
        CONST("Kind", "s", get_kind),
        EMITS("Format", "s", get_format),
        EMITS("Capacity", "t", get_capacity),
        EMITS("Allocation", "t", get_allocation),
        EMITS("Physical", "t", get_physical),
        EMITS("BackingPath", "s", get_backing_path),
        EMITS("BackingFormat", "s", get_backing_format),
        EMITS("Encryption", "s", get_encryption),
        EMITS("Problem", "s", get_problem),
        EMITS("UsedBy", "as", get_used_by),
        SD_BUS_METHOD_WITH_NAMES("Resize", "tta{sv}", SD_BUS_PARAM(capacity) FLAGS, "o", SD_BUS_PARAM(job), method_resize, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Wipe", "ta{sv}", FLAGS, "o", SD_BUS_PARAM(job), method_wipe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Delete", "ta{sv}", FLAGS, "o", SD_BUS_PARAM(job), method_delete, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetFormat", "sta{sv}", SD_BUS_PARAM(format) FLAGS, NULL,, method_set_format, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ProbeFormat", "ta{sv}", FLAGS, "s", SD_BUS_PARAM(format), method_probe_format, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Open", "ta{sv}", FLAGS, "h", SD_BUS_PARAM(fd), method_open, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Upload", "httta{sv}", SD_BUS_PARAM(fd) SD_BUS_PARAM(offset) SD_BUS_PARAM(length) FLAGS, "o", SD_BUS_PARAM(job),
                                 method_upload, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Download", "httta{sv}", SD_BUS_PARAM(fd) SD_BUS_PARAM(offset) SD_BUS_PARAM(length) FLAGS, "o", SD_BUS_PARAM(job),
                                 method_download, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ExportDefinition", "st", SD_BUS_PARAM(format) SD_BUS_PARAM(flags), "s", SD_BUS_PARAM(text), method_export,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

/* ROOT/pool/UUID/volume/ID */
static int object_find(const char *path, void *userdata, void **ret) {
        const char *hex = str_after(path, STORAGE1_ROOT "/pool/"), *id;
        char uuid[SD_ID128_STRING_MAX] = "";
        Service *s = service_of(userdata);
        sd_id128_t pool_id;
        Pool *p;

        if (!s || !s->pools || !hex || strlen(hex) <= 32)
                return 0;
        memcpy(uuid, hex, 32);
        id = str_after(hex + 32, "/volume/");
        if (!id || sd_id128_from_string(uuid, &pool_id) < 0)
                return 0;
        p = registry_find_id(s->pools->set.registry, pool_id);
        *ret = p ? volumes_find_id(p, id) : NULL;
        return *ret != NULL;
}

static int object_details(void *object, sd_bus_message *call) {
        const Volume *v = object;

        return sd_bus_message_append(call, "{ss}{ss}", "pool", v->pool->name, "volume", v->info.name);
}

static const sd_bus_vtable *const volume_vtables[] = { volume_vtable, NULL };
const BusObject volume_object = {
        .path = STORAGE1_ROOT "/pool", .many = true, .interface = STORAGE1_VOLUME, .vtables = volume_vtables, .find = object_find, .details = object_details,
};
