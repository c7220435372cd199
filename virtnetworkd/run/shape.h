/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/* Limits of what goes through a link, in either direction as the guest sees it: what comes to it is delayed (a queue of kind htb), what it sends
 * is dropped beyond (police). A direction without an average has no limit. On a bridge they hold for all of its guests together. FAULT_NETWORK. */
/* shape_link() adds to a link without limits; the other one replaces those of a link that is a guest's connection. */
int shape_port_again(Links *l, const char *name, const Bandwidth *inbound, const Bandwidth *outbound, Fault *f);
int shape_link(Links *l, const char *name, const Bandwidth *inbound, const Bandwidth *outbound, Fault *f);
