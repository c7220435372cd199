/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "link.h"
#include "network.h"

/* Guests' connections to bridges of Open vSwitch. Its database keeps a port when the tap has gone; here it goes with the tap, whoever had that and
 * however he ended: which ports there are is on disk, so that the next virtnetworkd takes out what went meanwhile, also after a power cut. Their taps
 * have names of their own, so that no other tap is ever called as one whose port is still there. */
typedef struct SwitchPorts SwitchPorts;

#define SWITCH_PORT_PREFIX "vnet-ovs"

/* `any`: whether there are some, told when that changes. */
typedef void (*SwitchPortsBusy)(bool any, void *userdata);

typedef struct SwitchPortsOptions {
        sd_event *event;
        Links *links;
        const char *state_dir;
        SwitchPortsBusy busy;
        void *userdata;
} SwitchPortsOptions;

/* Takes up those that are there, and takes out the rest. */
int switch_ports_new(const SwitchPortsOptions *options, SwitchPorts **ret);
/* All stay. */
SwitchPorts *switch_ports_free(SwitchPorts *s);
DEFINE_CLEANUP(SwitchPorts *, switch_ports_free)

/* What `q` asks for, with `merged` in place of its settings; an interface without an id gets one by chance. Only if 0 is returned, `done` is called,
 * later. FAULT_NETWORK, FAULT_TIMEOUT. */
int switch_ports_open(SwitchPorts *s, const char *bridge, const PortRequest *q, const PortSettings *merged, PortDone done, void *userdata, Fault *f);

/* The port, if it is one. */
typedef struct OvsPort OvsPort;
OvsPort *switch_ports_find(const SwitchPorts *s, const char *name);
typedef void (*SwitchPortLimited)(const Fault *why, void *userdata);
/* Other limits; `done` as above. */
int switch_port_set_limits(OvsPort *p, const Bandwidth *inbound, const Bandwidth *outbound, SwitchPortLimited done, void *userdata, Fault *f);
/* Names of what guests have on that bridge. */
int switch_ports_list(const SwitchPorts *s, const char *bridge, char ***names, size_t *n);
