/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

#include "domain.h"
#include "str.h"
#include "xml-read.h"

/* <cpu> and the parts of <features> and <clock> that QEMU keeps as properties of its CPU.
 *
 * host-model is "host" under KVM and "max" in emulation, that is: everything this host can do, found anew at every start. It is not
 * pinned to a named model, so a guest may see new features after the host's kernel or QEMU was upgraded. */

static const char *model_name(const DomainDef *def) {
        switch ((CpuMode) def->cpu_mode) {
        case CPU_MODE_CUSTOM:
                return def->cpu_model;
        case CPU_MODE_HOST_PASSTHROUGH:
                return "host";
        case CPU_MODE_HOST_MODEL:
                return def->type == DOMAIN_TYPE_KVM ? "host" : "max";
        case CPU_MODE_MAXIMUM:
                return "max";
        case CPU_MODE_NONE:
        case _CPU_MODE_MAX:
        case _CPU_MODE_INVALID:
                break;
        }
        return NULL;
}

static void add_switch(Text *t, const char *name, Tristate value) {
        if (value != UNSET)
                text_addf(t, ",%s=%s", name, value == YES ? "on" : "off");
}

static void add_hyperv(Text *t, const Hyperv *h) {
        const struct {
                const char *name;
                Tristate value;
        } rows[] = {
                { "hv-relaxed", h->relaxed },
                { "hv-vapic", h->vapic },
                { "hv-vpindex", h->vpindex },
                { "hv-runtime", h->runtime },
                { "hv-synic", h->synic },
                { "hv-stimer", h->stimer },
                { "hv-stimer-direct", h->stimer_direct },
                { "hv-reset", h->reset },
                { "hv-frequencies", h->frequencies },
                { "hv-reenlightenment", h->reenlightenment },
                { "hv-tlbflush", h->tlbflush },
                { "hv-tlbflush-direct", h->tlbflush_direct },
                { "hv-tlbflush-ext", h->tlbflush_extended },
                { "hv-ipi", h->ipi },
                { "hv-evmcs", h->evmcs },
                { "hv-avic", h->avic },
                { "hv-emsr-bitmap", h->emsr_bitmap },
                { "hv-xmm-input", h->xmm_input },
        };

        if (h->mode == HYPERV_PASSTHROUGH)
                text_add(t, ",hv-passthrough=on");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].value == YES)
                        add_switch(t, rows[i].name, YES);
        if (h->spinlocks == YES)
                text_addf(t, ",hv-spinlocks=0x%" PRIx64, h->spinlock_retries == NUMBER_UNSET ? 4095 : h->spinlock_retries);
        if (h->vendor_id == YES && h->vendor_id_value)
                text_addf(t, ",hv-vendor-id=%s", h->vendor_id_value);
}

static void add_timers(Text *t, const DomainDef *def) {
        for (size_t i = 0; i < def->timers.n; i++) {
                const Timer *timer = (const Timer *) def->timers.items[i];

                if (timer->name == TIMER_KVMCLOCK)
                        add_switch(t, "kvmclock", timer->present);
                else if (timer->name == TIMER_HYPERVCLOCK && timer->present != NO)
                        text_add(t, ",hv-time=on");
                else if (timer->name == TIMER_TSC && timer->frequency != NUMBER_UNSET)
                        text_addf(t, ",tsc-frequency=%" PRIu64, timer->frequency);
        }
}

static void add_features(Text *t, const DomainDef *def) {
        for (size_t i = 0; i < def->cpu_features.n; i++) {
                const CpuFeature *feature = (const CpuFeature *) def->cpu_features.items[i];
                bool on = feature->policy != CPU_POLICY_DISABLE && feature->policy != CPU_POLICY_FORBID;

                text_addf(t, ",%s=%s", feature->name, on ? "on" : "off");
        }
        if (def->cpu_check == CPU_CHECK_FULL || def->cpu_match == CPU_MATCH_STRICT)
                text_add(t, ",enforce=on");
}

static void add_cache(Text *t, const DomainDef *def) {
        switch ((CpuCache) def->cpu_cache) {
        case CPU_CACHE_EMULATE:
                text_add(t, ",l3-cache=on");
                break;
        case CPU_CACHE_PASSTHROUGH:
                text_add(t, ",host-cache-info=on,l3-cache=off");
                break;
        case CPU_CACHE_DISABLE:
                text_add(t, ",host-cache-info=off,l3-cache=off");
                break;
        case CPU_CACHE_NONE:
        case _CPU_CACHE_MAX:
        case _CPU_CACHE_INVALID:
                break;
        }
}

static void add_address(Text *t, const DomainDef *def) {
        if (def->cpu_address == CPU_ADDRESS_EMULATE && def->cpu_address_bits != NUMBER_UNSET)
                text_addf(t, ",phys-bits=%" PRIu64, def->cpu_address_bits);
        if (def->cpu_address != CPU_ADDRESS_PASSTHROUGH)
                return;
        text_add(t, ",host-phys-bits=on");
        if (def->cpu_address_limit != NUMBER_UNSET)
                text_addf(t, ",host-phys-bits-limit=%" PRIu64, def->cpu_address_limit);
}

int cpu_text(const DomainDef *def, char **ret, Fault *f) {
        _cleanup_text_ Text properties = TEXT_INIT;
        _cleanup_free_ char *tail = NULL;
        const char *model;
        char *text;

        assert(def);
        assert(ret);

        if (def->cpu_mode == CPU_MODE_HOST_PASSTHROUGH || (def->cpu_mode == CPU_MODE_HOST_MODEL && def->type == DOMAIN_TYPE_KVM))
                add_switch(&properties, "migratable", def->cpu_migratable);
        if (def->cpu_vendor_id)
                text_addf(&properties, ",vendor=%s", def->cpu_vendor_id);
        add_features(&properties, def);
        add_cache(&properties, def);
        add_address(&properties, def);
        add_timers(&properties, def);
        add_hyperv(&properties, &def->hyperv);
        if (domain_has_hyperv_panic(def))
                text_add(&properties, ",hv-crash=on");
        add_switch(&properties, "kvm-pv-eoi", def->apic_eoi);
        add_switch(&properties, "kvm-pv-unhalt", switch_state(&def->pvspinlock));
        add_switch(&properties, "pmu", switch_state(&def->pmu));
        if (def->kvm_hidden == YES)
                text_add(&properties, ",kvm=off");
        add_switch(&properties, "kvm-hint-dedicated", def->kvm_hint_dedicated);
        add_switch(&properties, "kvm-poll-control", def->kvm_poll_control);
        add_switch(&properties, "kvm-pv-ipi", def->kvm_pv_ipi);

        model = model_name(def);
        if (!model && properties.length == 0) {
                *ret = NULL;
                return 0;
        }
        if (!model)
                model = streq_null(def->arch, "i686") ? "qemu32" : streq_null(def->arch, "x86_64") ? "qemu64" : "max";
        tail = text_finish(&properties);
        text = strf("%s%s", model, tail ?: "");
        if (!text)
                return fault_oom(f);
        *ret = text;
        return 0;
}

/* Names go into QEMU's option text, where a comma would start another option. */
static bool is_plain_name(const char *s) {
        return !is_empty(s) && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+ ") == strlen(s);
}

static int check_known(const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const char *near;

        if (caps_cpu_known(caps, def->cpu_model))
                return 0;
        near = caps_cpu_near(caps, def->cpu_model);
        return domain_fault(def, f, FAULT_NOT_SUPPORTED, "cpu/model", "this QEMU has no model '%s'%s%s%s", def->cpu_model,
                         near ? ", did you mean '" : "", near ?: "", near ? "'?" : "");
}

static int check_model(const DomainDef *def, const QemuCaps *caps, Fault *f) {
        if (def->cpu_mode == CPU_MODE_CUSTOM) {
                if (!def->cpu_model)
                        return domain_fault(def, f, FAULT_INVALID_DEFINITION, "cpu", "mode 'custom' needs a <model>");
                if (!is_plain_name(def->cpu_model))
                        return domain_fault(def, f, FAULT_INVALID_DEFINITION, "cpu/model", "'%s' is no CPU model name", def->cpu_model);
                return caps ? check_known(def, caps, f) : 0;
        }
        if (def->cpu_model && def->cpu_mode != CPU_MODE_HOST_MODEL)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "cpu/model", "mode '%s' takes no model",
                                 cpu_mode_to_string((CpuMode) def->cpu_mode));
        if (def->cpu_features.n > 0 && def->cpu_mode == CPU_MODE_NONE)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "cpu/feature", "features need a <model> or a mode");
        return 0;
}

static int check_names(const DomainDef *def, Fault *f) {
        if (def->cpu_vendor_id && (!is_plain_name(def->cpu_vendor_id) || strlen(def->cpu_vendor_id) != 12))
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "cpu/model/@vendor_id", "'%s' is not 12 letters long", def->cpu_vendor_id);
        if (def->hyperv.vendor_id_value && !is_plain_name(def->hyperv.vendor_id_value))
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "features/hyperv/vendor_id", "'%s' holds a letter that is not allowed",
                                 def->hyperv.vendor_id_value);
        for (size_t i = 0; i < def->cpu_features.n; i++) {
                const CpuFeature *feature = (const CpuFeature *) def->cpu_features.items[i];

                if (!is_plain_name(feature->name))
                        return xml_fault(&feature->head, f, FAULT_INVALID_DEFINITION, "'%s' is no CPU feature name", feature->name);
                for (size_t j = 0; j < i; j++)
                        if (streq(((const CpuFeature *) def->cpu_features.items[j])->name, feature->name))
                                return xml_fault(&feature->head, f, FAULT_INVALID_DEFINITION, "the feature '%s' is given twice", feature->name);
        }
        return 0;
}

static int check_cache(const DomainDef *def, Fault *f) {
        bool host = def->cpu_mode == CPU_MODE_HOST_PASSTHROUGH || def->cpu_mode == CPU_MODE_MAXIMUM;

        if (def->cpu_cache == CPU_CACHE_NONE)
                return def->cpu_cache_level == NUMBER_UNSET ? 0 : domain_fault(def, f, FAULT_INVALID_DEFINITION, "cpu/cache", "mode is missing");
        if (def->cpu_cache == CPU_CACHE_PASSTHROUGH && !host)
                return domain_fault(def, f, FAULT_NOT_SUPPORTED, "cpu/cache", "mode 'passthrough' needs a CPU of mode 'host-passthrough' or 'maximum'");
        if (def->cpu_cache == CPU_CACHE_EMULATE && def->cpu_cache_level != 3)
                return domain_fault(def, f, FAULT_NOT_SUPPORTED, "cpu/cache/@level", "QEMU emulates the cache of level 3 only");
        if (def->cpu_cache != CPU_CACHE_EMULATE && def->cpu_cache_level != NUMBER_UNSET)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "cpu/cache/@level", "it belongs to mode 'emulate'");
        return 0;
}

static int check_address(const DomainDef *def, Fault *f) {
        if (def->cpu_address != CPU_ADDRESS_EMULATE && def->cpu_address_bits != NUMBER_UNSET)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "cpu/maxphysaddr/@bits", "they belong to mode 'emulate'");
        if (def->cpu_address != CPU_ADDRESS_PASSTHROUGH && def->cpu_address_limit != NUMBER_UNSET)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "cpu/maxphysaddr/@limit", "it belongs to mode 'passthrough'");
        if (def->cpu_address == CPU_ADDRESS_PASSTHROUGH && def->type != DOMAIN_TYPE_KVM)
                return domain_fault(def, f, FAULT_NOT_SUPPORTED, "cpu/maxphysaddr", "mode 'passthrough' needs a domain of type 'kvm'");
        return 0;
}

int cpu_check(const DomainDef *def, const QemuCaps *caps, Fault *f) {
        int r;

        assert(def);

        if (def->cpu_mode == CPU_MODE_HOST_PASSTHROUGH && def->type != DOMAIN_TYPE_KVM) {
                r = domain_fault(def, f, FAULT_NOT_SUPPORTED, "cpu", "mode 'host-passthrough' needs a domain of type 'kvm'");
                fault_hint(f, "mode='maximum' gives the most an emulated CPU can do");
                return r;
        }
        if (def->cpu_match == CPU_MATCH_MINIMUM)
                return domain_fault(def, f, FAULT_NOT_SUPPORTED, "cpu", "match 'minimum' is not supported, use 'exact' or mode='host-model'");
        r = check_cache(def, f);
        if (r >= 0)
                r = check_address(def, f);
        if (r >= 0)
                r = check_model(def, caps, f);
        return r < 0 ? r : check_names(def, f);
}
