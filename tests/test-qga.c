/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base64.h"
#include "fd.h"
#include "mem.h"
#include "qga.h"
#include "str.h"
#include "test.h"

/* One client, the test being the agent at the other end; what its callbacks saw. */
typedef struct Play {
        sd_event *event;
        Qga *q;
        int peer;
        unsigned answers;
        char *last;                  /* the last answer as JSON, or the fault's text */
        FaultKind kind;
        bool free_on_answer, last_heard;
} Play;

static void on_answered(bool yes, void *userdata) {
        ((Play *) userdata)->last_heard = yes;
}

static void on_reply(json_t *result, const Fault *why, void *userdata) {
        Play *p = userdata;

        assert_true(!result == !!why);
        p->answers++;
        p->kind = why ? why->kind : FAULT_NONE;
        free(p->last);
        p->last = why ? strdup(fault_text(why)) : json_dumps(result, JSON_ENCODE_ANY | JSON_COMPACT);
        if (p->free_on_answer)
                p->q = qga_free(p->q);
}

static void play_open(Play *p) {
        int pair[2];

        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        assert_ok(qga_open_fd(p->q, pair[0]));
        p->peer = pair[1];
}

static void play_start(Play *p) {
        *p = (Play) {};
        assert_ok(sd_event_new(&p->event));
        assert_ok(qga_new(p->event, "web", "/nowhere", on_answered, p, &p->q));
        play_open(p);
}

static void play_end(Play *p) {
        p->q = qga_free(p->q);
        p->peer = fd_close(p->peer);
        sd_event_unref(p->event);
        free(p->last);
}

static void run(Play *p) {
        while (sd_event_run(p->event, 20000) > 0)
                ;
}

static void ask(Play *p, const char *command, uint64_t timeout) {
        assert_ok(qga_send(p->q, command, NULL, timeout, on_reply, p, NULL, NULL));
}

/* What the client has said since, and the number it wants to hear. */
static uint32_t heard(Play *p, const char *command) {
        char text[8192] = "";
        const char *number;

        run(p);
        assert_true(recv(p->peer, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
        assert_int_equal((unsigned char) text[0], 0xff);
        number = strstr(text, "\"id\":");
        if (!number || !strstr(text, command))
                fail_msg("no %s in %s", command, text);
        return (uint32_t) strtoul(number + 5, NULL, 10);
}

static void say(Play *p, const char *text) {
        size_t done = 0, n = strlen(text);

        while (done < n) {
                ssize_t k = send(p->peer, text + done, n - done, MSG_DONTWAIT | MSG_NOSIGNAL);

                done += k > 0 ? (size_t) k : 0;
                run(p);
        }
        run(p);
}

static void answer(Play *p, uint32_t number, const char *text) {
        _cleanup_free_ char *all = strf("\xff{\"return\": %u}\n%s\n", number, text);

        say(p, all);
}

static void expect(Play *p, unsigned answers, FaultKind kind, const char *text) {
        run(p);
        assert_int_equal(p->answers, answers);
        if (p->kind != kind || !strstr(p->last ?: "", text))
                fail_msg("got %s \"%s\", wanted \"%s\"", fault_kind_to_string(p->kind), p->last, text);
}

TEST(test_answers) {
        Play p;

        play_start(&p);
        ask(&p, "guest-ping", 0);
        answer(&p, heard(&p, "guest-ping"), "{\"return\": {}}");
        expect(&p, 1, FAULT_NONE, "{}");
        ask(&p, "guest-one", 0);
        ask(&p, "guest-two", 0);
        answer(&p, heard(&p, "guest-one"), "{\"error\": {\"class\": \"GenericError\", \"desc\": \"because\"}}");
        expect(&p, 2, FAULT_GUEST_AGENT, "the guest agent of web refused guest-one: because");
        answer(&p, heard(&p, "guest-two"), "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"what\"}}");
        expect(&p, 3, FAULT_NOT_SUPPORTED, "does not do guest-two: what");
        assert_true(p.last_heard);
        play_end(&p);
}

/* Late, twice, out of turn: nobody's answer. */
TEST(test_out_of_step) {
        uint32_t number;
        Play p;

        play_start(&p);
        ask(&p, "guest-slow", 30000);
        number = heard(&p, "guest-slow");
        expect(&p, 1, FAULT_TIMEOUT, "did not answer guest-slow in time");
        assert_false(p.last_heard);
        answer(&p, number, "{\"return\": \"late\"}");
        ask(&p, "guest-next", 0);
        number = heard(&p, "guest-next");
        say(&p, "{\"return\": \"late again\"}\ngarbage\n");
        expect(&p, 1, FAULT_TIMEOUT, "");
        answer(&p, number, "{\"return\": \"right\"}");
        say(&p, "{\"return\": \"twice\"}\n");
        expect(&p, 2, FAULT_NONE, "right");
        ask(&p, "guest-last", 0);
        answer(&p, heard(&p, "guest-last") + 1, "{\"return\": \"of another one\"}");
        assert_int_equal(p.answers, 2);
        play_end(&p);
}

TEST(test_garbage) {
        _cleanup_free_ char *deep = malloc(2000), *large = malloc(QGA_ANSWER_MAX + 100);
        Play p;

        play_start(&p);
        ask(&p, "guest-ping", 0);
        answer(&p, heard(&p, "guest-ping"), "no JSON");
        expect(&p, 1, FAULT_GUEST_AGENT, "answered guest-ping with what is no answer");
        memset(deep, '[', 1999);
        deep[1999] = '\0';
        ask(&p, "guest-ping", 0);
        answer(&p, heard(&p, "guest-ping"), deep);
        expect(&p, 2, FAULT_GUEST_AGENT, "what is no answer");
        memset(large, 'x', QGA_ANSWER_MAX + 99);
        large[QGA_ANSWER_MAX + 99] = '\0';
        ask(&p, "guest-ping", 0);
        answer(&p, heard(&p, "guest-ping"), large);
        expect(&p, 3, FAULT_GUEST_AGENT, "more than can be taken");
        ask(&p, "guest-ping", 0);
        answer(&p, heard(&p, "guest-ping"), "{\"return\": 7}");
        expect(&p, 4, FAULT_NONE, "7");
        play_end(&p);
}

/* One that talks without end fills its own channel, and no memory of ours. */
TEST(test_flood) {
        static const char text[65536] = { 'x' };
        size_t sent = 0;
        Play p;

        play_start(&p);
        for (unsigned i = 0; i < 1000; i++) {
                ssize_t n = send(p.peer, text, sizeof(text), MSG_DONTWAIT | MSG_NOSIGNAL);

                sent += n > 0 ? (size_t) n : 0;
                (void) sd_event_run(p.event, 0);
        }
        assert_true(sent < 4 << 20);
        ask(&p, "guest-ping", 0);
        answer(&p, heard(&p, "guest-ping"), "{\"return\": {}}");
        expect(&p, 1, FAULT_NONE, "{}");
        play_end(&p);
}

TEST(test_ends) {
        QgaCall *c;
        Play p;

        play_start(&p);
        ask(&p, "guest-one", 0);
        ask(&p, "guest-two", 0);
        (void) heard(&p, "guest-one");
        p.peer = fd_close(p.peer);
        expect(&p, 2, FAULT_DISCONNECTED, "the guest agent of web has gone");
        assert_false(qga_is_open(p.q));
        assert_error(qga_send(p.q, "guest-ping", NULL, 0, on_reply, &p, NULL, NULL), ENOTCONN);
        play_open(&p);
        assert_ok(qga_send(p.q, "guest-forgotten", NULL, 0, on_reply, &p, &c, NULL));
        ask(&p, "guest-next", 0);
        (void) heard(&p, "guest-forgotten");
        qga_call_free(c);
        answer(&p, heard(&p, "guest-next"), "{\"return\": 1}");
        expect(&p, 3, FAULT_NONE, "1");
        for (unsigned i = 0; i < QGA_CALLS_MAX; i++)
                ask(&p, "guest-many", 0);
        assert_error(qga_send(p.q, "guest-many", NULL, 0, on_reply, &p, NULL, NULL), ENOBUFS);
        p.free_on_answer = true;
        answer(&p, heard(&p, "guest-many"), "{\"return\": 1}");
        assert_null(p.q);
        play_end(&p);
}

TEST(test_base64) {
        static const char *const rows[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "\xff\xfe\xfd", "//79" } };
        static const char *const bad[] = { "Z", "Zg=", "Zg=a", "Z===", "Zg==Zg==", "Z g=", "====" };
        void *bytes = NULL;
        size_t n;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *text = base64_encode(rows[i][0], strlen(rows[i][0]));

                assert_string_equal(text, rows[i][1]);
                assert_ok(base64_decode(text, &bytes, &n));
                assert_int_equal(n, strlen(rows[i][0]));
                assert_memory_equal(bytes, rows[i][0], n + 1);
                free(bytes);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_error(base64_decode(bad[i], &bytes, &n), EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_ROW(test_answers), TEST_ROW(test_out_of_step), TEST_ROW(test_garbage), TEST_ROW(test_flood), TEST_ROW(test_ends), TEST_ROW(test_base64),
        };

        cmocka_set_message_output(CM_OUTPUT_TAP);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
