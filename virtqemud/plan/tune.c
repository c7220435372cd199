/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tune.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../def/cpu-set.h"
#include "../device/audio.h"
#include "../device/gl.h"
#include "domain.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

#define PERIOD_DEFAULT UINT64_C(100000) /* the kernel's */

void unit_properties_clear(UnitProperties *p) {
        for (size_t i = 0; i < p->n; i++) {
                free(p->items[i].set);
                free(p->items[i].pairs);
        }
        *p = (UnitProperties) {};
}

/* --- rules --- */

static int check_quotas(const DomainDef *def, Fault *f) {
        const struct {
                const CpuQuota *quota;
                const char *prefix;
        } rows[] = {
                { &def->tune.cpu_quota, "global_" }, { &def->tune.vcpu_quota, "" }, { &def->tune.emulator_quota, "emulator_" },
                { &def->tune.iothread_quota, "iothread_" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const CpuQuota *q = rows[i].quota;
                char where[64];

                (void) snprintf(where, sizeof(where), "cputune/%squota", rows[i].prefix);
                if (q->quota != INTEGER_UNSET && q->quota != -1 && q->quota < 1000)
                        return domain_fault(def, f, FAULT_INVALID_DEFINITION, where, "%" PRIi64 " µs are less than the 1000 there have to be", q->quota);
                if (q->period != NUMBER_UNSET && q->quota == INTEGER_UNSET)
                        return domain_fault(def, f, FAULT_INVALID_DEFINITION, where, "it is missing beside the period");
        }
        return 0;
}

static int check_memory(const DomainDef *def, Fault *f) {
        const Tune *t = &def->tune;

        if (t->memory_swap != NUMBER_UNSET && t->memory_hard == NUMBER_UNSET)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "memtune/swap_hard_limit", "it is memory and swap together, and needs a hard_limit");
        if (t->memory_swap != NUMBER_UNSET && t->memory_swap < t->memory_hard)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "memtune/swap_hard_limit", "it is less than the hard_limit, which is a part of it");
        if (t->memory_hard != NUMBER_UNSET && t->memory_hard < def->memory)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "memtune/hard_limit", "%" PRIu64 " KiB are less than the guest's %" PRIu64 " KiB alone",
                                    t->memory_hard / 1024, def->memory / 1024);
        return 0;
}

static int check_devices(const DomainDef *def, Fault *f) {
        RECORD_FOREACH(IoDevice, d, def->tune.io_devices) {
                if (d->path[0] != '/')
                        return xml_fault_below(&d->head, "path", f, FAULT_INVALID_DEFINITION, "'%.128s' is not an absolute path", d->path);
                RECORD_FOREACH(IoDevice, other, def->tune.io_devices) {
                        if (other == d)
                                break;
                        if (streq(other->path, d->path))
                                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "%s has its limits already in line %u", d->path, other->head.line);
                }
        }
        return 0;
}

static int check_list(const Record *r, const char *path, const char *text, Fault *f) {
        _cleanup_free_ uint8_t *set = NULL;
        size_t n;
        int k = text ? cpu_set_read(text, &set, &n) : 0;

        if (k == -ENOMEM)
                return fault_oom(f);
        return k < 0 ? xml_fault_below(r, path, f, FAULT_INVALID_DEFINITION, "'%s' is no list of CPUs such as 0-3,^2,8", text) : 0;
}

static int check_pins(const DomainDef *def, Fault *f) {
        int r = check_list(&def->head, "cputune/emulatorpin/@cpuset", def->tune.emulator_pin, f);

        RECORD_FOREACH(CpuPin, p, def->tune.vcpu_pins) {
                if (r >= 0 && p->thread >= def->vcpus)
                        r = xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "there is no CPU %" PRIu64, p->thread);
                if (r >= 0)
                        r = check_list(&p->head, "@cpuset", p->cpus, f);
        }
        RECORD_FOREACH(CpuPin, p, def->tune.iothread_pins) {
                if (r >= 0 && !domain_has_iothread(def, p->thread))
                        r = xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "there is no iothread %" PRIu64, p->thread);
                if (r >= 0)
                        r = check_list(&p->head, "@cpuset", p->cpus, f);
        }
        return r;
}

/* Only real-time schedulers have priorities. */
static int check_scheduler(const CpuScheduler *s, Fault *f) {
        bool real_time = s->scheduler >= 3;

        if (real_time == (s->priority == NUMBER_UNSET))
                return xml_fault(&s->head, f, FAULT_INVALID_DEFINITION,
                                 real_time ? "scheduler '%s' needs a priority, 1 to 99" : "scheduler '%s' has no priority",
                                 enum_to_word(&scheduler_table, s->scheduler));
        return check_list(&s->head, s->head.type == &vcpu_scheduler_record ? "@vcpus" : "@iothreads", s->threads, f);
}

static int check_schedulers(const DomainDef *def, Fault *f) {
        int r = def->tune.emulator_scheduler ? check_scheduler(def->tune.emulator_scheduler, f) : 0;

        RECORD_FOREACH(CpuScheduler, s, def->tune.vcpu_schedulers)
                r = r < 0 ? r : check_scheduler(s, f);
        RECORD_FOREACH(CpuScheduler, s, def->tune.iothread_schedulers)
                r = r < 0 ? r : check_scheduler(s, f);
        return r;
}

int tune_check(const DomainDef *def, Fault *f) {
        int r = check_quotas(def, f);

        if (r >= 0)
                r = check_memory(def, f);
        if (r >= 0)
                r = check_devices(def, f);
        if (r >= 0)
                r = check_pins(def, f);
        if (r >= 0)
                r = check_schedulers(def, f);
        return r < 0 ? r : check_list(&def->head, "vcpu/@cpuset", def->vcpu_cpuset, f);
}

/* --- properties --- */

static void add(UnitProperties *p, bool reset, const char *name, uint64_t value, uint64_t otherwise) {
        p->items[p->n++] = (UnitProperty) { .name = name, .value = reset ? otherwise : value };
}

static void add_quota(UnitProperties *p, bool reset, const Tune *t) {
        uint64_t period = t->cpu_quota.period == NUMBER_UNSET ? PERIOD_DEFAULT : t->cpu_quota.period;

        if (t->cpu_quota.quota == INTEGER_UNSET || t->cpu_quota.quota < 0)
                return;
        add(p, reset, "CPUQuotaPerSecUSec", (uint64_t) t->cpu_quota.quota * 1000000 / period, UINT64_MAX);
        add(p, reset, "CPUQuotaPeriodUSec", period, UINT64_MAX);
}

/* Systemd forgets what was said of one kind when it is told of none. */
static int add_devices(UnitProperties *p, bool reset, const Tune *t) {
        static const struct {
                const char *name;
                size_t offset;
        } kinds[] = {
                { "IODeviceWeight", offsetof(IoDevice, weight) }, { "IOReadBandwidthMax", offsetof(IoDevice, read_bytes) },
                { "IOWriteBandwidthMax", offsetof(IoDevice, write_bytes) }, { "IOReadIOPSMax", offsetof(IoDevice, read_iops) },
                { "IOWriteIOPSMax", offsetof(IoDevice, write_iops) },
        };

        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
                UnitProperty item = { .name = kinds[k].name, .is_pairs = true, .pairs = new0(struct UnitPair, t->io_devices.n + 1) };

                if (!item.pairs)
                        return -ENOMEM;
                RECORD_FOREACH(IoDevice, d, t->io_devices) {
                        uint64_t value = *(const uint64_t *) ((const char *) d + kinds[k].offset);

                        if (value != NUMBER_UNSET)
                                item.pairs[item.n_pairs++] = (struct UnitPair) { d->path, value };
                }
                if (item.n_pairs == 0)
                        free(item.pairs);
                else {
                        item.n_pairs = reset ? 0 : item.n_pairs;
                        p->items[p->n++] = item;
                }
        }
        return 0;
}

static int add_set(UnitProperties *p, bool reset, const char *name, const char *numbers) {
        UnitProperty item = { .name = name };
        int r = reset ? 0 : cpu_set_read(numbers, &item.set, &item.n_set);

        if (r < 0)
                return r;
        if (!item.set)
                item.set = new0(uint8_t, 1);
        if (!item.set)
                return -ENOMEM;
        p->items[p->n++] = item;
        return 0;
}

int tune_properties(const DomainDef *def, bool reset, UnitProperties *ret) {
        const Tune *t = &def->tune;
        UnitProperties p = {};
        int r;

        if (t->cpu_weight != NUMBER_UNSET)
                add(&p, reset, "CPUWeight", t->cpu_weight, UINT64_MAX);
        add_quota(&p, reset, t);
        if (t->memory_hard != NUMBER_UNSET)
                add(&p, reset, "MemoryMax", t->memory_hard, UINT64_MAX);
        if (t->memory_soft != NUMBER_UNSET)
                add(&p, reset, "MemoryHigh", t->memory_soft, UINT64_MAX);
        if (t->memory_swap != NUMBER_UNSET)
                add(&p, reset, "MemorySwapMax", t->memory_swap - t->memory_hard, UINT64_MAX);
        if (t->io_weight != NUMBER_UNSET)
                add(&p, reset, "IOWeight", t->io_weight, UINT64_MAX);
        r = add_devices(&p, reset, t);
        if (r >= 0 && def->vcpu_cpuset)
                r = add_set(&p, reset, "AllowedCPUs", def->vcpu_cpuset);
        if (r >= 0 && def->numa.mode == NUMA_RESTRICTIVE && def->numa.nodes)
                r = add_set(&p, reset, "AllowedMemoryNodes", def->numa.nodes);
        if (r < 0) {
                unit_properties_clear(&p);
                return r;
        }
        *ret = p;
        return 0;
}

static void add_device(UnitProperties *p, const char *device) {
        p->items[p->n++] = (UnitProperty) { .name = "DeviceAllow", .is_device = true, .device = device };
}

void tune_devices(const DomainDef *def, bool reset, UnitProperties *p) {
        const char *graphics = gl_device(def), *sound[AUDIO_DEVICES_MAX];
        size_t n_sound = audio_devices(def, sound);

        assert(p);

        if (!graphics && n_sound == 0)
                return;
        if (reset) { /* what virtqemu@.service says is forgotten, too, and said again */
                add_device(p, NULL);
                add_device(p, "/dev/kvm");
                return;
        }
        if (graphics)
                add_device(p, graphics);
        for (size_t i = 0; i < n_sound; i++)
                add_device(p, sound[i]);
}

static UnitProperty *find_property(UnitProperties *p, const char *name) {
        for (size_t i = 0; i < p->n; i++)
                if (streq(p->items[i].name, name))
                        return &p->items[i];
        return NULL;
}

static void move(UnitProperties *to, UnitProperty *item) {
        to->items[to->n++] = *item;
        item->set = NULL;
        item->pairs = NULL;
}

static bool is_same(const UnitProperty *a, const UnitProperty *b) {
        if (a->value != b->value || a->n_set != b->n_set || a->n_pairs != b->n_pairs || (a->n_set > 0 && memcmp(a->set, b->set, a->n_set) != 0))
                return false;
        for (size_t i = 0; i < a->n_pairs; i++)
                if (!streq(a->pairs[i].path, b->pairs[i].path) || a->pairs[i].value != b->pairs[i].value)
                        return false;
        return true;
}

/* What is said of single devices adds to what was said before, so that is forgotten first. */
int tune_change(const DomainDef *before, const DomainDef *after, UnitProperties *ret) {
        _cleanup_unit_properties_ UnitProperties old = {}, reset = {}, new = {};
        UnitProperties p = {};
        int r = tune_properties(before, false, &old);

        if (r >= 0)
                r = tune_properties(before, true, &reset);
        if (r >= 0)
                r = tune_properties(after, false, &new);
        if (r < 0)
                return r;
        for (size_t i = 0; i < old.n; i++) {
                UnitProperty *now = find_property(&new, old.items[i].name);

                if (!now || (now->is_pairs && !is_same(now, &old.items[i])))
                        move(&p, &reset.items[i]);
        }
        for (size_t i = 0; i < new.n; i++) {
                const UnitProperty *was = find_property(&old, new.items[i].name);

                if (!was || !is_same(was, &new.items[i]))
                        move(&p, &new.items[i]);
        }
        *ret = p;
        return 0;
}

/* Without what is taken out of a list by "^". */
static int add_pin(Text *t, const char *thread, const char *cpus) {
        _cleanup_free_ uint8_t *set = NULL;
        const char *comma = "";
        size_t n;
        int r = cpu_set_read(cpus, &set, &n);

        if (r < 0)
                return r;
        text_addf(t, "%s%s=", t->length > 0 ? ";" : "", thread);
        for (size_t i = 0; i < n * 8; i++)
                if (set[i / 8] & (1u << i % 8)) {
                        text_addf(t, "%s%zu", comma, i);
                        comma = ",";
                }
        return 0;
}

int tune_pins(const DomainDef *def, char **ret) {
        _cleanup_text_ Text t = TEXT_INIT;
        int r = 0;

        assert(def && ret);

        RECORD_FOREACH(CpuPin, p, def->tune.vcpu_pins) {
                _cleanup_free_ char *name = strf("CPU %" PRIu64 "/", p->thread);

                r = !name ? -ENOMEM : r < 0 ? r : add_pin(&t, name, p->cpus);
        }
        RECORD_FOREACH(CpuPin, p, def->tune.iothread_pins) {
                _cleanup_free_ char *name = strf("IO iothread%" PRIu64, p->thread);

                r = !name ? -ENOMEM : r < 0 ? r : add_pin(&t, name, p->cpus);
        }
        if (r >= 0 && def->tune.emulator_pin)
                r = add_pin(&t, "", def->tune.emulator_pin);
        if (r < 0)
                return r;
        *ret = t.length > 0 ? text_finish(&t) : NULL;
        return 0;
}

static int add_schedulers(Text *t, const RecordList *list, const char *prefix, const char *suffix) {
        RECORD_FOREACH(CpuScheduler, s, *list) {
                _cleanup_free_ uint8_t *set = NULL;
                size_t n;
                int r = cpu_set_read(s->threads, &set, &n);

                if (r < 0)
                        return r;
                for (size_t i = 0; i < n * 8; i++)
                        if (set[i / 8] & (1u << i % 8))
                                text_addf(t, "%s%s%zu%s=%s:%" PRIu64, t->length > 0 ? ";" : "", prefix, i, suffix, enum_to_word(&scheduler_table, s->scheduler),
                                          s->priority == NUMBER_UNSET ? 0 : s->priority);
        }
        return 0;
}

int tune_schedulers(const DomainDef *def, char **ret) {
        const CpuScheduler *others = def->tune.emulator_scheduler;
        _cleanup_text_ Text t = TEXT_INIT;
        int r;

        assert(ret);

        r = add_schedulers(&t, &def->tune.vcpu_schedulers, "CPU ", "/");
        if (r >= 0)
                r = add_schedulers(&t, &def->tune.iothread_schedulers, "IO iothread", "");
        if (r < 0)
                return r;
        if (others)
                text_addf(&t, "%s=%s:%" PRIu64, t.length > 0 ? ";" : "", enum_to_word(&scheduler_table, others->scheduler),
                          others->priority == NUMBER_UNSET ? 0 : others->priority);
        *ret = t.length > 0 ? text_finish(&t) : NULL;
        return 0;
}
