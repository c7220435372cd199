/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../virtnetworkd/run/link-removal.h"
#include "../virtnetworkd/run/link.h"

/* Links in a real kernel, in a network namespace of our own. */

#define LOOPBACK 1 /* is never removed, whoever asks */

typedef struct Removal {
        sd_event *event;
        sd_event_source *source;
        unsigned told;
        Fault why;
} Removal;

static void on_removed(const Fault *why, void *userdata) {
        Removal *r = userdata;

        r->source = sd_event_source_unref(r->source);
        r->told++;
        if (why)
                assert_ok(fault_copy(&r->why, why));
        assert_ok(sd_event_exit(r->event, 0));
}

static void remove_beside(int index, const char *name, Fault *why) {
        Removal r = {};

        assert_ok(sd_event_new(&r.event));
        assert_ok(link_remove_beside(r.event, index, name, on_removed, &r, &r.source));
        assert_ok(sd_event_loop(r.event));
        sd_event_unref(r.event);
        assert_int_equal(r.told, 1);
        *why = r.why;
}

TEST(test_removed_beside) {
        const BridgeSpec spec = { .name = "br-short", .alias = "of a test", .mac = { .octets = { 0x52, 0x54, 0, 0, 0, 1 } }, .mtu = NUMBER_UNSET };
        _cleanup_(links_freep) Links *links = NULL;
        _cleanup_fault_ Fault why = FAULT_INIT;
        LinkInfo info;
        int index = 0;

        assert_ok(links_new(&links, NULL));
        assert_ok(links_add_bridge(links, &spec, &index, NULL));
        remove_beside(index, spec.name, &why);
        assert_false(fault_is_set(&why));
        assert_error(links_find(links, spec.name, &info), ENODEV);
        remove_beside(index, spec.name, &why);
        assert_false(fault_is_set(&why));
}

TEST(test_refused_beside) {
        _cleanup_fault_ Fault why = FAULT_INIT;

        remove_beside(LOOPBACK, "lo", &why);
        assert_int_equal(why.kind, FAULT_NETWORK);
        assert_int_equal(why.error, EOPNOTSUPP);
        assert_string_equal(fault_text(&why), "can't remove the link lo: Operation not supported");
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_removed_beside), cmocka_unit_test(test_refused_beside) };
        sigset_t mask;

        if (unshare(CLONE_NEWNET | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) < 0) {
                puts("1..0 # SKIP namespaces are not allowed here");
                return 0;
        }
        /* sd-event wants it so, and daemon_run() does it. */
        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        cmocka_set_message_output(CM_OUTPUT_TAP);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
