/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/domain-def.h"
#include "fault.h"
#include "log.h"
#include "state.h"

typedef struct Manager Manager;
typedef struct Domain Domain;
typedef struct Instance Instance;
typedef struct Operation Operation;
typedef struct PlanOnly PlanOnly;
typedef struct DomainEvent DomainEvent;

/* One domain: its definition, and while it is active the Instance that runs it. Owned by the Manager's registry. */
struct Domain {
        Manager *manager;
        char *name;
        sd_id128_t uuid;
        char uuid_string[SD_ID128_UUID_STRING_MAX];
        LogScope scope;
        char *unit;                   /* "virtqemu@web.service"; NULL where VMs are no units */

        DomainDef *config;            /* persistent definition; NULL: transient, or broken */
        DomainDef *live;              /* what runs; NULL while there is no Instance */
        Fault broken;                 /* why the file can't be used (state BROKEN) */
        bool autostart;
        bool autostart_seen;          /* while links are looked through */
        bool keeps_state;             /* what its companions keep outlives it */
        bool status_unsaved;          /* status.c */
        bool may_have_failed;         /* its unit, which systemd then remembers */
        bool start_again;             /* it was ended for that */
        uint64_t config_generation;   /* counts changes of config, live_generation those of live */
        uint64_t live_generation;

        DomainState state;
        StateReason reason;
        uint64_t state_usec;          /* CLOCK_REALTIME of the last change of state */
        uint64_t start_usec;          /* of the last start; 0: never since we know it */
        char *pause_reason;
        char **warnings;
        char **tainted;               /* what was done to this run of it behind our back: "custom-monitor" */
        Fault last_error;             /* of the last operation that failed, until the next start succeeds */

        Operation *operation;         /* the one that may change this domain now */
        Instance *instance;
        struct Termination *terminations; /* who waits for its end */
        PlanOnly *plans;              /* PlanStart() calls under way */
        struct UnitGone *leaving;     /* the unit of the last run, until systemd has done with it */
        char *live_text;              /* `live` as the status file has it, until `live` changes */
        struct DomainEvents *events;  /* that its guest has seen since its start */
        struct DeviceObject *device_objects; /* bus/'s own */
};

/* What a change is about, so that bus/ can say which properties changed. */
typedef enum DomainChange {
        DOMAIN_CHANGED_STATE     = 1 << 0,
        DOMAIN_CHANGED_CONFIG    = 1 << 1,
        DOMAIN_CHANGED_LIVE      = 1 << 2,  /* also pid, unit, machine name, devices */
        DOMAIN_CHANGED_AUTOSTART = 1 << 3,
        DOMAIN_CHANGED_WARNINGS  = 1 << 4,
        DOMAIN_CHANGED_ERROR     = 1 << 5,
        DOMAIN_CHANGED_OPERATION = 1 << 6,
        DOMAIN_CHANGED_MEMORY    = 1 << 7,
        DOMAIN_CHANGED_TAINTED   = 1 << 8,
        DOMAIN_CHANGED_ADDRESSES = 1 << 9,
        DOMAIN_CHANGED_DISKS     = 1 << 10, /* which images it uses */
        DOMAIN_CHANGED_TUNING    = 1 << 11,
        DOMAIN_CHANGED_GUEST     = 1 << 12, /* what its agent says of it */
        DOMAIN_CHANGED_EVENTS    = 1 << 13,
        DOMAIN_CHANGED_PROGRESS  = 1 << 14, /* of the operation */
} DomainChange;

/* What bus/ wants to hear. Set once, at start. */
typedef struct DomainWatch {
        void (*added)(Domain *d, void *userdata);
        void (*removed)(Domain *d, void *userdata);       /* still whole */
        void (*changed)(Domain *d, unsigned what, void *userdata);
        void (*state)(Domain *d, DomainState old, void *userdata);
        void (*operation_finished)(Operation *o, int error, const Fault *f, void *userdata);
        void (*event)(Domain *d, const DomainEvent *e, void *userdata);
        void (*busy)(bool busy, void *userdata);          /* whether the daemon must not go idle */
} DomainWatch;

/* Registers with the manager. Takes over `config` (may be NULL for a transient or broken domain). */
int domain_new(Manager *m, const char *name, sd_id128_t uuid, DomainDef *config, Domain **ret);
Domain *domain_free(Domain *d);
DEFINE_CLEANUP(Domain *, domain_free)

/* The only writer of the state: checks that the change is allowed, logs, stores and announces it. */
void domain_set_state(Domain *d, DomainState state, StateReason reason);
void domain_changed(Domain *d, unsigned what);
int domain_warn(Domain *d, const char *fmt, ...) _printf_(2, 3);
void domain_taint(Domain *d, const char *how);
void domain_set_error(Domain *d, const Fault *f);
/* Neither defined nor alive, and nothing to do for it any more. */
bool domain_is_over(const Domain *d);
/* After an end of anything: a transient domain with nothing left to it is freed here. */
void domain_settle(Domain *d);

/* The definition that says what the domain is now: live while it is active. NULL only for a broken one. */
static inline const DomainDef *domain_def(const Domain *d) {
        return d->live ?: d->config;
}

static inline const char *domain_unit(const Domain *d) {
        return d->unit ?: "";
}

#define log_domain_info(d, ...) ((void) log_at(LOG_INFO, 0, &(d)->scope, __VA_ARGS__))
#define log_domain_notice(d, ...) ((void) log_at(LOG_NOTICE, 0, &(d)->scope, __VA_ARGS__))
#define log_domain_warning(d, ...) ((void) log_at(LOG_WARNING, 0, &(d)->scope, __VA_ARGS__))
#define log_domain_debug(d, ...) ((void) log_at(LOG_DEBUG, 0, &(d)->scope, __VA_ARGS__))
#define log_domain_warning_errno(d, error, ...) log_at(LOG_WARNING, (error), &(d)->scope, __VA_ARGS__)
#define log_domain_error_errno(d, error, ...) log_at(LOG_ERR, (error), &(d)->scope, __VA_ARGS__)
