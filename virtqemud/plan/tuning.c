/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tuning.h"

#include <string.h>

#include "../device/args.h"
#include "domain.h"
#include "iothread.h"
#include "mem.h"
#include "str.h"
#include "tune.h"

#define PERIOD_DEFAULT UINT64_C(100000) /* the kernel's */
#define SECOND UINT64_C(1000000)
#define ALL_CPUS ";=0-1023"             /* of threads that nothing is said about */

void tuning_value_clear(TuningValue *v) {
        free(v->pins);
        *v = (TuningValue) {};
}

/* --- numbers --- */

#define NUMBER(name, member)                                                                            \
        static int set_##name(DomainDef *def, const TuningValue *v, Fault *f) {                         \
                def->member = v->number;                                                                \
                return 0;                                                                               \
        }                                                                                               \
        static int get_##name(const DomainDef *def, TuningValue *ret) {                                 \
                ret->number = def->member;                                                              \
                return 0;                                                                               \
        }

NUMBER(cpu_weight, tune.cpu_weight)
NUMBER(memory_high, tune.memory_soft)
NUMBER(io_weight, tune.io_weight)

static uint64_t period_of(const CpuQuota *q) {
        return q->period == NUMBER_UNSET ? PERIOD_DEFAULT : q->period;
}

static uint64_t quota_per_second(const CpuQuota *q) {
        return q->quota == INTEGER_UNSET || q->quota < 0 ? UINT64_MAX : (uint64_t) q->quota * SECOND / period_of(q);
}

static void set_quota_per_second(CpuQuota *q, uint64_t usec) {
        if (usec == UINT64_MAX)
                *q = (CpuQuota) { NUMBER_UNSET, INTEGER_UNSET };
        else
                q->quota = (int64_t) (usec * (period_of(q) / 1000) / (SECOND / 1000));
}

/* What it gets in a second stays. */
static void set_quota_period(CpuQuota *q, uint64_t usec) {
        uint64_t per_second = quota_per_second(q);

        q->period = usec;
        if (per_second != UINT64_MAX)
                set_quota_per_second(q, per_second);
}

#define QUOTA(member)                                                                                   \
        static int set_##member(DomainDef *def, const TuningValue *v, Fault *f) {                       \
                set_quota_per_second(&def->tune.member, v->number);                                     \
                return 0;                                                                               \
        }                                                                                               \
        static int get_##member(const DomainDef *def, TuningValue *ret) {                               \
                ret->number = quota_per_second(&def->tune.member);                                      \
                return 0;                                                                               \
        }                                                                                               \
        static int set_period_of_##member(DomainDef *def, const TuningValue *v, Fault *f) {             \
                set_quota_period(&def->tune.member, v->number);                                         \
                return 0;                                                                               \
        }                                                                                               \
        static int get_period_of_##member(const DomainDef *def, TuningValue *ret) {                     \
                ret->number = def->tune.member.period;                                                  \
                return 0;                                                                               \
        }

QUOTA(cpu_quota)
QUOTA(vcpu_quota)
QUOTA(emulator_quota)
QUOTA(iothread_quota)

static int get_memory_max(const DomainDef *def, TuningValue *ret) {
        ret->number = def->tune.memory_hard;
        return 0;
}

/* The definition counts memory and swap together. */
static int set_memory_max(DomainDef *def, const TuningValue *v, Fault *f) {
        Tune *t = &def->tune;

        if (t->memory_swap != NUMBER_UNSET)
                t->memory_swap = v->number == UINT64_MAX ? NUMBER_UNSET : t->memory_swap - t->memory_hard + v->number;
        t->memory_hard = v->number;
        return 0;
}

static int get_swap_max(const DomainDef *def, TuningValue *ret) {
        const Tune *t = &def->tune;

        ret->number = t->memory_swap == NUMBER_UNSET ? UINT64_MAX : t->memory_swap - t->memory_hard;
        return 0;
}

static int set_swap_max(DomainDef *def, const TuningValue *v, Fault *f) {
        Tune *t = &def->tune;

        if (v->number != UINT64_MAX && t->memory_hard == NUMBER_UNSET) {
                fault_set(f, FAULT_INVALID_ARGS, EINVAL, "HostMemorySwapMax needs a HostMemoryMax");
                fault_hint(f, "say both, HostMemoryMax first");
                return -EINVAL;
        }
        t->memory_swap = v->number == UINT64_MAX ? NUMBER_UNSET : t->memory_hard + v->number;
        return 0;
}

/* --- lists of processors --- */

#define TEXT(name, member)                                                                              \
        static int set_##name(DomainDef *def, const TuningValue *v, Fault *f) {                         \
                return free_and_strdup(&def->member, *v->text ? v->text : NULL);                        \
        }                                                                                               \
        static int get_##name(const DomainDef *def, TuningValue *ret) {                                 \
                ret->text = def->member ?: "";                                                          \
                return 0;                                                                               \
        }

TEXT(allowed_cpus, vcpu_cpuset)
TEXT(emulator_pin, tune.emulator_pin)

static int set_pins(RecordList *list, const RecordType *type, const TuningValue *v) {
        record_list_clear(list);
        for (size_t i = 0; i < v->n_pins; i++) {
                CpuPin *p = record_new(type);

                if (!p)
                        return -ENOMEM;
                p->thread = v->pins[i].thread;
                p->cpus = strdup(v->pins[i].cpus);
                if (record_list_add(list, p) < 0 || !p->cpus)
                        return -ENOMEM;
        }
        return 0;
}

static int get_pins(const RecordList *list, TuningValue *ret) {
        ret->pins = new0(TuningPin, list->n + 1);
        if (!ret->pins)
                return -ENOMEM;
        RECORD_FOREACH(CpuPin, p, *list)
                ret->pins[ret->n_pins++] = (TuningPin) { p->thread, p->cpus };
        return 0;
}

static int set_vcpu_pins(DomainDef *def, const TuningValue *v, Fault *f) {
        return set_pins(&def->tune.vcpu_pins, &vcpu_pin_record, v);
}

static int get_vcpu_pins(const DomainDef *def, TuningValue *ret) {
        return get_pins(&def->tune.vcpu_pins, ret);
}

static int set_iothread_pins(DomainDef *def, const TuningValue *v, Fault *f) {
        return set_pins(&def->tune.iothread_pins, &iothread_pin_record, v);
}

static int get_iothread_pins(const DomainDef *def, TuningValue *ret) {
        return get_pins(&def->tune.iothread_pins, ret);
}

/* --- threads for disks --- */

static bool is_wanted(const TuningValue *v, uint64_t id) {
        for (size_t i = 0; i < v->n_pins; i++)
                if (v->pins[i].thread == id)
                        return true;
        return false;
}

static int set_iothreads(DomainDef *def, const TuningValue *v, Fault *f) {
        for (size_t i = 0; i < def->iothread_ids.n;)
                if (is_wanted(v, ((const IothreadId *) def->iothread_ids.items[i])->id))
                        i++;
                else
                        record_free(record_list_take(&def->iothread_ids, i));
        for (size_t i = 0; i < v->n_pins; i++) {
                IothreadId *t = domain_has_iothread(def, v->pins[i].thread) ? NULL : record_new(&iothread_record);

                if (domain_has_iothread(def, v->pins[i].thread))
                        continue;
                if (!t)
                        return -ENOMEM;
                t->id = v->pins[i].thread;
                if (t->id == 0 || t->id > UINT32_MAX) {
                        record_free(t);
                        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "iothreads have numbers from 1 on");
                }
                if (record_list_add(&def->iothread_ids, t) < 0)
                        return -ENOMEM;
        }
        def->iothreads = def->iothread_ids.n > 0 ? def->iothread_ids.n : NUMBER_UNSET;
        return 0;
}

static int get_iothreads(const DomainDef *def, TuningValue *ret) {
        ret->pins = new0(TuningPin, def->iothread_ids.n + 1);
        if (!ret->pins)
                return -ENOMEM;
        RECORD_FOREACH(IothreadId, t, def->iothread_ids)
                ret->pins[ret->n_pins++] = (TuningPin) { t->id, NULL };
        return 0;
}

/* --- the table --- */

#define QUOTA_ROWS(what, member)                                                                                        \
        { what "QuotaPerSecUSec", TUNING_NUMBER, set_##member, get_##member, 1000, UINT32_MAX * SECOND },               \
        { what "QuotaPeriodUSec", TUNING_NUMBER, set_period_of_##member, get_period_of_##member, 1000, SECOND }
static const TuningRow rows[] = {
        { "CPUWeight", TUNING_NUMBER, set_cpu_weight, get_cpu_weight, 1, 10000 },
        QUOTA_ROWS("CPU", cpu_quota),
        QUOTA_ROWS("VCPU", vcpu_quota),
        QUOTA_ROWS("Emulator", emulator_quota),
        QUOTA_ROWS("IOThread", iothread_quota),
        { "HostMemoryMax", TUNING_NUMBER, set_memory_max, get_memory_max, 1, INT64_MAX },
        { "HostMemoryHigh", TUNING_NUMBER, set_memory_high, get_memory_high, 1, INT64_MAX },
        { "HostMemorySwapMax", TUNING_NUMBER, set_swap_max, get_swap_max, 0, INT64_MAX },
        { "IOWeight", TUNING_NUMBER, set_io_weight, get_io_weight, 1, 10000 },
        { "AllowedCPUs", TUNING_TEXT, set_allowed_cpus, get_allowed_cpus },
        { "EmulatorPin", TUNING_TEXT, set_emulator_pin, get_emulator_pin },
        { "VCPUPins", TUNING_PINS, set_vcpu_pins, get_vcpu_pins },
        { "IOThreads", TUNING_THREADS, set_iothreads, get_iothreads },
        { "IOThreadPins", TUNING_PINS, set_iothread_pins, get_iothread_pins },
};

const TuningRow *tuning_find(const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (streq(rows[i].name, name))
                        return &rows[i];
        return NULL;
}

const char *tuning_name(size_t i) {
        return i < ARRAY_SIZE(rows) ? rows[i].name : NULL;
}

const char *tuning_signature(TuningType type) {
        static const char *const signatures[] = { [TUNING_NUMBER] = "t", [TUNING_TEXT] = "s", [TUNING_PINS] = "a(us)", [TUNING_THREADS] = "au" };

        return signatures[type];
}

int tuning_set(DomainDef *def, const TuningValue *v, Fault *f) {
        int r;

        assert(def && v && v->row);

        if (v->row->type == TUNING_NUMBER && v->number != UINT64_MAX && (v->number < v->row->min || v->number > v->row->max))
                return fault_set(f, FAULT_INVALID_ARGS, ERANGE, "%s is %" PRIu64 " to %" PRIu64 ", not %" PRIu64, v->row->name, v->row->min, v->row->max,
                                 v->number);
        r = v->row->set(def, v, f);
        return r == -ENOMEM ? fault_oom(f) : r;
}

int tuning_get(const DomainDef *def, const TuningRow *row, TuningValue *ret) {
        assert(def && row && ret);

        *ret = (TuningValue) { .row = row };
        return row->get(def, ret);
}

/* --- how a running domain gets there --- */

#define SWAP(a, b)                                                                                      \
        do {                                                                                            \
                typeof(a) _kept = (a);                                                                  \
                (a) = (b);                                                                              \
                (b) = _kept;                                                                            \
        } while (0)

void tuning_swap(DomainDef *to, DomainDef *from) {
        assert(to && from);

        SWAP(to->tune, from->tune);
        SWAP(to->vcpu_cpuset, from->vcpu_cpuset);
        SWAP(to->iothreads, from->iothreads);
        SWAP(to->iothread_ids, from->iothread_ids);
}

static int remove_iothread(const IothreadId *t, json_t *commands) {
        _cleanup_free_ char *id = strf("iothread%" PRIu64, t->id);

        return args_command_undo(commands, "object-del", json_pack("{s:s*}", "id", id), "object-add", iothread_json(t));
}

static int add_iothread(const IothreadId *t, json_t *commands) {
        _cleanup_free_ char *id = strf("iothread%" PRIu64, t->id);

        return args_command_undo(commands, "object-add", iothread_json(t), "object-del", json_pack("{s:s*}", "id", id));
}

int tuning_commands(const DomainDef *before, const DomainDef *after, json_t *commands) {
        int r = 0;

        RECORD_FOREACH(IothreadId, t, before->iothread_ids)
                if (r >= 0 && !domain_has_iothread(after, t->id))
                        r = remove_iothread(t, commands);
        RECORD_FOREACH(IothreadId, t, after->iothread_ids)
                if (r >= 0 && !domain_has_iothread(before, t->id))
                        r = add_iothread(t, commands);
        return r;
}

int tuning_pins(const DomainDef *before, const DomainDef *after, char **ret) {
        _cleanup_free_ char *old = NULL, *new = NULL;
        int r = tune_pins(before, &old);

        if (r >= 0)
                r = tune_pins(after, &new);
        if (r < 0)
                return r;
        *ret = NULL;
        if (streq_null(old, new) || (!old && !new))
                return 0;
        *ret = !old || after->tune.emulator_pin ? TAKE_PTR(new) : strf("%s%s", new ?: "", new ? ALL_CPUS : &ALL_CPUS[1]);
        return *ret ? 0 : -ENOMEM;
}

static bool begins_with_one(const char *path, const char *const *prefixes, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (str_after(path, prefixes[i]))
                        return true;
        return false;
}

ChangeVerdict domain_verdict(const char *path) {
        static const char *const now[] = { "cputune/", "memtune/", "blkiotune/", "iothreads", "iothreadids/", "vcpu/@cpuset", "vcpu/@current",
                                           "currentMemory" };
        /* There is no row for these: they are set when QEMU starts. */
        static const char *const not[] = { "cputune/vcpusched", "cputune/iothreadsched", "cputune/emulatorsched", "blkiotune/device" };

        assert(path);

        if (begins_with_one(path, not, ARRAY_SIZE(not)) || strstr(path, "/@thread_pool_"))
                return CHANGE_AT_POWER_OFF;
        return begins_with_one(path, now, ARRAY_SIZE(now)) ? CHANGE_NOW : CHANGE_AT_POWER_OFF;
}
