/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mode.h"
#include "xml-read.h"

static int hostdev_check(const NetworkDef *def, Fault *f) {
        xml_fault_below(&def->head, "forward/@mode", f, FAULT_NOT_SUPPORTED, "'hostdev' is not supported: PCI devices can't be handed to guests yet");
        fault_hint(f, "take mode 'passthrough', which gives each guest one interface through macvtap");
        return -EOPNOTSUPP;
}

const ModeOps mode_hostdev = { .kind = NETWORK_HOSTDEV, .check = hostdev_check };
