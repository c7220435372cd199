/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "service.h"

/* org.virtbus.qemu1.Graphics, on the objects of displays. */
#define INTERFACE_GRAPHICS QEMU1_NAME ".Graphics"
