/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp-call.h"

#include "bus-error.h"
#include "mem.h"

typedef struct QmpCall {
        sd_bus_message *message;
        const char *hint;
} QmpCall;

static QmpCall *qmp_call_free(QmpCall *c) {
        if (c)
                sd_bus_message_unref(c->message);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(QmpCall *, qmp_call_free)

static void on_done(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_(qmp_call_freep) QmpCall *c = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!why) {
                (void) sd_bus_reply_method_return(c->message, NULL);
                return;
        }
        if (fault_copy(&f, why) >= 0 && c->hint && why->kind == FAULT_QEMU)
                fault_hint(&f, "%s", c->hint);
        (void) bus_reply_fault(c->message, &f, -why->error);
}

int qmp_call(const Domain *d, const char *command, json_t *arguments, const char *hint, sd_bus_message *call, Fault *f) {
        _cleanup_(qmp_call_freep) QmpCall *c = new0(QmpCall, 1);
        int r;

        assert(d && command && call);

        if (!arguments || !c) {
                json_decref(arguments);
                return fault_oom(f);
        }
        if (!d->instance || !d->instance->monitor_ready) {
                json_decref(arguments);
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: QEMU can't be asked", d->name, domain_state_to_string(d->state));
        }
        *c = (QmpCall) { sd_bus_message_ref(call), hint };
        r = qmp_send_always(d->instance->qmp, command, arguments, 0, on_done, c);
        if (r < 0)
                return fault_set(f, FAULT_QEMU, -r, "QEMU of %s can't be asked: %s", d->name, strerror(-r));
        TAKE_PTR(c);
        return 0;
}
