/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../virtnetworkd/mode/mode.h"
#include "../virtnetworkd/mode/port-forward.h"
#include "../virtnetworkd/plan/network.h"
#include "../virtnetworkd/run/nft.h"
#include "golden.h"
#include "mem.h"
#include "str.h"

/* Rules in a real kernel, in a network namespace of our own: what we send is what nft makes of the same rules as text. */

typedef struct Bed {
        sd_event *event;
        Nft *nft;
        unsigned changes;
} Bed;

static void on_changed(bool ours, void *userdata) {
        ((Bed *) userdata)->changes += ours;
}

static const char *why_not;

static int setup(void **state) {
        Bed *b = new0(Bed, 1);
        _cleanup_fault_ Fault f = FAULT_INIT;

        *state = b;
        if (access("/usr/sbin/nft", X_OK) < 0)
                why_not = "nft is missing: install nftables";
        else if (unshare(CLONE_NEWNET | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) < 0)
                why_not = "namespaces are not allowed here";
        else {
                assert_ok(sd_event_new(&b->event));
                assert_ok(nft_new(b->event, on_changed, b, &b->nft, &f));
        }
        return 0;
}

static int teardown(void **state) {
        Bed *b = *state;

        nft_free(b->nft);
        sd_event_unref(b->event);
        free(b);
        return 0;
}

static char *output(const char *command) {
        FILE *p = popen(command, "r");
        _cleanup_text_ Text t = TEXT_INIT;
        char buffer[4096];
        size_t n;

        assert_non_null(p);
        while ((n = fread(buffer, 1, sizeof(buffer), p)) > 0)
                text_addn(&t, buffer, n);
        assert_int_equal(pclose(p), 0);
        text_add(&t, "");
        return text_finish(&t);
}

static void run_nft(const char *text) {
        FILE *p = popen("/usr/sbin/nft -f -", "w");

        assert_non_null(p);
        assert_int_equal(fwrite(text, 1, strlen(text), p), strlen(text));
        assert_int_equal(pclose(p), 0);
}

static int by_line(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Chains are listed in the order they were made. */
static char *sorted(char *text) {
        char *lines[4096], *save = NULL;
        _cleanup_text_ Text t = TEXT_INIT;
        size_t n = 0;

        for (char *line = strtok_r(text, "\n", &save); line && n < ARRAY_SIZE(lines); line = strtok_r(NULL, "\n", &save))
                lines[n++] = line;
        qsort(lines, n, sizeof(*lines), by_line);
        for (size_t i = 0; i < n; i++)
                text_addf(&t, "%s\n", lines[i]);
        text_add(&t, "");
        return text_finish(&t);
}

#define LIST "/usr/sbin/nft -n list table inet virtbus"

static void run_case(const char *path, const char *name, void *userdata) {
        _cleanup_free_ char *text = NULL, *rules = NULL, *ours = NULL, *theirs = NULL, *a = NULL, *b = NULL;
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        _cleanup_ruleset_ Ruleset s = {};
        _cleanup_fault_ Fault f = FAULT_INIT;
        Bed *bed = userdata;
        size_t n = 0;

        text = golden_read(path, "out.xml", &n);
        if (!text)
                return;
        assert_ok(network_parse(text, n, &def, NULL));
        assert_ok(ruleset_init(&s));
        if (def->port_forwards.n > 0)
                assert_ok(port_forward_spare(def, &s));
        assert_ok(mode_rules(def, NULL, &s));
        for (unsigned i = 0; i < 2; i++)
                if (nft_apply(bed->nft, &s, &f) < 0)
                        fail_msg("%s: %s", name, fault_text(&f));
        ours = output(LIST);
        assert_ok(nft_remove(bed->nft, &f));
        assert_ok(nft_remove(bed->nft, &f));
        rules = ruleset_to_text(&s);
        run_nft(rules);
        theirs = output(LIST);
        a = sorted(ours);
        b = sorted(theirs);
        assert_string_equal(a, b);
}

TEST(test_same_as_nft) {
        if (why_not) {
                print_message("%s\n", why_not);
                skip();
        }
        golden_scan(TEST_DATA "/network", run_case, *state);
}

static void turn(Bed *b) {
        while (sd_event_run(b->event, 100000) > 0)
                ;
}

TEST(test_changes_by_others_are_noticed) {
        _cleanup_ruleset_ Ruleset s = {};
        Bed *b = *state;

        if (why_not)
                skip();
        assert_ok(ruleset_init(&s));
        assert_ok(nft_apply(b->nft, &s, NULL));
        turn(b);
        b->changes = 0;
        assert_ok(nft_apply(b->nft, &s, NULL));
        run_nft("table ip other {\n chain x {\n }\n}\n");
        turn(b);
        assert_int_equal(b->changes, 0);
        run_nft("flush ruleset\n");
        turn(b);
        assert_true(b->changes > 0);
}

/* Half of it is refused: nothing is done. */
TEST(test_all_or_nothing) {
        _cleanup_free_ char *before = NULL, *after = NULL;
        _cleanup_ruleset_ Ruleset s = {};
        _cleanup_fault_ Fault f = FAULT_INIT;
        Bed *b = *state;
        Rule *r;

        if (why_not)
                skip();
        assert_ok(ruleset_init(&s));
        r = ruleset_add(&s, CHAIN_FORWARD, VERDICT_RETURN);
        rule_match_interface(r, MATCH_IIF, "x0");
        assert_ok(nft_apply(b->nft, &s, NULL));
        before = output(LIST);
        r = ruleset_add(&s, CHAIN_FORWARD, VERDICT_JUMP);
        strcpy(r->target, "nowhere");
        assert_error(nft_apply(b->nft, &s, &f), ENOENT);
        assert_int_equal(f.kind, FAULT_FIREWALL);
        after = output(LIST);
        assert_string_equal(before, after);
        assert_ok(nft_remove(b->nft, NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_same_as_nft), cmocka_unit_test(test_changes_by_others_are_noticed), cmocka_unit_test(test_all_or_nothing),
        };

        cmocka_set_message_output(CM_OUTPUT_TAP);
        return cmocka_run_group_tests(tests, setup, teardown);
}
