/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include "str.h"
#include "xml-read.h"

/* Units of a SCSI host of this machine, or maps of multipath: the kernel has them, whoever made them. */

static int check(const PoolDef *def, Fault *f) {
        const char *name = def->adapter_name, *digits = name ? str_after(name, "scsi_host") ?: str_after(name, "host") : NULL;
        uint32_t number;

        if (def->adapter_type == ADAPTER_FC_HOST)
                return xml_fault_below(&def->head, "source/adapter", f, FAULT_NOT_SUPPORTED, "adapters of type 'fc_host' can't be used: name their scsi_host");
        if (!digits || parse_u32(digits, &number) < 0)
                return xml_fault_below(&def->head, "source/adapter/@name", f, FAULT_INVALID_DEFINITION, "\"%s\" is no SCSI host, like scsi_host2", name ?: "");
        return 0;
}

const PoolOps pool_scsi = {
        .type = POOL_SCSI,
        .needs = ELEMENT_ADAPTER | ELEMENT_PATH,
        .scan = SCAN_SCSI,
        .volumes = VOLUME_BLOCK,
        .device_folder = "/dev/disk/by-path",
        .check = check,
};

const PoolOps pool_mpath = {
        .type = POOL_MPATH, .needs = ELEMENT_PATH, .scan = SCAN_MPATH, .volumes = VOLUME_BLOCK, .device_folder = "/dev/mapper",
};
