/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mode.h"
#include "xml-read.h"

static int hostdev_check(const NetworkDef *def, Fault *f) {
        xml_fault_below(&def->head, "forward/@mode", f, FAULT_NOT_SUPPORTED,
                        "'hostdev' is not supported: a pool of PCI devices, from which VMs get one each, is not there");
        fault_hint(f, "<hostdev type='pci'> gives a VM a function of its own; mode 'passthrough' gives each VM an interface of the host");
        return -EOPNOTSUPP;
}

const ModeOps mode_hostdev = { .kind = NETWORK_HOSTDEV, .check = hostdev_check };
