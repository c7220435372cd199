/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "record.h"

/* <address> below the <source> of something that is a PCI device of the host. */
typedef struct HostPci {
        Record head;
        int type;                    /* "pci", or not said */
        uint64_t domain, bus, slot, function;
} HostPci;
extern const RecordType host_pci_record;

/* "0000:01:00.0"; new string. */
char *host_pci_text(const HostPci *p);
