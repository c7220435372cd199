/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dump.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../qmp/qmp-cmd.h"
#include "fd.h"
#include "helper.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "str.h"

#define LOOK_USEC (500u * 1000)              /* how far is it? */
#define LET_GO_USEC (10u * 1000 * 1000)      /* for QEMU to notice that nobody reads any more */
#define COMPACT "kdump-zlib"                 /* what crash(8) and drgn(1) read */
#define FD_NAME "virtbus-dump"               /* QEMU's, of the pipe's end */

typedef struct Dump {
        char *format;
        int fd;                      /* of the file; or the writer's end of `verdict` */
        char **writer;               /* who makes the file, argv; NULL: it is there */
        int verdict;                 /* tells the writer that all is there; -1: there is none */
        DumpDone done;
        Helper *helper;              /* which writes it, out of a pipe that QEMU fills */
        QmpRequest *asked, *looked;
        sd_event_source *timer;
        bool passed;                 /* QEMU has the pipe */
        bool dumping;                /* and fills it */
        unsigned silent;             /* times QEMU was done, as far as it says, but had not told */
        Fault fault;
} Dump;

static void dump_free(void *data) {
        Dump *p = data;

        qmp_request_free(p->asked);
        qmp_request_free(p->looked);
        helper_free(p->helper);
        sd_event_source_disable_unref(p->timer);
        fd_close(p->fd);
        fd_close(p->verdict);
        strv_free(p->writer);
        fault_clear(&p->fault);
        free(p->format);
        free(p);
}

static const OperationType dump_type;

static Dump *dump_of(const Domain *d) {
        return d->operation && d->operation->type == &dump_type ? d->operation->data : NULL;
}

bool dump_is_under_way(const Domain *d) {
        return dump_of(d) != NULL;
}

/* --- formats: has QEMU that one? --- */

static bool has_format(const json_t *result, const char *name) {
        const json_t *format;
        size_t i;

        json_array_foreach(json_object_get(result, "formats"), i, format)
                if (streq_null(json_string_value(format), name))
                        return true;
        return false;
}

static int check_format(const Dump *p, const json_t *result, Fault *f) {
        const json_t *formats = json_object_get(result, "formats"), *format;
        _cleanup_strv_ char **names = NULL;
        _cleanup_free_ char *all = NULL;
        size_t i;

        if (has_format(result, p->format))
                return 0;
        json_array_foreach(formats, i, format) {
                const char *name = json_string_value(format) ?: "";

                if (strv_push(&names, name) < 0)
                        return fault_oom(f);
        }
        all = strv_join(names, ", ");
        fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "this QEMU can't write a dump as \"%.32s\"", p->format);
        fault_hint(f, "it can as: %s", is_empty(all) ? "none of all" : all);
        return -EOPNOTSUPP;
}

static void on_formats(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Operation *o = userdata;
        Dump *p = o->data;
        int r = why ? -why->error : 0;

        p->asked = qmp_request_free(p->asked);
        if (why)
                (void) fault_copy(&f, why);
        else if (p->writer && has_format(result, COMPACT) && free_and_strdup(&p->format, COMPACT) < 0)
                r = fault_oom(&f);
        if (r >= 0)
                r = check_format(p, result, &f);
        steps_continue(o->steps, r, &f);
}

static int begin_formats(void *userdata, Fault *f) {
        Operation *o = userdata;
        Dump *p = o->data;

        return domain_ask(o->domain, "query-dump-guest-memory-capability", NULL, on_formats, o, &p->asked);
}

static int undo_formats(void *userdata) {
        Dump *p = ((Operation *) userdata)->data;

        p->asked = qmp_request_free(p->asked);
        return 1;
}

/* --- pipe: from QEMU to who writes the file --- */

/* QEMU and the copy have both ended, well or not. */
static void look_whether_done(Operation *o) {
        Dump *p = o->data;
        Fault f = FAULT_INIT;

        if (p->dumping || p->helper)
                return;
        p->timer = sd_event_source_disable_unref(p->timer);
        if (steps_undoing(o->steps)) {
                steps_continue(o->steps, 0, NULL);
                return;
        }
        if (fault_is_set(&p->fault))
                (void) fault_copy(&f, &p->fault);
        else
                steps_settle(o->steps); /* it is written */
        steps_continue(o->steps, fault_is_set(&f) ? -f.error : 0, &f);
}

static void on_copied(Helper *h, int si_code, int status, void *userdata) {
        Operation *o = userdata;
        Dump *p = o->data;

        if (si_code != CLD_EXITED || status != 0) {
                /* The first cause: QEMU only says that its pipe is broken. */
                fault_clear(&p->fault);
                fault_set(&p->fault, FAULT_STORE, EIO, "the dump of %s can't be written: %s", o->domain->name,
                          is_empty(helper_words(h)) ? "the copying program has ended" : helper_words(h));
        }
        p->helper = helper_free(p->helper);
        if (p->passed)
                look_whether_done(o);
}

static void on_passed(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Operation *o = userdata;
        Dump *p = o->data;

        p->asked = qmp_request_free(p->asked);
        p->passed = !why;
        operation_continue(o, why);
}

static int start_copy(Operation *o, int from, Fault *f) {
        Dump *p = o->data;
        char *copier[] = { o->domain->manager->copier, NULL }, **argv = p->writer ?: copier;
        int r = helper_start(o->domain->manager->event, argv, from, p->fd, on_copied, o, &p->helper);

        p->fd = fd_close(p->fd);
        return r < 0 ? fault_set(f, FAULT_HOST, -r, "%s can't be started: %s", argv[0], strerror(-r)) : 0;
}

static int begin_pipe(void *userdata, Fault *f) {
        Operation *o = userdata;
        Dump *p = o->data;
        _cleanup_fd_ int from = -1;
        int ends[2], r;

        if (!domain_qmp(o->domain))
                return fault_set(f, FAULT_DISCONNECTED, ENOTCONN, "QEMU of %s has ended", o->domain->name);
        if (pipe2(ends, O_CLOEXEC) < 0)
                return fault_set(f, FAULT_HOST, errno, "can't make a pipe: %m");
        from = ends[0];
        r = start_copy(o, from, f);
        if (r < 0) {
                fd_close(ends[1]);
                return r;
        }
        return qmp_send_fds(domain_qmp(o->domain), "getfd", json_pack("{s:s}", "fdname", FD_NAME), &ends[1], 1, 0, on_passed, o, &p->asked);
}

static int undo_pipe(void *userdata) {
        Operation *o = userdata;
        Dump *p = o->data;

        bool sent = p->passed || p->asked;

        p->asked = qmp_request_free(p->asked);
        p->helper = helper_free(p->helper);
        /* It may have taken it already; then it does not know the name any more. */
        if (sent)
                (void) domain_ask(o->domain, "closefd", json_pack("{s:s}", "fdname", FD_NAME), NULL, NULL, NULL);
        return 1;
}

void dump_look(Domain *d) {
        if (!dump_is_under_way(d))
                (void) domain_ask(d, "closefd", json_pack("{s:s}", "fdname", FD_NAME), NULL, NULL, NULL);
}

/* --- dump --- */

static int arm(Operation *o, uint64_t usec, sd_event_time_handler_t handler) {
        Dump *p = o->data;

        p->timer = sd_event_source_disable_unref(p->timer);
        return sd_event_add_time_relative(o->domain->manager->event, &p->timer, CLOCK_MONOTONIC, usec, 0, handler, o);
}

static void ended(Operation *o, bool failed, const char *why) {
        Dump *p = o->data;

        p->dumping = false;
        if (failed && !fault_is_set(&p->fault))
                fault_set(&p->fault, FAULT_QEMU, EIO, "QEMU can't dump %s: %s", o->domain->name, why ?: "it does not say why");
        if (!failed && p->verdict >= 0)
                (void) send(p->verdict, "", 1, MSG_NOSIGNAL);
        p->verdict = fd_close(p->verdict);
        look_whether_done(o);
}

void dump_completed(Domain *d, const json_t *data) {
        const json_t *result = json_object_get(data, "result");
        const Dump *p = dump_of(d);

        if (p && p->dumping)
                ended(d->operation, !streq_null(json_string_value(json_object_get(result, "status")), "completed"),
                      json_string_value(json_object_get(data, "error")));
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata);

static void on_progress(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Operation *o = userdata;
        Dump *p = o->data;
        const char *status = json_string_value(json_object_get(result, "status"));
        uint64_t done, total;

        p->looked = qmp_request_free(p->looked);
        if (!p->dumping)
                return;
        if (json_get_u64(result, "completed", &done) >= 0 && json_get_u64(result, "total", &total) >= 0)
                operation_progress(o, done, total);
        /* We may not have been there when it told. */
        if (status && !streq(status, "active") && p->silent++ > 0)
                ended(o, !streq(status, "completed"), NULL);
        else
                (void) arm(o, LOOK_USEC, on_time);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Operation *o = userdata;
        Dump *p = o->data;

        if (p->looked || domain_ask(o->domain, "query-dump", NULL, on_progress, o, &p->looked) < 0)
                (void) arm(o, LOOK_USEC, on_time);
        return 0;
}

static void on_dumping(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Operation *o = userdata;
        Dump *p = o->data;

        p->asked = qmp_request_free(p->asked);
        if (why) {
                p->dumping = false;
                operation_continue(o, fault_is_set(&p->fault) ? &p->fault : why);
        } else if (p->dumping)
                (void) arm(o, LOOK_USEC, on_time);
}

static int begin_dump(void *userdata, Fault *f) {
        Operation *o = userdata;
        Dump *p = o->data;
        int r;

        r = domain_ask(o->domain, "dump-guest-memory", json_pack("{s:b, s:s, s:b, s:s}", "paging", 0, "protocol", "fd:" FD_NAME, "detach", 1,
                                                                 "format", p->format), on_dumping, o, &p->asked);
        p->dumping = r >= 0;
        return MIN(r, 0);
}

static int on_let_go_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Operation *o = userdata;
        Dump *p = o->data;

        log_domain_warning(o->domain, "QEMU does not end its dump");
        p->dumping = false;
        look_whether_done(o);
        return 0;
}

/* Without a reader QEMU's pipe breaks, and it gives up. */
static int undo_dump(void *userdata) {
        Operation *o = userdata;
        Dump *p = o->data;

        p->helper = helper_free(p->helper);
        p->looked = qmp_request_free(p->looked);
        p->timer = sd_event_source_disable_unref(p->timer);
        if (!p->dumping || !domain_qmp(o->domain))
                return 1;
        fault_set(&p->fault, FAULT_CANCELED, ECANCELED, "the dump was cancelled");
        return arm(o, LET_GO_USEC, on_let_go_timeout) < 0 ? 1 : 0;
}

static void dump_qemu_ended(Operation *o) {
        Dump *p = o->data;

        p->dumping = false;
        if (steps_undoing(o->steps))
                look_whether_done(o);
        else
                operation_qemu_ended(o);
}

static const StepTable dump_steps = STEP_TABLE("dump",
        { "formats", begin_formats, undo_formats },
        { "pipe", begin_pipe, undo_pipe },
        { "dump", begin_dump, undo_dump },
);

static void dump_finished(Operation *o, int error, const Fault *f) {
        Dump *p = o->data;
        _cleanup_free_ char *file = p->writer ? strf("%s/%s", p->writer[1], p->writer[2]) : NULL;

        if (p->done)
                p->done(o->domain, file, error < 0 ? f : NULL);
}

static const OperationType dump_type = {
        .name = "dump", .steps = &dump_steps, .free_data = dump_free, .qemu_ended = dump_qemu_ended,
        .finished = dump_finished,
};

static int check_memory(const Domain *d, Fault *f) {
        return d->instance && d->instance->monitor_ready ? 0 :
               fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: it has no memory", d->name, domain_state_to_string(d->state));
}

int dump_guest_to(Domain *d, char *const argv[], DumpDone done, Fault *f) {
        int pair[2], r = check_memory(d, f);
        Dump *p;

        assert(d && argv && argv[1] && argv[2] && done);

        if (r < 0)
                return r;
        p = new0(Dump, 1);
        if (!p)
                return fault_oom(f);
        p->fd = p->verdict = -1;
        p->done = done;
        p->format = strdup("elf");
        p->writer = strv_copy(argv);
        if (!p->format || !p->writer || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
                dump_free(p);
                return fault_oom(f);
        }
        p->verdict = pair[0];
        p->fd = pair[1];
        return operation_begin(d, &dump_type, 0, p, NULL, f);
}

int dump_guest(Domain *d, const char *format, int fd, Operation **ret, Fault *f) {
        int flags = fcntl(fd, F_GETFL);
        Dump *p;

        assert(d && format);

        if (check_memory(d, f) < 0)
                return -ENOTCONN;
        if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
                return fault_set(f, FAULT_INVALID_ARGS, EBADF, "the descriptor for the dump of %s can't be written to", d->name);
        p = new0(Dump, 1);
        if (!p)
                return fault_oom(f);
        p->verdict = -1;
        p->format = strdup(is_empty(format) ? "elf" : format);
        p->fd = fd_copy(fd);
        if (!p->format || p->fd < 0) {
                dump_free(p);
                return fault_oom(f);
        }
        return operation_begin(d, &dump_type, 0, p, ret, f);
}
