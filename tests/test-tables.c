/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <glob.h>
#include <string.h>

#include "../virtqemud/device/device.h"
#include "../virtqemud/plan/tuning.h"
#include "../virtqemud/run/state.h"
#include "file.h"
#include "mem.h"
#include "str.h"

/* Rules that every row of the big tables has to keep. A table that breaks one is wrong even if no test reads that row. */

static void check_words(const RecordType *t, const Field *f) {
        if (!f->words || f->words->n < 2)
                fail_msg("<%s> %s has no words", t->element, f->path);
        for (int i = 1; i < f->words->n; i++)
                for (int k = 0; k < i; k++)
                        if (!f->words->words[i] || (f->words->words[k] && streq(f->words->words[i], f->words->words[k])))
                                fail_msg("<%s> %s: word %d is missing or there twice", t->element, f->path, i);
}

static void check_field(const RecordType *t, const Field *f) {
        if (!f->path || !f->type || f->offset < sizeof(Record) || f->offset + f->type->size > t->size)
                fail_msg("<%s> %s does not lie in its struct", t->element, f->path ?: "?");
        if (f->type == &field_enum)
                check_words(t, f);
        if (f->type->shape == SHAPE_SIZE && !f->unit)
                fail_msg("<%s> %s has no default unit", t->element, f->path);
        if (f->type->shape == SHAPE_SCALAR && (!f->type->from_text || !f->type->to_text || !f->type->is_set || !f->type->equal))
                fail_msg("<%s> %s has a type that can't be read or written", t->element, f->path);
        if (f->max != 0 && f->min > f->max)
                fail_msg("<%s> %s has no value between its limits", t->element, f->path);
}

static bool overlap(const Field *a, const Field *b) {
        return a->offset < b->offset + b->type->size && b->offset < a->offset + a->type->size;
}

/* Records may be nested in themselves (backing chains), so the walk notes where it has been. */
static void check_record(const RecordType *t, const RecordType *seen[], size_t *n_seen) {
        for (size_t i = 0; i < *n_seen; i++)
                if (seen[i] == t)
                        return;
        assert_true(*n_seen < 100);
        seen[(*n_seen)++] = t;
        for (size_t i = 0; i < t->n_fields; i++) {
                const Field *f = &t->fields[i];

                check_field(t, f);
                for (size_t k = 0; k < i; k++)
                        if (streq(t->fields[k].path, f->path) || overlap(&t->fields[k], f))
                                fail_msg("<%s>: %s and %s are in each other's way", t->element, t->fields[k].path, f->path);
                if (f->type->shape == SHAPE_RECORD || f->type->shape == SHAPE_LIST)
                        check_record(f->record, seen, n_seen);
        }
}

TEST(records_are_sound) {
        const RecordType *seen[100];
        size_t n = 0;

        check_record(&domain_record, seen, &n);
        for (DeviceKind k = 0; k < _DEVICE_KIND_MAX; k++)
                check_record(device_ops[k]->type, seen, &n);
        assert_true(n > 10);
}

TEST(devices_are_whole) {
        for (DeviceKind k = 0; k < _DEVICE_KIND_MAX; k++) {
                const DeviceOps *ops = device_ops[k];

                assert_non_null(ops);
                assert_int_equal(ops->kind, k);
                assert_string_equal(ops->element, ops->type->element);
                assert_ptr_equal(device_ops_by_element(ops->element), ops);
                if (!ops->args && k != DEVICE_LEASE) /* which virtlockd gives */
                        fail_msg("<%s> is nothing for QEMU", ops->element);
        }
        assert_null(device_ops_by_element("nothing"));
}

/* Every device type is in a golden test that succeeds and in one that is refused. */
TEST(devices_have_golden_tests) {
        glob_t found;

        for (DeviceKind k = 0; k < _DEVICE_KIND_MAX; k++) {
                _cleanup_free_ char *element = strf("<%s", device_ops[k]->element);
                unsigned good = 0, bad = 0;

                assert_int_equal(glob(TEST_DATA "/domain/*/in.xml", 0, NULL, &found), 0);
                for (size_t i = 0; i < found.gl_pathc; i++) {
                        _cleanup_free_ char *text = NULL;
                        size_t length;

                        assert_ok(file_read(found.gl_pathv[i], 1 << 20, &text, &length));
                        if (strstr(text, element))
                                *(strstr(found.gl_pathv[i], "/bad-") ? &bad : &good) += 1;
                }
                globfree(&found);
                if (good == 0 || bad == 0)
                        fail_msg("%s> is in %u golden tests and %u refused ones", element, good, bad);
        }
}

TEST(states_lead_somewhere) {
        for (DomainState s = 0; s < _DOMAIN_STATE_MAX; s++) {
                assert_int_equal(domain_state_from_string(domain_state_to_string(s)), s);
                assert_true(domain_state_may_follow(s, s));
                /* Whatever happens, QEMU may die; and nothing that is off runs without a start or an adoption. */
                assert_true(domain_state_may_follow(s, DOMAIN_SHUTOFF));
                if (domain_state_is_active(s))
                        assert_false(domain_state_may_follow(s, DOMAIN_BROKEN));
                if (s != DOMAIN_SHUTOFF)
                        assert_false(domain_state_may_follow(s, DOMAIN_STARTING) && s != DOMAIN_STARTING);
        }
        assert_false(domain_state_may_follow(DOMAIN_BROKEN, DOMAIN_RUNNING));
        assert_false(domain_state_may_follow(DOMAIN_SHUTDOWN, DOMAIN_PMSUSPENDED));
        for (StateReason r = 0; r < _REASON_MAX; r++)
                assert_int_equal(state_reason_from_string(state_reason_to_string(r)), r);
        assert_int_equal(domain_state_from_string("flying"), -EINVAL);
        assert_int_equal(state_reason_from_string(""), -EINVAL);
}

/* What is told as possible at once has a call that does it: a row of the tuning table, the balloon, or CPUs that are plugged in. */
TEST(verdicts_keep_their_word) {
        static const struct {
                const char *path;
                ChangeVerdict verdict;
        } rows[] = {
                { "currentMemory", CHANGE_NOW }, { "memory", CHANGE_AT_POWER_OFF }, { "vcpu/@current", CHANGE_NOW }, { "vcpu", CHANGE_AT_POWER_OFF },
                { "cputune/shares", CHANGE_NOW }, { "cputune/vcpupin[2]/@cpuset", CHANGE_NOW }, { "cputune/vcpusched[0]/@priority", CHANGE_AT_POWER_OFF },
                { "cputune/emulatorsched/@scheduler", CHANGE_AT_POWER_OFF }, { "memtune/hard_limit", CHANGE_NOW }, { "blkiotune/weight", CHANGE_NOW },
                { "blkiotune/device[0]/weight", CHANGE_AT_POWER_OFF }, { "iothreadids/iothread[0]/@id", CHANGE_NOW },
                { "iothreadids/iothread[0]/@thread_pool_max", CHANGE_AT_POWER_OFF }, { "os/kernel", CHANGE_AT_POWER_OFF },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (domain_verdict(rows[i].path) != rows[i].verdict)
                        fail_msg("%s is told as '%s'", rows[i].path, change_verdict_to_string(domain_verdict(rows[i].path)));
}

TEST_MAIN(TEST_ROW(records_are_sound), TEST_ROW(verdicts_keep_their_word), TEST_ROW(devices_are_whole),
          TEST_ROW(devices_have_golden_tests), TEST_ROW(states_lead_somewhere))
