/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

/* What a guest with a display gets that says nothing about its adapter. */
void video_set_default(Device *video);

/* Viewers and the firmware begin with the one that comes first. */
void video_put_primary_first(DomainDef *def);

/* The adapter that shows that screen, counted from 0 over all adapters, and which of its own heads that is. NULL: there is none; `n` is then
 * how many there are. */
const Device *video_find_screen(const DomainDef *def, uint64_t screen, uint64_t *ret_head, uint64_t *ret_n);
