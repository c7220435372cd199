/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/args.h"
#include "str.h"

/* <memoryBacking>: where the guest's memory comes from. */

int memory_check(const DomainDef *def, Fault *f);
/* What -machine says of it, and the object that it names. */
void memory_machine(const DomainDef *def, Text *t);
int memory_args(const DomainDef *def, Args *a);
