/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/args.h"

/* Threads of QEMU that disks have for themselves. */

/* As many as are wanted, those without a number of their own getting the lowest that is free. -ENOMEM. */
int iothreads_fill(DomainDef *def);
int iothreads_check(const DomainDef *def, Fault *f);
int iothreads_args(const DomainDef *def, Args *a);
/* The object of one; NULL: out of memory. */
json_t *iothread_json(const IothreadId *t);
