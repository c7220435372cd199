/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-error.h"

#include "mem.h"
#include "str.h"

#define PREFIX "org.virtbus.Error."

/* Those that D-Bus has a name for. */
static const char *const standard[_FAULT_MAX] = {
        [FAULT_INVALID_ARGS] = SD_BUS_ERROR_INVALID_ARGS,
        [FAULT_ACCESS_DENIED] = SD_BUS_ERROR_ACCESS_DENIED,
        [FAULT_NO_MEMORY] = SD_BUS_ERROR_NO_MEMORY,
        [FAULT_TIMEOUT] = PREFIX "Timeout",
};

static const char *const own[_FAULT_MAX] = {
        [FAULT_NONE] = PREFIX "Failed",
        [FAULT_INVALID_DEFINITION] = PREFIX "InvalidDefinition",
        [FAULT_NOT_SUPPORTED] = PREFIX "NotSupported",
        [FAULT_NO_SUCH_DOMAIN] = PREFIX "NoSuchDomain",
        [FAULT_DOMAIN_EXISTS] = PREFIX "DomainExists",
        [FAULT_NO_SUCH_DEVICE] = PREFIX "NoSuchDevice",
        [FAULT_NO_SUCH_JOB] = PREFIX "NoSuchJob",
        [FAULT_NO_SUCH_LOG] = PREFIX "NoSuchLog",
        [FAULT_NO_SUCH_LOCKSPACE] = PREFIX "NoSuchLockspace",
        [FAULT_LOCKSPACE_EXISTS] = PREFIX "LockspaceExists",
        [FAULT_LEASE_HELD] = PREFIX "LeaseHeld",
        [FAULT_NO_SUCH_NETWORK] = PREFIX "NoSuchNetwork",
        [FAULT_NETWORK_EXISTS] = PREFIX "NetworkExists",
        [FAULT_NETWORK] = PREFIX "NetworkFailed",
        [FAULT_FIREWALL] = PREFIX "FirewallFailed",
        [FAULT_NO_SUCH_POOL] = PREFIX "NoSuchPool",
        [FAULT_POOL_EXISTS] = PREFIX "PoolExists",
        [FAULT_NO_SUCH_VOLUME] = PREFIX "NoSuchVolume",
        [FAULT_VOLUME_EXISTS] = PREFIX "VolumeExists",
        [FAULT_NO_SUCH_SECRET] = PREFIX "NoSuchSecret",
        [FAULT_SECRET_EXISTS] = PREFIX "SecretExists",
        [FAULT_POOL] = PREFIX "PoolFailed",
        [FAULT_NO_SPACE] = PREFIX "NoSpace",
        [FAULT_IN_USE] = PREFIX "InUse",
        [FAULT_LOCKSPACE] = PREFIX "LockspaceFailed",
        [FAULT_INVALID_STATE] = PREFIX "InvalidState",
        [FAULT_BUSY] = PREFIX "Busy",
        [FAULT_LIMIT] = PREFIX "LimitExceeded",
        [FAULT_CANCELED] = PREFIX "Canceled",
        [FAULT_DISCONNECTED] = PREFIX "Disconnected",
        [FAULT_STOPPING] = PREFIX "Stopping",
        [FAULT_IMAGE] = PREFIX "ImageFailed",
        [FAULT_QEMU] = PREFIX "QemuFailed",
        [FAULT_GUEST_AGENT] = PREFIX "GuestAgentFailed",
        [FAULT_UNIT] = PREFIX "UnitFailed",
        [FAULT_STORE] = PREFIX "StoreFailed",
        [FAULT_HOST] = PREFIX "HostFailed",
};

const char *bus_error_name(FaultKind kind) {
        assert(kind >= 0 && kind < _FAULT_MAX);

        return standard[kind] ?: own[kind];
}

static char *message_of(const Fault *f) {
        return f->hint ? strf("%s\n%s", fault_text(f), f->hint) : strdup(fault_text(f));
}

/* The errno alone. sd-bus would make names of its own from it; it says these two where an argument is not what it is read as. */
static int errno_to_bus(int r, sd_bus_error *error) {
        if (r == -ENOMEM)
                return sd_bus_error_set(error, SD_BUS_ERROR_NO_MEMORY, "out of memory");
        if (r == -ENXIO || r == -EBADMSG)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "a value in the arguments is of another type than it has to be");
        (void) sd_bus_error_set(error, bus_error_name(FAULT_NONE), strerror(r < 0 ? -r : EIO));
        return r < 0 ? r : -EIO;
}

int fault_to_bus(const Fault *f, int r, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;

        assert(f && error);

        if (!fault_is_set(f))
                return errno_to_bus(r, error);
        text = message_of(f);
        return sd_bus_error_set(error, bus_error_name(f->kind), text ?: "out of memory");
}

int fault_from_bus(const sd_bus_error *e, Fault *ret) {
        const char *newline = e->message ? strchr(e->message, '\n') : NULL;
        FaultKind kind = FAULT_QEMU;
        int r;

        assert(e && ret);

        for (FaultKind k = 0; k < _FAULT_MAX; k++)
                if (e->name && streq(bus_error_name(k), e->name))
                        kind = k;
        r = fault_set(ret, kind == FAULT_NONE ? FAULT_QEMU : kind, sd_bus_error_get_errno(e) ?: EIO, "%.*s",
                      newline ? (int) (newline - e->message) : -1, e->message ?: e->name ?: "failed");
        if (newline)
                fault_hint(ret, "%s", newline + 1);
        return r;
}

int bus_reply_fault(sd_bus_message *call, const Fault *f, int r) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        assert(call && f);

        (void) fault_to_bus(f, r, &error);
        return sd_bus_reply_method_error(call, &error);
}
