/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/domain-def.h"

/* What this host has to encrypt the memory of guests. */
typedef struct HostEncryption {
        bool cpu_sev, cpu_sev_snp;   /* the CPU, as AMD's have it */
        bool cpu_intel;              /* Intel's don't say whether they have TDX */
        char kvm_sev, kvm_sev_snp, kvm_tdx; /* KVM's settings: 'Y' or 'N', '1' or '0'; '\0': it has none, or is not loaded */
} HostEncryption;

/* Reads what /proc/cpuinfo says about the first CPU. */
void memory_encryption_read_cpu(const char *cpuinfo, HostEncryption *ret);

/* Whether <launchSecurity> can be had: FAULT_NOT_SUPPORTED with the reason, which is the host's first. */
int memory_encryption_check(const DomainDef *def, const HostEncryption *host, Fault *f);
