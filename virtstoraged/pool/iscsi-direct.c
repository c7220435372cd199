/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"
#include "str.h"
#include "xml-read.h"

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_"

/* Units of an iSCSI target that the host does not log in to: QEMU does. */

int iscsi_check_target(const PoolDef *def, Fault *f) {
        const char *target = pool_device(def)->path;

        if ((str_after(target, "iqn.") || str_after(target, "eui.") || str_after(target, "naa.")) && strspn(target, NAME_CHARACTERS) == strlen(target))
                return 0;
        return xml_fault(&pool_device(def)->head, f, FAULT_INVALID_DEFINITION,
                         "\"%.200s\" is no target: its name begins with iqn., eui. or naa., and has letters, digits and \".:-_\"", target);
}

const PoolOps pool_iscsi_direct = {
        .type = POOL_ISCSI_DIRECT, .needs = ELEMENT_HOST | ELEMENT_DEVICE | ELEMENT_INITIATOR, .knows = ELEMENT_AUTH, .scan = SCAN_ISCSI_DIRECT,
        .volumes = VOLUME_NETWORK, .any_user = true, .network = true, .auth = AUTH_CHAP, .check = iscsi_check_target,
        .network_source = pool_iscsi_source,
};
