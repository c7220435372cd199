/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* Where the output of one run goes: "qemu" for QEMU's own words, and each console under its device's id. virtlogd gives a pipe for each;
 * where there is no virtlogd it is a plain file in the same place. */
typedef struct DomainLogs DomainLogs;

/* Exactly once, never from within domain_logs_new(). What can't be had is a warning of the domain, not a failure. */
typedef void (*DomainLogsDone)(void *userdata);

/* `live`: its definition, or what is plugged into it; with `qemu` also QEMU's own. */
int domain_logs_new(Domain *d, const DomainDef *live, bool qemu, DomainLogsDone done, void *userdata, DomainLogs **ret, Fault *f);
DomainLogs *domain_logs_free(DomainLogs *l);
DEFINE_CLEANUP(DomainLogs *, domain_logs_free)

/* The descriptor to write into, which stays the logs'; -1: none. */
int domain_logs_fd(const DomainLogs *l, const char *name);
/* Reading ends that somebody must hold as long as QEMU lives, so that it never writes into a pipe nobody reads while virtlogd is restarted.
 * -1: log number i has none. */
size_t domain_logs_count(const DomainLogs *l);
int domain_logs_keep(const DomainLogs *l, size_t i);
