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

/* --- its life --- */

int pool_stop_call(Pool *p, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        return defined_begun(pool_stop(p, defined_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

BUS_HANDLER(method_start, ACTION_MANAGE) {
        return defined_start(userdata, m, error);
}

BUS_HANDLER(method_stop, ACTION_MANAGE) {
        uint64_t flags;
        int r = bus_read_flags(m, 0, &flags, error);

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
        return defined_begun(pool_build(userdata, format, overwrite, defined_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

BUS_HANDLER(method_refresh, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r = bus_read_flags(m, 0, &flags, error);

        if (r < 0)
                return r;
        return defined_begun(pool_refresh(userdata, defined_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

BUS_HANDLER(method_delete, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r = bus_read_flags(m, 0, &flags, error);

        if (r < 0)
                return r;
        return defined_begun(pool_destroy(userdata, defined_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

/* --- definitions --- */

BUS_HANDLER(method_undefine, ACTION_MANAGE) {
        return defined_undefine(userdata, m, error);
}

BUS_HANDLER(method_set_autostart, ACTION_MANAGE) {
        return defined_set_autostart(userdata, m, error);
}

static int export_live(const void *object, char **ret) {
        const Pool *p = object;
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

BUS_HANDLER(method_export, BUS_OPEN) {
        return defined_export(userdata, export_live, m, error);
}

BUS_HANDLER(method_reconfigure, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *text;
        Pool *p = userdata;
        uint64_t flags, generation = 0;
        const BusOption options[] = { { "if-generation", 't', &generation } };
        int r;

        r = bus_read_definition(m, &text, &f);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_CONFIG, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = bus_check_generation(p->name, generation, p->config_generation, &f);
        if (r >= 0)
                r = definitions_define(&p->all->set, text, strlen(text), false, p, NULL, &f);
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
        const char *text;
        uint64_t flags;
        int r;

        r = bus_read_definition(m, &text, &f);
        if (r >= 0)
                r = read_create_options(m, &o, &flags, &f);
        if (r >= 0)
                r = volume_parse(text, strlen(text), &def, &f);
        if (r >= 0)
                r = create_volume(userdata, def, &o, flags, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- properties --- */

BUS_GETTER(get_type) {
        const PoolDef *def = pool_def(userdata);

        return sd_bus_message_append(reply, "s", def ? pool_type_to_string(def->type) : "");
}

BUS_GETTER(get_state) {
        return sd_bus_message_append(reply, "s", pool_state_to_string(pool_state(userdata)));
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

#define CONST_AT(name, type, getter, member) SD_BUS_PROPERTY(name, type, getter, offsetof(Pool, member), SD_BUS_VTABLE_PROPERTY_CONST)
#define EMITS_AT(name, type, getter, member) SD_BUS_PROPERTY(name, type, getter, offsetof(Pool, member), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
#define EMITS(name, type, getter) SD_BUS_PROPERTY(name, type, getter, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
#define FLAGS SD_BUS_PARAM(flags) SD_BUS_PARAM(options)
static const sd_bus_vtable pool_vtable[] = {
        SD_BUS_VTABLE_START(0),
        CONST_AT("Name", "s", bus_get_string, name),
        CONST_AT("UUID", "ay", bus_get_id, uuid),
        EMITS("Type", "s", get_type),
        EMITS("State", "s", get_state),
        EMITS_AT("Active", "b", bus_get_bool, active),
        EMITS_AT("Persistent", "b", bus_get_bool, persistent),
        EMITS_AT("Autostart", "b", bus_get_bool, autostart),
        EMITS_AT("ConfigGeneration", "t", NULL, config_generation),
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

static const struct DefinedProperty properties[] = {
        { POOL_CHANGED_STATE, "State" }, { POOL_CHANGED_STATE, "Active" }, { POOL_CHANGED_STATE, "Error" },
        { POOL_CHANGED_CONFIG, "Persistent" }, { POOL_CHANGED_CONFIG, "ConfigGeneration" }, { POOL_CHANGED_CONFIG | POOL_CHANGED_STATE, "Type" },
        { POOL_CHANGED_CONFIG | POOL_CHANGED_STATE, "TargetPath" }, { POOL_CHANGED_CONFIG | POOL_CHANGED_STATE, "Source" },
        { POOL_CHANGED_AUTOSTART, "Autostart" }, { POOL_CHANGED_SPACE, "Capacity" }, { POOL_CHANGED_SPACE, "Allocation" },
        { POOL_CHANGED_SPACE, "Available" },
        {},
};

const DefinedBus pool_bus = {
        .root = STORAGE1_ROOT, .manager = STORAGE1_MANAGER, .added = "PoolNew", .removed = "PoolRemoved",
        .folder = STORAGE1_ROOT "/pool", .interface = STORAGE1_POOL, .properties = properties,
};

static int object_find(const char *path, void *userdata, void **ret) {
        Service *s = service_of(userdata);

        return defined_find_path(&pool_bus, s && s->pools ? &s->pools->set : NULL, path, ret);
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
        _cleanup_strv_ char **paths = NULL;
        Service *s = service_of(userdata);
        size_t count;
        int r;

        r = defined_list_paths(&pool_bus, s && s->pools ? &s->pools->set : NULL, &paths);
        if (r < 0)
                return r;
        count = strv_length(paths);
        if (s && s->pools)
                REGISTRY_FOREACH(Pool, p, s->pools->set.registry)
                        if (push_volumes(p, &paths, &count) < 0)
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
