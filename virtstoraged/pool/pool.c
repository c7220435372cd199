/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include <stdarg.h>
#include <string.h>

#include "mem.h"
#include "str.h"
#include "xml-read.h"

#define POOL(name) extern const PoolOps name;
#include "list.h"
#undef POOL

static const PoolOps *const pools[] = {
#define POOL(name) &name,
#include "list.h"
#undef POOL
};

const PoolOps *pool_ops(PoolType type) {
        for (size_t i = 0; i < ARRAY_SIZE(pools); i++)
                if (pools[i]->type == type)
                        return pools[i];
        return NULL;
}

/* --- elements --- */

static bool has_host(const PoolDef *def) { return def->hosts.n > 0; }
static bool has_hosts(const PoolDef *def) { return def->hosts.n > 1; }
static bool has_device(const PoolDef *def) { return def->devices.n > 0; }
static bool has_devices(const PoolDef *def) { return def->devices.n > 1; }
static bool has_dir(const PoolDef *def) { return def->source_dir; }
static bool has_adapter(const PoolDef *def) { return def->adapter_type != ADAPTER_NONE || def->adapter_name || def->adapter_wwnn || def->adapter_wwpn; }
static bool has_name(const PoolDef *def) { return def->source_name; }
static bool has_initiator(const PoolDef *def) { return def->iqns.n > 0; }
static bool has_path(const PoolDef *def) { return def->path; }
static bool has_mount(const PoolDef *def) { return def->mount_options.n > 0; }
static bool has_rbd(const PoolDef *def) { return def->rbd_options.n > 0; }
static bool has_protocol(const PoolDef *def) { return def->protocol_version; }
static bool has_cow(const PoolDef *def) { return def->cow != UNSET; }

static const struct {
        PoolElement element;
        const char *path;            /* NULL: more of what stands above it */
        bool (*is_there)(const PoolDef *def);
} elements[] = {
        { ELEMENT_HOST, "source/host", has_host },
        { ELEMENT_HOSTS, NULL, has_hosts },
        { ELEMENT_DEVICE, "source/device", has_device },
        { ELEMENT_DEVICES, NULL, has_devices },
        { ELEMENT_DIR, "source/dir", has_dir },
        { ELEMENT_ADAPTER, "source/adapter", has_adapter },
        { ELEMENT_NAME, "source/name", has_name },
        { ELEMENT_INITIATOR, "source/initiator", has_initiator },
        { ELEMENT_AUTH, "source/auth", pool_has_auth },
        { ELEMENT_PATH, "target/path", has_path },
        { ELEMENT_MOUNT, "fs:mount_opts", has_mount },
        { ELEMENT_RBD, "rbd:config_opts", has_rbd },
        { ELEMENT_PROTOCOL, "source/protocol", has_protocol },
        { ELEMENT_COW, "features/cow", has_cow },
};

unsigned pool_element_at(const char *path) {
        assert(path);

        for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
                const char *rest = elements[i].path ? str_after(path, elements[i].path) : NULL;

                if (rest && (!*rest || *rest == '/'))
                        return elements[i].element;
        }
        return 0;
}

static int check_elements(const PoolDef *def, const PoolOps *ops, Fault *f) {
        const char *type = pool_type_to_string(def->type), *path = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
                unsigned element = elements[i].element;
                bool there = elements[i].is_there(def);

                if ((ops->needs & element) && !there)
                        return xml_fault(&def->head, f, FAULT_INVALID_DEFINITION, "a pool of type '%s' needs <%s>", type, elements[i].path);
                if (there && !((ops->needs | ops->knows) & element))
                        return xml_fault_below(&def->head, elements[i].path ?: path, f, FAULT_INVALID_DEFINITION, elements[i].path
                                               ? "a pool of type '%s' has no such thing" : "a pool of type '%s' has one only", type);
                path = elements[i].path ?: path;
        }
        return 0;
}

/* --- what is in them --- */

static int check_path(const PoolDef *def, Fault *f) {
        const char *path = def->path, *why = NULL;

        if (!path)
                return 0;
        if (*path != '/')
                why = "is not absolute";
        else if (streq(path, "/"))
                why = "is the whole system";
        else if (strstr(path, "/../") || str_ends(path, "/.."))
                why = "has \"..\" in it";
        return why ? xml_fault_below(&def->head, "target/path", f, FAULT_INVALID_DEFINITION, "\"%.200s\" %s", path, why) : 0;
}

static int check_format(const PoolDef *def, const PoolOps *ops, Fault *f) {
        _cleanup_strv_ char **known = NULL;
        _cleanup_free_ char *text = NULL;

        if (!def->source_format)
                return 0;
        if (!ops->formats)
                return xml_fault_below(&def->head, "source/format", f, FAULT_INVALID_DEFINITION, "a pool of type '%s' has no such thing",
                                       pool_type_to_string(def->type));
        for (const char *const *w = ops->formats; *w; w++) {
                if (streq(*w, def->source_format))
                        return 0;
                if (strv_push(&known, *w) < 0)
                        return fault_oom(f);
        }
        text = strv_join(known, ", ");
        return xml_fault_below(&def->head, "source/format/@type", f, FAULT_INVALID_DEFINITION, "\"%s\" is none of %s", def->source_format, text ?: "");
}

static int check_permissions(const PoolDef *def, Fault *f) {
        const Permissions *p = &def->permissions;
        mode_t mode;

        if (permissions_mode(p, 0, &mode) < 0)
                return xml_fault_below(&def->head, "target/permissions/mode", f, FAULT_INVALID_DEFINITION, "\"%s\" is no mode like 0711", p->mode);
        if ((p->owner != INTEGER_UNSET && (p->owner < -1 || p->owner >= UINT32_MAX)) ||
            (p->group != INTEGER_UNSET && (p->group < -1 || p->group >= UINT32_MAX)))
                return xml_fault_below(&def->head, "target/permissions", f, FAULT_INVALID_DEFINITION, "owner and group are numbers of a user and a group");
        return 0;
}

static bool is_word(const char *s) {
        return *s && !strpbrk(s, " \t\n,\"'\\");
}

static int check_auth(const PoolDef *def, const PoolOps *ops, Fault *f) {
        if (!pool_has_auth(def))
                return 0;
        if (def->auth_type != ops->auth)
                return xml_fault_below(&def->head, "source/auth/@type", f, FAULT_INVALID_DEFINITION, "a pool of type '%s' needs '%s'",
                                       pool_type_to_string(def->type), auth_type_to_string(ops->auth));
        if (is_empty(def->auth_username) || !is_word(def->auth_username) || def->auth_username[0] == '-')
                return xml_fault_below(&def->head, "source/auth/@username", f, FAULT_INVALID_DEFINITION,
                                       "it says who logs in: a word that begins with no '-', without commas and quotes");
        if (sd_id128_is_null(def->auth_secret_uuid) == is_empty(def->auth_secret_usage))
                return xml_fault_below(&def->head, "source/auth/secret", f, FAULT_INVALID_DEFINITION, "the secret is named by its uuid or by its usage");
        return 0;
}

/* They end up in one comma-separated word. */
static int check_options(const PoolDef *def, Fault *f) {
        RECORD_FOREACH(PoolOption, o, def->mount_options)
                if (!is_word(o->name) || o->value)
                        return xml_fault(&o->head, f, FAULT_INVALID_DEFINITION, "\"%.64s\": one option of mount, as NAME or NAME=VALUE in its name", o->name);
        RECORD_FOREACH(PoolOption, o, def->rbd_options)
                if (!is_word(o->name) || !o->value)
                        return xml_fault(&o->head, f, FAULT_INVALID_DEFINITION, "an option of RBD has a name and a value");
        return 0;
}

static int check_host_names(const PoolDef *def, Fault *f) {
        RECORD_FOREACH(SourceHost, h, def->hosts)
                for (const char *c = h->name; *c || c == h->name; c++)
                        if ((unsigned char) *c <= ' ' || strchr("/,\"'\\", *c) || h->name[0] == '-')
                                return xml_fault(&h->head, f, FAULT_INVALID_DEFINITION, "\"%.64s\" is no name or address of a host", h->name);
        return 0;
}

static int check_devices(const PoolDef *def, Fault *f) {
        RECORD_FOREACH(SourceDevice, d, def->devices)
                if (strchr(d->path, '\n') || d->path[0] == '-')
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "\"%.200s\" is no device", d->path);
        return 0;
}

int pool_check(const PoolDef *def, Fault *f) {
        const PoolOps *ops = pool_ops(def->type);
        int r;

        if (!ops)
                return xml_fault_below(&def->head, "@type", f, FAULT_NOT_SUPPORTED, "pools of type '%s' can't be used yet", pool_type_to_string(def->type));
        if (ops->refused)
                return xml_fault_below(&def->head, "@type", f, FAULT_NOT_SUPPORTED, "pools of type '%s' can't be used: %s", pool_type_to_string(def->type),
                                       ops->refused);
        r = check_elements(def, ops, f);
        if (r >= 0)
                r = check_path(def, f);
        if (r >= 0)
                r = check_format(def, ops, f);
        if (r >= 0)
                r = check_permissions(def, f);
        if (r >= 0)
                r = check_options(def, f);
        if (r >= 0)
                r = check_auth(def, ops, f);
        if (r >= 0)
                r = check_host_names(def, f);
        if (r >= 0)
                r = check_devices(def, f);
        return r >= 0 && ops->check ? ops->check(def, f) : r;
}

/* "/dev/VG" and the like; and no slash at the end, so that equal paths are equal words. */
int pool_fill(PoolDef *def) {
        const PoolOps *ops = pool_ops(def->type);
        size_t length = def->path ? strlen(def->path) : 0;

        while (length > 1 && def->path[length - 1] == '/')
                def->path[--length] = '\0';
        /* As libvirt has it: where nothing is said it is called as the pool is. */
        if (ops && (ops->needs & ELEMENT_NAME) && !def->source_name && free_and_strdup(&def->source_name, def->name) < 0)
                return -ENOMEM;
        if (ops && ops->device_folder && !def->path && (def->source_name || !str_ends(ops->device_folder, "/"))) {
                def->path = str_ends(ops->device_folder, "/") ? strf("%s%s", ops->device_folder, def->source_name) : strdup(ops->device_folder);
                if (!def->path)
                        return -ENOMEM;
        }
        return ops && ops->formats && !def->source_format ? free_and_strdup(&def->source_format, ops->formats[0]) : 0;
}

/* --- commands --- */

static void command_clear(Command *c) {
        strv_free(c->argv);
        free(c->input);
}

void commands_clear(Commands *c) {
        for (size_t i = 0; i < c->n; i++)
                command_clear(&c->items[i]);
        free(c->items);
        *c = (Commands) {};
}

int commands_add_strv(Commands *c, char **take) {
        if (!GROW(c->items, c->allocated, c->n + 1)) {
                strv_free(take);
                return -ENOMEM;
        }
        c->items[c->n++] = (Command) { .argv = take };
        return 0;
}

int commands_add(Commands *c, ...) {
        _cleanup_strv_ char **argv = NULL;
        const char *word;
        va_list ap;
        int r = 0;

        va_start(ap, c);
        while (r >= 0 && (word = va_arg(ap, const char *)))
                if (*word)
                        r = strv_push(&argv, word);
        va_end(ap);
        return r < 0 ? r : commands_add_strv(c, TAKE_PTR(argv));
}

int commands_add_iscsi_login(Commands *c) {
        int r = commands_add_strv(c, NULL);

        if (r >= 0)
                commands_last(c)->iscsi_login = true;
        return r;
}

Command *commands_last(Commands *c) {
        return &c->items[c->n - 1];
}

/* --- mounts --- */

void mount_plan_clear(MountPlan *m) {
        free(m->what);
        free(m->type);
        free(m->options);
        *m = (MountPlan) {};
}

int pool_add_device(PoolDef *def, const char *path) {
        SourceDevice *d = record_new(&source_device_record);
        int r;

        if (!d)
                return -ENOMEM;
        r = free_and_strdup(&d->path, path);
        if (r >= 0)
                return record_list_add(&def->devices, d);
        record_free(d);
        return r;
}

int pool_add_host(PoolDef *def, const char *name, uint64_t port) {
        SourceHost *h = record_new(&source_host_record);
        int r;

        if (!h)
                return -ENOMEM;
        h->port = port;
        r = free_and_strdup(&h->name, name);
        if (r >= 0)
                return record_list_add(&def->hosts, h);
        record_free(h);
        return r;
}

int pool_mount_options(const PoolDef *def, const char *first, char **ret) {
        _cleanup_strv_ char **words = NULL;
        int r = first ? strv_push(&words, first) : 0;

        RECORD_FOREACH(PoolOption, o, def->mount_options)
                if (r >= 0)
                        r = strv_push(&words, o->name);
        if (r < 0 || !words)
                return r;
        *ret = strv_join(words, ",");
        return *ret ? 0 : -ENOMEM;
}
