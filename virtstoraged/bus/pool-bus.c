/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../plan/storage.h"
#include "../run/pool-refresh.h"
#include "../run/volume-run.h"
#include "../run/volumes.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "mem.h"
#include "service.h"
#include "str.h"
#include "xml-write.h"

/* org.virtbus.storage1.Pool. */

#define FORMAT_XML "libvirt-xml"

static int read_flags(sd_bus_message *m, uint64_t known, uint64_t *ret, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = bus_read_options(m, known, ret, NULL, 0, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 0;
}

/* --- its life --- */

/* PoolDone that answers a call which returns nothing. */
static void pool_reply(Pool *p, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else
                (void) sd_bus_reply_method_return(m, NULL);
}

static int call_begun(int r, sd_bus_message *m, const Fault *f, sd_bus_error *error) {
        if (r >= 0)
                return 1;
        sd_bus_message_unref(m);
        return fault_to_bus(f, r, error);
}

int pool_start_call(Pool *p, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        return call_begun(pool_start(p, pool_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

int pool_stop_call(Pool *p, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        return call_begun(pool_stop(p, pool_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

BUS_HANDLER(method_start, ACTION_MANAGE) {
        uint64_t flags;
        int r = read_flags(m, 0, &flags, error);

        return r < 0 ? r : pool_start_call(userdata, m, error);
}

BUS_HANDLER(method_stop, ACTION_MANAGE) {
        uint64_t flags;
        int r = read_flags(m, 0, &flags, error);

        return r < 0 ? r : pool_stop_call(userdata, m, error);
}

BUS_HANDLER(method_build, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int format = 0, overwrite = 0, r;
        const BusOption options[] = { { "format", 'b', &format }, { "overwrite", 'b', &overwrite } };
        uint64_t flags;

        r = bus_read_options(m, 0, &flags, options, ARRAY_SIZE(options), &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        return call_begun(pool_build(userdata, format, overwrite, pool_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

BUS_HANDLER(method_refresh, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r = read_flags(m, 0, &flags, error);

        if (r < 0)
                return r;
        return call_begun(pool_refresh(userdata, pool_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

BUS_HANDLER(method_delete, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r = read_flags(m, 0, &flags, error);

        if (r < 0)
                return r;
        return call_begun(pool_destroy(userdata, pool_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

/* --- definitions --- */

BUS_HANDLER(method_undefine, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r = read_flags(m, 0, &flags, error);

        if (r < 0)
                return r;
        r = pools_undefine(userdata, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

BUS_HANDLER(method_set_autostart, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int on, r;

        r = sd_bus_message_read(m, "b", &on);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = pools_set_autostart(userdata, on, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

static int export_live(const Pool *p, char **ret) {
        _cleanup_(pool_def_freep) PoolDef *copy = NULL;
        int r = pool_copy(pool_def(p), &copy);

        if (r < 0)
                return r;
        if (p->live) {
                copy->capacity = p->capacity;
                copy->allocation = p->allocation;
                copy->available = p->available;
        }
        return xml_record_to_text(&copy->head, XML_WRITE_LIVE, ret);
}

/* The persistent one as it was written, comments and all. */
static int export_config(const Pool *p, char **ret, Fault *f) {
        size_t length;
        int r;

        if (!p->persistent)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the pool %s has no persistent definition", p->name);
        r = store_read(p->all->configs, p->name, ret, &length);
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the definition of %s can't be read: %s", p->name, strerror(-r)) : 0;
}

BUS_HANDLER(method_export, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *text = NULL;
        const char *format;
        Pool *p = userdata;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "st", &format, &flags);
        if (r >= 0 && !streq(format, FORMAT_XML))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "the format is " FORMAT_XML ", not \"%.32s\"", format);
        if (r >= 0 && (flags & ~(BUS_FLAG_LIVE | BUS_FLAG_CONFIG)))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "the flags are 1 (live) or 2 (config)");
        if (r >= 0 && (flags & BUS_FLAG_LIVE) && !p->live)
                r = fault_set(&f, FAULT_INVALID_STATE, EINVAL, "the pool %s is not active", p->name);
        if (r >= 0)
                r = (flags & BUS_FLAG_LIVE) || !p->persistent ? export_live(p, &text) : export_config(p, &text, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, "s", text);
}

BUS_HANDLER(method_reconfigure, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *format, *text;
        Pool *p = userdata, *same;
        uint64_t flags, generation = 0;
        const BusOption options[] = { { "if-generation", 't', &generation } };
        int r;

        r = sd_bus_message_read(m, "ss", &format, &text);
        if (r >= 0 && !streq(format, FORMAT_XML))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "the format is " FORMAT_XML ", not \"%.32s\"", format);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_CONFIG, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = bus_check_generation(p->name, generation, p->config_generation, &f);
        if (r >= 0)
                r = pools_define(p->all, text, strlen(text), false, p, &same, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

/* --- volumes --- */

BUS_HANDLER(method_get_volume, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *object = NULL;
        const char *name;
        Pool *p = userdata;
        Volume *v;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0)
                r = pool_check_active(p, &f);
        v = r >= 0 ? volumes_find(p, name) : NULL;
        if (r >= 0 && !v)
                r = fault_set(&f, FAULT_NO_SUCH_VOLUME, ENOENT, "there is no volume %.255s in the pool %s", name, p->name);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        object = volume_object_path(p, v->id);
        return object ? sd_bus_reply_method_return(m, "o", object) : -ENOMEM;
}

BUS_HANDLER(method_list_volumes, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        char prefix[POOL_PATH_MAX];
        Pool *p = userdata;
        int r;

        volumes_sort(p);
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssstto)");
        (void) pool_path(p, prefix);
        for (const Volume *v = volumes_first(p); v && r >= 0; v = volumes_next(v)) {
                _cleanup_free_ char *object = strf("%s/volume/%s", prefix, v->id);

                r = object ? sd_bus_message_append(reply, "(ssstto)", v->info.name, v->info.path, volume_format_to_string(v->info.format) ?: "",
                                                   v->info.capacity, v->info.allocation, object)
                           : -ENOMEM;
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* What is said of a new volume beside its definition. */
typedef struct CreateOptions {
        const char *format, *backing, *backing_format, *clone_from, *clone_secret, *preallocation;
        uint64_t allocation;
        int foreign;
} CreateOptions;

static int read_create_options(sd_bus_message *m, CreateOptions *o, uint64_t *ret_flags, Fault *f) {
        const BusOption options[] = {
                { "format", 's', &o->format },           { "allocation", 't', &o->allocation },
                { "backing", 's', &o->backing },         { "backing-format", 's', &o->backing_format },
                { "clone-from", 's', &o->clone_from },   { "clone-secret", 's', &o->clone_secret },
                { "foreign-backing", 'b', &o->foreign }, { "preallocation", 's', &o->preallocation },
        };

        return bus_read_options(m, BUS_FLAG_NO_WAIT, ret_flags, options, ARRAY_SIZE(options), f);
}

static int set_format(const char *word, VolumeFormat *ret, Fault *f) {
        VolumeFormat format = volume_format_from_string(word);

        if (!word)
                return 0;
        if (format <= FORMAT_UNSET)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.32s\" is no format of a volume", word);
        *ret = format;
        return 0;
}

/* A volume of this pool by its name, or of any by its path. */
static int find_volume(Pool *p, const char *word, Volume **ret, Fault *f) {
        if (*word == '/')
                return pools_find_volume(p->all, word, ret, f);
        *ret = volumes_find(p, word);
        return *ret ? 0 : fault_set(f, FAULT_NO_SUCH_VOLUME, ENOENT, "there is no volume %.255s in the pool %s", word, p->name);
}

/* Made from a volume: how that is written is known, and its size is the least there can be. */
static int set_backing(Pool *p, VolumeDef *def, const CreateOptions *o, Fault *f) {
        Volume *v = NULL;
        int r;

        if (!o->backing)
                return 0;
        r = find_volume(p, o->backing, &v, *o->backing == '/' && o->foreign ? NULL : f);
        if (r < 0 && !(*o->backing == '/' && o->foreign))
                return r;
        if (v && v->info.encryption != ENCRYPTION_NONE)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "the volume %s is encrypted: nothing can be based on it; clone it instead", v->info.name);
        r = free_and_strdup(&def->backing_path, v ? v->info.path : o->backing);
        if (r < 0)
                return fault_oom(f);
        if (v)
                def->backing_format = v->info.format;
        r = set_format(o->backing_format, &def->backing_format, f);
        if (r >= 0 && v && def->capacity == NUMBER_UNSET)
                def->capacity = v->info.capacity;
        return r;
}

/* What nobody says how to encrypt is as it was, with the same passphrase. */
static int inherit_encryption(VolumeDef *def, const Secret *secret) {
        SecretRef *ref = record_new(&secret_ref_record);

        if (!ref)
                return -ENOMEM;
        ref->uuid = secret->uuid;
        def->encryption = ENCRYPTION_LUKS;
        if (free_and_strdup(&ref->type, "passphrase") >= 0)
                return record_list_add(&def->secrets, ref);
        record_free(ref);
        return -ENOMEM;
}

static int set_origin(Pool *p, VolumeDef *def, const CreateOptions *o, VolumeCreate *how, Fault *f) {
        bool encrypted;
        int r;

        if (!o->clone_from)
                return o->clone_secret ? fault_set(f, FAULT_INVALID_ARGS, EINVAL, "clone-secret opens the volume of clone-from, which is missing") : 0;
        r = find_volume(p, o->clone_from, &how->origin, f);
        if (r < 0)
                return r;
        encrypted = how->origin->info.encryption == ENCRYPTION_LUKS;
        if (!encrypted && o->clone_secret)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "clone-secret: the volume %s is not encrypted", how->origin->info.name);
        if (encrypted)
                r = volume_find_secret(how->origin, o->clone_secret, "clone-secret", &how->origin_secret, f);
        if (r >= 0 && encrypted && def->secrets.n == 0 && inherit_encryption(def, how->origin_secret) < 0)
                r = fault_oom(f);
        if (def->format == FORMAT_UNSET)
                def->format = how->origin->info.format;
        if (def->capacity == NUMBER_UNSET)
                def->capacity = how->origin->info.capacity;
        return r;
}

static int apply_options(Pool *p, VolumeDef *def, const CreateOptions *o, VolumeCreate *how, Fault *f) {
        int r = set_format(o->format, &def->format, f);

        if (o->allocation != NUMBER_UNSET)
                def->allocation = o->allocation;
        if (r >= 0)
                r = set_backing(p, def, o, f);
        if (r >= 0)
                r = set_origin(p, def, o, how, f);
        if (r >= 0 && o->preallocation && (how->preallocation = preallocation_from_string(o->preallocation)) < 0)
                r = fault_set(f, FAULT_INVALID_ARGS, EINVAL, "preallocation is off, metadata, falloc or full, not \"%.32s\"", o->preallocation);
        how->foreign_backing = o->foreign;
        return r;
}

static int create_volume(Pool *p, VolumeDef *def, const CreateOptions *o, uint64_t flags, sd_bus_message *m, Fault *f) {
        VolumeCreate how = { .no_wait = flags & BUS_FLAG_NO_WAIT };
        int r = pool_check_active(p, f);

        if (r >= 0)
                r = apply_options(p, def, o, &how, f);
        if (r >= 0)
                r = volume_complete(p->live, def, f);
        return r < 0 ? r : volume_create(p, def, &how, m, f);
}

BUS_HANDLER(method_create_volume, ACTION_MANAGE) {
        _cleanup_(volume_def_freep) VolumeDef *def = record_new(&volume_record);
        CreateOptions o = { .allocation = 0 }; /* an XML definition that says nothing means a full one, as it always has; a call need not */
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags, capacity;
        const char *name;
        int r;

        if (!def)
                return -ENOMEM;
        r = sd_bus_message_read(m, "st", &name, &capacity);
        if (r >= 0)
                r = read_create_options(m, &o, &flags, &f);
        if (r >= 0)
                r = free_and_strdup(&def->name, name);
        def->capacity = r >= 0 && capacity > 0 ? capacity : NUMBER_UNSET;
        if (r >= 0)
                r = create_volume(userdata, def, &o, flags, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

BUS_HANDLER(method_create_volume_from_definition, ACTION_MANAGE) {
        _cleanup_(volume_def_freep) VolumeDef *def = NULL;
        CreateOptions o = { .allocation = NUMBER_UNSET };
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *format, *text;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "ss", &format, &text);
        if (r >= 0 && !streq(format, FORMAT_XML))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "the format is " FORMAT_XML ", not \"%.32s\"", format);
        if (r >= 0)
                r = read_create_options(m, &o, &flags, &f);
        if (r >= 0)
                r = volume_parse(text, strlen(text), &def, &f);
        if (r >= 0)
                r = create_volume(userdata, def, &o, flags, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- properties --- */

BUS_GETTER(get_name) {
        return sd_bus_message_append(reply, "s", ((Pool *) userdata)->name);
}

BUS_GETTER(get_uuid) {
        return sd_bus_message_append_array(reply, 'y', &((Pool *) userdata)->uuid, sizeof(sd_id128_t));
}

BUS_GETTER(get_type) {
        const PoolDef *def = pool_def(userdata);

        return sd_bus_message_append(reply, "s", def ? pool_type_to_string(def->type) : "");
}

BUS_GETTER(get_state) {
        return sd_bus_message_append(reply, "s", pool_state_to_string(pool_state(userdata)));
}

BUS_GETTER(get_active) {
        return sd_bus_message_append(reply, "b", (int) ((Pool *) userdata)->active);
}

BUS_GETTER(get_persistent) {
        return sd_bus_message_append(reply, "b", (int) ((Pool *) userdata)->persistent);
}

BUS_GETTER(get_autostart) {
        return sd_bus_message_append(reply, "b", (int) ((Pool *) userdata)->autostart);
}

BUS_GETTER(get_generation) {
        return sd_bus_message_append(reply, "t", ((Pool *) userdata)->config_generation);
}

BUS_GETTER(get_capacity) {
        return sd_bus_message_append(reply, "t", ((Pool *) userdata)->capacity);
}

BUS_GETTER(get_allocation) {
        return sd_bus_message_append(reply, "t", ((Pool *) userdata)->allocation);
}

BUS_GETTER(get_available) {
        return sd_bus_message_append(reply, "t", ((Pool *) userdata)->available);
}

BUS_GETTER(get_target) {
        const PoolDef *def = pool_def(userdata);

        return sd_bus_message_append(reply, "s", def && def->path ? def->path : "");
}

/* Only what is there: "host": s, "device": as, "dir": s, "name": s, "format": s. */
BUS_GETTER(get_source) {
        const PoolDef *def = pool_def(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");
        const struct {
                const char *key, *value;
        } rows[] = {
                { "host", def && def->hosts.n > 0 ? ((const SourceHost *) def->hosts.items[0])->name : NULL }, { "dir", def ? def->source_dir : NULL },
                { "device", def && def->devices.n > 0 ? ((const SourceDevice *) def->devices.items[0])->path : NULL },
                { "name", def ? def->source_name : NULL }, { "format", def ? def->source_format : NULL }, { "adapter", def ? def->adapter_name : NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows) && r >= 0; i++)
                if (rows[i].value)
                        r = sd_bus_message_append(reply, "{sv}", rows[i].key, "s", rows[i].value);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_GETTER(get_error) {
        const Pool *p = userdata;

        return sd_bus_message_append(reply, "s",
                                     fault_is_set(&p->broken)        ? fault_text(&p->broken)
                                     : fault_is_set(&p->unreachable) ? fault_text(&p->unreachable)
                                                                     : "");
}

void pool_bus_changed(Bus *b, const Pool *p, unsigned what) {
        static const struct {
                unsigned what;
                const char *property;
        } rows[] = {
                { POOL_CHANGED_STATE, "State" }, { POOL_CHANGED_STATE, "Active" }, { POOL_CHANGED_STATE, "Error" },
                { POOL_CHANGED_CONFIG, "Persistent" }, { POOL_CHANGED_CONFIG, "ConfigGeneration" }, { POOL_CHANGED_CONFIG | POOL_CHANGED_STATE, "Type" },
                { POOL_CHANGED_CONFIG | POOL_CHANGED_STATE, "TargetPath" }, { POOL_CHANGED_CONFIG | POOL_CHANGED_STATE, "Source" },
                { POOL_CHANGED_AUTOSTART, "Autostart" }, { POOL_CHANGED_SPACE, "Capacity" }, { POOL_CHANGED_SPACE, "Allocation" },
                { POOL_CHANGED_SPACE, "Available" },
        };
        char path[POOL_PATH_MAX];

        (void) pool_path(p, path);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].what & what)
                        bus_changed(b, path, STORAGE1_POOL, rows[i].property);
}

#define CONST(name, type, getter) SD_BUS_PROPERTY(name, type, getter, 0, SD_BUS_VTABLE_PROPERTY_CONST)
#define EMITS(name, type, getter) SD_BUS_PROPERTY(name, type, getter, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
#define FLAGS SD_BUS_PARAM(flags) SD_BUS_PARAM(options)
static const sd_bus_vtable pool_vtable[] = {
        SD_BUS_VTABLE_START(0),
        CONST("Name", "s", get_name),
        CONST("UUID", "ay", get_uuid),
        EMITS("Type", "s", get_type),
        EMITS("State", "s", get_state),
        EMITS("Active", "b", get_active),
        EMITS("Persistent", "b", get_persistent),
        EMITS("Autostart", "b", get_autostart),
        EMITS("ConfigGeneration", "t", get_generation),
        EMITS("Capacity", "t", get_capacity),
        EMITS("Allocation", "t", get_allocation),
        EMITS("Available", "t", get_available),
        EMITS("TargetPath", "s", get_target),
        EMITS("Source", "a{sv}", get_source),
        EMITS("Error", "s", get_error),
        SD_BUS_METHOD_WITH_NAMES("Start", "ta{sv}", FLAGS, NULL,, method_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Stop", "ta{sv}", FLAGS, NULL,, method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Build", "ta{sv}", FLAGS, NULL,, method_build, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Refresh", "ta{sv}", FLAGS, NULL,, method_refresh, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Delete", "ta{sv}", FLAGS, NULL,, method_delete, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Undefine", "ta{sv}", FLAGS, NULL,, method_undefine, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetAutostart", "bta{sv}", SD_BUS_PARAM(autostart) FLAGS, NULL,, method_set_autostart, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ExportDefinition", "st", SD_BUS_PARAM(format) SD_BUS_PARAM(flags), "s", SD_BUS_PARAM(text), method_export,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Reconfigure", "sst" "a{sv}", SD_BUS_PARAM(format) SD_BUS_PARAM(text) FLAGS, NULL,, method_reconfigure,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetVolume", "s", SD_BUS_PARAM(name), "o", SD_BUS_PARAM(volume), method_get_volume, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListVolumes", NULL,, "a(ssstto)", SD_BUS_PARAM(volumes), method_list_volumes, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("CreateVolume", "stta{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(capacity) FLAGS,
                                 "oo", SD_BUS_PARAM(volume) SD_BUS_PARAM(job), method_create_volume, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("CreateVolumeFromDefinition", "sst" "a{sv}", SD_BUS_PARAM(format) SD_BUS_PARAM(text) FLAGS,
                                 "oo", SD_BUS_PARAM(volume) SD_BUS_PARAM(job), method_create_volume_from_definition, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("VolumeNew", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(volume), 0),
        SD_BUS_SIGNAL_WITH_NAMES("VolumeRemoved", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(volume), 0),
        SD_BUS_SIGNAL_WITH_NAMES("Watermark", "tt", SD_BUS_PARAM(available) SD_BUS_PARAM(capacity), 0),
        SD_BUS_VTABLE_END
};

/* --- objects --- */

static int object_find(const char *path, void *userdata, void **ret) {
        const char *hex = str_after(path, STORAGE1_ROOT "/pool/");
        Service *s = service_of(userdata);
        sd_id128_t id;

        if (!s || !s->pools || !hex || strlen(hex) != 32 || sd_id128_from_string(hex, &id) < 0)
                return 0;
        *ret = pools_find_uuid(s->pools, id);
        return *ret != NULL;
}

static int push_volumes(Pool *p, char ***paths, size_t *count) {
        for (const Volume *v = volumes_first(p); v; v = volumes_next(v)) {
                _cleanup_free_ char *path = volume_object_path(p, v->id);

                if (!path || strv_push_nth(paths, count, path) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int object_enumerate(char ***ret, void *userdata) {
        _cleanup_strv_ char **paths = new0(char *, 1);
        Service *s = service_of(userdata);
        char path[POOL_PATH_MAX];
        size_t count = 0;

        if (!paths)
                return -ENOMEM;
        if (s && s->pools)
                REGISTRY_FOREACH(Pool, p, s->pools->registry)
                        if (strv_push_nth(&paths, &count, pool_path(p, path)) < 0 || push_volumes(p, &paths, &count) < 0)
                                return -ENOMEM;
        *ret = TAKE_PTR(paths);
        return 0;
}

static int object_details(void *object, sd_bus_message *call) {
        return sd_bus_message_append(call, "{ss}", "pool", ((Pool *) object)->name);
}

static const sd_bus_vtable *const pool_vtables[] = { pool_vtable, NULL };
const BusObject pool_object = {
        .path = STORAGE1_ROOT "/pool", .many = true, .interface = STORAGE1_POOL, .vtables = pool_vtables, .find = object_find,
        .enumerate = object_enumerate, .details = object_details,
};
