/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"
#include "stats-set.h"

/* What the host's kernel says of a domain: /proc and control groups, which answer at once whatever QEMU does. */

/* A thread of QEMU that is a processor of the guest's. */
typedef struct VcpuThread {
        unsigned number;
        pid_t tid;
} VcpuThread;

/* What is looked for once, of one run of a domain. */
typedef struct StatsHost {
        char *group;           /* folder of its unit's control group; "": it is no unit */
        VcpuThread *threads;
        size_t n_threads, threads_allocated;
} StatsHost;

void stats_host_clear(StatsHost *h);

/* /proc/net/dev, read once for all that ask within a while. */
typedef struct NetDevices NetDevices;
NetDevices *net_devices_free(NetDevices *n);
DEFINE_CLEANUP(NetDevices *, net_devices_free)
/* Of its text; -ENOMEM. */
int net_devices_parse(const char *text, NetDevices **ret);
int net_devices_read(NetDevices **ret);

/* Each takes its sample anew. The domain has a QEMU. */
void stats_read_cpu(const Domain *d, StatsHost *h, StatsSet *s);
void stats_read_vcpu(const Domain *d, StatsHost *h, StatsSet *s);
void stats_read_memory(const Domain *d, StatsHost *h, StatsSet *s);
/* `n` may be NULL. */
void stats_read_net(const Domain *d, const NetDevices *n, StatsSet *s);
