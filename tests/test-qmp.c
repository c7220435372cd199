/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "guest-event.h"
#include "keys.h"
#include "mem.h"
#include "qmp-cmd.h"
#include "str.h"
#include "test.h"

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"x\"}, \"capabilities\": [\"oob\"]}}\r\n"

/* One client, the test being QEMU at the other end; what the callbacks saw. */
typedef struct Play {
        sd_event *event;
        Qmp *q;
        int peer;
        unsigned ready, events, closed, replies;
        char *why, *last_event, *last_fault;
        FaultKind why_kind, last_kind;
        uint64_t event_usec;
        json_t *last_result;
        bool free_on_ready, free_on_event, free_on_closed, free_on_reply, send_on_closed;
        int send_result;
        QmpRequest *drop_on_reply;
} Play;

static void play_free_client(Play *p) {
        p->q = qmp_free(p->q);
}

static void on_ready(_unused_ Qmp *q, void *userdata) {
        Play *p = userdata;

        p->ready++;
        if (p->free_on_ready)
                play_free_client(p);
}

static void on_event(_unused_ Qmp *q, const char *name, _unused_ json_t *data, uint64_t usec, void *userdata) {
        Play *p = userdata;

        p->events++;
        p->event_usec = usec;
        assert_ok(free_and_strdup(&p->last_event, name));
        if (p->free_on_event)
                play_free_client(p);
}

static void on_closed(Qmp *q, const Fault *why, void *userdata) {
        Play *p = userdata;

        p->closed++;
        p->why_kind = why->kind;
        assert_ok(free_and_strdup(&p->why, fault_text(why)));
        if (p->send_on_closed)
                p->send_result = qmp_send(q, "stop", NULL, 0, NULL, NULL, NULL);
        if (p->free_on_closed)
                play_free_client(p);
}

static const QmpWatch watch = { on_ready, on_event, on_closed };

static void on_reply(_unused_ Qmp *q, json_t *result, const Fault *fault, void *userdata) {
        Play *p = userdata;

        assert_true(!result == !!fault);
        p->replies++;
        json_decref(p->last_result);
        p->last_result = json_incref(result);
        p->last_kind = fault ? fault->kind : FAULT_NONE;
        assert_ok(free_and_strdup(&p->last_fault, fault ? fault_text(fault) : NULL));
        p->drop_on_reply = qmp_request_free(p->drop_on_reply);
        if (p->free_on_reply)
                play_free_client(p);
}

static void play_start(Play *p, uint64_t greeting_usec) {
        int pair[2];

        *p = (Play) {};
        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        assert_ok(sd_event_new(&p->event));
        assert_ok(qmp_new(p->event, pair[0], "web", greeting_usec, &watch, p, &p->q));
        p->peer = pair[1];
        assert_ok(fd_set_nonblock(p->peer, true));
}

static void play_end(Play *p) {
        p->q = qmp_free(p->q);
        p->peer = fd_close(p->peer);
        sd_event_unref(p->event);
        json_decref(p->last_result);
        free(p->why);
        free(p->last_event);
        free(p->last_fault);
}

/* Until the loop has nothing more to do for `usec`. */
static void play_run_for(Play *p, uint64_t usec) {
        while (sd_event_run(p->event, usec) > 0)
                ;
}

static void play_run(Play *p) {
        play_run_for(p, 0);
}

static void say(Play *p, const char *text) {
        assert_int_equal(write(p->peer, text, strlen(text)), (ssize_t) strlen(text));
        play_run(p);
}

static char *hear(Play *p) {
        static char text[4096];
        ssize_t n;

        play_run(p);
        n = read(p->peer, text, sizeof(text) - 1);
        text[MAX(n, 0)] = '\0';
        return text;
}

static void play_ready(Play *p) {
        play_start(p, 0);
        say(p, GREETING);
        assert_string_equal(hear(p), "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
        say(p, "{\"return\": {}, \"id\": 1}\r\n");
        assert_int_equal(p->ready, 1);
}

TEST(test_talk) {
        Play p;

        play_ready(&p);
        assert_true(qmp_is_ready(p.q));
        assert_int_equal(qmp_version(p.q), 7002022);
        assert_ok(qmp_send(p.q, "balloon", json_pack("{s:i}", "value", 5), 0, on_reply, &p, NULL));
        assert_string_equal(hear(&p), "{\"execute\":\"balloon\",\"arguments\":{\"value\":5},\"id\":2}\n");
        say(&p, "{\"event\":\"STOP\",\"timestamp\":{\"seconds\":10,\"microseconds\":7}}\r\n{\"return\":{\"a\":1},\"id\":2}\r\n");
        assert_string_equal(p.last_event, "STOP");
        assert_int_equal(p.event_usec, 10000007);
        assert_int_equal(p.replies, 1);
        assert_int_equal(json_integer_value(json_object_get(p.last_result, "a")), 1);

        assert_ok(qmp_send(p.q, "cont", NULL, 0, on_reply, &p, NULL));
        say(&p, "{\"id\":3,\"error\":{\"class\":\"GenericError\",\"desc\":\"not now\"}}\n");
        assert_int_equal(p.last_kind, FAULT_QEMU);
        assert_string_equal(p.last_fault, "web: QEMU refused cont: not now");
        play_end(&p);
}

TEST(test_queue_before_greeting) {
        Play p;

        play_start(&p, 0);
        assert_ok(qmp_send(p.q, "cont", NULL, 0, on_reply, &p, NULL));
        assert_string_equal(hear(&p), "");
        say(&p, GREETING);
        assert_string_equal(hear(&p), "{\"execute\":\"qmp_capabilities\",\"id\":2}\n{\"execute\":\"cont\",\"id\":1}\n");
        say(&p, "{\"return\":{},\"id\":2}\n{\"return\":{},\"id\":1}\n");
        assert_int_equal(p.ready, 1);
        assert_int_equal(p.replies, 1);
        play_end(&p);
}

TEST(test_bytes_one_by_one) {
        static const char text[] = GREETING "\r\n\n{\"return\": {}, \"id\": 1}\r\n{\"event\": \"RESET\"}\r\n";
        Play p;

        play_start(&p, 0);
        for (size_t i = 0; i < sizeof(text) - 1; i++) {
                assert_int_equal(write(p.peer, text + i, 1), 1);
                play_run(&p);
        }
        assert_int_equal(p.ready, 1);
        assert_int_equal(p.events, 1);
        assert_int_equal(p.event_usec, 0);
        play_end(&p);
}

TEST(test_unsolicited) {
        Play p;

        play_ready(&p);
        say(&p, "{\"return\":{},\"id\":77}\n{\"return\":{}}\n{\"return\":{},\"id\":\"x\"}\n{\"return\":{},\"id\":-3}\n"
                "{\"error\":{\"desc\":\"x\"}}\n{\"return\":{},\"id\":1}\n{\"return\":{},\"id\":1e300}\n");
        assert_int_equal(p.closed, 0);
        assert_true(qmp_is_ready(p.q));
        assert_int_equal(p.ready, 1);
        play_end(&p);
}

/* Each of these, said after the handshake with one request open, ends the connection. */
TEST(test_garbage) {
        static const char *const lines[] = {
                "hello\n", "{\"return\":\n", "[]\n", "3\n", "{}\n", "{\"a\":1}\n", GREETING, "{\"return\":{},\"return\":{}}\n",
                "\xff\xfe\n", "{\"event\":\"\xc3\x28\"}\n", "{\"event\":1}\n", "{\"return\":1e999,\"id\":2}\n", "\x01\n",
        };

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                Play p;

                play_ready(&p);
                assert_ok(qmp_send(p.q, "stop", NULL, 0, on_reply, &p, NULL));
                say(&p, lines[i]);
                assert_int_equal(p.closed, 1);
                assert_int_equal(p.why_kind, FAULT_QEMU);
                assert_non_null(strstr(p.why, "web: QEMU broke the monitor protocol"));
                assert_int_equal(p.replies, 1);
                assert_string_equal(p.last_fault, p.why);
                assert_error(qmp_send(p.q, "stop", NULL, 0, NULL, NULL, NULL), ENOTCONN);
                play_end(&p);
        }
}

TEST(test_nul_byte) {
        Play p;

        play_ready(&p);
        assert_int_equal(write(p.peer, "{\"a\":\"\0\"}\n", 10), 10);
        play_run(&p);
        assert_int_equal(p.closed, 1);
        play_end(&p);
}

TEST(test_not_qmp) {
        Play p;

        play_start(&p, 0);
        say(&p, "{\"return\": {}}\n");
        assert_int_equal(p.closed, 1);
        assert_non_null(strstr(p.why, "greeting"));
        play_end(&p);
}

TEST(test_depth) {
        _cleanup_free_ char *line = NULL;
        Play p;

        line = malloc(200000);
        assert_non_null(line);
        memset(line, '[', 199998);
        strncpy(line + 199998, "\n", 2);
        play_ready(&p);
        qmp_feed(p.q, line, 199999);
        assert_int_equal(p.closed, 1);
        assert_non_null(strstr(p.why, "too deep"));
        play_end(&p);

        /* Brackets inside a string are no depth. */
        play_ready(&p);
        say(&p, "{\"event\":\"A\",\"data\":{\"x\":\"\\\"");
        qmp_feed(p.q, line, 5000);
        say(&p, "\"}}\n");
        assert_int_equal(p.closed, 0);
        assert_int_equal(p.events, 1);
        play_end(&p);
}

TEST(test_long_line) {
        _cleanup_free_ char *block = NULL;
        Play p;
        size_t fed = 0;

        block = malloc(1 << 20);
        assert_non_null(block);
        memset(block, ' ', 1 << 20);
        play_ready(&p);
        for (; fed < 100 && qmp_is_open(p.q); fed++)
                qmp_feed(p.q, block, 1 << 20);
        assert_true(fed <= 17);
        assert_int_equal(p.closed, 1);
        assert_non_null(strstr(p.why, "longer than 16 MiB"));
        qmp_feed(p.q, block, 1 << 20);
        play_end(&p);

        /* 15 MiB is fine. */
        play_ready(&p);
        qmp_feed(p.q, "{\"event\":\"B\",\"data\":{", 21);
        for (size_t i = 0; i < 15; i++)
                qmp_feed(p.q, block, 1 << 20);
        qmp_feed(p.q, "}}\n", 3);
        assert_int_equal(p.closed, 0);
        assert_int_equal(p.events, 1);
        play_end(&p);
}

TEST(test_greeting_deadline) {
        Play p;

        play_start(&p, 20000);
        play_run_for(&p, 200000);
        assert_int_equal(p.closed, 1);
        assert_int_equal(p.why_kind, FAULT_TIMEOUT);
        assert_string_equal(p.why, "web: QEMU did not greet on its monitor in time");
        play_end(&p);

        play_start(&p, 20000);
        say(&p, GREETING);
        play_run_for(&p, 200000);
        assert_string_equal(p.why, "web: QEMU did not answer qmp_capabilities in time");
        play_end(&p);

        play_start(&p, 0);
        say(&p, GREETING "{\"id\":1,\"error\":{\"class\":\"GenericError\",\"desc\":\"no\"}}\n");
        assert_int_equal(p.closed, 1);
        assert_non_null(strstr(p.why, "refused qmp_capabilities: no"));
        play_end(&p);
}

TEST(test_request_timeout) {
        Play p;

        play_ready(&p);
        assert_ok(qmp_send(p.q, "query-status", NULL, QMP_TIMEOUT_NEVER, on_reply, &p, NULL));
        assert_ok(qmp_send(p.q, "query-block", NULL, 20000, on_reply, &p, NULL));
        play_run_for(&p, 200000);
        assert_int_equal(p.replies, 1);
        assert_int_equal(p.last_kind, FAULT_TIMEOUT);
        assert_string_equal(p.last_fault, "web: QEMU did not answer query-block in time");
        say(&p, "{\"return\":[],\"id\":3}\n{\"return\":{},\"id\":2}\n");
        assert_int_equal(p.replies, 2);
        assert_int_equal(p.closed, 0);
        play_end(&p);
}

/* What timed out before the greeting must never reach QEMU. */
TEST(test_timeout_unsent) {
        Play p;

        play_start(&p, 0);
        assert_ok(qmp_send(p.q, "quit", NULL, 10000, on_reply, &p, NULL));
        play_run_for(&p, 100000);
        assert_int_equal(p.replies, 1);
        say(&p, GREETING);
        assert_string_equal(hear(&p), "{\"execute\":\"qmp_capabilities\",\"id\":2}\n");
        play_end(&p);
}

TEST(test_close) {
        Play p;

        play_ready(&p);
        assert_ok(qmp_send(p.q, "stop", NULL, 0, on_reply, &p, NULL));
        assert_ok(qmp_send(p.q, "cont", NULL, 0, on_reply, &p, NULL));
        p.send_on_closed = true;
        say(&p, "{\"event\":\"SHUTDOWN\"}\n{\"half");
        p.peer = fd_close(p.peer);
        play_run(&p);
        assert_int_equal(p.events, 1);
        assert_int_equal(p.replies, 2);
        assert_int_equal(p.closed, 1);
        assert_int_equal(p.last_kind, FAULT_DISCONNECTED);
        assert_string_equal(p.why, "web: QEMU closed its monitor");
        assert_int_equal(p.send_result, -ENOTCONN);
        play_run(&p);
        assert_int_equal(p.closed, 1);
        play_end(&p);
}

/* QEMU died with words of its own still unread: they come before closed(). */
TEST(test_write_to_dead) {
        Play p;

        play_ready(&p);
        assert_int_equal(write(p.peer, "{\"event\":\"LAST\"}\n", 17), 17);
        p.peer = fd_close(p.peer);
        assert_ok(qmp_send(p.q, "stop", NULL, 0, on_reply, &p, NULL));
        assert_int_equal(p.replies, 0);
        play_run(&p);
        assert_string_equal(p.last_event, "LAST");
        assert_int_equal(p.replies, 1);
        assert_int_equal(p.closed, 1);
        play_end(&p);
}

TEST(test_free_inside) {
        Play p;

        play_start(&p, 0);
        p.free_on_ready = true;
        say(&p, GREETING "{\"return\":{},\"id\":1}\n{\"event\":\"X\"}\n");
        assert_null(p.q);
        assert_int_equal(p.events, 0);
        play_end(&p);

        play_ready(&p);
        p.free_on_event = true;
        say(&p, "{\"event\":\"X\"}\n{\"event\":\"Y\"}\n");
        assert_int_equal(p.events, 1);
        play_end(&p);

        play_ready(&p);
        p.free_on_reply = true;
        assert_ok(qmp_send(p.q, "stop", NULL, 0, on_reply, &p, NULL));
        assert_ok(qmp_send(p.q, "cont", NULL, 0, on_reply, &p, NULL));
        say(&p, "{\"return\":{},\"id\":2}\n{\"return\":{},\"id\":3}\n");
        assert_int_equal(p.replies, 1);
        assert_int_equal(p.closed, 0);
        play_end(&p);

        play_ready(&p);
        p.free_on_reply = true;
        assert_ok(qmp_send(p.q, "stop", NULL, 1000, on_reply, &p, NULL));
        assert_ok(qmp_send(p.q, "cont", NULL, 1000, on_reply, &p, NULL));
        play_run_for(&p, 100000);
        assert_int_equal(p.replies, 1);
        play_end(&p);

        play_ready(&p);
        p.free_on_closed = true;
        say(&p, "garbage\n");
        assert_null(p.q);
        assert_int_equal(p.closed, 1);
        play_end(&p);

        play_ready(&p);
        p.free_on_reply = true;
        assert_ok(qmp_send(p.q, "stop", NULL, 0, on_reply, &p, NULL));
        say(&p, "garbage\n");
        assert_null(p.q);
        assert_int_equal(p.closed, 0);
        play_end(&p);
}

TEST(test_requests_owned) {
        QmpRequest *a = NULL, *b = NULL, *c = NULL;
        Play p;

        play_ready(&p);
        assert_ok(qmp_send(p.q, "stop", NULL, 0, on_reply, &p, &a));
        assert_ok(qmp_send(p.q, "cont", NULL, 0, on_reply, &p, &b));
        assert_ok(qmp_send(p.q, "quit", NULL, 0, on_reply, &p, &c));
        a = qmp_request_free(a);
        p.drop_on_reply = b;
        say(&p, "{\"return\":{},\"id\":2}\n{\"return\":{},\"id\":3}\n");
        assert_int_equal(p.replies, 1);
        assert_null(p.drop_on_reply);
        assert_ok(qmp_send_always(p.q, "stop", NULL, 0, on_reply, &p));
        assert_ok(qmp_send(p.q, "cont", NULL, 0, on_reply, &p, NULL));
        p.q = qmp_free(p.q);
        c = qmp_request_free(c);
        assert_int_equal(p.replies, 2);
        assert_int_equal(p.last_kind, FAULT_DISCONNECTED);
        play_end(&p);
}

/* A QEMU that does not read: writes stop at the socket's buffer, then the queue's cap answers; later all arrives in order. */
TEST(test_slow_reader) {
        _cleanup_free_ char *filler = NULL, *all = NULL;
        size_t sent = 0, lines = 0;
        Play p;
        int r;

        filler = malloc(100001);
        assert_non_null(filler);
        memset(filler, 'x', 100000);
        filler[100000] = '\0';
        play_ready(&p);
        for (;; sent++) {
                r = qmp_send(p.q, "x", json_pack("{s:s}", "v", filler), 0, NULL, NULL, NULL);
                if (r < 0)
                        break;
        }
        assert_int_equal(r, -ENOBUFS);
        assert_true(sent > 40 && sent < 60);
        assert_true(qmp_is_ready(p.q));
        all = malloc(1 << 20);
        assert_non_null(all);
        for (ssize_t n = 1; n > 0; play_run(&p)) {
                n = read(p.peer, all, 1 << 20);
                for (ssize_t i = 0; i < n; i++)
                        lines += all[i] == '\n';
        }
        assert_int_equal(lines, sent);
        play_end(&p);
}

TEST(test_request_cap) {
        Play p;

        play_start(&p, 0);
        for (unsigned i = 0; i < QMP_REQUESTS_MAX; i++)
                assert_ok(qmp_send(p.q, "stop", NULL, 0, NULL, NULL, NULL));
        assert_error(qmp_send(p.q, "stop", NULL, 0, NULL, NULL, NULL), ENOBUFS);
        assert_error(qmp_send(p.q, "bad name", NULL, 0, NULL, NULL, NULL), EINVAL);
        assert_error(qmp_send(p.q, "stop", json_array(), 0, NULL, NULL, NULL), EINVAL);
        play_end(&p);
}

TEST(test_fds) {
        int pipes[2][2], got[4];
        size_t n_got = 4;
        char text[256];
        ssize_t n;
        Play p;

        play_ready(&p);
        for (size_t i = 0; i < 2; i++) {
                assert_ok(pipe2(pipes[i], O_CLOEXEC));
                assert_ok(qmp_getfd(p.q, i ? "b" : "a", pipes[i][0], on_reply, &p, NULL));
        }
        play_run(&p);
        /* One message for each command: QEMU keeps only the latest descriptors. */
        n = fd_receive(p.peer, text, sizeof(text) - 1, got, &n_got);
        assert_true(n > 0);
        text[n] = '\0';
        assert_string_equal(text, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"a\"},\"id\":2}\n");
        assert_int_equal(n_got, 1);
        fd_close(got[0]);
        assert_int_equal(fcntl(pipes[0][0], F_GETFD), -1);
        p.peer = fd_close(p.peer);
        for (size_t i = 0; i < 2; i++)
                fd_close(pipes[i][1]);
        play_end(&p);
}

/* An integer beyond INT64_MAX is legal; the JSON library refuses it unless asked otherwise. */
TEST(test_big_integers) {
        uint64_t n;
        Play p;

        play_ready(&p);
        assert_ok(qmp_send(p.q, "query-balloon", NULL, 0, on_reply, &p, NULL));
        say(&p, "{\"return\":{\"actual\":18446744073709551615,\"small\":12},\"id\":2}\n");
        assert_int_equal(p.closed, 0);
        assert_int_equal(p.replies, 1);
        assert_ok(json_get_u64(p.last_result, "small", &n));
        assert_int_equal(n, 12);
        assert_ok(json_get_u64(p.last_result, "actual", &n));
        assert_true(n == UINT64_MAX);
        say(&p, "{\"event\":\"E\",\"data\":{\"x\":9223372036854775808},\"timestamp\":{\"seconds\":3,\"microseconds\":4}}\n");
        assert_int_equal(p.event_usec, 3000004);
        say(&p, "{\"event\":\"E\",\"timestamp\":{\"seconds\":18446744073709551615,\"microseconds\":-1}}\n");
        assert_int_equal(p.event_usec, 0);
        play_end(&p);
}

/* Out of QEMU's data as it is written, down to a line of the journal. */
static void assert_event(GuestEvent e, const char *data, const char *details, const char *text) {
        json_auto_t *in = json_loads(data, 0, NULL), *wanted = json_loads(details, 0, NULL), *got = NULL;
        _cleanup_free_ char *line = NULL;

        assert_non_null(in);
        assert_non_null(wanted);
        got = guest_event_details(e, in);
        assert_true(json_equal(got, wanted));
        line = guest_event_text(e, guest_event_device(in), got);
        assert_string_equal(line, text);
}

TEST(test_guest_events) {
        assert_event(GUEST_EVENT_WATCHDOG, "{\"action\":\"reset\"}", "{\"action\":\"reset\"}", "the guest's watchdog fired: reset");
        assert_event(GUEST_EVENT_WATCHDOG, "{\"action\":[1]}", "{}", "the guest's watchdog fired: ?");
        assert_event(GUEST_EVENT_PANICKED,
                     "{\"action\":\"pause\",\"info\":{\"type\":\"hyper-v\",\"arg1\":209,\"arg2\":\"18446735277616529408\",\"more\":1}}",
                     "{\"action\":\"pause\",\"type\":\"hyper-v\",\"arg1\":209,\"arg2\":\"18446735277616529408\"}", "the guest has panicked: pause");
        assert_event(GUEST_EVENT_MEMORY_FAILURE,
                     "{\"recipient\":\"guest\",\"action\":\"inject\",\"flags\":{\"action-required\":true,\"recursive\":false}}",
                     "{\"recipient\":\"guest\",\"action\":\"inject\",\"action-required\":true,\"recursive\":false}",
                     "a page of memory of the guest is broken: inject");
        assert_event(GUEST_EVENT_IO_ERROR, "{\"node-name\":\"a-format\",\"device\":\"\",\"action\":\"stop\",\"reason\":\"no\",\"nospace\":true}",
                     "{\"action\":\"stop\",\"reason\":\"no\",\"nospace\":true}", "I/O error on a-format: no (stop)");
        assert_event(GUEST_EVENT_TRAY_MOVED, "{\"device\":\"\",\"id\":\"ide0\",\"tray-open\":true}", "{\"tray-open\":true}",
                     "the tray of ide0 has moved; it is open: yes");
        assert_event(GUEST_EVENT_RTC_CHANGED, "{\"offset\":-3600}", "{\"offset\":-3600}",
                     "the guest has set its clock -3600 seconds from where it began");
        assert_event(GUEST_EVENT_WRITE_THRESHOLD, "{\"node-name\":\"d\",\"amount-exceeded\":-1,\"write-threshold\":8}", "{\"write-threshold\":8}",
                     "the guest has written ? bytes beyond the mark at 8 of d");
        for (GuestEvent e = 0; e < _GUEST_EVENT_MAX; e++) {
                assert_non_null(guest_event_to_string(e));
                assert_true(guest_event_row(e)->text && guest_event_row(e)->fields);
                for (GuestEvent other = 0; other < e; other++)
                        assert_false(sd_id128_equal(guest_event_row(e)->message_id, guest_event_row(other)->message_id));
        }
}

TEST(test_keys) {
        json_auto_t *keys = json_array(), *events = json_array();
        _cleanup_free_ char *text = NULL, *moves = NULL;
        Fault f = FAULT_INIT;

        assert_ok(keys_add_name(keys, "ctrl", &f));
        assert_ok(keys_add_name(keys, "key_LeftAlt", &f));
        assert_ok(keys_add_code(keys, KEY_CODES_LINUX, 111, &f));
        assert_ok(keys_add_code(keys, KEY_CODES_USB, 4, &f));
        assert_ok(keys_add_code(keys, KEY_CODES_QNUM, 0xb8, &f));
        text = json_dumps(json_array_get(keys, 4), JSON_COMPACT);
        assert_string_equal(text, "{\"type\":\"number\",\"data\":184}");
        free_and_replace(&text, json_dumps(json_array_get(keys, 2), JSON_COMPACT));
        assert_string_equal(text, "{\"type\":\"qcode\",\"data\":\"delete\"}");
        assert_error(keys_add_code(keys, KEY_CODES_USB, 0, &f), EINVAL);
        fault_clear(&f);
        assert_error(keys_add_name(keys, "", &f), EINVAL);
        fault_clear(&f);
        while (json_array_size(keys) < KEYS_MAX)
                assert_ok(keys_add_name(keys, "a", &f));
        assert_error(keys_add_name(keys, "a", &f), E2BIG);
        fault_clear(&f);

        assert_ok(input_add_event(events, "abs", "x", 32767, &f));
        assert_ok(input_add_event(events, "rel", "y", -32768, &f));
        assert_ok(input_add_event(events, "button", "wheel-up", 1, &f));
        assert_ok(input_add_event(events, "key", "a", 0, &f));
        assert_error(input_add_event(events, "abs", "x", -1, &f), ERANGE);
        fault_clear(&f);
        assert_error(input_add_event(events, "key", "a", 2, &f), EINVAL);
        fault_clear(&f);
        moves = json_dumps(events, JSON_COMPACT);
        assert_string_equal(moves, "[{\"type\":\"abs\",\"data\":{\"axis\":\"x\",\"value\":32767}},"
                            "{\"type\":\"rel\",\"data\":{\"axis\":\"y\",\"value\":-32768}},"
                            "{\"type\":\"btn\",\"data\":{\"button\":\"wheel-up\",\"down\":true}},"
                            "{\"type\":\"key\",\"data\":{\"key\":{\"type\":\"qcode\",\"data\":\"a\"},\"down\":false}}]");
}

TEST(test_readers) {
        json_auto_t *status = json_pack("{s:s,s:b}", "status", "io-error", "running", 0);
        json_auto_t *other = json_array();
        QmpStatus s;
        Fault f = FAULT_INIT;

        assert_ok(qmp_read_status(status, &s, &f));
        assert_int_equal(s.state, QEMU_STATE_IO_ERROR);
        assert_false(s.running);
        assert_error(qmp_read_status(other, &s, &f), EBADMSG);
        assert_int_equal(f.kind, FAULT_QEMU);
        fault_clear(&f);
        for (int i = 0; i < _QEMU_STATE_MAX; i++)
                assert_int_equal(qemu_state_from_string(qemu_state_to_string(i)), i);
}

/* ---- a real QEMU ---- */

#define QEMU "/usr/bin/qemu-system-x86_64"

static pid_t start_qemu(int fd) {
        pid_t pid = fork();

        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) dup2(fd, 3);
                (void) dup2(2, 1); /* what it says of its pty is no line of TAP */
                execl(QEMU, QEMU, "-S", "-no-user-config", "-nodefaults", "-display", "none", "-machine", "none", "-accel", "tcg",
                      "-chardev", "socket,id=m,fd=3", "-mon", "chardev=m,mode=control",
                      "-chardev", "pty,id=tty0", NULL);
                _exit(127);
        }
        return pid;
}

static void play_until(Play *p, const unsigned *counter, unsigned wanted) {
        for (unsigned i = 0; i < 100 && *counter < wanted; i++)
                assert_ok(sd_event_run(p->event, 100000));
        assert_int_equal(*counter, wanted);
}

TEST(test_real_qemu) {
        int pair[2], null;
        QmpStatus s;
        pid_t pid;
        Play p = { .peer = -1 };

        if (access(QEMU, X_OK) < 0)
                skip();
        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        pid = start_qemu(pair[1]);
        assert_true(pid > 0);
        fd_close(pair[1]);
        assert_ok(sd_event_new(&p.event));
        assert_ok(qmp_new(p.event, pair[0], "real", 0, &watch, &p, &p.q));

        play_until(&p, &p.ready, 1);
        assert_true(qmp_version(p.q) >= QEMU_VERSION(5, 0, 0));
        assert_ok(qmp_call(p.q, "query-status", on_reply, &p, NULL));
        play_until(&p, &p.replies, 1);
        assert_ok(qmp_read_status(p.last_result, &s, NULL));
        assert_int_equal(s.state, QEMU_STATE_PRELAUNCH);
        /* Two in a row without waiting: each must find its own descriptor. */
        for (unsigned i = 0; i < 2; i++) {
                null = open("/dev/null", O_RDONLY | O_CLOEXEC);
                assert_ok(qmp_getfd(p.q, i ? "b" : "a", null, on_reply, &p, NULL));
        }
        play_until(&p, &p.replies, 3);
        assert_int_equal(p.last_kind, FAULT_NONE);
        assert_ok(qmp_send(p.q, "device_del", qmp_arg_string("id", "nope"), 0, on_reply, &p, NULL));
        play_until(&p, &p.replies, 4);
        assert_non_null(strstr(p.last_fault, "real: QEMU refused device_del: "));
        assert_ok(qmp_call(p.q, "quit", on_reply, &p, NULL));
        play_until(&p, &p.closed, 1);
        assert_string_equal(p.last_event, "SHUTDOWN");
        assert_int_equal(p.replies, 5);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        play_end(&p);
}

TEST_MAIN(
        TEST_ROW(test_talk),
        TEST_ROW(test_queue_before_greeting),
        TEST_ROW(test_bytes_one_by_one),
        TEST_ROW(test_unsolicited),
        TEST_ROW(test_garbage),
        TEST_ROW(test_nul_byte),
        TEST_ROW(test_not_qmp),
        TEST_ROW(test_depth),
        TEST_ROW(test_long_line),
        TEST_ROW(test_greeting_deadline),
        TEST_ROW(test_request_timeout),
        TEST_ROW(test_timeout_unsent),
        TEST_ROW(test_close),
        TEST_ROW(test_write_to_dead),
        TEST_ROW(test_free_inside),
        TEST_ROW(test_requests_owned),
        TEST_ROW(test_slow_reader),
        TEST_ROW(test_request_cap),
        TEST_ROW(test_fds),
        TEST_ROW(test_big_integers),
        TEST_ROW(test_guest_events),
        TEST_ROW(test_keys),
        TEST_ROW(test_readers),
        TEST_ROW(test_real_qemu))
