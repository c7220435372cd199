/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi-direct.h"

#include <inttypes.h>
#include <string.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "iscsi-password.h"
#include "mem.h"
#include "str.h"

#define ANSWER_SECONDS 20
#define REPORT_LENGTH 512
/* A unit tells once that it was reset, and the like. */
#define READY_TRIES 5
/* Who looks for targets is asked for a name, too. */
#define DISCOVERY_NAME "iqn.2026-01.org.virtbus:discovery"

static struct iscsi_context *context_free(struct iscsi_context *c) {
        if (c)
                (void) iscsi_destroy_context(c);
        return NULL;
}
DEFINE_CLEANUP(struct iscsi_context *, context_free)

static struct scsi_task *task_free(struct scsi_task *t) {
        if (t)
                scsi_free_scsi_task(t);
        return NULL;
}
DEFINE_CLEANUP(struct scsi_task *, task_free)

static char *portal(const PoolDef *def) {
        const SourceHost *h = pool_host(def);
        bool six = strchr(h->name, ':');

        return strf("%s%s%s:%" PRIu64, six ? "[" : "", h->name, six ? "]" : "", h->port == NUMBER_UNSET ? 3260 : h->port);
}

static int failed(struct iscsi_context *c, const PoolDef *def, const char *what, Fault *f) {
        const char *why = iscsi_get_error(c);

        return fault_set(f, FAULT_POOL, EIO, "%s: %s: %s", pool_host(def)->name, what, is_empty(why) ? "it does not answer" : why);
}

/* Of a server that refuses the connection or drops it libiscsi tells only that it does not try again. */
static int unreachable(struct iscsi_context *c, const char *where, Fault *f) {
        const char *why = iscsi_get_error(c);

        if (is_empty(why) || strstr(why, "reconnect")) {
                fault_set(f, FAULT_POOL, ECONNREFUSED, "%s can't be connected to", where);
                fault_hint(f, "check that a server of iSCSI listens there, and that nothing on the way drops connections to it");
                return -ECONNREFUSED;
        }
        return fault_set(f, FAULT_POOL, EIO, "%s can't be connected to: %s", where, why);
}

/* --- a session --- */

static int set_password(struct iscsi_context *c, const PoolDef *def, const void *password, size_t length, Fault *f) {
        _cleanup_(password_freep) char *text = NULL;
        int r;

        if (def->auth_type != AUTH_CHAP)
                return 0;
        r = iscsi_password(password, length, &text, f);
        if (r < 0)
                return r;
        return iscsi_set_initiator_username_pwd(c, def->auth_username, text) < 0 ? failed(c, def, "a session can't be set up", f) : 0;
}

static int begin(const PoolDef *def, const char *initiator, enum iscsi_session_type type, struct iscsi_context **ret, Fault *f) {
        _cleanup_(context_freep) struct iscsi_context *c = iscsi_create_context(initiator);

        if (!c)
                return fault_oom(f);
        (void) iscsi_set_timeout(c, ANSWER_SECONDS);
        iscsi_set_noautoreconnect(c, 1);
        if (iscsi_set_session_type(c, type) < 0 || iscsi_set_header_digest(c, ISCSI_HEADER_DIGEST_NONE_CRC32C) < 0)
                return failed(c, def, "a session can't be set up", f);
        *ret = TAKE_PTR(c);
        return 0;
}

static int log_in(struct iscsi_context *c, const PoolDef *def, Fault *f) {
        _cleanup_free_ char *where = portal(def);

        if (!where)
                return fault_oom(f);
        if (iscsi_connect_sync(c, where) < 0)
                return unreachable(c, where, f);
        return iscsi_login_sync(c) < 0 ? failed(c, def, "it does not let us in", f) : 0;
}

/* --- units --- */

static bool is_good(const struct scsi_task *t) {
        return t && t->status == SCSI_STATUS_GOOD;
}

static bool is_disk(struct iscsi_context *c, int unit) {
        _cleanup_(task_freep) struct scsi_task *t = NULL;
        const struct scsi_inquiry_standard *answer;

        for (unsigned i = 0; i < READY_TRIES; i++) {
                _cleanup_(task_freep) struct scsi_task *ready = iscsi_testunitready_sync(c, unit);

                if (is_good(ready))
                        break;
        }
        t = iscsi_inquiry_sync(c, unit, 0, 0, 64);
        answer = is_good(t) ? scsi_datain_unmarshall(t) : NULL;
        return answer && answer->device_type == SCSI_INQUIRY_PERIPHERAL_DEVICE_TYPE_DIRECT_ACCESS;
}

static int capacity_of(struct iscsi_context *c, int unit, uint64_t *ret) {
        _cleanup_(task_freep) struct scsi_task *t = iscsi_readcapacity16_sync(c, unit), *old = NULL;
        const struct scsi_readcapacity16 *answer = is_good(t) ? scsi_datain_unmarshall(t) : NULL;
        const struct scsi_readcapacity10 *less;

        if (answer)
                return __builtin_mul_overflow(answer->returned_lba + 1, answer->block_length, ret) ? -EBADMSG : 0;
        old = iscsi_readcapacity10_sync(c, unit, 0, 0);
        less = is_good(old) ? scsi_datain_unmarshall(old) : NULL;
        if (!less)
                return -EIO;
        *ret = ((uint64_t) less->lba + 1) * less->block_size;
        return 0;
}

static int add_unit(struct iscsi_context *c, const PoolDef *def, int unit, PoolInfo *ret) {
        VolumeInfo v = { .kind = VOLUME_NETWORK, .format = FORMAT_RAW };
        _cleanup_free_ char *where = portal(def);

        if (!is_disk(c, unit))
                return 0;
        if (capacity_of(c, unit, &v.capacity) < 0)
                v.problem = strdup("does not tell its size");
        v.allocation = v.physical = v.capacity;
        v.name = strf("unit:%d", unit);
        v.path = where ? strf("ip-%s-iscsi-%s-lun-%d", where, pool_device(def)->path, unit) : NULL;
        v.key = v.path ? strdup(v.path) : NULL;
        if (!v.name || !v.key) {
                volume_info_clear(&v);
                return -ENOMEM;
        }
        ret->capacity += v.capacity;
        ret->allocation += v.capacity;
        return pool_info_add(ret, &v);
}

static int add_units(struct iscsi_context *c, const PoolDef *def, PoolInfo *ret, Fault *f) {
        _cleanup_(task_freep) struct scsi_task *t = iscsi_reportluns_sync(c, 0, REPORT_LENGTH);
        const struct scsi_reportluns_list *list;
        int r = 0;

        if (is_good(t) && scsi_datain_getfullsize(t) > REPORT_LENGTH) {
                int length = scsi_datain_getfullsize(t);

                (void) task_free(t);
                t = iscsi_reportluns_sync(c, 0, length);
        }
        list = is_good(t) ? scsi_datain_unmarshall(t) : NULL;
        if (!list)
                return failed(c, def, "it does not tell its units", f);
        for (uint32_t i = 0; i < list->num && r >= 0; i++)
                r = add_unit(c, def, list->luns[i], ret);
        return r == -ENOMEM ? fault_oom(f) : r;
}

int iscsi_direct_scan(const PoolDef *def, const void *password, size_t length, PoolInfo *ret, Fault *f) {
        _cleanup_(context_freep) struct iscsi_context *c = NULL;
        const InitiatorIqn *initiator;
        int r;

        assert(def->iqns.n > 0);

        initiator = ASSERT_PTR((const InitiatorIqn *) def->iqns.items[0]);
        r = begin(def, initiator->name, ISCSI_SESSION_NORMAL, &c, f);
        if (r < 0)
                return r;
        r = set_password(c, def, password, length, f);
        if (r >= 0 && iscsi_set_targetname(c, pool_device(def)->path) < 0)
                r = failed(c, def, "a session can't be set up", f);
        if (r >= 0)
                r = log_in(c, def, f);
        if (r >= 0)
                r = add_units(c, def, ret, f);
        if (r >= 0)
                (void) iscsi_logout_sync(c);
        return r;
}

/* --- targets --- */

static int add_target(const PoolDef *hints, const char *name, RecordList *ret) {
        void *copy = NULL;
        int r = record_copy(&hints->head, &copy);

        if (r >= 0)
                r = pool_add_device(copy, name);
        if (r >= 0)
                return record_list_add(ret, copy);
        pool_def_free(copy);
        return r;
}

int iscsi_direct_find(const PoolDef *hints, RecordList *ret, Fault *f) {
        _cleanup_(context_freep) struct iscsi_context *c = NULL;
        struct iscsi_discovery_address *found;
        int r;

        r = begin(hints, DISCOVERY_NAME, ISCSI_SESSION_DISCOVERY, &c, f);
        if (r >= 0)
                r = log_in(c, hints, f);
        if (r < 0)
                return r;
        found = iscsi_discovery_sync(c);
        if (!found)
                return 0;
        for (const struct iscsi_discovery_address *a = found; a && r >= 0; a = a->next)
                r = add_target(hints, a->target_name, ret);
        iscsi_free_discovery_data(c, found);
        (void) iscsi_logout_sync(c);
        return r < 0 ? fault_oom(f) : 0;
}
