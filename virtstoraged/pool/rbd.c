/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "pool.h"
#include "str.h"
#include "xml-read.h"

/* A pool of Ceph, whose volumes are its block devices. Ceph's own programs talk to it; the key comes to them through a descriptor. */

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.:-"
/* A monitor that does not answer ends the command, not our patience. */
#define TIMEOUT "30"

static int check(const PoolDef *def, Fault *f) {
        if (!*def->source_name || def->source_name[0] == '-' || strspn(def->source_name, NAME_CHARACTERS) != strlen(def->source_name))
                return xml_fault_below(&def->head, "source/name", f, FAULT_INVALID_DEFINITION, "\"%.64s\" can't be the name of a pool of Ceph",
                                       def->source_name);
        RECORD_FOREACH(PoolOption, o, def->rbd_options)
                if (strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(o->name) || str_after(o->name, "key") || streq(o->name, "conf"))
                        return xml_fault(&o->head, f, FAULT_INVALID_DEFINITION, "\"%.64s\" is no option for RBD", o->name);
        return 0;
}

/* "a:6789,b,[::1]:6789"; NULL in *ret: those of ceph.conf. */
static int monitors(const PoolDef *def, char **ret) {
        _cleanup_text_ Text t = TEXT_INIT;

        RECORD_FOREACH(SourceHost, h, def->hosts) {
                bool six = strchr(h->name, ':');

                text_addf(&t, "%s%s%s%s", t.length > 0 ? "," : "", six ? "[" : "", h->name, six ? "]" : "");
                if (h->port != NUMBER_UNSET)
                        text_addf(&t, ":%" PRIu64, h->port);
        }
        if (def->hosts.n == 0)
                return 0;
        *ret = text_finish(&t);
        return *ret ? 0 : -ENOMEM;
}

static int push_option(char ***argv, const char *name, const char *value) {
        return strv_pushf(argv, "--%s=%s", name, value);
}

static int push_connection(const PoolDef *def, char ***argv) {
        static const char *const timeouts[] = { "client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout" };
        _cleanup_free_ char *hosts = NULL;
        int r = monitors(def, &hosts);

        if (r >= 0 && hosts) {
                r = strv_push(argv, "--conf=/dev/null"); /* of another cluster, perhaps */
                if (r >= 0)
                        r = push_option(argv, "mon-host", hosts);
        }
        for (size_t i = 0; i < ARRAY_SIZE(timeouts) && r >= 0; i++)
                r = push_option(argv, timeouts[i], TIMEOUT);
        if (r >= 0 && def->auth_type == AUTH_CEPH) {
                r = push_option(argv, "id", def->auth_username);
                if (r >= 0)
                        r = push_option(argv, "keyfile", POOL_SECRET_FILE);
        } else if (r >= 0 && hosts)
                r = push_option(argv, "auth-client-required", "none");
        RECORD_FOREACH(PoolOption, o, def->rbd_options)
                if (r >= 0)
                        r = push_option(argv, o->name, o->value);
        return r;
}

/* One run of a program of Ceph with the words up to NULL. */
static int add(const PoolDef *def, Commands *c, const char *program, ...) _sentinel_;
static int add(const PoolDef *def, Commands *c, const char *program, ...) {
        _cleanup_strv_ char **argv = NULL;
        const char *word;
        va_list ap;
        int r = strv_push(&argv, program);

        if (r >= 0)
                r = push_connection(def, &argv);
        va_start(ap, program);
        while (r >= 0 && (word = va_arg(ap, const char *)))
                if (*word)
                        r = strv_push(&argv, word);
        va_end(ap);
        if (r >= 0)
                r = commands_add_strv(c, TAKE_PTR(argv));
        if (r >= 0)
                commands_last(c)->secret = def->auth_type == AUTH_CEPH;
        return r;
}

static char *image(const PoolDef *def, const char *name) {
        return strf("%s/%s", def->source_name, name);
}

static int list(const PoolDef *def, Commands *c) {
        int r = add(def, c, "ceph", "df", "--format=json", NULL);

        return r < 0 ? r : add(def, c, "rbd", "ls", "--long", "--format=json", def->source_name, NULL);
}

static int parse_space(const PoolDef *def, const json_t *json, PoolInfo *ret, Fault *f) {
        const json_t *pool;
        size_t i;

        json_array_foreach(json_object_get(json, "pools"), i, pool) {
                json_int_t stored, available;

                if (!streq_null(json_string_value(json_object_get(pool, "name")), def->source_name))
                        continue;
                if (json_unpack((json_t *) pool, "{s:{s:I, s:I}}", "stats", "stored", &stored, "max_avail", &available) < 0 || stored < 0 || available < 0)
                        return -EBADMSG;
                ret->allocation = (uint64_t) stored;
                ret->available = (uint64_t) available;
                ret->capacity = ret->allocation + ret->available;
                return 0;
        }
        return fault_set(f, FAULT_POOL, ENOENT, "Ceph has no pool %s, or does not show it to the user of this one", def->source_name);
}

/* How much of it is used would have to be read: what it may take is told instead. */
static int add_volume(const PoolDef *def, json_t *json, PoolInfo *ret) {
        VolumeInfo v = { .kind = VOLUME_NETWORK, .format = FORMAT_RAW };
        const char *name, *snapshot = NULL;
        json_int_t size;

        if (json_unpack(json, "{s:s, s:I, s?s}", "image", &name, "size", &size, "snapshot", &snapshot) < 0 || size < 0)
                return -EBADMSG;
        if (snapshot)
                return 0;
        v.capacity = v.allocation = v.physical = (uint64_t) size;
        v.name = strdup(name);
        v.path = image(def, name);
        v.key = image(def, name);
        if (v.name && v.path && v.key)
                return pool_info_add(ret, &v);
        volume_info_clear(&v);
        return -ENOMEM;
}

static int parse(const PoolDef *def, char *const *outputs, PoolInfo *ret, Fault *f) {
        json_auto_t *space = json_loads(outputs[0], JSON_REJECT_DUPLICATES, NULL), *images = json_loads(outputs[1], JSON_REJECT_DUPLICATES, NULL);
        json_t *item;
        size_t i;
        int r = json_is_array(images) ? parse_space(def, space, ret, f) : -EBADMSG;

        json_array_foreach(images, i, item)
                if (r >= 0)
                        r = add_volume(def, item, ret);
        return r == -EBADMSG ? fault_set(f, FAULT_POOL, EBADMSG, "what Ceph says of the pool %s can't be read", def->source_name) : r;
}

static int create(const PoolDef *def, _unused_ const PoolInfo *now, const VolumePlan *v, Commands *c, Fault *f) {
        _cleanup_free_ char *name = image(def, v->name), *size = strf("--size=%" PRIu64 "B", v->capacity);

        if (v->origin)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "devices of Ceph are layered on snapshots, which are not volumes: clone it instead");
        return name && size ? add(def, c, "rbd", "create", "--no-progress", size, name, NULL) : -ENOMEM;
}

static int copy(const PoolDef *def, const VolumeInfo *from, const char *name, Commands *c) {
        _cleanup_free_ char *to = image(def, name);

        return to ? add(def, c, "rbd", "cp", "--no-progress", from->path, to, NULL) : -ENOMEM;
}

static int remove_volume(const PoolDef *def, const VolumeInfo *v, Commands *c) {
        return add(def, c, "rbd", "rm", "--no-progress", v->path, NULL);
}

/* Whether what is lost may be lost was asked before. */
static int resize(const PoolDef *def, const VolumeInfo *v, uint64_t capacity, Commands *c, _unused_ Fault *f) {
        _cleanup_free_ char *size = strf("--size=%" PRIu64 "B", capacity);

        return size ? add(def, c, "rbd", "resize", "--no-progress", capacity < v->capacity ? "--allow-shrink" : "", size, v->path, NULL) : -ENOMEM;
}

const PoolOps pool_rbd = {
        .type = POOL_RBD, .needs = ELEMENT_NAME, .knows = ELEMENT_HOST | ELEMENT_HOSTS | ELEMENT_AUTH | ELEMENT_RBD, .scan = SCAN_COMMANDS,
        .volumes = VOLUME_NETWORK, .network = true, .auth = AUTH_CEPH, .check = check, .list = list, .parse = parse, .create = create, .copy = copy,
        .remove = remove_volume, .resize = resize, .network_source = pool_rbd_source,
};
