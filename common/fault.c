/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fault.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "str.h"

/* Somebody is to read it. */
#define TEXT_MAX 4096u

DEFINE_ENUM(FaultKind, fault_kind,
        [FAULT_NONE] = "Failed",
        [FAULT_INVALID_ARGS] = "InvalidArgs",
        [FAULT_INVALID_DEFINITION] = "InvalidDefinition",
        [FAULT_NOT_SUPPORTED] = "NotSupported",
        [FAULT_ACCESS_DENIED] = "AccessDenied",
        [FAULT_NO_SUCH_DOMAIN] = "NoSuchDomain",
        [FAULT_DOMAIN_EXISTS] = "DomainExists",
        [FAULT_NO_SUCH_DEVICE] = "NoSuchDevice",
        [FAULT_NO_SUCH_JOB] = "NoSuchJob",
        [FAULT_NO_SUCH_LOG] = "NoSuchLog",
        [FAULT_NO_SUCH_LOCKSPACE] = "NoSuchLockspace",
        [FAULT_LOCKSPACE_EXISTS] = "LockspaceExists",
        [FAULT_LEASE_HELD] = "LeaseHeld",
        [FAULT_NO_SUCH_NETWORK] = "NoSuchNetwork",
        [FAULT_NETWORK_EXISTS] = "NetworkExists",
        [FAULT_NETWORK] = "NetworkFailed",
        [FAULT_FIREWALL] = "FirewallFailed",
        [FAULT_NO_SUCH_POOL] = "NoSuchPool",
        [FAULT_POOL_EXISTS] = "PoolExists",
        [FAULT_NO_SUCH_VOLUME] = "NoSuchVolume",
        [FAULT_VOLUME_EXISTS] = "VolumeExists",
        [FAULT_NO_SUCH_SECRET] = "NoSuchSecret",
        [FAULT_SECRET_EXISTS] = "SecretExists",
        [FAULT_POOL] = "PoolFailed",
        [FAULT_NO_SPACE] = "NoSpace",
        [FAULT_IN_USE] = "InUse",
        [FAULT_LOCKSPACE] = "LockspaceFailed",
        [FAULT_INVALID_STATE] = "InvalidState",
        [FAULT_BUSY] = "Busy",
        [FAULT_LIMIT] = "LimitExceeded",
        [FAULT_TIMEOUT] = "Timeout",
        [FAULT_CANCELED] = "Canceled",
        [FAULT_DISCONNECTED] = "Disconnected",
        [FAULT_STOPPING] = "Stopping",
        [FAULT_IMAGE] = "ImageFailed",
        [FAULT_QEMU] = "QemuFailed",
        [FAULT_GUEST_AGENT] = "GuestAgentFailed",
        [FAULT_UNIT] = "UnitFailed",
        [FAULT_STORE] = "StoreFailed",
        [FAULT_HOST] = "HostFailed",
        [FAULT_NO_MEMORY] = "NoMemory")

void fault_clear(Fault *f) {
        assert(f);

        free(f->message);
        free(f->hint);
        *f = FAULT_INIT;
}

/* Words of clients, guests and QEMU are in it, perhaps cut within a letter: an answer that is no UTF-8 would never be sent. */
static _printf_(1, 0) char *say(const char *fmt, va_list ap) {
        char *s;

        if (vasprintf(&s, fmt, ap) < 0)
                return NULL;
        if (strlen(s) > TEXT_MAX)
                s[TEXT_MAX] = '\0';
        str_make_text(s);
        return s;
}

int (fault_set)(Fault *f, FaultKind kind, int error, const char *fmt, ...) {
        va_list ap;

        assert(kind > FAULT_NONE && kind < _FAULT_MAX && error > 0);

        if (!f || fault_is_set(f))
                return -error;

        va_start(ap, fmt);
        f->message = say(fmt, ap);
        va_end(ap);
        f->kind = kind;
        f->error = error;
        return -error;
}

void fault_hint(Fault *f, const char *fmt, ...) {
        va_list ap;

        if (!f || !fault_is_set(f) || f->hint)
                return;

        va_start(ap, fmt);
        f->hint = say(fmt, ap);
        va_end(ap);
}

void fault_prefix(Fault *f, const char *fmt, ...) {
        _cleanup_free_ char *where = NULL;
        va_list ap;
        char *s;

        if (!f || !fault_is_set(f) || !f->message)
                return;

        va_start(ap, fmt);
        where = say(fmt, ap);
        va_end(ap);

        s = where ? strf("%s: %s", where, f->message) : NULL;
        if (s)
                free_and_replace(&f->message, s);
}

void fault_move(Fault *to, Fault *from) {
        assert(from);

        if (!to) {
                fault_clear(from);
                return;
        }
        if (fault_is_set(to))
                fault_clear(from);
        else
                *to = TAKE(*from, FAULT_INIT);
}

int fault_copy(Fault *to, const Fault *from) {
        _cleanup_fault_ Fault f = { .kind = from->kind, .error = from->error };

        assert(to);

        if (free_and_strdup(&f.message, from->message) < 0 || free_and_strdup(&f.hint, from->hint) < 0)
                return -ENOMEM;
        fault_clear(to);
        *to = TAKE(f, FAULT_INIT);
        return 0;
}

const char *fault_text(const Fault *f) {
        assert(f);

        if (f->message)
                return f->message;
        return f->error > 0 ? strerror(f->error) : "no error";
}
