/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "caps-probe.h"
#include "companions.h"
#include "domain-connections.h"
#include "domain-leases.h"
#include "domain-logs.h"
#include "domain-ports.h"
#include "domain-secrets.h"
#include "domain-volumes.h"
#include "launcher.h"
#include "machined.h"
#include "prepare.h"
#include "start.h"
#include "unit.h"

/* The steps of a start, for the table in start.c. Their `userdata` is the Operation, whose data is a Start. */

/* Which answer the step under way waits for. */
typedef enum StartWait { WAIT_NOTHING, WAIT_UNIT_LEFT, WAIT_HANDOVER, WAIT_MONITOR, WAIT_CONT, WAIT_END } StartWait;

/* What a start holds until it has ended. */
typedef struct Start {
        unsigned flags;
        bool ours;                   /* who wants it is told what becomes of it */
        QemuCaps *caps;
        CapsWait *caps_wait;
        Prepare *prepare;            /* images, descriptors, plan */
        PlanRequest *request;        /* the supervisor that waits for its plan */
        Launcher *launcher;
        sd_event_source *timeout;
        MachineRegistration *registration;
        Companions *companions;
        DomainVolumes *volumes;
        DomainLogs *logs;
        DomainPorts *ports;
        DomainConnections *connections;
        DomainSecrets *secrets;
        DomainLeases *leases;        /* ours until QEMU, which has copies, is known by its process */
        UnitCall *limits;            /* systemd is told them */
        sd_bus_slot *words;          /* virtlogd is asked to write down all it has */
        StartWait wait;
} Start;

/* NULL: no start is under way. */
Start *start_of(const Domain *d);

/* start-gather.c: what QEMU will need is collected. */
int start_begin_leaving(void *userdata, Fault *f);
int start_begin_capabilities(void *userdata, Fault *f);
int start_undo_capabilities(void *userdata);
int start_begin_volumes(void *userdata, Fault *f);
int start_undo_volumes(void *userdata);
int start_begin_secrets(void *userdata, Fault *f);
int start_undo_secrets(void *userdata);
int start_begin_logs(void *userdata, Fault *f);
int start_undo_logs(void *userdata);
int start_begin_prepare(void *userdata, Fault *f);
int start_undo_prepare(void *userdata);
int start_begin_leases(void *userdata, Fault *f);
int start_undo_leases(void *userdata);
int start_begin_connections(void *userdata, Fault *f);
int start_undo_connections(void *userdata);
int start_begin_ports(void *userdata, Fault *f);
int start_undo_ports(void *userdata);

/* start-unit.c: a supervisor and what stands beside QEMU, until QEMU answers. */
int start_begin_unit(void *userdata, Fault *f);
int start_undo_unit(void *userdata);
int start_begin_networks(void *userdata, Fault *f);
int start_undo_networks(void *userdata);
int start_begin_handover(void *userdata, Fault *f);
int start_begin_monitor(void *userdata, Fault *f);
void start_refuse_request(Start *s, const Fault *f);
/* s->request is there. */
int start_supervisor_came(Operation *o, Fault *f);

/* start-guest.c: limits, machined, the guest's first instruction. */
int start_begin_devices(void *userdata, Fault *f);
int start_begin_limits(void *userdata, Fault *f);
int start_undo_limits(void *userdata);
int start_begin_register(void *userdata, Fault *f);
int start_undo_register(void *userdata);
int start_begin_run(void *userdata, Fault *f);
