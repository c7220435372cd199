/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "secrets.h"

#include <string.h>

#include "../plan/storage.h"
#include "fd.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#define SEAL_DEADLINE_USEC (30u * 1000 * 1000)

/* --- lifetime --- */

static void drop_value(Secret *s) {
        if (s->value)
                explicit_bzero(s->value, s->length);
        free(TAKE_PTR(s->value));
        s->length = 0;
}

static void remove_secret(Secret *s) {
        registry_remove(s->all->registry, s->uuid);
        drop_value(s);
        secret_def_free(s->def);
        free(s);
}

Secrets *secrets_free(Secrets *s) {
        if (!s)
                return NULL;
        s->worker = worker_free(s->worker);
        if (s->registry)
                REGISTRY_FOREACH(Secret, i, s->registry)
                        remove_secret(i);
        registry_free(s->registry);
        store_free(s->definitions);
        store_free(s->plains);
        store_free(s->seals);
        free(s);
        return NULL;
}

int secrets_new(sd_event *event, bool user, const char *config_dir, const SecretsWatch *watch, void *userdata, Secrets **ret) {
        _cleanup_(secrets_freep) Secrets *s = new0(Secrets, 1);
        _cleanup_free_ char *folder = strf("%s/secrets", config_dir);
        int r;

        if (!s || !folder)
                return -ENOMEM;
        s->event = event;
        s->user = user;
        s->deadline_usec = SEAL_DEADLINE_USEC;
        s->watch = *watch;
        s->watch_userdata = userdata;

        const WorkerOptions options = {.event = event,
                                       .program = "virtstorage-worker",
                                       .subject = "secrets",
                                       .kind = FAULT_STORE,
                                       .deadline_usec = &s->deadline_usec};
        r = registry_new(&s->registry);
        if (r >= 0)
                r = store_new(folder, ".xml", &s->definitions);
        if (r >= 0)
                r = store_new(folder, ".value", &s->plains);
        if (r >= 0)
                r = store_new(folder, ".cred", &s->seals);
        if (r >= 0)
                r = worker_new(&options, &s->worker);
        if (r >= 0)
                *ret = TAKE_PTR(s);
        return r;
}

/* --- the set --- */

/* What their files are called. */
static const char *name_of(sd_id128_t uuid, char buffer[static SD_ID128_UUID_STRING_MAX]) {
        (void) snprintf(buffer, SD_ID128_UUID_STRING_MAX, SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(uuid));
        return buffer;
}

int secrets_find(Secrets *s, const char *uuid, Secret **ret, Fault *f) {
        sd_id128_t id;

        *ret = sd_id128_from_string(uuid, &id) >= 0 ? registry_find_id(s->registry, id) : NULL;
        return *ret ? 0 : fault_set(f, FAULT_NO_SUCH_SECRET, ENOENT, "no secret has the uuid \"%.64s\"", uuid);
}

static Secret *find_usage(Secrets *s, SecretUsage usage, const char *id) {
        REGISTRY_FOREACH(Secret, i, s->registry)
                if (i->def->usage == usage && streq_null(secret_usage_id(i->def), id))
                        return i;
        return NULL;
}

int secrets_find_usage(Secrets *s, SecretUsage usage, const char *id, Secret **ret, Fault *f) {
        *ret = usage > USAGE_NONE ? find_usage(s, usage, id) : NULL;
        return *ret ? 0 : fault_set(f, FAULT_NO_SUCH_SECRET, ENOENT, "no secret is for the %s \"%.200s\"", secret_usage_to_string(usage) ?: "usage", id);
}

/* Takes over `def`, also on failure. */
static int add(Secrets *s, SecretDef *def, Secret **ret) {
        char name[SD_ID128_UUID_STRING_MAX];
        Secret *i = new0(Secret, 1);
        int r;

        if (!i) {
                secret_def_free(def);
                return -ENOMEM;
        }
        *i = (Secret) { .all = s, .uuid = def->uuid, .def = def };
        (void) name_of(i->uuid, name);
        r = registry_add(s->registry, name, i->uuid, i);
        if (r < 0) {
                secret_def_free(def);
                free(i);
                return r;
        }
        i->sealed = store_exists(s->seals, name);
        i->plain = !i->sealed && store_exists(s->plains, name);
        *ret = i;
        if (!s->loading)
                s->watch.added(i, s->watch_userdata);
        return 0;
}

/* --- definitions --- */

static int check_new(Secrets *s, SecretDef *def, Secret **ret_known, Fault *f) {
        const char *id = secret_usage_id(def);
        Secret *same = id ? find_usage(s, def->usage, id) : NULL, *known;

        /* Without <uuid> the secret that is for the same is meant. */
        if (sd_id128_is_null(def->uuid) && same)
                def->uuid = same->uuid;
        if (sd_id128_is_null(def->uuid) && sd_id128_randomize(&def->uuid) < 0)
                return fault_set(f, FAULT_STORE, EIO, "no uuid can be made");
        known = registry_find_id(s->registry, def->uuid);
        if (same && same != known)
                return fault_set(f, FAULT_SECRET_EXISTS, EEXIST, "the secret " SD_ID128_UUID_FORMAT_STR " is for the %s %.200s already",
                                 SD_ID128_FORMAT_VAL(same->uuid), secret_usage_to_string(def->usage), id);
        if (known && known->def->is_private == YES && def->is_private != YES)
                return fault_set(f, FAULT_INVALID_STATE, EPERM, "a private secret stays private");
        if (known && (known->def->ephemeral == YES) != (def->ephemeral == YES))
                return fault_set(f, FAULT_INVALID_STATE, EPERM, "whether a secret is ephemeral can't be changed");
        if (!known && registry_count(s->registry) >= SECRETS_MAX)
                return fault_set(f, FAULT_LIMIT, ENOSPC, "there are %u secrets already", SECRETS_MAX);
        *ret_known = known;
        return 0;
}

static int write_definition(Secrets *s, SecretDef *def, Fault *f) {
        char name[SD_ID128_UUID_STRING_MAX];
        _cleanup_free_ char *text = NULL;
        int r = 0;

        if (def->ephemeral == YES) /* it ends with us */
                return 0;
        r = secret_format(def, &text, f);
        if (r < 0)
                return r;
        r = store_write(s->definitions, name_of(def->uuid, name), text, strlen(text));
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the secret can't be stored: %s", strerror(-r)) : 0;
}

static SecretDef *copy_of(const SecretDef *def) {
        void *copy = NULL;

        return record_copy(&def->head, &copy) < 0 ? NULL : copy;
}

int secrets_define(Secrets *s, const char *text, size_t length, bool validate_only, Secret **ret, Fault *f) {
        _cleanup_(secret_def_freep) SecretDef *def = NULL;
        Secret *known = NULL;
        SecretDef *kept;
        int r;

        *ret = NULL;
        r = secret_parse(text, length, &def, f);
        if (r >= 0)
                r = check_new(s, def, &known, f);
        if (r < 0 || validate_only)
                return r;
        r = write_definition(s, def, f);
        if (r < 0)
                return r;
        kept = copy_of(def);
        if (!kept)
                return fault_oom(f);
        if (!known) {
                r = add(s, kept, ret);
                return r < 0 ? fault_oom(f) : 0;
        }
        secret_def_free(known->def);
        known->def = kept;
        *ret = known;
        s->watch.changed(known, s->watch_userdata);
        return 0;
}

int secrets_undefine(Secret *i, Fault *f) {
        char name[SD_ID128_UUID_STRING_MAX];
        Secrets *s = i->all;
        int r;

        (void) name_of(i->uuid, name);
        /* The value first: a definition that is left is no harm. */
        r = store_remove(s->seals, name);
        if (r >= 0)
                r = store_remove(s->plains, name);
        if (r >= 0)
                r = store_remove(s->definitions, name);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "the secret can't be removed: %s", strerror(-r));
        s->watch.removed(i, s->watch_userdata);
        remove_secret(i);
        return 0;
}

static int on_definition(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_(secret_def_freep) SecretDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Secrets *s = userdata;
        Secret *i;
        int r = error;

        if (r >= 0)
                r = secret_parse(text, length, &def, &f);
        if (r >= 0) {
                SecretDef *kept = copy_of(def);

                r = kept ? add(s, kept, &i) : -ENOMEM;
        }
        if (r < 0)
                log_error("the secret %s can't be used: %s", name, fault_is_set(&f) ? fault_text(&f) : strerror(-r));
        return 0;
}

int secrets_load(Secrets *s) {
        int r;

        s->loading = true;
        r = store_scan(s->definitions, on_definition, s);
        s->loading = false;
        return r;
}

/* --- values --- */

/* A request to the worker; the secret may go meanwhile. */
typedef struct SealCall {
        Secrets *all;
        sd_id128_t uuid;
        void *plain;                 /* to be written if it can't be sealed */
        size_t length;
        SecretDone done;
        SecretGot got;
        void *userdata;
} SealCall;

static SealCall *seal_call_free(SealCall *c) {
        if (!c)
                return NULL;
        if (c->plain)
                explicit_bzero(c->plain, c->length);
        free(c->plain);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(SealCall *, seal_call_free)

static int write_value(Secret *i, const void *data, size_t length, bool sealed) {
        char name[SD_ID128_UUID_STRING_MAX];
        int r;

        (void) name_of(i->uuid, name);
        r = store_write(sealed ? i->all->seals : i->all->plains, name, data, length);
        if (r >= 0)
                r = store_remove(sealed ? i->all->plains : i->all->seals, name);
        if (r < 0)
                return r;
        i->sealed = sealed;
        i->plain = !sealed;
        i->all->watch.changed(i, i->all->watch_userdata);
        return 0;
}

static int take_sealed(Secret *i, int fd) {
        _cleanup_free_ char *text = NULL;
        size_t length;
        int r = fd < 0 ? -EBADMSG : fd_read_all(fd, SECRET_VALUE_MAX * 4, &text, &length);

        return r < 0 ? r : write_value(i, text, length, true);
}

/* Where nothing can be sealed (no systemd, no rights, a session) the file's mode is what keeps it. */
static void on_sealed(_unused_ const json_t *json, int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        _cleanup_(seal_call_freep) SealCall *c = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Secret *i = registry_find_id(c->all->registry, c->uuid);
        int r = 0;

        if (!i)
                r = fault_set(&f, FAULT_NO_SUCH_SECRET, ENOENT, "the secret has gone");
        else if (why && (why->kind == FAULT_CANCELED || why->kind == FAULT_TIMEOUT || why->error == WORKER_DIED)) {
                (void) fault_copy(&f, why);
                r = -why->error;
        } else if (why) {
                log_notice("a secret is not sealed: %s", fault_text(why));
                r = write_value(i, c->plain, c->length, false);
        } else
                r = take_sealed(i, fds[0]);
        if (r < 0 && !fault_is_set(&f))
                fault_set(&f, FAULT_STORE, -r, "the value can't be stored: %s", strerror(-r));
        c->done(r < 0 ? &f : NULL, c->userdata);
}

static int ask(SealCall *c, const char *verb, int fd, WorkerDone done, Fault *f) {
        char name[SD_ID128_UUID_STRING_MAX];
        const WorkerCall call = {
                .request = json_pack("{s:s, s:s}", "do", verb, "name", name_of(c->uuid, name)), .fds = &fd, .n_fds = 1, .done = done, .userdata = c,
        };

        return worker_ask(c->all->worker, &call, f);
}

static int keep_in_memory(Secret *i, const void *value, size_t length) {
        void *copy = malloc(length ?: 1);

        if (!copy)
                return -ENOMEM;
        memcpy(copy, value, length);
        drop_value(i);
        i->value = copy;
        i->length = length;
        i->all->watch.changed(i, i->all->watch_userdata);
        return 0;
}

int secret_set_value(Secret *i, const void *value, size_t length, SecretDone done, void *userdata, Fault *f) {
        _cleanup_(seal_call_freep) SealCall *c = NULL;
        _cleanup_fd_ int fd = -1;
        int r;

        if (length == 0 || length > SECRET_VALUE_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a secret has from 1 to %zu bytes", SECRET_VALUE_MAX);
        if (i->def->ephemeral == YES) {
                if (keep_in_memory(i, value, length) < 0)
                        return fault_oom(f);
                done(NULL, userdata);
                return 0;
        }
        if (i->all->user) { /* the host's key is not for users */
                r = write_value(i, value, length, false);
                if (r < 0)
                        return fault_set(f, FAULT_STORE, -r, "the value can't be stored: %s", strerror(-r));
                done(NULL, userdata);
                return 0;
        }
        c = new0(SealCall, 1);
        fd = memfd_new_sealed("secret", value, length);
        if (!c || fd < 0)
                return fault_oom(f);
        *c = (SealCall) { .all = i->all, .uuid = i->uuid, .plain = malloc(length), .length = length, .done = done, .userdata = userdata };
        if (!c->plain)
                return fault_oom(f);
        memcpy(c->plain, value, length);
        r = ask(c, "seal", fd, on_sealed, f);
        if (r >= 0)
                TAKE_PTR(c);
        return r;
}

static void on_unsealed(_unused_ const json_t *json, int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        _cleanup_(seal_call_freep) SealCall *c = userdata;
        int none = -1;

        c->got(why ? &none : &fds[0], why, c->userdata);
}

static int read_file_of(Secret *i, int *ret) {
        char name[SD_ID128_UUID_STRING_MAX];
        _cleanup_free_ char *data = NULL;
        size_t length = 0;
        int r;

        if (i->value) {
                *ret = memfd_new_sealed("secret", i->value, i->length);
                return *ret;
        }
        r = store_read(i->sealed ? i->all->seals : i->all->plains, name_of(i->uuid, name), &data, &length);
        if (r >= 0)
                *ret = memfd_new_sealed("secret", data, length);
        if (data)
                explicit_bzero(data, length);
        return r < 0 ? r : *ret;
}

int secret_get_value(Secret *i, SecretGot got, void *userdata, Fault *f) {
        _cleanup_(seal_call_freep) SealCall *c = NULL;
        _cleanup_fd_ int fd = -1;
        int r;

        if (!secret_has_value(i)) {
                fault_set(f, FAULT_NO_SUCH_SECRET, ENODATA, "the secret " SD_ID128_UUID_FORMAT_STR " has no value", SD_ID128_FORMAT_VAL(i->uuid));
                fault_hint(f, "set one with SetValue()");
                return -ENODATA;
        }
        r = read_file_of(i, &fd);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "the value of the secret " SD_ID128_UUID_FORMAT_STR " can't be read: %s",
                                 SD_ID128_FORMAT_VAL(i->uuid), strerror(-r));
        if (!i->sealed) {
                got(&fd, NULL, userdata);
                return 0;
        }
        c = new0(SealCall, 1);
        if (!c)
                return fault_oom(f);
        *c = (SealCall) { .all = i->all, .uuid = i->uuid, .got = got, .userdata = userdata };
        r = ask(c, "unseal", fd, on_unsealed, f);
        if (r >= 0)
                TAKE_PTR(c);
        return r;
}
