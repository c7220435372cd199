/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iothread.h"

#include "domain.h"
#include "str.h"
#include "../device/virtio.h"

static int add(DomainDef *def) {
        IothreadId *t = record_new(&iothread_record);

        if (!t)
                return -ENOMEM;
        for (t->id = 1; domain_has_iothread(def, t->id);)
                t->id++;
        return record_list_add(&def->iothread_ids, t);
}

int iothreads_fill(DomainDef *def) {
        int r = 0;

        if (def->iothread_ids.n > 0 && (def->iothreads == NUMBER_UNSET || def->iothreads < def->iothread_ids.n))
                def->iothreads = def->iothread_ids.n;
        while (r >= 0 && def->iothreads != NUMBER_UNSET && def->iothread_ids.n < def->iothreads)
                r = add(def);
        return r;
}

int iothreads_check(const DomainDef *def, Fault *f) {
        if (def->main_pool_min != NUMBER_UNSET && def->main_pool_max != NUMBER_UNSET && def->main_pool_min > def->main_pool_max)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "defaultiothread", "thread_pool_min is more than thread_pool_max");
        RECORD_FOREACH(IothreadId, t, def->iothread_ids) {
                RECORD_FOREACH(IothreadId, other, def->iothread_ids) {
                        if (other == t)
                                break;
                        if (other->id == t->id)
                                return xml_fault(&t->head, f, FAULT_INVALID_DEFINITION, "the id %" PRIu64 " is already that of the one in line %u", t->id,
                                                 other->head.line);
                }
                if (t->pool_min != NUMBER_UNSET && t->pool_max != NUMBER_UNSET && t->pool_min > t->pool_max)
                        return xml_fault(&t->head, f, FAULT_INVALID_DEFINITION, "thread_pool_min is more than thread_pool_max");
        }
        return 0;
}

json_t *iothread_json(const IothreadId *t) {
        _cleanup_free_ char *id = strf("iothread%" PRIu64, t->id);
        json_auto_t *json = id ? json_pack("{s:s, s:s}", "qom-type", "iothread", "id", id) : NULL;

        if (!json || json_set_number(json, "thread-pool-min", t->pool_min) < 0 || json_set_number(json, "thread-pool-max", t->pool_max) < 0 ||
            json_set_number(json, "poll-max-ns", t->poll_max) < 0 || json_set_number(json, "poll-grow", t->poll_grow) < 0 ||
            json_set_number(json, "poll-shrink", t->poll_shrink) < 0)
                return NULL;
        return json_incref(json);
}

static int main_loop_args(const DomainDef *def, Args *a) {
        json_auto_t *json = NULL;

        if (def->main_pool_min == NUMBER_UNSET && def->main_pool_max == NUMBER_UNSET)
                return 0;
        json = json_pack("{s:s, s:s}", "qom-type", "main-loop", "id", "main-loop");
        if (!json || json_set_number(json, "thread-pool-min", def->main_pool_min) < 0 ||
            json_set_number(json, "thread-pool-max", def->main_pool_max) < 0)
                return -ENOMEM;
        return args_json(a, ARG_OBJECT, TAKE_PTR(json));
}

int iothreads_args(const DomainDef *def, Args *a) {
        int r = main_loop_args(def, a);

        RECORD_FOREACH(IothreadId, t, def->iothread_ids)
                if (r >= 0)
                        r = args_json(a, ARG_OBJECT, iothread_json(t));
        return r;
}
