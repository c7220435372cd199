/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/args.h"

/* How fast the guest's nodes reach each other's memory, and the caches before it: the table that ACPI calls HMAT. */
bool hmat_any(const DomainDef *def);
int hmat_check(const DomainDef *def, Fault *f);
int hmat_args(const DomainDef *def, Args *a);
/* The node whose CPUs are nearest to one without: QEMU wants to know. */
uint64_t hmat_initiator(const DomainDef *def, const NumaCell *c);
