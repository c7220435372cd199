/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "caps.h"

#include <stdio.h>

#include "mem.h"
#include "str.h"

#define CAPS_LIST_MAX ((size_t) 20000)   /* entries of one list: far above any QEMU, a cap for a broken one */

QemuCaps *caps_new(void) {
        QemuCaps *c = new0(QemuCaps, 1);

        if (c)
                c->n_ref = 1;
        return c;
}

QemuCaps *caps_ref(QemuCaps *c) {
        if (c)
                c->n_ref++;
        return c;
}

static void words_clear(CapsWords *w) {
        for (size_t i = 0; i < w->n; i++)
                free(w->words[i]);
        free(w->words);
        *w = (CapsWords) {};
}

static void machines_clear(QemuCaps *c) {
        for (size_t i = 0; i < c->n_machines; i++) {
                free(c->machines[i].name);
                free(c->machines[i].alias);
                free(c->machines[i].cpu);
                free(c->machines[i].ram_id);
        }
        free(TAKE_PTR(c->machines));
        c->n_machines = 0;
}

static void cpus_clear(QemuCaps *c) {
        for (size_t i = 0; i < c->n_cpus; i++)
                free(c->cpus[i].name);
        free(TAKE_PTR(c->cpus));
        c->n_cpus = 0;
}

QemuCaps *caps_free(QemuCaps *c) {
        if (!c || --c->n_ref > 0)
                return NULL;
        machines_clear(c);
        cpus_clear(c);
        words_clear(&c->devices);
        words_clear(&c->objects);
        words_clear(&c->chardevs);
        free(c->target);
        free(c->package);
        free(c);
        return NULL;
}

/* ---- asking ---- */

static int compare_words(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Machines and CPUs are compared by their first member. */
static_assert(offsetof(CapsMachine, name) == 0 && offsetof(CapsCpu, name) == 0, "sorted by the first member");

static const void *sorted_find(const void *array, size_t n, size_t size, const char *word) {
        return n > 0 && word ? bsearch(&word, array, n, size, compare_words) : NULL;
}

static bool words_have(const CapsWords *w, const char *word) {
        return sorted_find(w->words, w->n, sizeof(char *), word);
}

bool caps_has_device(const QemuCaps *c, const char *type) {
        assert(c);
        return words_have(&c->devices, type);
}

bool caps_has_object(const QemuCaps *c, const char *type) {
        assert(c);
        return words_have(&c->objects, type);
}

bool caps_has_chardev(const QemuCaps *c, const char *backend) {
        assert(c);
        return words_have(&c->chardevs, backend);
}

const CapsMachine *caps_machine(const QemuCaps *c, const char *name) {
        const CapsMachine *m;

        assert(c);

        if (!is_empty(name)) {
                m = sorted_find(c->machines, c->n_machines, sizeof(CapsMachine), name);
                if (m)
                        return m;
        }
        for (size_t i = 0; i < c->n_machines; i++) {
                m = &c->machines[i];
                if (is_empty(name) ? m->is_default : (m->alias && streq(m->alias, name)))
                        return m;
        }
        return NULL;
}

const CapsCpu *caps_cpu(const QemuCaps *c, const char *name) {
        assert(c);
        return sorted_find(c->cpus, c->n_cpus, sizeof(CapsCpu), name);
}

typedef struct Nearest {
        const char *wanted, *best;
        unsigned distance;
} Nearest;

static void nearest_try(Nearest *n, const char *word) {
        unsigned distance = word ? str_distance(n->wanted, word, n->distance) : n->distance;

        if (distance < n->distance) {
                n->distance = distance;
                n->best = word;
        }
}

/* Half of a word may be wrong at most, and never more than three letters. */
static Nearest nearest_start(const char *wanted) {
        return (Nearest) { .wanted = wanted, .distance = (unsigned) MIN(strlen(wanted) / 2 + 1, (size_t) 4) };
}

const char *caps_machine_near(const QemuCaps *c, const char *name) {
        Nearest n = nearest_start(name);

        for (size_t i = 0; i < c->n_machines; i++) {
                nearest_try(&n, c->machines[i].alias);
                nearest_try(&n, c->machines[i].name);
        }
        return n.best;
}

const char *caps_cpu_near(const QemuCaps *c, const char *name) {
        Nearest n = nearest_start(name);

        for (size_t i = 0; i < c->n_cpus; i++)
                nearest_try(&n, c->cpus[i].name);
        return n.best;
}

/* ---- from QMP ---- */

static int bad_answer(Fault *f, const char *what) {
        return fault_set(f, FAULT_QEMU, EBADMSG, "QEMU described its %s in a way that can't be read", what);
}

static const char *member(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

static bool flag(const json_t *object, const char *key) {
        return json_is_true(json_object_get(object, key));
}

static bool list_fits(const json_t *list) {
        return json_is_array(list) && json_array_size(list) <= CAPS_LIST_MAX;
}

static void words_sort(CapsWords *w) {
        if (w->n > 1)
                qsort(w->words, w->n, sizeof(char *), compare_words);
}

static int words_add(CapsWords *w, const char *word) {
        if (!GROW(w->words, w->allocated, w->n + 1))
                return -ENOMEM;
        w->words[w->n] = strdup(word);
        return w->words[w->n++] ? 0 : -ENOMEM;
}

int caps_take_names(CapsWords *set, const json_t *list, const char *prefix, Fault *f) {
        CapsWords found = {};
        const json_t *item;
        size_t i;
        int r = 0;

        assert(set && set->n == 0);

        if (!list_fits(list))
                return bad_answer(f, "types");
        json_array_foreach(list, i, item) {
                const char *name = member(item, "name"), *rest = name && prefix ? str_after(name, prefix) : name;

                if (!name)
                        r = bad_answer(f, "types");
                else if (rest && words_add(&found, rest) < 0)
                        r = fault_oom(f);
                if (r < 0)
                        break;
        }
        if (r < 0) {
                words_clear(&found);
                return r;
        }
        words_sort(&found);
        *set = found;
        return 0;
}

static int machine_fill(CapsMachine *m, const char *name, const char *alias, const char *cpu, const char *ram_id, uint64_t cpu_max) {
        m->cpu_max = (uint32_t) MIN(cpu_max, (uint64_t) UINT32_MAX);
        if (free_and_strdup(&m->name, name) < 0 || free_and_strdup(&m->alias, alias) < 0 ||
            free_and_strdup(&m->cpu, cpu) < 0 || free_and_strdup(&m->ram_id, ram_id) < 0)
                return -ENOMEM;
        return 0;
}

static int machine_take(QemuCaps *c, const json_t *json, Fault *f) {
        CapsMachine *m = &c->machines[c->n_machines];
        json_int_t cpu_max = json_integer_value(json_object_get(json, "cpu-max"));
        const char *name = member(json, "name");

        if (!name)
                return bad_answer(f, "machines");
        c->n_machines++;
        m->is_default = flag(json, "is-default");
        m->deprecated = flag(json, "deprecated");
        m->hotplug_cpus = flag(json, "hotpluggable-cpus");
        m->numa_mem = flag(json, "numa-mem-supported");
        if (machine_fill(m, name, member(json, "alias"), member(json, "default-cpu-type"), member(json, "default-ram-id"),
                         cpu_max > 0 ? (uint64_t) cpu_max : 1) < 0)
                return fault_oom(f);
        return 0;
}

int caps_take_machines(QemuCaps *c, const json_t *list, Fault *f) {
        const json_t *item;
        size_t i;

        assert(c);

        if (!list_fits(list))
                return bad_answer(f, "machines");
        machines_clear(c);
        c->machines = new0(CapsMachine, json_array_size(list));
        if (!c->machines)
                return fault_oom(f);
        json_array_foreach(list, i, item) {
                int r = machine_take(c, item, f);

                if (r < 0) {
                        machines_clear(c);
                        return r;
                }
        }
        if (c->n_machines > 1)
                qsort(c->machines, c->n_machines, sizeof(CapsMachine), compare_words);
        return 0;
}

static bool cpu_is_usable(const json_t *json) {
        const json_t *missing = json_object_get(json, "unavailable-features");

        /* Targets that do not report it run every model they list. */
        return !json_is_array(missing) || json_array_size(missing) == 0;
}

static int cpus_take_all(QemuCaps *c, const json_t *list, Fault *f) {
        const json_t *item;
        size_t i;

        cpus_clear(c);
        c->cpus = new0(CapsCpu, json_array_size(list));
        if (!c->cpus)
                return fault_oom(f);
        json_array_foreach(list, i, item) {
                const char *name = member(item, "name");
                CapsCpu *cpu = &c->cpus[c->n_cpus];

                if (!name)
                        return bad_answer(f, "CPU models");
                *cpu = (CapsCpu) { .name = strdup(name), .deprecated = flag(item, "deprecated"), .migratable = flag(item, "migration-safe") };
                if (!cpu->name)
                        return fault_oom(f);
                c->n_cpus++;
        }
        if (c->n_cpus > 1)
                qsort(c->cpus, c->n_cpus, sizeof(CapsCpu), compare_words);
        return 0;
}

/* The first list brings the models; either list says what is usable under its accelerator. */
int caps_take_cpus(QemuCaps *c, const json_t *list, bool kvm, Fault *f) {
        const json_t *item;
        size_t i;
        int r;

        assert(c);

        if (!list_fits(list))
                return bad_answer(f, "CPU models");
        if (c->n_cpus == 0) {
                r = cpus_take_all(c, list, f);
                if (r < 0) {
                        cpus_clear(c);
                        return r;
                }
        }
        json_array_foreach(list, i, item) {
                CapsCpu *cpu = (CapsCpu *) caps_cpu(c, member(item, "name"));

                if (cpu && kvm)
                        cpu->kvm = cpu_is_usable(item);
                else if (cpu)
                        cpu->tcg = cpu_is_usable(item);
        }
        return 0;
}

/* ---- the cache's form: lists of words, flags as bits, so that reading stays well below a millisecond ---- */

enum { MACHINE_DEFAULT = 1, MACHINE_DEPRECATED = 2, MACHINE_HOTPLUG = 4, MACHINE_NUMA = 8 };
enum { CPU_TCG = 1, CPU_KVM = 2, CPU_DEPRECATED = 4, CPU_MIGRATABLE = 8 };
enum { CAPS_KVM_PRESENT = 1, CAPS_KVM = 2, CAPS_TCG = 4, CAPS_SANDBOX = 8 };

static json_t *words_to_json(const CapsWords *w) {
        json_auto_t *list = json_array();

        for (size_t i = 0; i < w->n; i++)
                if (json_array_append_new(list, json_string(w->words[i])) < 0)
                        return NULL;
        return TAKE_PTR(list);
}

static json_t *machines_to_json(const QemuCaps *c) {
        json_auto_t *list = json_array();

        for (size_t i = 0; i < c->n_machines; i++) {
                const CapsMachine *m = &c->machines[i];
                int bits = (m->is_default ? MACHINE_DEFAULT : 0) | (m->deprecated ? MACHINE_DEPRECATED : 0) |
                           (m->hotplug_cpus ? MACHINE_HOTPLUG : 0) | (m->numa_mem ? MACHINE_NUMA : 0);

                if (json_array_append_new(list, json_pack("[s,s?,s?,s?,I,i]", m->name, m->alias, m->cpu, m->ram_id,
                                                          (json_int_t) m->cpu_max, bits)) < 0)
                        return NULL;
        }
        return TAKE_PTR(list);
}

static json_t *cpus_to_json(const QemuCaps *c) {
        json_auto_t *list = json_array();

        for (size_t i = 0; i < c->n_cpus; i++) {
                const CapsCpu *cpu = &c->cpus[i];
                int bits = (cpu->tcg ? CPU_TCG : 0) | (cpu->kvm ? CPU_KVM : 0) | (cpu->deprecated ? CPU_DEPRECATED : 0) |
                           (cpu->migratable ? CPU_MIGRATABLE : 0);

                if (json_array_append_new(list, json_pack("[s,i]", cpu->name, bits)) < 0)
                        return NULL;
        }
        return TAKE_PTR(list);
}

json_t *caps_to_json(const QemuCaps *c) {
        int bits;

        assert(c);

        bits = (c->kvm_present ? CAPS_KVM_PRESENT : 0) | (c->kvm ? CAPS_KVM : 0) | (c->tcg ? CAPS_TCG : 0) |
               (c->sandbox ? CAPS_SANDBOX : 0);
        return json_pack("{s:s,s:s,s:I,s:i,s:o,s:o,s:o,s:o,s:o}",
                         "target", c->target ?: "", "package", c->package ?: "", "version", (json_int_t) c->version, "flags", bits,
                         "machines", machines_to_json(c), "cpus", cpus_to_json(c), "devices", words_to_json(&c->devices),
                         "objects", words_to_json(&c->objects), "chardevs", words_to_json(&c->chardevs));
}

static int bad_cache(Fault *f, const char *what) {
        return fault_set(f, FAULT_STORE, EBADMSG, "the saved capabilities have no readable %s", what);
}

static int words_from_json(const json_t *json, const char *key, CapsWords *set, Fault *f) {
        const json_t *list = json_object_get(json, key), *item;
        size_t i;

        if (!list_fits(list))
                return bad_cache(f, key);
        json_array_foreach(list, i, item) {
                if (!json_is_string(item))
                        return bad_cache(f, key);
                if (words_add(set, json_string_value(item)) < 0)
                        return fault_oom(f);
        }
        /* Written sorted; a file edited by hand need not be. */
        for (i = 1; i < set->n; i++)
                if (strcmp(set->words[i - 1], set->words[i]) > 0) {
                        words_sort(set);
                        break;
                }
        return 0;
}

static int machines_from_json(QemuCaps *c, const json_t *list, Fault *f) {
        const json_t *item;
        size_t i;

        if (!list_fits(list))
                return bad_cache(f, "machines");
        c->machines = new0(CapsMachine, json_array_size(list));
        if (!c->machines)
                return fault_oom(f);
        json_array_foreach(list, i, item) {
                CapsMachine *m = &c->machines[c->n_machines];
                const char *name = json_string_value(json_array_get(item, 0));
                json_int_t cpu_max = json_integer_value(json_array_get(item, 4)), bits = json_integer_value(json_array_get(item, 5));

                if (!name || cpu_max <= 0)
                        return bad_cache(f, "machines");
                c->n_machines++;
                m->is_default = bits & MACHINE_DEFAULT;
                m->deprecated = bits & MACHINE_DEPRECATED;
                m->hotplug_cpus = bits & MACHINE_HOTPLUG;
                m->numa_mem = bits & MACHINE_NUMA;
                if (machine_fill(m, name, json_string_value(json_array_get(item, 1)), json_string_value(json_array_get(item, 2)),
                                 json_string_value(json_array_get(item, 3)), (uint64_t) cpu_max) < 0)
                        return fault_oom(f);
        }
        if (c->n_machines > 1)
                qsort(c->machines, c->n_machines, sizeof(CapsMachine), compare_words);
        return 0;
}

static int cpus_from_json(QemuCaps *c, const json_t *list, Fault *f) {
        const json_t *item;
        size_t i;

        if (!list_fits(list))
                return bad_cache(f, "CPU models");
        c->cpus = new0(CapsCpu, json_array_size(list));
        if (!c->cpus)
                return fault_oom(f);
        json_array_foreach(list, i, item) {
                const char *name = json_string_value(json_array_get(item, 0));
                json_int_t bits = json_integer_value(json_array_get(item, 1));
                CapsCpu *cpu = &c->cpus[c->n_cpus];

                if (!name)
                        return bad_cache(f, "CPU models");
                *cpu = (CapsCpu) { .name = strdup(name), .tcg = bits & CPU_TCG, .kvm = bits & CPU_KVM,
                                   .deprecated = bits & CPU_DEPRECATED, .migratable = bits & CPU_MIGRATABLE };
                if (!cpu->name)
                        return fault_oom(f);
                c->n_cpus++;
        }
        if (c->n_cpus > 1)
                qsort(c->cpus, c->n_cpus, sizeof(CapsCpu), compare_words);
        return 0;
}

int caps_from_json(const json_t *json, QemuCaps **ret, Fault *f) {
        _cleanup_(caps_freep) QemuCaps *c = caps_new();
        const char *target = member(json, "target"), *package = member(json, "package");
        json_int_t version = json_integer_value(json_object_get(json, "version"));
        json_int_t bits = json_integer_value(json_object_get(json, "flags"));
        int r;

        assert(ret);

        if (!c)
                return fault_oom(f);
        if (!target || !package || version <= 0 || version > UINT32_MAX)
                return bad_cache(f, "version");
        c->version = (uint32_t) version;
        c->kvm_present = bits & CAPS_KVM_PRESENT;
        c->kvm = bits & CAPS_KVM;
        c->tcg = bits & CAPS_TCG;
        c->sandbox = bits & CAPS_SANDBOX;
        if (free_and_strdup(&c->target, target) < 0 || free_and_strdup(&c->package, package) < 0)
                return fault_oom(f);
        if ((r = machines_from_json(c, json_object_get(json, "machines"), f)) < 0 ||
            (r = cpus_from_json(c, json_object_get(json, "cpus"), f)) < 0 ||
            (r = words_from_json(json, "devices", &c->devices, f)) < 0 ||
            (r = words_from_json(json, "objects", &c->objects, f)) < 0 ||
            (r = words_from_json(json, "chardevs", &c->chardevs, f)) < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}
