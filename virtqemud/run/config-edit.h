/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "define.h"
#include "operation.h"

/* A change of the persistent definition that goes along with one of the running VM: made and looked at first, then stored, and put back if
 * the other one fails. A definition that somebody else has changed between two of these is left as it is. */
typedef struct ConfigEdit ConfigEdit;

/* Changes a definition that is filled; it is filled again after that. */
typedef int (*ConfigEditFunc)(DomainDef *def, void *userdata, Fault *f);

/* FAULT_INVALID_STATE for a transient domain. */
int config_edit_new(Domain *d, ConfigEditFunc edit, void *edit_userdata, ConfigEdit **ret, Fault *f);
ConfigEdit *config_edit_free(ConfigEdit *e);
DEFINE_CLEANUP(ConfigEdit *, config_edit_free)

/* The definition as it was; NULL for NULL. Stays the ConfigEdit's. */
const char *config_edit_before(const ConfigEdit *e);
/* In a copy of the definition, or what is made of its text: the device that has this id in the running VM, else in the definition. Ids of
 * copies are their own. NULL: there is none. */
Device *config_edit_find(const Domain *d, const DomainDef *def, const char *id);

/* By itself: made and stored, without an operation. */
int config_edit_apply(Domain *d, ConfigEditFunc edit, void *edit_userdata, DefineDone done, void *userdata, Fault *f);

/* The begin and the undo of a step of that operation; NULL: there is nothing to change. Nothing is waited for once the ConfigEdit is freed.
 * Storing ends in FAULT_INVALID_STATE, ESTALE, if the definition was changed since the edit was made. */
int config_edit_store(ConfigEdit *e, Operation *o, Fault *f);
int config_edit_restore(ConfigEdit *e, Operation *o);
