/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/domain-def.h"
#include "memory-backend.h"

/* <memory> and <currentMemory> of the definition count it. */
void domain_count_memory(DomainDef *def, const Device *d, bool more);
/* The machine has to be told. */
bool domain_has_nvdimm(const DomainDef *def);
/* Bytes of all <memory> devices. */
uint64_t domain_plugged_memory(const DomainDef *def);

/* What such a device takes of the host's memory; the piece's id is also *ret_id, a new string. 1; 0: nothing, or it is none. */
int memory_device_piece(const Device *d, MemoryPiece *ret, char **ret_id);

/* What the guest has taken of it, of the live definition. 1; 0: that device is none. */
int memory_set_current(Device *d, uint64_t bytes);
