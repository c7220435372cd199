/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../run/manager.h"
#include "daemon.h"
#include "job.h"

#define QEMU1_NAME "org.virtbus.qemu1"
#define QEMU1_ROOT "/org/virtbus/qemu1"
#define QEMU1_MANAGER QEMU1_NAME ".Manager"
#define QEMU1_DOMAIN QEMU1_NAME ".Domain"
#define QEMU1_TUNING QEMU1_NAME ".Tuning"
#define QEMU1_GUEST QEMU1_NAME ".Guest"

/* polkit actions, as in dbus-interfaces/org.virtbus.qemu1.policy */
#define ACTION_READ_SECURE QEMU1_NAME ".read-secure"
#define ACTION_POWER QEMU1_NAME ".manage-power"
#define ACTION_CONFIG QEMU1_NAME ".manage-config"
#define ACTION_CREATE QEMU1_NAME ".create"
#define ACTION_CONSOLE QEMU1_NAME ".console"
#define ACTION_ADMIN QEMU1_NAME ".admin"
#define ACTION_GUEST_READ QEMU1_NAME ".guest-read"
#define ACTION_GUEST QEMU1_NAME ".guest"

/* The daemon on the bus: what connects run/ with D-Bus. */
typedef struct Service {
        Daemon *daemon;
        Bus *bus;
        Jobs *jobs;
        Manager *manager;
        struct AddressWaits *address_waits; /* NULL: nobody waits */
        struct HostDevices *host_devices;
        struct HostInfo *host_info;      /* as last read */
        uint64_t host_info_usec;         /* CLOCK_MONOTONIC of that */
        struct CapabilityCall *capability_calls; /* that wait for a QEMU to describe itself */
        struct DiskSize *disk_sizes;             /* that are being looked at */
        bool announcing;      /* false while definitions are loaded: nobody can listen yet */
        struct Subscription *subscriptions; /* to statistics */
} Service;

extern const BusObject *const service_objects[];
extern const DaemonSpec service_spec;

/* Something runs or is under way, or somebody is to be told of it: then the daemon stays. */
void service_busy_changed(Service *s);

/* Objects get the Daemon as userdata. */
static inline Service *service_of(void *userdata) {
        return daemon_state(userdata);
}

/* Object path of a domain, in the caller's buffer. */
#define DOMAIN_PATH_MAX 80u
const char *domain_path(const Domain *d, char buffer[static DOMAIN_PATH_MAX]);
/* The domain a path belongs to, and what follows its own part of it ("" or "/device/…"). 1 or 0. */
int domain_find_path(const char *path, void *userdata, Domain **ret, const char **ret_rest);

/* From signal.c: what run/ tells becomes signals. */
extern const DomainWatch signal_watch;

/* Rows of the objects and fragments of the Domain interface. */
extern const BusObject manager_object, domain_object, tuning_object, guest_object, device_object, disk_object, nic_object, console_object, graphics_object;
extern const sd_bus_vtable domain_property_vtable[], domain_life_vtable[], domain_info_vtable[], domain_config_vtable[];

extern const BusObject screen_object, events_object;
extern const sd_bus_vtable domain_dump_vtable[];

/* BusObject.find and .details of the interfaces on a domain's own path. */
int domain_object_find(const char *path, void *userdata, void **ret);
int domain_object_details(void *object, sd_bus_message *call);

/* Verbs that the Manager has by name as well; each answers the message. */
/* With `new_domain` the answer begins with the domain's path. */
int domain_start_call(Domain *d, sd_bus_message *m, uint64_t flags, bool paused, bool new_domain, sd_bus_error *error);
/* `mode`: any, acpi or agent; empty: any. */
int domain_shutdown_call(Domain *d, sd_bus_message *m, const char *mode, uint64_t timeout_usec, sd_bus_error *error);
int domain_reboot_call(Domain *d, sd_bus_message *m, const char *mode, sd_bus_error *error);
int domain_terminate_call(Domain *d, sd_bus_message *m, uint64_t flags, sd_bus_error *error);
int domain_suspend_call(Domain *d, sd_bus_message *m, bool suspend, sd_bus_error *error);

/* JobSpec.cancel of jobs that are operations. */
int service_cancel_operation(Job *j, void *userdata, Fault *f);

/* A domain by name or UUID, or FAULT_NO_SUCH_DOMAIN with a near name as hint. */
int service_find_domain(Service *s, const char *name, Domain **ret, Fault *f);
