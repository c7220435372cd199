/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../run/networks.h"
#include "daemon.h"
#include "definitions-bus.h"

#define NETWORK1_NAME "org.virtbus.network1"
#define NETWORK1_ROOT "/org/virtbus/network1"
#define NETWORK1_MANAGER NETWORK1_NAME ".Manager"
#define NETWORK1_NETWORK NETWORK1_NAME ".Network"

/* polkit actions, as in dbus-interfaces/org.virtbus.network1.policy */
#define ACTION_MANAGE NETWORK1_NAME ".manage"
#define ACTION_ATTACH NETWORK1_NAME ".attach"
#define ACTION_ATTACH_BRIDGE NETWORK1_NAME ".attach-bridge"

#define NETWORK_PATH_MAX DEFINED_PATH_MAX

typedef struct Service {
        Daemon *daemon;
        Bus *bus;
        Networks *networks;
} Service;

extern const BusObject *const service_objects[];
extern const DaemonSpec service_spec;

/* Objects get the Daemon as userdata. */
static inline Service *service_of(void *userdata) {
        return daemon_state(userdata);
}

extern const DefinedBus network_bus;
/* Of its object, in the buffer. */
static inline const char *network_path(const Network *n, char buffer[static NETWORK_PATH_MAX]) {
        return defined_path(&network_bus, n, buffer);
}

/* What Manager and Network have in common; answers the call, now or later. */
int network_stop_call(Network *n, uint64_t flags, sd_bus_message *m, sd_bus_error *error);

/* The signal LeaseAdded or LeaseRemoved. */
void network_emit_lease(Bus *b, const char *path, const DhcpGrant *g, bool added);

/* The Manager's signal AddressesChanged. */
void manager_emit_addresses(Bus *b, const char *mac);

/* Reads `a{sv} port, t flags, a{sv} options`. */
int read_port(sd_bus_message *m, PortRequest *ret, Fault *f);
/* PortDone that answers a call with `sah`. */
void reply_port(const char *name, const int *fds, uint32_t n, const Fault *why, void *userdata);
