/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/* The host leaves checksums to the hardware, which a bridge to guests hasn't: old DHCP clients take that for damage, when the kernel itself
 * carries frames (vhost). From here on what DHCP answers on this bridge has its checksum. -EOPNOTSUPP: this kernel can't. */
int dhcp_checksum_fill(Links *l, int index);
