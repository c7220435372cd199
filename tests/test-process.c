/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "fd.h"
#include "file.h"
#include "mem.h"
#include "str.h"
#include "unit.h"
#include "unit-user.h"

/* Real programs, and the names that units get. */

typedef struct Run {
        sd_event *event;
        Child *child;
        char *text;
        unsigned ended;
} Run;

static void on_ended(Child *c, int status, void *userdata) {
        Run *r = userdata;

        assert_ptr_equal(c, r->child);
        r->text = child_end_text(c, status);
        r->ended++;
        sd_event_exit(r->event, 0);
}

/* sd-event wants it so, and daemon_run() does it. */
static void block_child_signal(void) {
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        assert_ok(sigprocmask(SIG_BLOCK, &mask, NULL));
}

static void start(Run *r, const ChildSpec *spec) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        *r = (Run) {};
        block_child_signal();
        assert_ok(sd_event_new(&r->event));
        assert_ok(child_new(r->event, spec, on_ended, r, &r->child, &f));
}

static void finish(Run *r) {
        r->child = child_free(r->child);
        r->event = sd_event_unref(r->event);
        free_and_replace(&r->text, NULL);
}

static void assert_end(char *const *argv, const char *expected) {
        ChildSpec spec = { .argv = argv };
        Run r;

        start(&r, &spec);
        assert_ok(sd_event_loop(r.event));
        assert_int_equal(r.ended, 1);
        assert_string_equal(r.text, expected);
        finish(&r);
}

TEST(ends_are_told) {
        assert_end((char *[]) { (char *) "/bin/sh", (char *) "-c", (char *) "exit 3", NULL }, "exited with status 3");
        assert_end((char *[]) { (char *) "/bin/sh", (char *) "-c", (char *) "kill -9 $$", NULL }, "was killed by signal 9 (Killed)");
        assert_end((char *[]) { (char *) "/nonexistent/program", NULL },
                   "could not be started: can't start /nonexistent/program: executing it: No such file or directory");
}

static unsigned n_started, n_not_started;

static void on_started(Child *c, const Fault *why, void *userdata) {
        Run *r = userdata;

        n_started += !why;
        n_not_started += why && why->error == ENOENT;
        r->child = child_free(c);
        (void) sd_event_exit(r->event, 0);
}

static void await_started(char *const *argv) {
        ChildSpec spec = { .argv = argv, .started = on_started };
        Run r;

        start(&r, &spec);
        assert_ok(sd_event_loop(r.event));
        assert_int_equal(r.ended, 0);
        finish(&r);
}

TEST(starts_are_told) {
        await_started((char *[]) { (char *) "/bin/sleep", (char *) "100", NULL });
        assert_true(n_started == 1 && n_not_started == 0);
        await_started((char *[]) { (char *) "/nonexistent/program", NULL });
        assert_true(n_started == 1 && n_not_started == 1);
        await_started((char *[]) { (char *) "/bin/true", NULL }); /* whichever is heard of first */
        assert_true(n_started == 2);
}

/* The child sees the descriptors it was given, at their numbers, and no others. */
TEST(descriptors) {
        char *argv[] = { (char *) "/bin/sh", (char *) "-c", (char *) "cat <&5; ls /proc/self/fd | tr '\\n' ' '", NULL };
        _cleanup_fd_ int input = memfd_new_sealed("test", "hello ", 6), stray = open("/dev/null", O_RDONLY), file = -1;
        _cleanup_free_ char *text = NULL;
        int out[2];
        size_t length;
        Run r;

        assert_ok(pipe2(out, O_CLOEXEC));
        assert_true(input >= 0 && stray >= 0);
        {
                ChildFd fds[] = { { input, 5 }, { out[1], 1 } };
                ChildSpec spec = { .argv = argv, .fds = fds, .n_fds = ARRAY_SIZE(fds) };

                start(&r, &spec);
        }
        close(out[1]);
        assert_ok(sd_event_loop(r.event));
        file = out[0];
        assert_ok(fd_read_all(file, 4096, &text, &length));
        /* 3 is the folder that ls reads, 5 ours. */
        assert_string_equal(text, "hello 0 1 2 3 5 ");
        finish(&r);
}

static char *const *sleeper(void) {
        static char *argv[] = { (char *) "/bin/sleep", (char *) "100", NULL };

        return argv;
}

TEST(freeing_kills) {
        ChildSpec spec = { .argv = sleeper() };
        siginfo_t info = {};
        pid_t pid;
        Run r;

        start(&r, &spec);
        pid = child_pid(r.child);
        assert_ok(kill(pid, 0));
        r.child = child_free(r.child);
        while (waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) /* the loop leaves no zombie */
                assert_ok(sd_event_run(r.event, 1000));
        assert_int_equal(r.ended, 0);
        assert_int_equal(kill(pid, 0), -1);
        finish(&r);
}

static void on_runs(Child *c, const Fault *why, void *userdata) {
        assert_null(why);
        (void) sd_event_exit(((Run *) userdata)->event, 0);
}

TEST(released_ones_live_on) {
        ChildSpec spec = { .argv = sleeper(), .detach = true, .started = on_runs };
        siginfo_t info = {};
        pid_t pid;
        Run r;

        start(&r, &spec);
        assert_ok(sd_event_loop(r.event));
        pid = child_pid(r.child);
        assert_int_equal(getsid(pid), pid);
        r.child = child_release(r.child);
        r.event = sd_event_unref(r.event);
        assert_ok(kill(pid, SIGKILL));
        assert_ok(waitid(P_PID, (id_t) pid, &info, WEXITED));
        assert_int_equal(info.si_code, CLD_KILLED);
}

TEST(unit_names_are_reversible) {
        static const struct {
                const char *instance, *unit;
        } rows[] = {
                { "web", "virtqemu@web.service" },
                { "my-vm.1", "virtqemu@my-vm.1.service" },
                { "-first", "virtqemu@\\x2dfirst.service" },
                { ".hidden", "virtqemu@\\x2ehidden.service" },
                { "a:b", "virtqemu@a\\x3ab.service" },
                { "a b/c@d", "virtqemu@a\\x20b\\x2fc\\x40d.service" },
                { "back\\slash", "virtqemu@back\\x5cslash.service" },
                { "ü", "virtqemu@\\xc3\\xbc.service" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *unit = NULL, *instance = NULL, *back = NULL;

                assert_ok(unit_name_from_instance("virtqemu", rows[i].instance, ".service", &unit));
                assert_string_equal(unit, rows[i].unit);
                instance = strndup(unit + strlen("virtqemu@"), strlen(unit) - strlen("virtqemu@.service"));
                assert_ok(unit_instance_unescape(instance, &back));
                assert_string_equal(back, rows[i].instance);
        }
}

/* The drop-in's text, or "" for none. */
static void expect_user(const char *folder, const char *unit, const char *expected) {
        _cleanup_free_ char *path = strf("%s/%s.d/10-user.conf", folder, unit), *text = NULL;
        const char *line;

        assert_ok(unit_user_write(folder, unit));
        assert_ok(unit_user_write(folder, unit));
        if (file_read(path, 4096, &text, NULL) < 0)
                text = strdup("");
        line = strstr(text, "User=");
        assert_string_equal(line ?: "", expected);
        unit_user_remove(folder, unit);
        assert_error(file_read(path, 4096, &text, NULL), ENOENT);
}

TEST(every_unit_has_a_user_of_its_own) {
        char folder[] = "/tmp/test-users.XXXXXX";

        assert_non_null(mkdtemp(folder));
        expect_user(folder, "virtqemu@web.service", "");
        expect_user(folder, "virtqemu@A_b-1.service", "");
        expect_user(folder, "virtqemu@twenty-seven-letters-do-fit.service", "");
        expect_user(folder, "virtqemu@twenty-eight-letters-are-too.service", "User=_vm-65b836b428ced9ac\n");
        expect_user(folder, "virtqemu@web.example.com.service", "User=_vm-12915488a6f4595a\n");
        expect_user(folder, "virtqemu@with\\x20space.service", "User=_vm-c956b06e0ac71e73\n");
        assert_int_equal(rmdir(folder), 0);
}

TEST(unit_names_that_cannot_be) {
        char name[256];
        char *unit = NULL;

        memset(name, 'x', sizeof(name));
        name[255] = '\0';
        assert_error(unit_name_from_instance("virtqemu", name, ".service", &unit), ENAMETOOLONG);
        assert_error(unit_name_from_instance("virtqemu", "", ".service", &unit), EINVAL);
        assert_error(unit_instance_unescape("a\\x", &unit), EINVAL);
        assert_error(unit_instance_unescape("a\\x00", &unit), EINVAL);
        assert_error(unit_instance_unescape("a\\y41", &unit), EINVAL);
        assert_null(unit);
}

TEST_MAIN(TEST_ROW(ends_are_told), TEST_ROW(starts_are_told), TEST_ROW(descriptors), TEST_ROW(freeing_kills),
          TEST_ROW(released_ones_live_on), TEST_ROW(unit_names_are_reversible), TEST_ROW(every_unit_has_a_user_of_its_own),
          TEST_ROW(unit_names_that_cannot_be))
