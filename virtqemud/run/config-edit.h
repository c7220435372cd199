/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "define.h"

/* A change of the persistent definition that goes along with one of the running VM: made and looked at first, then stored, and put back if
 * the other one fails. */
typedef struct ConfigEdit ConfigEdit;

/* Changes a definition that is filled; it is filled again after that. */
typedef int (*ConfigEditFunc)(DomainDef *def, void *userdata, Fault *f);
typedef void (*ConfigEditDone)(const Fault *why, void *userdata);

/* FAULT_INVALID_STATE for a transient domain. */
int config_edit_new(Domain *d, ConfigEditFunc edit, void *edit_userdata, ConfigEdit **ret, Fault *f);
ConfigEdit *config_edit_free(ConfigEdit *e);
DEFINE_CLEANUP(ConfigEdit *, config_edit_free)

/* `done` may be called from within. Nothing is waited for once the ConfigEdit is freed. */
void config_edit_store(ConfigEdit *e, ConfigEditDone done, void *userdata);
/* As it was before config_edit_store(), which has succeeded. */
void config_edit_restore(ConfigEdit *e, ConfigEditDone done, void *userdata);
