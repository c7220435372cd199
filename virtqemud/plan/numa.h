/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/args.h"

/* <cpu><numa> and <numatune>: the nodes the guest sees, and where their memory is. */

/* Cells that are numbered come in the order of their numbers. */
void numa_sort(DomainDef *def);
/* With nodes the memory is theirs. */
void numa_fill(DomainDef *def);
int numa_check(const DomainDef *def, Fault *f);
int numa_args(const DomainDef *def, Args *a);
/* What the memory of a cell is called; new string. */
char *numa_backend(const NumaCell *c);
/* Where memory is that belongs to no node: mode and nodes of <numatune><memory>, or NULL. */
const char *numa_nodes(const DomainDef *def, int *ret_mode);
