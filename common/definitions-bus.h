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
/* StartTransient(s format, s text, t flags, a{sv} options), StartNAME(s name, t flags): */
int defined_start_transient(const DefinedBus *d, Definitions *s, sd_bus_message *m, sd_bus_error *error);
int defined_start_named(Definitions *s, sd_bus_message *m, sd_bus_error *error);
/* Start(t flags, a{sv} options), Undefine(t flags, a{sv} options), SetAutostart(b, t, a{sv}), ExportDefinition(s format, t flags) of an object.
 * `export_live` gives what it is now; NULL: its definition alone. */
int defined_start(void *object, sd_bus_message *m, sd_bus_error *error);
int defined_undefine(void *object, sd_bus_message *m, sd_bus_error *error);
int defined_set_autostart(void *object, sd_bus_message *m, sd_bus_error *error);
int defined_export(const void *object, int (*export_live)(const void *object, char **ret), sd_bus_message *m, sd_bus_error *error);

/* A DefinedDone that answers a call which returns nothing: `userdata` is a reference to the call. */
void defined_reply(void *object, const Fault *why, void *userdata);
/* What a method returns that has begun something with defined_reply() and a new reference, or could not: `r`, `f`. */
int defined_begun(int r, sd_bus_message *m, const Fault *f, sd_bus_error *error);
/* Whom a call `s name, t flags` means. */
int defined_read_named(Definitions *s, sd_bus_message *m, uint64_t known_flags, uint64_t *ret_flags, void **ret, Fault *f);
