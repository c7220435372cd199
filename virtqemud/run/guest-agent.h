/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../qmp/qga.h"
#include "domain-addresses.h"
#include "instance.h"

/* The agent in the guest of a running domain, behind the channel "org.qemu.guest_agent.0". What it says of the guest is as good as the guest. */

typedef enum GuestAgentState {
        AGENT_ABSENT,        /* the domain has no such channel, or does not run */
        AGENT_DISCONNECTED,  /* nobody in the guest has opened it */
        AGENT_CONNECTED,
        AGENT_SILENT,        /* the last call got no answer */
        _GUEST_AGENT_STATE_MAX,
        _GUEST_AGENT_STATE_INVALID = -EINVAL,
} GuestAgentState;
DECLARE_ENUM(GuestAgentState, guest_agent_state);

typedef struct GuestAgent GuestAgent;

/* The live definition may have the channel now, or have it no more. QEMU is asked whether it is open. */
void guest_agent_look(Instance *i);
/* VSERPORT_CHANGE. */
void guest_agent_port(Instance *i, const char *device, bool open);
GuestAgent *guest_agent_free(GuestAgent *a);
DEFINE_CLEANUP(GuestAgent *, guest_agent_free)

/* qga_send(), with the reason where there is nobody to ask. */
int domain_ask_guest(Domain *d, const char *command, json_t *arguments, uint64_t timeout_usec, QgaReply reply, void *userdata, QgaCall **ret, Fault *f);

/* Somebody who waits for other things than answers, too, and has to know when the agent goes: `gone` is called once, unless it is forgotten. */
typedef struct GuestWatch GuestWatch;
struct GuestWatch {
        GuestWatch *next;
        void (*gone)(const Fault *why, void *userdata);
        void *userdata;
};
void domain_watch_guest(Domain *d, GuestWatch *w);
void domain_forget_guest_watch(Domain *d, GuestWatch *w);

/* What is known of the guest since its agent came. */
GuestAgentState domain_agent_state(const Domain *d);
const char *domain_agent_version(const Domain *d);              /* "": not known */
char *const *domain_agent_commands(const Domain *d);            /* NULL: not known */
const char *domain_guest_hostname(const Domain *d);             /* "": not known */
const json_t *domain_guest_os(const Domain *d);                 /* an object of strings; NULL: not known */
int domain_guest_addresses_each(const Domain *d, int (*found)(const DomainAddress *address, void *userdata), void *userdata);
/* Asks for its addresses again. */
void domain_guest_refresh(Domain *d);

/* Strings of the guest's that are fit for others: no control characters, not endless. New string; NULL: out of memory, or it is no string. */
char *guest_text(const json_t *text);
