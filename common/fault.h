/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdarg.h>

#include "macro.h"
#include "table.h"

/* What a caller is told when something fails: a stable name, one sentence that says what failed, where and why, and where
 * possible a second one that says what to do. Code that only passes an error on passes the negative errno and leaves the
 * Fault alone. bus-error.c turns a Fault into a sd_bus_error. */
typedef enum FaultKind {
        FAULT_NONE,                /* nothing was said; the errno speaks */
        FAULT_INVALID_ARGS,        /* an argument of the call is wrong */
        FAULT_INVALID_DEFINITION,  /* the XML or a value in it is wrong */
        FAULT_NOT_SUPPORTED,       /* understood, but this QEMU, host or version can't */
        FAULT_ACCESS_DENIED,
        FAULT_NO_SUCH_DOMAIN,
        FAULT_DOMAIN_EXISTS,
        FAULT_NO_SUCH_DEVICE,
        FAULT_NO_SUCH_JOB,
        FAULT_NO_SUCH_LOG,
        FAULT_NO_SUCH_LOCKSPACE,
        FAULT_LOCKSPACE_EXISTS,
        FAULT_LEASE_HELD,          /* somebody else has the lease; the text says who */
        FAULT_NO_SUCH_NETWORK,
        FAULT_NETWORK_EXISTS,
        FAULT_NETWORK,             /* links, addresses or dnsmasq can't be set up */
        FAULT_FIREWALL,            /* the kernel refuses the rules */
        FAULT_NO_SUCH_POOL,
        FAULT_POOL_EXISTS,
        FAULT_NO_SUCH_VOLUME,
        FAULT_VOLUME_EXISTS,
        FAULT_NO_SUCH_SECRET,
        FAULT_SECRET_EXISTS,
        FAULT_POOL,                /* what a pool or volume is made of can't be used */
        FAULT_NO_SPACE,            /* there is not enough room left */
        FAULT_IN_USE,              /* a VM uses it; the text names it */
        FAULT_LOCKSPACE,           /* the folder of a lockspace can't be used */
        FAULT_INVALID_STATE,       /* the object is not in a state that allows this */
        FAULT_BUSY,                /* another job holds the object; the text names it */
        FAULT_LIMIT,               /* a documented cap is reached */
        FAULT_TIMEOUT,
        FAULT_CANCELED,
        FAULT_DISCONNECTED,        /* the other side went away */
        FAULT_STOPPING,            /* this daemon goes away */
        FAULT_IMAGE,               /* a disk image, kernel or firmware file can't be used */
        FAULT_QEMU,                /* QEMU refused or died; the text carries its words */
        FAULT_GUEST_AGENT,         /* the agent in the guest refused, or makes no sense; the text carries its words */
        FAULT_UNIT,                /* systemd could not start or stop the unit */
        FAULT_STORE,               /* a definition or state file can't be read or written */
        FAULT_HOST,                /* the kernel refuses what it gives every day: descriptors, sockets, processes */
        FAULT_NO_MEMORY,
        _FAULT_MAX,
        _FAULT_INVALID = -EINVAL,
} FaultKind;

DECLARE_ENUM(FaultKind, fault_kind); /* the last part of org.virtbus.Error.NAME */

typedef struct Fault {
        FaultKind kind;
        int error;     /* positive errno, never 0 once set */
        char *message;
        char *hint;    /* what to do, or NULL */
} Fault;
#define FAULT_INIT ((Fault) {})
#define _cleanup_fault_ _cleanup_(fault_clear)

void fault_clear(Fault *f);

/* Sets the fault unless one was set already (the first cause is the true one) and returns -error. `f` may be NULL. */
int fault_set(Fault *f, FaultKind kind, int error, const char *fmt, ...) _printf_(4, 5);
#define fault_set(...) as_negative(fault_set(__VA_ARGS__))
/* Adds what to do about it. */
void fault_hint(Fault *f, const char *fmt, ...) _printf_(2, 3);
/* Puts "WHERE: " before the message. */
void fault_prefix(Fault *f, const char *fmt, ...) _printf_(2, 3);
/* Moves `from` into `to`, which must be empty or NULL. */
void fault_move(Fault *to, Fault *from);
int fault_copy(Fault *to, const Fault *from);

static inline bool fault_is_set(const Fault *f) {
        return f->kind != FAULT_NONE;
}

/* The message, or what the errno says where there is none. Never NULL. */
const char *fault_text(const Fault *f);

#define fault_oom(f) fault_set((f), FAULT_NO_MEMORY, ENOMEM, "out of memory")
