/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus.h"
#include "definitions.h"

/* What is the same on D-Bus for all objects that are made of definitions: their paths, how they come and go, and the methods that their
 * Manager and they themselves have for that. */
typedef struct DefinedBus {
        const char *root, *manager;          /* the Manager's path and interface */
        const char *added, *removed;         /* its signals: "NetworkNew", "NetworkRemoved" */
        const char *folder, *interface;      /* of the objects */
        const struct DefinedProperty {
                unsigned changes;            /* with any of these (DEFINED_CHANGED_…) */
                const char *name;
        } *properties;                       /* ends in a NULL name */
} DefinedBus;

#define DEFINED_PATH_MAX 96u
/* Of its object, in the buffer. */
const char *defined_path(const DefinedBus *d, const void *object, char buffer[static DEFINED_PATH_MAX]);
/* For BusObject.find and .enumerate; `s` may be NULL: there is nothing yet. */
int defined_find_path(const DefinedBus *d, const Definitions *s, const char *path, void **ret);
int defined_list_paths(const DefinedBus *d, const Definitions *s, char ***ret);

void defined_tell_added(const DefinedBus *d, Bus *bus, const void *object);
void defined_tell_removed(const DefinedBus *d, Bus *bus, const void *object);
void defined_tell_changed(const DefinedBus *d, Bus *bus, const void *object, unsigned what);

/* Methods, whole but for the polkit action. GetNAME(s name), GetNAMEByUUID(ay uuid), DefineNAME(s format, s text, t flags, a{sv} options) of the
 * Manager: */
int defined_get(const DefinedBus *d, const Definitions *s, sd_bus_message *m, sd_bus_error *error);
int defined_get_by_uuid(const DefinedBus *d, const Definitions *s, sd_bus_message *m, sd_bus_error *error);
int defined_define(const DefinedBus *d, Definitions *s, sd_bus_message *m, sd_bus_error *error);
/* … Undefine(t flags, a{sv} options), SetAutostart(b, t, a{sv}), ExportDefinition(s format, t flags) of an object. `export_live` gives what it is
 * now; NULL: its definition alone. */
int defined_undefine(void *object, sd_bus_message *m, sd_bus_error *error);
int defined_set_autostart(void *object, sd_bus_message *m, sd_bus_error *error);
int defined_export(const void *object, int (*export_live)(const void *object, char **ret), sd_bus_message *m, sd_bus_error *error);
/* An answer `o`; NULL: "/". */
int defined_reply_path(const DefinedBus *d, const void *object, sd_bus_message *m);
