/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "graphics.h"

/* Displays that have the host's graphics processor draw: OpenGL on one of its render nodes. There is one at most, as QEMU has one. */

const Graphics *domain_find_gl(const DomainDef *def);
int gl_check(const Graphics *g, const DomainDef *def, Fault *f);

/* What QEMU opens for it, as systemd names devices; NULL: nothing. */
const char *gl_device(const DomainDef *def);
/* ",gl=on" and on what. */
void gl_add_options(const Graphics *g, Text *t);
