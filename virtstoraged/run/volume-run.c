/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume-run.h"

#include <inttypes.h>
#include <string.h>

#include "../plan/storage.h"
#include "bus-error.h"
#include "formats.h"
#include "mem.h"
#include "pool-refresh.h"
#include "pools.h"
#include "secret-work.h"
#include "str.h"
#include "volumes.h"
#include "work.h"
#include "xml-write.h"

#define CHAIN_MAX 64u
#define QEMU1_NAME "org.virtbus.qemu1"
#define QEMU1_ROOT "/org/virtbus/qemu1"

char *volume_object_path(const Pool *p, const char *id) {
        return strf(STORAGE1_ROOT "/pool/" SD_ID128_FORMAT_STR "/volume/%s", SD_ID128_FORMAT_VAL(p->uuid), id);
}

static char *volume_path_of_name(const Pool *p, const char *name) {
        _cleanup_free_ char *prefix = strf(STORAGE1_ROOT "/pool/" SD_ID128_FORMAT_STR "/volume", SD_ID128_FORMAT_VAL(p->uuid));
        char *path;

        return prefix && sd_bus_path_encode(prefix, name, &path) >= 0 ? path : NULL;
}

/* --- what does not take long: asked of the pool's own worker, and answered when it is done --- */

typedef enum QuickReply { REPLY_VOLUME, REPLY_JOB, REPLY_FD, REPLY_NOTHING, REPLY_FORMAT } QuickReply;

typedef struct Quick {
        Pool *pool;
        char *name;
        bool creating, removing;
        QuickReply reply;
        sd_bus_message *call;
} Quick;

static Quick *quick_free(Quick *q) {
        if (!q)
                return NULL;
        sd_bus_message_unref(q->call);
        free(q->name);
        free(q);
        return NULL;
}
DEFINE_CLEANUP(Quick *, quick_free)

static void drop_name(Pool *p, const char *name) {
        for (char **n = p->creating; n && *n; n++)
                if (streq(*n, name)) {
                        free(*n);
                        memmove(n, n + 1, strv_length(n + 1) * sizeof(*n) + sizeof(*n));
                        return;
                }
}

static void take_answer(Quick *q, const json_t *json) {
        const json_t *json_volume = json_object_get(json, "volume");
        Volume *v = q->removing ? volumes_find(q->pool, q->name) : NULL;
        VolumeInfo info;

        if (json_object_get(json, "capacity"))
                pool_take_space(q->pool, json);
        if (v)
                volumes_remove(v);
        if (q->removing)
                formats_forget(q->pool, q->name);
        if (json_volume && volume_info_from_json(json_volume, &info) >= 0)
                pool_take_volume(q->pool, &info, q->creating);
}

static void answer(Quick *q, const json_t *json, int fds[WORKER_FDS_MAX]) {
        _cleanup_free_ char *path = NULL;

        switch (q->reply) {
        case REPLY_VOLUME:
                path = volume_path_of_name(q->pool, q->name);
                (void) sd_bus_reply_method_return(q->call, "oo", path ?: "/", "/");
                return;
        case REPLY_JOB:
                (void) sd_bus_reply_method_return(q->call, "o", "/");
                return;
        case REPLY_NOTHING:
                (void) sd_bus_reply_method_return(q->call, NULL);
                return;
        case REPLY_FORMAT:
                (void) sd_bus_reply_method_return(q->call, "s", json_string_value(json_object_get(json, "format")) ?: "raw");
                return;
        case REPLY_FD:
                (void) sd_bus_reply_method_return(q->call, "h", fds[0]);
                return;
        }
}

static void on_quick(const json_t *json, int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        _cleanup_(quick_freep) Quick *q = userdata;
        Volume *v;

        if (q->creating)
                drop_name(q->pool, q->name);
        v = volumes_find(q->pool, q->name);
        if (v)
                v->busy = NULL;
        if (why) {
                if (why->kind == FAULT_TIMEOUT)
                        pool_note_failure(q->pool, why);
                (void) bus_reply_fault(q->call, why, -why->error);
                return;
        }
        take_answer(q, json);
        answer(q, json, fds);
}

typedef struct QuickSpec {
        const char *name;
        const char *busy;            /* what is done with it; NULL: others may do so as well */
        bool creating, removing;
        QuickReply reply;
        sd_bus_message *call;
        json_t *request;             /* taken over */
} QuickSpec;

static int quick(Pool *p, const QuickSpec *spec, Fault *f) {
        _cleanup_(quick_freep) Quick *q = new0(Quick, 1);
        WorkerCall call = { .request = spec->request, .done = on_quick };
        Volume *v = volumes_find(p, spec->name);
        int r = 0;

        if (q)
                *q = (Quick) { .pool = p, .name = strdup(spec->name), .creating = spec->creating, .removing = spec->removing, .reply = spec->reply };
        if (!q || !q->name || (spec->creating && strv_push(&p->creating, spec->name) < 0)) {
                json_decref(spec->request);
                return fault_oom(f);
        }
        call.userdata = q;
        r = worker_ask(p->worker, &call, f);
        if (r < 0) {
                if (spec->creating)
                        drop_name(p, spec->name);
                return r;
        }
        if (v && spec->busy)
                v->busy = spec->busy;
        q->call = sd_bus_message_ref(spec->call);
        TAKE_PTR(q);
        return 0;
}

/* --- creating --- */

/* A backing file that no pool knows may be any file of the host: an image can name what it likes. */
static int add_chain(Pool *p, const Volume *origin, bool foreign, json_t *chain, Fault *f) {
        const char *next = origin->info.backing_path;

        for (unsigned n = 0; next; n++) {
                Volume *v = NULL;

                if (n >= CHAIN_MAX)
                        return fault_set(f, FAULT_IMAGE, ELOOP, "the chain of %s has more than %u files", origin->info.path, CHAIN_MAX);
                if (pools_find_volume(p->all, next, &v, NULL) < 0 && !foreign) {
                        fault_set(f, FAULT_IMAGE, EPERM, "%s is made from %s, which is in no active pool", origin->info.path, next);
                        fault_hint(f, "start the pool it is in, or give the option \"foreign-backing\" if it may be read");
                        return -EPERM;
                }
                (void) json_array_append_new(chain, json_string(next));
                if (v && v->info.problem)
                        return fault_set(f, FAULT_IMAGE, EBADMSG, "%s %s", next, v->info.problem);
                if (v && v->info.encryption != ENCRYPTION_NONE)
                        return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s is made from %s, which is encrypted", origin->info.path, next);
                next = v ? v->info.backing_path : NULL;
        }
        return 0;
}

static int describe_origin(Pool *p, const VolumeCreate *how, json_t *request, Fault *f) {
        const VolumeInfo *info = &how->origin->info;
        json_t *chain = json_array(), *origin;
        int r;

        if (info->problem)
                r = fault_set(f, FAULT_IMAGE, EBADMSG, "%s %s", info->path, info->problem);
        else if (info->encryption == ENCRYPTION_QCOW)
                r = fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "QEMU no longer opens images with qcow's old encryption, as %s has it", info->path);
        else
                r = add_chain(p, how->origin, how->foreign_backing, chain, f);
        if (r < 0) {
                json_decref(chain);
                return r;
        }
        origin = json_pack("{s:s, s:s, s:I, s:o, s:b}", "path", info->path, "format", volume_format_to_string(info->format), "capacity",
                           (json_int_t) info->capacity, "chain", chain, "encrypted", (int) (info->encryption != ENCRYPTION_NONE));
        return origin && json_object_set_new(request, "origin", origin) >= 0 ? 0 : fault_oom(f);
}

/* Done in no time, whatever its size: what an image begins with is small. */
static bool is_quick(const VolumeDef *def, const VolumeCreate *how) {
        if (how->origin || def->format == FORMAT_DIR)
                return !how->origin;
        if (def->secrets.n > 0 || (def->format != FORMAT_RAW && how->no_wait))
                return false;
        return def->format == FORMAT_RAW ? def->allocation == 0 && how->preallocation < PREALLOCATION_FALLOC : how->preallocation == PREALLOCATION_OFF;
}

static int make_part(const Pool *p, char **ret) {
        sd_id128_t chance;
        int r = sd_id128_randomize(&chance);

        if (r < 0)
                return r;
        *ret = strf(".virtbus-part.%s" SD_ID128_FORMAT_STR, p->all->tag, SD_ID128_FORMAT_VAL(chance));
        return *ret ? 0 : -ENOMEM;
}

static int create_request(Pool *p, VolumeDef *def, const VolumeCreate *how, const char *part, json_t **ret, Fault *f) {
        _cleanup_free_ char *text = NULL;
        json_t *request;
        int r = xml_record_to_text(&def->head, XML_WRITE_SECRETS | XML_WRITE_LIVE, &text);

        if (r < 0)
                return fault_oom(f);
        request = json_pack("{s:s, s:s, s:s, s:s}", "do", "create", "volume", text, "part", part, "preallocation", preallocation_to_string(how->preallocation));
        r = request ? 0 : fault_oom(f);
        if (r >= 0 && how->origin)
                r = describe_origin(p, how, request, f);
        if (r < 0)
                json_decref(request);
        else
                *ret = request;
        return r;
}

static int find_secret(Pools *s, const SecretRef *ref, Secret **ret, Fault *f) {
        char uuid[SD_ID128_STRING_MAX];

        if (!sd_id128_is_null(ref->uuid))
                return secrets_find(s->secrets, sd_id128_to_string(ref->uuid, uuid), ret, f);
        return secrets_find_usage(s->secrets, USAGE_VOLUME, ref->usage ?: "", ret, f);
}

int volume_find_secret(const Volume *v, const char *uuid, const char *option, Secret **ret, Fault *f) {
        int r;

        if (uuid)
                return secrets_find(v->pool->all->secrets, uuid, ret, f);
        r = secrets_find_usage(v->pool->all->secrets, USAGE_VOLUME, v->info.path, ret, f);
        if (r < 0)
                fault_hint(f, "the volume %s is encrypted: name the secret with its passphrase by the option \"%s\"", v->info.name, option);
        return r;
}

static int create_encrypted(Pool *p, const VolumeDef *def, const VolumeCreate *how, const WorkSpec *spec, Fault *f) {
        Secret *secrets[SECRETS_OF_WORK_MAX] = { NULL, how->origin_secret };
        int r = find_secret(p->all, (const SecretRef *) def->secrets.items[0], &secrets[0], f);

        if (r >= 0)
                return secret_work_start(p, secrets, how->origin_secret ? 2 : 1, spec, f);
        json_decref(spec->request);
        return r;
}

/* Before there is anything: an image whose format is not known to the next virtstoraged would be taken for what its name says. Where it does not
 * come to be one, the note goes with the next refresh. */
static int note_format(Pool *p, const VolumeDef *def, Fault *f) {
        if (pool_ops(pool_def(p)->type)->scan != SCAN_FOLDER || def->format >= FORMAT_DIR)
                return 0;
        return formats_set(p, def->name, def->format, f);
}

int volume_create(Pool *p, VolumeDef *def, const VolumeCreate *how, sd_bus_message *call, Fault *f) {
        _cleanup_free_ char *part = NULL, *path = NULL;
        json_t *request = NULL;
        int r;

        r = pool_check_active(p, f);
        if (r >= 0)
                r = volumes_check_free(p, def->name, f);
        if (r >= 0 && how->origin)
                r = volume_check_idle(how->origin, f);
        if (r < 0)
                return r;
        path = volume_path_of_name(p, def->name);
        if (!path || make_part(p, &part) < 0)
                return fault_oom(f);
        r = create_request(p, def, how, part, &request, f);
        if (r < 0)
                return r;
        r = note_format(p, def, f);
        if (r < 0) {
                json_decref(request);
                return r;
        }
        if (is_quick(def, how)) {
                const QuickSpec spec = { .name = def->name, .creating = true, .reply = REPLY_VOLUME, .call = call, .request = request };

                return quick(p, &spec, f);
        }

        const WorkSpec spec = {
                .operation = how->origin ? "clone-volume" : "create-volume",
                .object = path,
                .name = def->name,
                .part = part,
                .call = call,
                .reply_early = how->no_wait,
                .reply_object = true,
                .request = request,
        };
        return def->secrets.n > 0 ? create_encrypted(p, def, how, &spec, f) : work_start(p, &spec, f);
}

/* --- the others --- */

static int check_usable(const Volume *v, Fault *f) {
        int r = pool_check_active(v->pool, f);

        if (r >= 0)
                r = volume_check_idle(v, f);
        return r;
}

int volume_remove(Volume *v, sd_bus_message *call, Fault *f) {
        int r = check_usable(v, f);

        if (r >= 0)
                r = volume_check_unused(v, "deleted", f);
        if (r < 0)
                return r;

        const QuickSpec spec = {
                .name = v->info.name, .busy = "delete", .removing = true, .reply = REPLY_JOB, .call = call,
                .request = json_pack("{s:s, s:s}", "do", "remove", "name", v->info.name),
        };
        return quick(v->pool, &spec, f);
}

static int start_work(Volume *v, const char *operation, json_t *request, const int *fds, size_t n_fds, bool no_wait, sd_bus_message *call, Fault *f) {
        _cleanup_free_ char *path = volume_object_path(v->pool, v->id);
        const WorkSpec spec = {
                .operation = operation, .object = path, .volume = v, .call = call, .reply_early = no_wait, .request = request, .fds = fds, .n_fds = n_fds,
        };

        if (path)
                return work_start(v->pool, &spec, f);
        json_decref(request);
        return fault_oom(f);
}

static int check_shrink(const Volume *v, uint64_t capacity, bool shrink, Fault *f) {
        if (capacity == 0 || capacity > INT64_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, ERANGE, "%" PRIu64 " bytes: a volume has from 1 to 9223372036854775807", capacity);
        if (shrink || capacity >= v->info.capacity)
                return 0;
        fault_set(f, FAULT_INVALID_ARGS, EINVAL, "%s has %" PRIu64 " bytes: with %" PRIu64 " it would lose what is behind them", v->info.name, v->info.capacity,
                  capacity);
        fault_hint(f, "give the option \"shrink\" if that may be lost");
        return -EINVAL;
}

/* --- of a running VM: its QEMU resizes the image, and tells the guest --- */

typedef struct LiveResize {
        Pools *all;
        sd_id128_t pool;             /* which may go meanwhile */
        char *name;
        sd_bus_message *call;
} LiveResize;

static void live_resize_free(LiveResize *l) {
        sd_bus_message_unref(l->call);
        free(l->name);
        free(l);
}

/* The answer is given when it is known how the volume is now. */
static int on_live_resized(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        _cleanup_fault_ Fault f = FAULT_INIT;
        LiveResize *l = userdata;
        Pool *p = registry_find_id(l->all->set.registry, l->pool);
        Volume *v = p ? volumes_find(p, l->name) : NULL;
        int r = 0;

        if (e)
                r = fault_from_bus(e, &f);
        if (v)
                v->busy = NULL;
        if (!e && v) {
                const QuickSpec spec = {
                        .name = l->name,
                        .busy = "resize",
                        .reply = REPLY_JOB,
                        .call = l->call,
                        .request = json_pack("{s:s, s:s}", "do", "describe", "name", l->name),
                };

                r = quick(p, &spec, &f);
        }
        if (e || r < 0)
                (void) bus_reply_fault(l->call, &f, -EIO);
        else if (!v)
                (void) sd_bus_reply_method_return(l->call, "o", "/");
        live_resize_free(l);
        return 0;
}

static int resize_live(Volume *v, uint64_t capacity, sd_bus_message *call, Fault *f) {
        const char *domain, *target;
        LiveResize *l;
        int r;

        if (v->info.kind != VOLUME_FILE || !v->pool->all->bus || !uses_writer(v->pool->all->uses, v->info.path, &domain, &target))
                return volume_check_unused(v, "resized", f);
        if (capacity < v->info.capacity)
                return fault_set(f, FAULT_IN_USE, EBUSY, "the volume %s can't be made smaller: it is in use by %s", v->info.name, domain);
        l = new0(LiveResize, 1);
        if (!l || !(l->name = strdup(v->info.name))) {
                free(l);
                return fault_oom(f);
        }
        l->all = v->pool->all;
        l->pool = v->pool->uuid;
        l->call = sd_bus_message_ref(call);
        r = sd_bus_call_method_async(v->pool->all->bus, NULL, QEMU1_NAME, QEMU1_ROOT, QEMU1_NAME ".Manager", "ResizeDisk", on_live_resized, l, "sstta{sv}",
                                     domain, target, capacity, UINT64_C(0), 0);
        if (r < 0) {
                live_resize_free(l);
                return fault_set(f, FAULT_DISCONNECTED, -r, "virtqemud can't be asked to resize it: %s", strerror(-r));
        }
        v->busy = "resize";
        return 0;
}

static int resize_encrypted(Volume *v, json_t *request, const VolumeResize *how, sd_bus_message *call, Fault *f) {
        _cleanup_free_ char *path = volume_object_path(v->pool, v->id);
        const WorkSpec spec = {
                .operation = "resize-volume", .object = path, .volume = v, .call = call, .reply_early = how->no_wait, .request = request,
        };
        Secret *secret;
        int r = path ? volume_find_secret(v, how->secret, "secret", &secret, f) : fault_oom(f);

        if (r >= 0)
                return secret_work_start(v->pool, &secret, 1, &spec, f);
        json_decref(request);
        return r;
}

int volume_resize(Volume *v, const VolumeResize *how, sd_bus_message *call, Fault *f) {
        bool raw = v->info.format == FORMAT_RAW || v->info.format == FORMAT_ISO;
        json_t *request;
        int r = check_usable(v, f);

        if (r >= 0)
                r = check_shrink(v, how->capacity, how->shrink, f);
        if (r >= 0 && v->used_by && v->used_by[0])
                return resize_live(v, how->capacity, call, f);
        if (r >= 0 && how->secret && v->info.encryption == ENCRYPTION_NONE)
                r = fault_set(f, FAULT_INVALID_ARGS, EINVAL, "secret: the image %s is not encrypted", v->info.name);
        if (r >= 0 && v->info.encryption == ENCRYPTION_QCOW)
                r = fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "QEMU no longer opens images with qcow's old encryption, as %s has it", v->info.name);
        if (r < 0)
                return r;
        request = json_pack("{s:s, s:s, s:s, s:I, s:b, s:b}", "do", "resize", "name", v->info.name, "format",
                            volume_format_to_string(v->info.format), "capacity", (json_int_t) how->capacity, "shrink", (int) how->shrink,
                            "allocate", (int) how->allocate);
        if (v->info.encryption != ENCRYPTION_NONE)
                return resize_encrypted(v, request, how, call, f);
        if (!raw || how->allocate)
                return start_work(v, "resize-volume", request, NULL, 0, how->no_wait, call, f);

        const QuickSpec spec = { .name = v->info.name, .busy = "resize", .reply = REPLY_JOB, .call = call, .request = request };
        return quick(v->pool, &spec, f);
}

int volume_wipe(Volume *v, const char *algorithm, bool no_wait, sd_bus_message *call, Fault *f) {
        int r = check_usable(v, f);

        if (r >= 0)
                r = volume_check_unused(v, "wiped", f);
        return r < 0 ? r
                     : start_work(v, "wipe-volume",
                                  json_pack("{s:s, s:s, s:s}", "do", "wipe", "name", v->info.name, "algorithm", algorithm), NULL,
                                  0, no_wait, call, f);
}

int volume_transfer(Volume *v, bool up, int fd, uint64_t offset, uint64_t length, bool sparse, bool no_wait, sd_bus_message *call, Fault *f) {
        int r = check_usable(v, f);

        if (r >= 0 && up)
                r = volume_check_unused(v, "overwritten", f);
        if (r >= 0 && (offset > INT64_MAX || length > INT64_MAX - offset))
                r = fault_set(f, FAULT_INVALID_ARGS, ERANGE, "offset and length lead beyond what a volume can have");
        if (r < 0)
                return r;
        return start_work(v, up ? "upload-volume" : "download-volume",
                          json_pack("{s:s, s:s, s:I, s:I, s:b}", "do", up ? "upload" : "download", "name", v->info.name, "offset",
                                    (json_int_t) offset, "length", (json_int_t) length, "sparse", (int) sparse),
                          &fd, 1, no_wait, call, f);
}

static int check_file(const Volume *v, Fault *f) {
        if (v->info.kind == VOLUME_FILE && pool_ops(pool_def(v->pool)->type)->scan == SCAN_FOLDER)
                return 0;
        return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "only files have formats; %s is of kind %s", v->info.name, volume_kind_to_string(v->info.kind));
}

int volume_set_format(Volume *v, const char *format, sd_bus_message *call, Fault *f) {
        VolumeFormat wanted = volume_format_from_string(format);
        int r = check_usable(v, f);

        if (r >= 0)
                r = check_file(v, f);
        if (r >= 0)
                r = volume_check_unused(v, "taken for something else", f);
        if (r >= 0 && (wanted <= FORMAT_UNSET || wanted >= FORMAT_DIR))
                r = fault_set(f, FAULT_INVALID_ARGS, EINVAL,
                              "\"%.32s\" is no format of a file: raw, qcow2, vmdk, vdi, vpc, vhdx, qed, qcow, luks or iso", format);
        if (r >= 0)
                r = formats_set(v->pool, v->info.name, wanted, f);
        if (r < 0)
                return r;

        const QuickSpec spec = {
                .name = v->info.name, .busy = "set-format", .reply = REPLY_NOTHING, .call = call,
                .request = json_pack("{s:s, s:s}", "do", "describe", "name", v->info.name),
        };
        return quick(v->pool, &spec, f);
}

int volume_probe_format(Volume *v, sd_bus_message *call, Fault *f) {
        int r = check_usable(v, f);

        if (r >= 0)
                r = check_file(v, f);
        if (r < 0)
                return r;

        const QuickSpec spec = {
                .name = v->info.name, .reply = REPLY_FORMAT, .call = call, .request = json_pack("{s:s, s:s}", "do", "guess", "name", v->info.name),
        };
        return quick(v->pool, &spec, f);
}

int volume_open(Volume *v, bool writable, sd_bus_message *call, Fault *f) {
        int r = check_usable(v, f);

        if (r < 0)
                return r;

        const QuickSpec spec = {
                .name = v->info.name,
                .reply = REPLY_FD,
                .call = call,
                .request = json_pack("{s:s, s:s, s:b}", "do", "fetch", "name", v->info.name, "writable", (int) writable),
        };
        return quick(v->pool, &spec, f);
}
