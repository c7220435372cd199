/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "new-volume.h"

#include <string.h>

#include "spec.h"
#include "storage.h"
#include "str.h"

/* Pools that are folders; all others have whole devices or objects as volumes. */
#define FOLDERS "dir|fs|netfs"

int new_volume_pool(Client *c, const char *name, char **ret_object, const char **ret_format) {
        _cleanup_free_ char *object = NULL, *type = NULL;
        int r = pool_find(c, name, &object) ?: client_get_text(c, object, STORAGE1_POOL, "Type", &type);

        if (r != 0)
                return r;
        *ret_format = spec_is_choice(type, FOLDERS) ? "qcow2" : "raw";
        *ret_object = TAKE_PTR(object);
        return 0;
}

int new_volume_start_pool(Client *c, const char *object) {
        _cleanup_free_ char *state = NULL;
        int r = client_get_text(c, object, STORAGE1_POOL, "State", &state);

        return r != 0 || !streq(state, "inactive") ? r : client_call(c, object, STORAGE1_POOL, "Start", NULL, "ta{sv}", UINT64_C(0), 0);
}

/* --- jobs --- */

/* A job that was over before it could be cancelled has made what there is then. */
static bool is_done(Client *c, const char *job) {
        while (sd_bus_process(c->bus, NULL) > 0)
                ;
        return streq_null(json_string_value(json_object_get(c->ended, job)), "");
}

static int wait_made(Made *m, const char *object, const char *job) {
        int r = client_wait_job(m->client, job);

        if (r != 0 && !is_done(m->client, job))
                return r;
        return made_add_volume(m, object) ?: r;
}

static int append_wish(sd_bus_message *call, const VolumeWish *w) {
        const struct { const char *key, *value; } texts[] = {
                { "format", w->format }, { "clone-from", w->clone_from }, { "backing", w->backing }, { "backing-format", w->backing_format },
        };
        int r = sd_bus_message_append(call, "stt", w->name, w->size, FLAG_NO_WAIT);

        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(texts); i++)
                if (texts[i].value)
                        r = sd_bus_message_append(call, "{sv}", texts[i].key, "s", texts[i].value);
        if (r >= 0 && w->foreign_backing)
                r = sd_bus_message_append(call, "{sv}", "foreign-backing", "b", 1);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        return r < 0 ? client_fail("the volume \"%s\" can't be asked for: %s", w->name, strerror(-r)) : 0;
}

int new_volume(Made *m, const VolumeWish *w, char **ret_object) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        const char *object, *job;
        int r = made_stopped(m) ?: client_new_call(m->client, &call, w->pool, STORAGE1_POOL, "CreateVolume") ?: append_wish(call, w) ?:
                client_send(m->client, TAKE_PTR(call), &reply);

        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "oo", &object, &job);
        if (r < 0)
                return client_garbled(r);
        r = wait_made(m, object, job);
        if (r == 0 && ret_object)
                *ret_object = strdup(object);
        return r != 0 ? r : ret_object && !*ret_object ? client_fail("out of memory") : 0;
}

static int wait_answer(Client *c, sd_bus_message *reply) {
        const char *job;
        int r = sd_bus_message_read(reply, "o", &job);

        return r < 0 ? client_garbled(r) : client_wait_job(c, job);
}

int new_volume_fill(Made *m, const char *object, int fd) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = made_stopped(m) ?: client_call(m->client, object, STORAGE1_VOLUME, "Upload", &reply, "httta{sv}", fd, UINT64_C(0), UINT64_C(0), FLAG_NO_WAIT, 1,
                                               "sparse", "b", 1);

        return r ?: wait_answer(m->client, reply);
}

int new_volume_grow(Made *m, const char *object, uint64_t size) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = made_stopped(m) ?: client_call(m->client, object, STORAGE1_VOLUME, "Resize", &reply, "tta{sv}", size, FLAG_NO_WAIT, 0);

        return r ?: wait_answer(m->client, reply);
}
