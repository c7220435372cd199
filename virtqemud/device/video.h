/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

/* What a guest with a display gets that says nothing about its adapter. */
void video_set_default(Device *video);
