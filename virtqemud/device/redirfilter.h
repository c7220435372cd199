/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

/* The rules as QEMU reads them: "class:vendor:product:version:allow|…"; NULL: there are none. -ENOMEM. */
int redirfilter_text(const DomainDef *def, char **ret);
