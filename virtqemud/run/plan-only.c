/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan-only.h"

#include "caps-probe.h"
#include "domain-volumes.h"
#include "firmware-files.h"
#include "manager.h"
#include "mem.h"
#include "prepare.h"

struct PlanOnly {
        Domain *domain;
        DomainDef *live;
        QemuCaps *caps;
        CapsWait *caps_wait;
        DomainVolumes *volumes;
        Prepare *prepare;
        PlanDone done;
        void *userdata;
        PlanOnly *next;
};

static void plan_only_free(PlanOnly *p) {
        PlanOnly **at;

        for (at = &p->domain->plans; *at != p; at = &(*at)->next)
                ;
        *at = p->next;
        caps_wait_free(p->caps_wait);
        caps_free(p->caps);
        domain_volumes_free(p->volumes);
        prepare_free(p->prepare);
        domain_def_free(p->live);
        free(p);
}

static void finish(PlanOnly *p, const LaunchPlan *plan, int error, const Fault *f) {
        p->done(plan, error, f, p->userdata);
        plan_only_free(p);
}

void plan_only_clear(Domain *d) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_NO_SUCH_DOMAIN, ENOENT, "%s has gone", d->name);
        while (d->plans)
                finish(d->plans, NULL, -ENOENT, &f);
}

static void on_prepared(Prepare *prepare, int error, Fault *f, void *userdata) {
        finish(userdata, error < 0 ? NULL : prepare_plan(prepare), error, f);
}

static void on_volumes(const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PlanOnly *p = userdata;
        const PrepareSpec spec = { .live = p->live, .caps = p->caps, .look_only = true };
        int r = why ? -why->error : prepare_new(p->domain, &spec, on_prepared, p, &p->prepare, &f);

        if (r < 0)
                finish(p, NULL, r, why ?: &f);
}

static int check(PlanOnly *p, Fault *f) {
        Manager *m = p->domain->manager;
        int r;

        r = domain_expand_machine(p->live, p->caps, f);
        if (r >= 0)
                r = firmware_files_choose(m, p->live, f);
        if (r >= 0)
                r = domain_check(p->live, p->caps, &m->defaults, f);
        return r < 0 ? r : domain_volumes_new(p->domain, p->live, false, on_volumes, p, &p->volumes, f);
}

static void on_caps(CapsStore *store, const char *binary, QemuCaps *caps, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PlanOnly *p = userdata;
        int r;

        p->caps_wait = caps_wait_free(p->caps_wait);
        if (!caps) {
                finish(p, NULL, -why->error, why);
                return;
        }
        p->caps = caps_ref(caps);
        r = check(p, &f);
        if (r < 0)
                finish(p, NULL, r, &f);
}

int plan_only(Domain *d, PlanDone done, void *userdata, Fault *f) {
        PlanOnly *p;
        int r;

        assert(d && done);

        if (!d->config)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s has no persistent definition to start from", d->name);
        p = new0(PlanOnly, 1);
        if (!p)
                return fault_oom(f);
        *p = (PlanOnly) { .domain = d, .done = done, .userdata = userdata, .next = d->plans };
        d->plans = p;
        r = domain_make_live(d->config, 0, &d->manager->defaults, &p->live);
        if (r >= 0)
                r = caps_store_get(d->manager->caps, p->live->emulator, on_caps, p, &p->caps_wait);
        if (r < 0)
                plan_only_free(p);
        return r;
}
