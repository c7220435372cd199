/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sdbus.h"

/* The part of org.virtbus.qemu1.Guest that runs programs and copies files. */
extern const sd_bus_vtable guest_exec_vtable[];
