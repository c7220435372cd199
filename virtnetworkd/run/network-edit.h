/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "network.h"

/* Small changes of a network, without its whole definition: of what is active, of what is on disk, or of both. */

typedef enum EditScope { EDIT_LIVE = 1 << 0, EDIT_CONFIG = 1 << 1 } EditScope; /* none of them: of whatever there is */

/* Changes a definition; `what` is the caller's. */
typedef int (*NetworkEdit)(NetworkDef *def, const void *what, Fault *f);

/* What is active becomes `next`, which is taken in any case, and what is on disk `config` (NULL: stays): both, or neither. What is on disk
 * changes first, because it can be put back, which is done unless somebody else has changed it meanwhile. `done` exactly once, if it
 * returns 0. */
int network_change(Network *n, NetworkDef *next, const char *config, DefinedDone done, void *userdata, Fault *f);

/* `done` exactly once, if it returns 0. Comments stay. */
int network_edit(Network *n, unsigned scope, NetworkEdit edit, const void *what, DefinedDone done, void *userdata, Fault *f);

/* `what` is a PortForward; to remove one, protocol and first port are enough. */
int edit_add_port_forward(NetworkDef *def, const void *what, Fault *f);
int edit_remove_port_forward(NetworkDef *def, const void *what, Fault *f);
/* `what` is a DhcpHost; to remove one, what is set in it must be in the definition's. */
int edit_add_host(NetworkDef *def, const void *what, Fault *f);
int edit_remove_host(NetworkDef *def, const void *what, Fault *f);
