/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "image.h"
#include "image-key.h"
#include "mem.h"
#include "qcow2.h"
#include "str.h"
#include "test.h"

static char dir[] = "/tmp/test-image.XXXXXX";

static char *at(const char *name) {
        static char paths[4][256];
        static unsigned next;
        char *p = paths[next++ % ARRAY_SIZE(paths)];

        snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
        return p;
}

static void shell(const char *fmt, ...) _printf_(1, 2);
static void shell(const char *fmt, ...) {
        _cleanup_free_ char *command = NULL, *full = NULL;
        va_list ap;

        va_start(ap, fmt);
        assert_true(vasprintf(&command, fmt, ap) >= 0);
        va_end(ap);
        assert_non_null(full = strf("cd %s && { %s; } >/dev/null", dir, command));
        if (system(full) != 0)
                fail_msg("failed: %s", command);
}

/* ---- one call ---- */

typedef struct Got {
        unsigned calls;
        ImageResult results[8];
        size_t n;
        FaultKind kind;
        char *text, *hint;
        double ms;              /* from the call to the answer */
        ImageOpen *free_inside;
} Got;

static void on_done(_unused_ ImageOpen *o, ImageResult *results, size_t n, const Fault *fault, void *userdata) {
        Got *g = userdata;

        assert_true(!results == !!fault);
        g->calls++;
        g->n = n;
        for (size_t i = 0; i < n && i < ARRAY_SIZE(g->results); i++)
                g->results[i] = TAKE(results[i], (ImageResult) {});
        if (fault) {
                g->kind = fault->kind;
                assert_ok(free_and_strdup(&g->text, fault_text(fault)));
                assert_ok(free_and_strdup(&g->hint, fault->hint));
        }
        g->free_inside = image_open_free(g->free_inside);
}

static void got_clear(Got *g) {
        for (size_t i = 0; i < ARRAY_SIZE(g->results); i++)
                image_result_clear(&g->results[i]);
        free(g->text);
        free(g->hint);
        *g = (Got) {};
}

/* Workers that were killed are reaped by the loop. */
static void event_drain(sd_event *e) {
        siginfo_t si;

        for (unsigned i = 0; i < 500 && waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0; i++)
                assert_ok(sd_event_run(e, 10000));
        assert_int_equal(waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT), -1);
}

static double now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

static void ask(Got *g, const char *worker, const ImageRequest *requests, size_t n, uint64_t deadline) {
        Fault f = FAULT_INIT;
        ImageOpen *o = NULL;
        sd_event *e;
        double began;

        *g = (Got) {};
        assert_ok(sd_event_new(&e));
        began = now_ms();
        if (image_open(e, worker, requests, n, deadline, on_done, g, &o, &f) < 0)
                fail_msg("%s", fault_text(&f));
        for (unsigned i = 0; i < 5000 && g->calls == 0; i++)
                assert_ok(sd_event_run(e, 100000));
        assert_int_equal(g->calls, 1);
        g->ms = now_ms() - began;
        o = image_open_free(o);
        event_drain(e);
        sd_event_unref(e);
}

static void expect_fault(const ImageRequest *request, FaultKind kind, const char *text, const char *hint) {
        Got g;

        ask(&g, TEST_WORKER, request, 1, 0);
        if (g.kind != kind || !g.text || !strstr(g.text, text))
                fail_msg("%s: got %s \"%s\", wanted \"%s\"", request->path, fault_kind_to_string(g.kind), g.text ?: "success", text);
        if (hint && (!g.hint || !strstr(g.hint, hint)))
                fail_msg("%s: got hint \"%s\", wanted \"%s\"", request->path, g.hint ?: "", hint);
        got_clear(&g);
}

#define REQUEST(p, ...) (&(ImageRequest) { .path = (p), __VA_ARGS__ })

/* ---- tests ---- */

TEST(test_plain) {
        struct stat st;
        Got g;

        shell("truncate -s 5M raw; ln -sf raw link");
        assert_ok(stat(at("raw"), &st));
        ask(&g, TEST_WORKER, REQUEST(at("link"), .want = IMAGE_FD, .writable = true), 1, 0);
        print_message("# one file: %.2f ms\n", g.ms);
        assert_null(g.text);
        assert_int_equal(g.results[0].n_levels, 1);
        assert_int_equal(g.results[0].levels[0].size, 5 << 20);
        assert_int_equal(g.results[0].levels[0].inode, st.st_ino);
        assert_string_equal(g.results[0].levels[0].format, "raw");
        assert_int_equal(fcntl(g.results[0].levels[0].fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
        assert_int_equal(fcntl(g.results[0].levels[0].fd, F_GETFD), FD_CLOEXEC);
        got_clear(&g);
}

TEST(test_chain) {
        Got g;

        shell("mkdir -p base; truncate -s 3M base/b.raw; qemu-img create -f qcow2 -b b.raw -F raw base/m.qcow2;"
              "qemu-img create -f qcow2 -b base/m.qcow2 -F qcow2 top.qcow2 9M");
        ask(&g, TEST_WORKER, REQUEST(at("top.qcow2"), .format = "qcow2", .want = IMAGE_CHAIN, .writable = true), 1, 0);
        if (g.text)
                fail_msg("%s", g.text);
        assert_int_equal(g.results[0].n_levels, 3);
        assert_int_equal(g.results[0].levels[0].size, 9 << 20);
        assert_int_equal(g.results[0].levels[1].size, 3 << 20);
        assert_string_equal(g.results[0].levels[1].format, "qcow2");
        assert_string_equal(g.results[0].levels[2].path, at("base/b.raw"));
        assert_string_equal(g.results[0].levels[2].format, "raw");
        assert_int_equal(fcntl(g.results[0].levels[0].fd, F_GETFL) & O_ACCMODE, O_RDWR);
        assert_int_equal(fcntl(g.results[0].levels[1].fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        got_clear(&g);
        /* The chain is not wanted: its top alone. */
        ask(&g, TEST_WORKER, REQUEST(at("top.qcow2"), .format = "qcow2", .want = IMAGE_FD), 1, 0);
        assert_int_equal(g.results[0].n_levels, 1);
        got_clear(&g);
        /* A raw image that holds a qcow2 stays raw: a guest wrote it. */
        ask(&g, TEST_WORKER, REQUEST(at("top.qcow2"), .want = IMAGE_CHAIN), 1, 0);
        assert_int_equal(g.results[0].n_levels, 1);
        assert_string_equal(g.results[0].levels[0].format, "raw");
        got_clear(&g);
}

/* Formats of others below an image, and by themselves. */
TEST(test_old_formats) {
        static const char *const formats[] = { "vmdk", "qed", "qcow" };

        for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
                Got g;

                shell("qemu-img create -f %s old 5M; qemu-img create -f qcow2 -b old -F %s -u above.qcow2 7M", formats[i], formats[i]);
                ask(&g, TEST_WORKER, REQUEST(at("above.qcow2"), .format = "qcow2", .want = IMAGE_CHAIN), 1, 0);
                if (g.text)
                        fail_msg("%s", g.text);
                assert_int_equal(g.results[0].n_levels, 2);
                assert_string_equal(g.results[0].levels[1].format, formats[i]);
                assert_int_equal(g.results[0].levels[1].size, 5 << 20);
                got_clear(&g);
        }
}

TEST(test_many) {
        ImageRequest requests[300];
        Fault f = FAULT_INIT;
        ImageOpen *o = NULL;
        sd_event *e;
        Got g;

        for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
                requests[i] = (ImageRequest) { .path = "/etc/passwd" };
        ask(&g, TEST_WORKER, requests, IMAGE_REQUESTS_MAX, 0);
        assert_null(g.text);
        assert_int_equal(g.n, IMAGE_REQUESTS_MAX);
        got_clear(&g);
        assert_ok(sd_event_new(&e));
        assert_error(image_open(e, TEST_WORKER, requests, 300, 0, on_done, &g, &o, &f), E2BIG);
        fault_clear(&f);
        requests[0].path = "relative";
        assert_error(image_open(e, TEST_WORKER, requests, 1, 0, on_done, &g, &o, &f), EINVAL);
        fault_clear(&f);
        assert_null(o);
        sd_event_unref(e);
}

TEST(test_chain_faults) {
        shell("qemu-img create -f qcow2 a.qcow2 1M; qemu-img create -f qcow2 -b a.qcow2 -F qcow2 b.qcow2;"
              "qemu-img rebase -u -b b.qcow2 -F qcow2 a.qcow2");
        expect_fault(REQUEST(at("a.qcow2"), .format = "qcow2", .want = IMAGE_CHAIN), FAULT_IMAGE, "comes back to it", NULL);
        shell("truncate -s 1M lie");
        expect_fault(REQUEST(at("lie"), .format = "qcow2", .want = IMAGE_CHAIN), FAULT_IMAGE, "lie: is no qcow2 image", "true format");
        shell("qemu-img create -f qcow2 -b raw2 -F raw nofmt.qcow2 1M -u; qemu-img rebase -u -b '' nofmt.qcow2; touch raw2");
        shell("qemu-img create -f qcow2 -b gone.raw -F raw -u gone.qcow2 1M");
        expect_fault(REQUEST(at("gone.qcow2"), .format = "qcow2", .want = IMAGE_CHAIN), FAULT_IMAGE,
                     "gone.raw: the file does not exist", "check the path");
        shell("qemu-img create -f qcow2 -b nbd://h/x -F raw -u net.qcow2 1M");
        expect_fault(REQUEST(at("net.qcow2"), .format = "qcow2", .want = IMAGE_CHAIN), FAULT_NOT_SUPPORTED, "\"nbd://h/x\" is no file", NULL);
        shell("qemu-img create -f qcow2 -b 'json:{\"driver\":\"file\",\"filename\":\"x\"}' -F raw -u json.qcow2 1M");
        expect_fault(REQUEST(at("json.qcow2"), .format = "qcow2", .want = IMAGE_CHAIN), FAULT_NOT_SUPPORTED, "is no file", NULL);
        shell("qemu-img create -f qcow2 -o data_file=d.raw data.qcow2 1M");
        expect_fault(REQUEST(at("data.qcow2"), .format = "qcow2", .want = IMAGE_FD), FAULT_NOT_SUPPORTED, "data in another file", NULL);
        shell("qemu-img create -f raw b 1M; for f in qed qcow; do qemu-img create -f $f -b b -F raw layer.$f; done;"
              "qemu-img create -f vmdk x.vmdk 1M; qemu-img create -f vmdk -b x.vmdk -F vmdk layer.vmdk;"
              "qemu-img create -f vmdk -o subformat=monolithicFlat flat.vmdk 1M");
        expect_fault(REQUEST(at("flat.vmdk"), .format = "vmdk"), FAULT_IMAGE, "only names the files", "qemu-img convert");
        expect_fault(REQUEST(at("layer.vmdk"), .format = "vmdk"), FAULT_IMAGE, "layer on another one", "qemu-img convert");
        expect_fault(REQUEST(at("layer.qed"), .format = "qed"), FAULT_IMAGE, "layer on another one", "qemu-img convert");
        expect_fault(REQUEST(at("layer.qcow"), .format = "qcow"), FAULT_IMAGE, "layer on another one", "qemu-img convert");
        expect_fault(REQUEST(at("b"), .format = "vmdk"), FAULT_IMAGE, "no vmdk image", "qemu-img convert");
        expect_fault(REQUEST(at("lie"), .format = "qcow3"), FAULT_IMAGE, "\"qcow3\" is no image format", "qcow2");
        shell("truncate -s 1M c0; for i in $(seq 1 70); do f=raw; [ $i -gt 1 ] && f=qcow2;"
              "qemu-img create -q -f qcow2 -b c$((i-1)) -F $f -u c$i 1M; done");
        expect_fault(REQUEST(at("c70"), .format = "qcow2", .want = IMAGE_CHAIN), FAULT_LIMIT, "more than 64 levels", NULL);
}

TEST(test_types) {
        shell("mkfifo fifo");
        expect_fault(REQUEST(at("fifo")), FAULT_IMAGE, "fifo: is a pipe", NULL);
        expect_fault(REQUEST(dir), FAULT_IMAGE, "is a folder", NULL);
        expect_fault(REQUEST("/dev/null"), FAULT_IMAGE, "/dev/null: is a character device", NULL);
        expect_fault(REQUEST(at("missing")), FAULT_IMAGE, "the file does not exist", "create the file");
        expect_fault(REQUEST(at("no/such/img")), FAULT_IMAGE, "/no does not exist", "mount");
        shell("touch plain");
        expect_fault(REQUEST(at("plain/img")), FAULT_IMAGE, "plain can't be used: Not a directory", NULL);
        shell("ln -sf loop1 loop2; ln -sf loop2 loop1");
        expect_fault(REQUEST(at("loop1")), FAULT_IMAGE, "symbolic links", NULL);
}

TEST(test_memfd) {
        char text[64] = "";
        Got g;

        shell("printf kernel > vmlinuz; truncate -s 1025M huge");
        ask(&g, TEST_WORKER, REQUEST(at("vmlinuz"), .want = IMAGE_MEMFD), 1, 0);
        assert_null(g.text);
        assert_int_equal(g.results[0].levels[0].size, 6);
        assert_int_equal(fcntl(g.results[0].levels[0].fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
        assert_int_equal(read(g.results[0].levels[0].fd, text, sizeof(text)), 6);
        assert_string_equal(text, "kernel");
        got_clear(&g);
        expect_fault(REQUEST(at("huge"), .want = IMAGE_MEMFD), FAULT_LIMIT, "larger than 1024 MiB", NULL);
}

TEST(test_nvram) {
        ImageRequest request = { .path = at("vars.fd"), .template_path = at("template.fd"), .want = IMAGE_NVRAM, .writable = true };
        struct stat st;
        Got g;

        expect_fault(&request, FAULT_IMAGE, "template of the firmware variables can't be used", NULL);
        assert_int_equal(access(request.path, F_OK), -1);
        shell("printf secretvars > template.fd");
        for (unsigned i = 0; i < 2; i++) {
                ask(&g, TEST_WORKER, &request, 1, 0);
                if (g.text)
                        fail_msg("%s", g.text);
                assert_int_equal(g.results[0].levels[0].size, 10);
                got_clear(&g);
                assert_ok(stat(request.path, &st));
                assert_int_equal(st.st_mode & 07777, 0600);
        }
        shell("printf x > template.fd");
        ask(&g, TEST_WORKER, &request, 1, 0);
        assert_int_equal(g.results[0].levels[0].size, 10);
        got_clear(&g);
        request.path = at("nodir/vars.fd");
        expect_fault(&request, FAULT_IMAGE, "/nodir does not exist", NULL);
}

/* As nobody: what refuses is named. In a child, because there is no way back. */
TEST(test_refused) {
        int status;
        pid_t pid;

        if (geteuid() != 0)
                skip();
        shell("mkdir -p closed/in; touch closed/in/img root-only; chmod 0700 closed; chmod 0600 root-only; chmod 0755 .");
        pid = fork();
        if (pid == 0) {
                static const struct { const char *name, *text; } rows[] = {
                        { "closed/in/img", "/closed can't be entered by user 65534: Permission denied" },
                        { "root-only", "root-only: can't be opened for reading by user 65534: Permission denied" },
                };
                int bad = 0;

                if (setgid(65534) < 0 || setuid(65534) < 0)
                        _exit(2);
                for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                        Got g;

                        ask(&g, TEST_WORKER, REQUEST(at(rows[i].name)), 1, 0);
                        if (g.kind != FAULT_ACCESS_DENIED || !strstr(g.text, rows[i].text)) {
                                fprintf(stderr, "# %s\n", g.text ?: "success");
                                bad = 1;
                        }
                        got_clear(&g);
                }
                _exit(bad);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

TEST(test_worker_trouble) {
        ImageRequest request = { .path = "/etc/passwd" };
        Got g;

        shell("printf '#!/bin/sh\\nexec sleep 60\\n' > hang; printf '#!/bin/sh\\necho oops >&2; exit 4\\n' > die; chmod +x hang die");
        ask(&g, at("hang"), &request, 1, 50000);
        assert_int_equal(g.kind, FAULT_TIMEOUT);
        assert_string_equal(g.text, "/etc/passwd: the file system did not answer within 1 s");
        got_clear(&g);
        ask(&g, at("die"), &request, 1, 0);
        assert_string_equal(g.text, "/etc/passwd: the program that opens images ended with status 4: oops");
        got_clear(&g);
        ask(&g, at("not-there"), &request, 1, 0);
        assert_non_null(strstr(g.text, "not-there can't be started: No such file"));
        got_clear(&g);
        ask(&g, "/bin/true", &request, 1, 0);
        assert_non_null(strstr(g.text, "ended with status 0"));
        got_clear(&g);
}

TEST(test_cancel) {
        ImageRequest request = { .path = "/etc/passwd" };
        ImageOpen *o;
        sd_event *e;
        Got g = {};

        assert_ok(sd_event_new(&e));
        assert_ok(image_open(e, TEST_WORKER, &request, 1, 0, on_done, &g, &o, NULL));
        o = image_open_free(o);
        event_drain(e);
        assert_int_equal(g.calls, 0);
        assert_ok(image_open(e, TEST_WORKER, &request, 1, 0, on_done, &g, &g.free_inside, NULL));
        while (g.calls == 0)
                assert_ok(sd_event_run(e, 100000));
        assert_null(g.free_inside);
        event_drain(e);
        got_clear(&g);
        sd_event_unref(e);
}

/* Every cut and every flipped byte of a real header: an answer, never a crash. */
TEST(test_qcow2_damage) {
        uint8_t data[4096];
        Qcow2Header h = {};
        const char *problem;
        ssize_t n;
        int fd;

        shell("qemu-img create -f qcow2 -b x/y.raw -F raw -u h.qcow2 1M");
        fd = open(at("h.qcow2"), O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        n = read(fd, data, sizeof(data));
        assert_int_equal(n, sizeof(data));
        fd_close(fd);
        assert_ok(qcow2_parse(data, sizeof(data), &h, &problem));
        assert_string_equal(h.backing, "x/y.raw");
        assert_string_equal(h.backing_format, "raw");
        assert_int_equal(h.size, 1 << 20);
        qcow2_clear(&h);
        for (size_t i = 0; i < 700; i++) {
                uint8_t *copy = malloc(i ?: 1);

                assert_non_null(copy);
                memcpy(copy, data, i);
                if (qcow2_parse(copy, i, &h, &problem) >= 0)
                        qcow2_clear(&h);
                free(copy);
                for (unsigned value = 0; value < 256; value += 51) {
                        uint8_t saved = data[i];

                        data[i] = (uint8_t) value;
                        if (qcow2_parse(data, 700, &h, &problem) >= 0)
                                qcow2_clear(&h);
                        data[i] = saved;
                }
        }
        /* Version 2 without a recorded format. */
        data[7] = 2;
        uint64_t name_at = htobe64(72);
        uint32_t name_size = htobe32(3);
        memcpy(data + 8, &name_at, 8);
        memcpy(data + 16, &name_size, 4);
        memcpy(data + 72, "abc", 3);
        assert_ok(qcow2_parse(data, sizeof(data), &h, &problem));
        assert_string_equal(h.backing, "abc");
        assert_null(h.backing_format);
        qcow2_clear(&h);
        fd = open(at("v2.qcow2"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
        fd_close(fd);
        expect_fault(REQUEST(at("v2.qcow2"), .format = "qcow2", .want = IMAGE_CHAIN), FAULT_IMAGE,
                     "does not record the format of its backing image abc", "qemu-img rebase -u -b abc -F raw");
}

/* --- what images are for all hosts --- */

TEST(test_mount_source) {
        static const char text[] =
                "22 1 0:20 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/x\n"
                "36 22 0:48 / /srv/images rw,relatime shared:9 master:2 - nfs4 server:/export/images rw,vers=4.2\n"
                "37 22 0:49 /sub /srv/more rw - nfs server:/more rw\n"
                "38 22 0:50 / /srv/local rw - ext4 /dev/sda1 rw\n"
                "39 22 0:51 / /srv/odd rw - nfs4x server:/x rw\n"
                "3 22 0:52 / /cut rw - nfs4";
        static const struct {
                uint64_t id;
                const char *source;
        } rows[] = { { 36, "server:/export/images" }, { 37, "server:/more" }, { 38, NULL }, { 39, NULL }, { 22, NULL }, { 3, NULL }, { 6, NULL } };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *source = image_mount_source(text, rows[i].id);

                if (!streq_null(source, rows[i].source))
                        fail_msg("mount %d is of %s", (int) rows[i].id, source ?: "nothing");
        }
        assert_null(image_mount_source("", 1));
}

/* Bytes of the guest's in the layer of an image, which QEMU's own tools have to find good. */
static void expect_layer(const char *name, const char *format, uint64_t size) {
        struct stat st;
        Got g;

        ask(&g, TEST_WORKER, REQUEST(at(name), .format = format, .want = IMAGE_LAYER, .writable = true), 1, 0);
        if (g.text)
                fail_msg("%s", g.text);
        assert_string_equal(g.results[0].levels[0].format, "qcow2");
        assert_int_equal(g.results[0].levels[0].size, size);
        assert_ok(fstat(g.results[0].levels[0].fd, &st));
        assert_int_equal(st.st_nlink, 0);
        shell("cp --sparse=always /proc/%d/fd/%d layer.qcow2; qemu-img check -q layer.qcow2;"
              "qemu-img rebase -q -u -b %s -F %s layer.qcow2; qemu-io -c 'write -P 7 0 64k' layer.qcow2; qemu-img check -q layer.qcow2",
              getpid(), g.results[0].levels[0].fd, name, format);
        got_clear(&g);
}

TEST(test_layer) {
        shell("qemu-img create -q -f qcow2 small.qcow2 10M; qemu-img create -q -f qcow2 large.qcow2 60T; truncate -s 1000100 odd.raw");
        expect_layer("small.qcow2", "qcow2", UINT64_C(10) << 20);
        expect_layer("large.qcow2", "qcow2", UINT64_C(60) << 40);
        expect_layer("odd.raw", "raw", 1000100);
        shell("qemu-img info -f qcow2 layer.qcow2 | grep -F '(1000448 bytes)'");
        expect_fault(REQUEST(at("odd.raw"), .format = "vdi", .want = IMAGE_LAYER), FAULT_NOT_SUPPORTED, "its format vdi takes no layer", NULL);
        expect_fault(REQUEST(at("nothing.raw"), .want = IMAGE_LAYER), FAULT_IMAGE, "does not exist", NULL);
        expect_fault(REQUEST("/proc/self/status", .want = IMAGE_LAYER), FAULT_ACCESS_DENIED, "no file can be made there", NULL);
}

TEST(test_scratch) {
        struct stat st;
        Got g;

        ask(&g, TEST_WORKER, REQUEST(at("."), .want = IMAGE_SCRATCH, .writable = true), 1, 0);
        assert_null(g.text);
        assert_ok(fstat(g.results[0].levels[0].fd, &st));
        assert_int_equal(st.st_nlink, 0);
        assert_int_equal(st.st_mode & 0777, 0666);
        assert_int_equal(fcntl(g.results[0].levels[0].fd, F_GETFL) & O_ACCMODE, O_RDWR);
        got_clear(&g);
        expect_fault(REQUEST("/proc", .want = IMAGE_SCRATCH), FAULT_IMAGE, "/proc: no file can be made there", NULL);
}

/* A file of this host alone has no name for others. */
TEST(test_no_shared_key) {
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;

        assert_ok(image_file_open("/proc/self/exe", false, &file, NULL));
        assert_null(image_shared_key(&file));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_ROW(test_plain),
                TEST_ROW(test_chain),
                TEST_ROW(test_old_formats),
                TEST_ROW(test_many),
                TEST_ROW(test_chain_faults),
                TEST_ROW(test_types),
                TEST_ROW(test_memfd),
                TEST_ROW(test_nvram),
                TEST_ROW(test_layer),
                TEST_ROW(test_scratch),
                TEST_ROW(test_refused),
                TEST_ROW(test_worker_trouble),
                TEST_ROW(test_cancel),
                TEST_ROW(test_qcow2_damage),
                TEST_ROW(test_mount_source),
                TEST_ROW(test_no_shared_key),
        };
        _cleanup_free_ char *clean = NULL;
        sigset_t mask;
        int r;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        if (!mkdtemp(dir))
                return EXIT_FAILURE;
        cmocka_set_message_output(CM_OUTPUT_TAP);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        clean = strf("rm -rf %s", dir);
        return clean && system(clean) == 0 ? r : EXIT_FAILURE;
}
