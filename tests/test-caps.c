/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "caps-probe.h"
#include "file.h"
#include "mem.h"
#include "str.h"
#include "test.h"

#define QEMU "/usr/bin/qemu-system-x86_64"

static QemuCaps *sample(void) {
        json_auto_t *machines = json_loads("[{\"name\":\"pc-q35-7.2\",\"alias\":\"q35\",\"cpu-max\":288,\"default-ram-id\":\"pc.ram\"},"
                                           "{\"name\":\"pc-i440fx-7.2\",\"alias\":\"pc\",\"is-default\":true,\"cpu-max\":255,"
                                           "\"hotpluggable-cpus\":true,\"deprecated\":true,\"numa-mem-supported\":false}]", 0, NULL);
        json_auto_t *tcg = json_loads("[{\"name\":\"Skylake-Client\",\"unavailable-features\":[\"hle\"],\"deprecated\":false},"
                                      "{\"name\":\"qemu64\",\"unavailable-features\":[],\"migration-safe\":true}]", 0, NULL);
        json_auto_t *kvm = json_loads("[{\"name\":\"Skylake-Client\",\"unavailable-features\":[]}]", 0, NULL);
        json_auto_t *types = json_loads("[{\"name\":\"virtio-blk-pci\"},{\"name\":\"e1000e\"},{\"name\":\"chardev-pty\"}]", 0, NULL);
        QemuCaps *c = caps_new();

        assert_non_null(c);
        c->version = CAPS_VERSION(7, 2, 22);
        c->kvm_present = c->tcg = true;
        assert_non_null(c->target = strdup("x86_64"));
        assert_ok(caps_take_machines(c, machines, NULL));
        assert_ok(caps_take_cpus(c, tcg, false, NULL));
        assert_ok(caps_take_cpus(c, kvm, true, NULL));
        assert_ok(caps_take_names(&c->devices, types, NULL, NULL));
        assert_ok(caps_take_names(&c->chardevs, types, "chardev-", NULL));
        return c;
}

static void check_sample(const QemuCaps *c) {
        assert_true(caps_version_min(c, 7, 2) && !caps_version_min(c, 8, 0));
        assert_true(c->kvm_present && c->tcg && !c->kvm && !c->sandbox);
        assert_string_equal(caps_machine(c, "q35")->name, "pc-q35-7.2");
        assert_string_equal(caps_machine(c, "pc-q35-7.2")->ram_id, "pc.ram");
        assert_string_equal(caps_machine(c, NULL)->alias, "pc");
        assert_int_equal(caps_machine(c, "pc")->cpu_max, 255);
        assert_true(caps_machine(c, "pc")->deprecated && caps_machine(c, "pc")->hotplug_cpus);
        assert_null(caps_machine(c, "q36"));
        assert_string_equal(caps_machine_near(c, "q36"), "q35");
        assert_true(caps_cpu_known(c, "Skylake-Client") && !caps_cpu_known(c, "Skylake"));
        assert_true(caps_cpu(c, "Skylake-Client")->kvm && !caps_cpu(c, "Skylake-Client")->tcg);
        assert_true(caps_cpu(c, "qemu64")->tcg && caps_cpu(c, "qemu64")->migratable);
        assert_true(caps_has_device(c, "virtio-blk-pci") && !caps_has_device(c, "virtio-blk"));
        assert_true(caps_has_chardev(c, "pty") && !caps_has_chardev(c, "chardev-pty") && !caps_has_object(c, "x"));
}

TEST(test_round_trip) {
        QemuCaps *c = sample(), *again;
        json_auto_t *json = caps_to_json(c);

        check_sample(c);
        assert_non_null(json);
        assert_ok(caps_from_json(json, &again, NULL));
        check_sample(again);
        assert_non_null(caps_ref(again));
        again = (caps_free(again), again);
        check_sample(again);
        caps_free(again);
        caps_free(c);
}

TEST(test_broken_json) {
        static const char *const texts[] = {
                "{}", "[]", "{\"target\":\"x\",\"package\":\"\",\"version\":-1,\"flags\":0}",
                "{\"target\":\"x\",\"package\":\"\",\"version\":7,\"flags\":0}",
                "{\"target\":\"x\",\"package\":\"\",\"version\":7,\"flags\":0,\"machines\":[[1]]}",
                "{\"target\":\"x\",\"package\":\"\",\"version\":7,\"flags\":0,\"machines\":[[\"a\",null,null,null,1,0]],\"cpus\":[3]}",
                "{\"target\":\"x\",\"package\":\"\",\"version\":7,\"flags\":0,\"machines\":[],\"cpus\":[],\"devices\":[\"a\",1]}",
        };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                _cleanup_fault_ Fault f = FAULT_INIT;
                json_auto_t *json = json_loads(texts[i], 0, NULL);
                QemuCaps *c = NULL;

                assert_non_null(json);
                assert_error(caps_from_json(json, &c, &f), EBADMSG);
                assert_int_equal(f.kind, FAULT_STORE);
                assert_null(c);
        }
}

/* ---- probes ---- */

typedef struct Seen {
        sd_event *event;
        CapsStore *store;
        unsigned calls, wanted;
        QemuCaps *caps;
        char *text, *hint;
        FaultKind kind;
} Seen;

static void on_caps(_unused_ CapsStore *s, _unused_ const char *binary, QemuCaps *caps, const Fault *fault, void *userdata) {
        Seen *seen = userdata;

        assert_true(!caps == !!fault);
        seen->calls++;
        seen->kind = fault ? fault->kind : FAULT_NONE;
        caps_free(seen->caps);
        seen->caps = caps_ref(caps);
        assert_ok(free_and_strdup(&seen->text, fault ? fault_text(fault) : NULL));
        assert_ok(free_and_strdup(&seen->hint, fault ? fault->hint : NULL));
}

static void seen_start(Seen *s, const char *dir) {
        *s = (Seen) {};
        assert_ok(sd_event_new(&s->event));
        assert_ok(caps_store_new(s->event, dir, &s->store));
}

static void seen_wait(Seen *s, unsigned calls) {
        for (unsigned i = 0; i < 300 && s->calls < calls; i++)
                assert_ok(sd_event_run(s->event, 100000));
        assert_int_equal(s->calls, calls);
}

static void seen_end(Seen *s) {
        siginfo_t si;

        s->store = caps_store_free(s->store);
        caps_free(s->caps);
        free(s->text);
        free(s->hint);
        /* Killed helpers are reaped by the loop. */
        for (unsigned i = 0; i < 500 && waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0; i++)
                assert_ok(sd_event_run(s->event, 10000));
        assert_int_equal(waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT), -1);
        sd_event_unref(s->event);
}

static void temp_dir(char *path) {
        strncpy(path, "/tmp/test-caps.XXXXXX", 32);
        assert_non_null(mkdtemp(path));
}

static void remove_dir(const char *path) {
        _cleanup_free_ char *command = NULL;
        assert_non_null(command = strf("rm -rf '%s'", path));
        assert_int_equal(system(command), 0);
}

static double now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

TEST(test_real_probe) {
        CapsWait *forgotten = NULL;
        char dir[64];
        double began;
        Seen s;

        if (access(QEMU, X_OK) < 0)
                skip();
        temp_dir(dir);
        seen_start(&s, dir);
        assert_null(caps_store_peek(s.store, QEMU));
        /* Three ask, one forgets, one probe answers. */
        began = now_ms();
        assert_ok(caps_store_get(s.store, QEMU, on_caps, &s, NULL));
        assert_ok(caps_store_get(s.store, QEMU, on_caps, &s, &forgotten));
        assert_ok(caps_store_get(s.store, QEMU, on_caps, &s, NULL));
        forgotten = caps_wait_free(forgotten);
        seen_wait(&s, 2);
        if (s.text)
                fail_msg("%s", s.text);
        print_message("# probe: %.1f ms, kvm %d\n", now_ms() - began, s.caps->kvm);
        assert_string_equal(s.caps->target, "x86_64");
        assert_true(s.caps->tcg && caps_version_min(s.caps, 5, 0));
        assert_true(caps_has_device(s.caps, "virtio-blk-pci") && caps_has_object(s.caps, "rng-random"));
        assert_true(caps_has_chardev(s.caps, "pty"));
        assert_non_null(caps_machine(s.caps, "q35"));
        assert_true(caps_cpu_known(s.caps, "Skylake-Client") && caps_cpu(s.caps, "qemu64")->tcg);
        /* Now from memory, at once. */
        assert_ok(caps_store_get(s.store, QEMU, on_caps, &s, NULL));
        assert_int_equal(s.calls, 3);
        seen_end(&s);

        /* A new store: from the file, at once. */
        seen_start(&s, dir);
        began = now_ms();
        assert_ok(caps_store_get(s.store, QEMU, on_caps, &s, NULL));
        print_message("# from the cache file: %.2f ms\n", now_ms() - began);
        assert_int_equal(s.calls, 1);
        assert_non_null(s.caps);
        assert_true(caps_has_device(s.caps, "virtio-blk-pci"));
        seen_end(&s);
        remove_dir(dir);
}

static void write_program(const char *path, const char *text) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
        close(fd);
}

static void expect_fault(const char *binary, FaultKind kind, const char *text, const char *hint) {
        Seen s;

        seen_start(&s, NULL);
        assert_ok(caps_store_get(s.store, binary, on_caps, &s, NULL));
        seen_wait(&s, 1);
        if (s.kind != kind || !strstr(s.text, text))
                fail_msg("%s: got \"%s\", wanted \"%s\"", binary, s.text, text);
        if (hint)
                assert_string_equal(s.hint, hint);
        seen_end(&s);
}

TEST(test_bad_binaries) {
        _cleanup_free_ char *p = NULL;
        char dir[64];

        temp_dir(dir);
        assert_non_null(p = strf("%s/qemu-system-x86_64", dir));
        expect_fault(p, FAULT_NOT_SUPPORTED, "is not installed", "install qemu-system-x86");
        expect_fault(dir, FAULT_NOT_SUPPORTED, "can't be run: Permission denied", NULL);
        expect_fault("qemu", FAULT_INVALID_ARGS, "no absolute path", NULL);
        write_program(p, "#!/bin/sh\necho 'the library is missing' >&2\nexit 3\n");
        expect_fault(p, FAULT_QEMU, "it ended with status 3: the library is missing", NULL);
        write_program(p, "#!/bin/sh\necho garbage >&3\nexec sleep 100\n");
        expect_fault(p, FAULT_QEMU, "broke the monitor protocol", NULL);
        write_program(p, "#!/nonexistent/interpreter\n");
        expect_fault(p, FAULT_QEMU, "can't be started: No such file or directory", NULL);
        write_program(p, "#!/bin/sh\nkill -9 $$\n");
        expect_fault(p, FAULT_QEMU, "killed by signal 9", NULL);
        assert_ok(chmod(p, 0644));
        expect_fault(p, FAULT_NOT_SUPPORTED, "can't be run", NULL);
        remove_dir(dir);
}

/* The store goes while QEMU is being asked: nothing calls back, nothing is left. */
TEST(test_free_while_asking) {
        CapsWait *w = NULL;
        Seen s;

        if (access(QEMU, X_OK) < 0)
                skip();
        seen_start(&s, NULL);
        assert_ok(caps_store_get(s.store, QEMU, on_caps, &s, &w));
        assert_ok(sd_event_run(s.event, 30000));
        s.store = caps_store_free(s.store);
        w = caps_wait_free(w);
        seen_end(&s);
        assert_int_equal(s.calls, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_ROW(test_round_trip),
                TEST_ROW(test_broken_json),
                TEST_ROW(test_real_probe),
                TEST_ROW(test_bad_binaries),
                TEST_ROW(test_free_while_asking),
        };
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        cmocka_set_message_output(CM_OUTPUT_TAP);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
