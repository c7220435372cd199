/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vcpus.h"

#include "instance.h"
#include "mem.h"
#include "retune.h"
#include "status.h"

int vcpus_ask(Domain *d, QmpReplyFunc reply, void *userdata, QmpRequest **ret) {
        assert(d && reply);

        return domain_ask(d, "query-hotpluggable-cpus", NULL, reply, userdata, ret);
}

bool vcpus_is_there(const json_t *cpu) {
        return json_object_get(cpu, "qom-path") != NULL;
}

uint64_t vcpus_count(const json_t *cpus) {
        uint64_t n = 0;
        json_t *cpu;
        size_t i;

        json_array_foreach(cpus, i, cpu)
                n += vcpus_is_there(cpu) ? 1 : 0;
        return n;
}

uint64_t vcpus_live(const Domain *d) {
        assert(d && d->live);

        return d->live->vcpus_current == NUMBER_UNSET ? d->live->vcpus : d->live->vcpus_current;
}

void vcpus_set_live(Domain *d, uint64_t n) {
        assert(d && d->live);

        d->live->vcpus_current = n == d->live->vcpus ? NUMBER_UNSET : n;
        d->live_generation++;
        free_and_replace(&d->live_text, NULL);
        retune_pin_again(d);
        status_save(d);
        domain_changed(d, DOMAIN_CHANGED_LIVE);
}

static void on_counted(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Domain *d = userdata;

        if (result && d->live && vcpus_count(result) != vcpus_live(d))
                vcpus_set_live(d, vcpus_count(result));
}

void vcpus_count_again(Domain *d) {
        assert(d);

        (void) vcpus_ask(d, on_counted, d, NULL);
}
