/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <inttypes.h>
#include <string.h>

#include "../virtstoraged/plan/qemu-img.h"
#include "../virtstoraged/plan/storage.h"
#include "../virtstoraged/worker/image-info.h"
#include "golden.h"
#include "mem.h"
#include "str.h"
#include "xml-write.h"

/* tests/data/pool/NAME/in.xml -> out.xml (completed), plan (mount and commands), or error. */

static void add_commands(Text *t, const char *title, const Commands *c) {
        for (size_t i = 0; i < c->n; i++) {
                _cleanup_free_ char *line = c->items[i].iscsi_login ? strdup("(the login goes into the record)") : strv_join(c->items[i].argv, " ");

                text_addf(t, "%s: %s%s\n", title, line, c->items[i].may_fail ? " (may fail)" : "");
                if (c->items[i].input)
                        text_addf(t, "%s input: %s\n", title, c->items[i].input);
        }
}

typedef int (*PoolCommands)(const PoolDef *def, Commands *c);

static void add_simple(Text *t, const char *title, PoolCommands make, const PoolDef *def) {
        _cleanup_commands_ Commands c = {};

        if (make)
                assert_ok(make(def, &c));
        add_commands(t, title, &c);
}

static void add_build(Text *t, const PoolOps *ops, const PoolDef *def, bool overwrite) {
        _cleanup_commands_ Commands c = {};

        if (ops->build)
                assert_ok(ops->build(def, overwrite, &c));
        add_commands(t, overwrite ? "build, overwriting" : "build", &c);
}

static void add_source(Text *t, const PoolOps *ops, const PoolDef *def) {
        const VolumeInfo v = { .name = (char *) "unit:0:0:3", .path = (char *) "pool/volume" };
        _cleanup_free_ char *source = NULL;

        if (!ops->network_source)
                return;
        assert_ok(ops->network_source(def, &v, &source));
        text_addf(t, "source of a volume:\n%s", source);
}

static char *pool_plan(const PoolDef *def) {
        const PoolOps *ops = pool_ops(def->type);
        MountPlan m = {};
        Text t = TEXT_INIT;

        text_add(&t, "");
        if (ops->mount) {
                assert_ok(ops->mount(def, &m));
                text_addf(&t, "mount: %s type %s options %s\n", m.what, m.type ?: "(any)", m.options ?: "(none)");
                mount_plan_clear(&m);
        }
        add_build(&t, ops, def, false);
        add_build(&t, ops, def, true);
        add_simple(&t, "active?", ops->is_active, def);
        add_simple(&t, "start", ops->start, def);
        add_simple(&t, "list", ops->list, def);
        add_simple(&t, "stop", ops->stop, def);
        add_simple(&t, "delete", ops->destroy, def);
        if (ops->find && (!(ops->needs & ELEMENT_HOST) || def->hosts.n > 0))
                add_simple(&t, "find", ops->find, def);
        add_source(&t, ops, def);
        return text_finish(&t);
}

/* output0, output1: what the programs of `list` have printed -> volumes: what is in the pool, and what would be run to change that. */
static void add_changes(Text *t, const PoolDef *def, const PoolInfo *info) {
        const PoolOps *ops = pool_ops(def->type);
        _cleanup_fault_ Fault f = FAULT_INIT;
        const VolumePlan plans[] = {
                { .name = "sdb2", .capacity = 1 << 30, .allocation = 1 << 30, .format = FORMAT_RAW },
                { .name = "sparse", .capacity = 1 << 30, .format = FORMAT_RAW },
                { .name = "snapshot", .capacity = 1 << 24, .allocation = 1 << 20, .origin = info->n > 0 ? &info->volumes[0] : NULL, .format = FORMAT_RAW },
                { .name = "thin-snapshot", .capacity = 1 << 24, .origin = info->n > 3 ? &info->volumes[3] : NULL, .format = FORMAT_RAW },
        };

        for (size_t i = 0; i < ARRAY_SIZE(plans) && ops->create; i++) {
                _cleanup_commands_ Commands c = {};

                fault_clear(&f);
                if (ops->create(def, info, &plans[i], &c, &f) < 0)
                        text_addf(t, "create %s: %s\n", plans[i].name, fault_text(&f));
                add_commands(t, "create", &c);
        }
        for (size_t i = 0; i < info->n; i++) {
                _cleanup_commands_ Commands copy = {}, remove = {}, grow = {}, shrink = {};

                if (ops->remove)
                        assert_ok(ops->remove(def, &info->volumes[i], &remove));
                if (ops->copy)
                        assert_ok(ops->copy(def, &info->volumes[i], "copied", &copy));
                add_commands(t, "copy", &copy);
                add_commands(t, "remove", &remove);
                if (ops->resize) {
                        assert_ok(ops->resize(def, &info->volumes[i], UINT64_C(1) << 40, &grow, &f));
                        assert_ok(ops->resize(def, &info->volumes[i], 1 << 20, &shrink, &f));
                }
                add_commands(t, "grow", &grow);
                add_commands(t, "shrink", &shrink);
        }
}

static void add_volumes(Text *t, const PoolInfo *info) {
        text_addf(t, "capacity %" PRIu64 " allocation %" PRIu64 " available %" PRIu64 "\n", info->capacity, info->allocation, info->available);
        for (size_t i = 0; i < info->n; i++) {
                _cleanup_free_ char *xml = NULL;

                assert_ok(volume_info_to_xml(&info->volumes[i], &xml));
                text_add(t, xml);
                if (info->volumes[i].problem)
                        text_addf(t, "%s %s\n", info->volumes[i].name, info->volumes[i].problem);
        }
}

static char *parse_outputs(const char *path, const PoolDef *def) {
        size_t n = 0;
        char *outputs[] = { golden_read(path, "output0", &n), golden_read(path, "output1", &n), NULL };
        _cleanup_pool_info_ PoolInfo info = {};
        _cleanup_fault_ Fault f = FAULT_INIT;
        Text t = TEXT_INIT;

        if (!outputs[0])
                return NULL;
        if (pool_ops(def->type)->parse(def, outputs, &info, &f) < 0)
                text_addf(&t, "%s: %s\n", fault_kind_to_string(f.kind), fault_text(&f));
        else {
                add_volumes(&t, &info);
                add_changes(&t, def, &info);
        }
        free(outputs[0]);
        free(outputs[1]);
        return text_finish(&t);
}

static void check_pool_stable(const char *path, const char *text) {
        _cleanup_(pool_def_freep) PoolDef *def = NULL, *copy = NULL;
        _cleanup_free_ char *again = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (pool_parse(text, strlen(text), &def, &f) < 0 || pool_format(def, 0, &again, &f) < 0)
                fail_msg("%s, second time: %s", path, fault_text(&f));
        assert_string_equal(text, again);
        assert_ok(pool_copy(def, &copy));
        assert_true(record_equal(&def->head, &copy->head));
}

static char *error_text(const Fault *f) {
        return strf("%s: %s\n%s%s", fault_kind_to_string(f->kind), fault_text(f), f->hint ?: "", f->hint ? "\n" : "");
}

static void run_pool(const char *path, const char *name, void *userdata) {
        _cleanup_free_ char *in = NULL, *out = NULL, *plan = NULL, *volumes = NULL, *error = NULL;
        _cleanup_(pool_def_freep) PoolDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        size_t n = 0;
        bool same;

        in = golden_read(path, "in.xml", &n);
        if (!in)
                fail_msg("%s has no in.xml", path);
        if (pool_parse(in, n, &def, &f) < 0 || pool_format(def, 0, &out, &f) < 0)
                error = error_text(&f);
        else {
                plan = pool_plan(def);
                volumes = parse_outputs(path, def);
        }
        same = golden_compare(path, "out.xml", out);
        same = golden_compare(path, "plan", plan && *plan ? plan : NULL) && same;
        same = golden_compare(path, "volumes", volumes) && same;
        same = golden_compare(path, "error", error) && same;
        assert_true(same);
        if (out)
                check_pool_stable(path, out);
}

TEST(test_pools) {
        golden_scan(TEST_DATA "/pool", run_pool, NULL);
}

/* tests/data/volume/NAME/in.xml -> out.xml, argv (of qemu-img), or error; in a pool that is a folder. */

static void add_argv(Text *t, char **argv) {
        _cleanup_free_ char *line = strv_join(argv, " ");

        text_addf(t, "%s\n", line);
        strv_free(argv);
}

static char *volume_argv(const VolumeDef *def) {
        const ImageSource from = { "/pool/from", FORMAT_VMDK, NULL }, secret_from = { "/pool/from,2", FORMAT_QCOW2, "/dev/fd/8" };
        const char *secret = def->secrets.n > 0 ? QEMU_IMG_SECRET : NULL;
        Text t = TEXT_INIT;
        char **argv;

        assert_ok(qemu_img_create(def, "/pool/part", PREALLOCATION_OFF, secret, &argv));
        add_argv(&t, argv);
        assert_ok(qemu_img_create(def, "/pool/part", PREALLOCATION_METADATA, secret, &argv));
        add_argv(&t, argv);
        assert_ok(qemu_img_convert(&from, def, "/pool/part", PREALLOCATION_OFF, secret, &argv));
        add_argv(&t, argv);
        assert_ok(qemu_img_convert(&secret_from, def, "/pool/part", PREALLOCATION_OFF, secret, &argv));
        add_argv(&t, argv);
        assert_ok(qemu_img_resize("/pool/it", def->format, 1000, true, secret, &argv));
        add_argv(&t, argv);
        return text_finish(&t);
}

static void run_volume(const char *path, const char *name, void *userdata) {
        _cleanup_free_ char *in = NULL, *out = NULL, *argv = NULL, *error = NULL;
        _cleanup_(volume_def_freep) VolumeDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        size_t n = 0;
        bool same;

        in = golden_read(path, "in.xml", &n);
        if (!in)
                fail_msg("%s has no in.xml", path);
        if (volume_parse(in, n, &def, &f) < 0 || volume_complete(userdata, def, &f) < 0)
                error = error_text(&f);
        else {
                assert_ok(xml_record_to_text(&def->head, XML_WRITE_LIVE, &out));
                argv = volume_argv(def);
        }
        same = golden_compare(path, "out.xml", out);
        same = golden_compare(path, "argv", argv) && same;
        same = golden_compare(path, "error", error) && same;
        assert_true(same);
}

TEST(test_volumes) {
        static const char text[] = "<pool type='dir'><name>p</name><target><path>/pool</path></target></pool>";
        _cleanup_(pool_def_freep) PoolDef *pool = NULL;

        assert_ok(pool_parse(text, sizeof(text) - 1, &pool, NULL));
        golden_scan(TEST_DATA "/volume", run_volume, pool);
}

/* --- what a worker says of a volume comes back as it was --- */

TEST(test_volume_info) {
        VolumeInfo v = {
                .name = strdup("a \"name\""), .path = strdup("/p/a"), .key = strdup("k"), .kind = VOLUME_FILE, .format = FORMAT_QCOW2,
                .capacity = UINT64_MAX - 1, .allocation = 1,
                .physical = INT64_MAX, .backing_path = strdup("/b"), .backing_format = FORMAT_RAW, .has_permissions = true, .mode = 0640,
                .owner = UINT32_MAX, .group = 7, .mtime_usec = 1500000, .dev = UINT64_MAX, .inode = 9, .problem = strdup("is odd"),
        }, back = {};
        json_auto_t *json = volume_info_to_json(&v), *bad = json_pack("{s:s}", "name", "x");
        _cleanup_free_ char *xml = NULL;

        assert_ok(volume_info_from_json(json, &back));
        assert_true(volume_info_equal(&v, &back));
        assert_int_equal(back.mtime_usec, 1500000);
        assert_ok(volume_info_to_xml(&back, &xml));
        assert_non_null(strstr(xml, "<mtime>1.500000</mtime>"));
        volume_info_clear(&back);
        volume_info_clear(&v);
        assert_error(volume_info_from_json(bad, &back), EBADMSG);
        (void) json_array_set_new(json, 4, json_string("nonsense"));
        assert_error(volume_info_from_json(json, &back), EBADMSG);
        (void) json_array_set_new(json, 4, json_null());
        assert_ok(volume_info_from_json(json, &back));
        volume_info_clear(&back);
        (void) json_array_remove(json, 20);
        assert_error(volume_info_from_json(json, &back), EBADMSG);
}

TEST(test_progress) {
        static const struct {
                const char *text;
                int result;
                unsigned value;
        } rows[] = {
                { "", -EAGAIN, 0 }, { "    (0.00/100%)\r", 0, 0 }, { "    (0.00/100%)\r    (12.34/100%)\r", 0, 1234 }, { "    (100.00/100%)\r", 0, 10000 },
                { "    (12.34/100%)\r    (13.", 0, 1234 }, { "(x", -EAGAIN, 0 }, { "(999.99/100%)", -EAGAIN, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                unsigned value = 0;

                assert_int_equal(qemu_img_progress(rows[i].text, &value), rows[i].result);
                assert_int_equal(value, rows[i].value);
        }
}

TEST(test_format_of_name) {
        assert_int_equal(volume_format_of_name("disk"), FORMAT_RAW);
        assert_int_equal(volume_format_of_name("disk.qcow2"), FORMAT_QCOW2);
        assert_int_equal(volume_format_of_name("disk.qcow2.bak"), FORMAT_RAW);
        assert_int_equal(volume_format_of_name("d.vhd"), FORMAT_VPC);
        assert_int_equal(volume_format_of_name("debian.iso"), FORMAT_ISO);
}

TEST_MAIN(TEST_ROW(test_pools), TEST_ROW(test_volumes), TEST_ROW(test_volume_info), TEST_ROW(test_progress), TEST_ROW(test_format_of_name))
