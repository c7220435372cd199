/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp-parts.h"

#include <ctype.h>
#include <sys/socket.h>

#include "json-line.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#define READ_STEP ((size_t) 64 * 1024)
#define INPUT_KEEP ((size_t) 256 * 1024)

static void on_capabilities(Qmp *q, _unused_ json_t *result, const Fault *fault, _unused_ void *userdata) {
        if (fault) {
                qmp_close(q, fault);
                return;
        }
        q->ready = true;
        if (q->watch->ready)
                q->watch->ready(q, q->userdata);
}

static bool as_u64(const json_t *json, uint64_t *ret) {
        if (json_is_integer(json) && json_integer_value(json) >= 0)
                *ret = (uint64_t) json_integer_value(json);
        else if (json_is_real(json) && json_real_value(json) >= 0 && json_real_value(json) < 18446744073709551616.0)
                *ret = (uint64_t) json_real_value(json);
        else
                return false;
        return true;
}

static uint64_t version_part(const json_t *qemu, const char *key) {
        uint64_t n;

        return as_u64(json_object_get(qemu, key), &n) ? MIN(n, UINT64_C(999)) : 0;
}

static void qmp_greeting(Qmp *q, const json_t *greeting) {
        const json_t *qemu = json_object_get(json_object_get(greeting, "version"), "qemu");
        QmpChunk *c;

        if (q->greeted) {
                qmp_break(q, "a second greeting");
                return;
        }
        q->version = QEMU_VERSION(version_part(qemu, "major"), version_part(qemu, "minor"), version_part(qemu, "micro"));
        if (qmp_queue(q, "qmp_capabilities", NULL, NULL, 0, QMP_TIMEOUT_NEVER, on_capabilities, NULL, NULL) < 0) {
                qmp_lost(q, ENOMEM);
                return;
        }
        /* QEMU works through what it reads in order, so what waits can follow at once. */
        c = TAILQ_LAST(&q->output, QmpChunkList);
        TAILQ_REMOVE(&q->output, c, entry);
        TAILQ_INSERT_HEAD(&q->output, c, entry);
        q->greeted = true;
        qmp_output_flush(q);
}

static void qmp_event(Qmp *q, const json_t *root, const char *name) {
        json_t *stamp = json_object_get(root, "timestamp"), *data = json_object_get(root, "data");
        uint64_t seconds, usec;

        if (!as_u64(json_object_get(stamp, "seconds"), &seconds) ||
            !as_u64(json_object_get(stamp, "microseconds"), &usec) || seconds > UINT64_MAX / 2000000 || usec >= 1000000)
                seconds = usec = 0;
        if (q->watch->event)
                q->watch->event(q, name, json_is_object(data) ? data : NULL, seconds * 1000000 + usec, q->userdata);
}

static QmpRequest *request_find(Qmp *q, const json_t *id) {
        QmpRequest *r;
        uint64_t n;

        if (!as_u64(id, &n))
                return NULL;
        TAILQ_FOREACH(r, &q->requests, entry)
                if (r->id == n)
                        return r;
        return NULL;
}

static void qmp_reply(Qmp *q, const json_t *root) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const json_t *error = json_object_get(root, "error");
        const char *desc = json_string_value(json_object_get(error, "desc"));
        const char *class = json_string_value(json_object_get(error, "class"));
        QmpRequest *r = request_find(q, json_object_get(root, "id"));

        /* Late answers to what timed out or was forgotten. */
        if (!r) {
                log_debug("%s: QEMU answered what nobody waits for%s%s", q->label, desc ? ": " : "", desc ?: "");
                return;
        }
        if (!error) {
                qmp_request_answer(r, json_object_get(root, "return"), NULL);
                return;
        }
        fault_set(&f, FAULT_QEMU, streq_null(class, "CommandNotFound") ? EOPNOTSUPP : streq_null(class, "DeviceNotFound") ? ENODEV : EIO,
                  "%s: QEMU refused %s: %s", q->label, r->command, desc ?: "it gave no reason");
        if (!r->reply)
                log_warning("%s", fault_text(&f));
        qmp_request_answer(r, NULL, &f);
}

static void qmp_message(Qmp *q, const json_t *root) {
        const char *event = json_string_value(json_object_get(root, "event"));
        const json_t *greeting = json_object_get(root, "QMP");

        if (json_is_object(greeting))
                qmp_greeting(q, greeting);
        else if (!q->greeted)
                qmp_break(q, "it does not start with a QMP greeting");
        else if (event)
                qmp_event(q, root, event);
        else if (json_object_get(root, "return") || json_object_get(root, "error"))
                qmp_reply(q, root);
        else
                qmp_break(q, "a message that is neither answer nor event");
}

static void qmp_line(Qmp *q, const char *line, size_t length) {
        _cleanup_free_ char *how = NULL;
        json_auto_t *root = NULL;
        json_error_t error;

        while (length > 0 && isspace((unsigned char) line[length - 1]))
                length--;
        if (length == 0)
                return;
        if (json_line_is_deep(line, length, QMP_DEPTH_MAX)) {
                qmp_break(q, "a message nested too deep");
                return;
        }
        root = json_line_parse(line, length, &error);
        if (json_is_object(root)) {
                qmp_message(q, root);
                return;
        }
        how = strf("a line that is no JSON object (%s)", root ? "another value" : error.text);
        qmp_break(q, how ?: "a line that is no JSON object");
}

/* Works through the complete lines in the buffer; each byte is looked at once for its newline. */
static void input_process(Qmp *q) {
        size_t start = 0;

        q->n_ref++;
        while (q->open) {
                const char *end = memchr(q->input + q->scanned, '\n', q->input_length - q->scanned);
                size_t from = start, length = (end ? (size_t) (end - q->input) : q->input_length) - from;

                q->scanned = end ? (size_t) (end - q->input) + 1 : q->input_length;
                if (length > QMP_LINE_MAX) {
                        qmp_break(q, "a line longer than 16 MiB");
                        break;
                }
                if (!end)
                        break;
                start = q->scanned;
                qmp_line(q, q->input + from, length);
        }
        if (q->open && start > 0) {
                memmove(q->input, q->input + start, q->input_length - start);
                q->input_length -= start;
                q->scanned -= start;
                /* One huge answer must not hold its memory for the life of the VM. */
                if (q->input_length == 0 && q->input_allocated > INPUT_KEEP) {
                        free(TAKE_PTR(q->input));
                        q->input_allocated = 0;
                }
        }
        qmp_unref(q);
}

void qmp_feed(Qmp *q, const char *data, size_t length) {
        assert(q && (data || length == 0));

        q->n_ref++;
        while (length > 0 && q->open) {
                size_t n = MIN(length, READ_STEP);

                if (!GROW(q->input, q->input_allocated, q->input_length + n)) {
                        qmp_lost(q, ENOMEM);
                        break;
                }
                memcpy(q->input + q->input_length, data, n);
                q->input_length += n;
                data += n;
                length -= n;
                input_process(q);
        }
        qmp_unref(q);
}

bool qmp_input_read(Qmp *q) {
        ssize_t n;

        if (!GROW(q->input, q->input_allocated, q->input_length + READ_STEP / 4)) {
                qmp_lost(q, ENOMEM);
                return false;
        }
        n = recv(q->fd, q->input + q->input_length, MIN(q->input_allocated - q->input_length, READ_STEP), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n <= 0) {
                qmp_lost(q, n < 0 ? errno : 0);
                return false;
        }
        q->input_length += (size_t) n;
        input_process(q);
        return true;
}

void qmp_hear_out(Qmp *q) {
        assert(q);

        q->n_ref++;
        while (q->open && qmp_input_read(q))
                ;
        qmp_unref(q);
}
