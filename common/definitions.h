/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry.h"
#include "store.h"
#include "xml-definition.h"

/* Objects that are made of definitions: networks, pools. One that is defined is persistent: its definition lies in a folder, as NAME.xml, and an
 * empty file of that name in "autostart" below it says that it is started with the daemon. One that is active is noted below /run, so that the
 * daemon's next life takes it up; a transient one is nowhere else, and goes when it has ended.
 *
 * The set of all begins with a Definitions, an object with DEFINED_MEMBERS, its definition with DEFINITION_MEMBERS; `object` below is such an object.
 * What differs from kind to kind is a DefinitionKind. */

#define DEFINED_MEMBERS(Set, Def)                                                                       \
        Set *all;                                                                                       \
        char *name;                                                                                     \
        sd_id128_t uuid;                                                                                \
        Def *config;                 /* what it is started from; NULL: broken */                        \
        Def *live;                   /* what it was started as, also while it comes and goes; NULL: inactive */ \
        Fault broken;                /* why the file can't be used */                                   \
        uint64_t config_generation;                                                                     \
        bool persistent;             /* `config` is on disk */                                          \
        bool autostart

typedef struct DefinitionKind DefinitionKind;

/* What was begun with it has ended. Exactly once, from within the call or later. */
typedef void (*DefinedDone)(void *object, const Fault *why, void *userdata);

/* What bus/ wants to hear. */
typedef struct DefinitionsWatch {
        void (*added)(const void *object, void *userdata);
        void (*removed)(const void *object, void *userdata);      /* still whole */
        void (*changed)(const void *object, unsigned what, void *userdata);
} DefinitionsWatch;

typedef struct Definitions {
        const DefinitionKind *kind;
        Registry *registry;
        Store *configs, *autostarts, *statuses;
        DefinitionsWatch watch;
        void *userdata;
        bool loading;                /* nobody is told what changes */
} Definitions;

typedef struct Defined {
        DEFINED_MEMBERS(Definitions, Definition);
} Defined;

/* What has changed; a daemon has more of its own, from DEFINED_CHANGED_MORE on. */
enum {
        DEFINED_CHANGED_STATE     = 1 << 0,
        DEFINED_CHANGED_CONFIG    = 1 << 1,
        DEFINED_CHANGED_AUTOSTART = 1 << 2,
        DEFINED_CHANGED_MORE      = 1 << 3,
};

struct DefinitionKind {
        const char *noun;            /* "network" */
        const char *folder;          /* of definitions, below the daemon's folder in /etc */
        const char *status_folder;   /* below its folder in /run */
        FaultKind missing, exists;   /* FAULT_NO_SUCH_NETWORK, FAULT_NETWORK_EXISTS */
        size_t size;                 /* of an object */
        unsigned max;                /* of persistent ones */

        int (*parse)(const char *text, size_t length, Definition **ret, Fault *f);
        /* Chooses what the writer has left open, and looks whether all fits. `known` has the name already; NULL: nobody. */
        int (*complete)(Definitions *s, Definition *def, const Defined *known, Fault *f);
        /* Whether those with other UUIDs leave it what it needs. */
        int (*check_others)(Definitions *s, const Definition *def, Fault *f);

        void (*made)(Defined *o);    /* members that are not 0 by themselves; may be NULL */
        void (*clear)(Defined *o);   /* frees what it holds besides DEFINED_MEMBERS, and lets all run on */
        void (*redefined)(Defined *o);       /* `config` is another one; may be NULL */

        bool (*is_busy)(const Defined *o);   /* it is being started or stopped */
        int (*start)(Defined *o, DefinedDone done, void *userdata, Fault *f);
        /* Takes up one that an earlier life of the daemon has started. Takes over `live`; `text` is the whole note. */
        int (*adopt)(Defined *o, Definition *live, const char *text, Fault *f);
        /* What stands before the definition in that note: a comment; may be NULL. */
        const char *(*note)(const Defined *o);
};

int definitions_init(Definitions *s, const DefinitionKind *kind, const char *config_dir, const char *run_dir, const DefinitionsWatch *watch, void *userdata);
/* Frees all objects, nobody is told. */
void definitions_clear(Definitions *s);
/* Reads definitions, takes up what is active. From here on nobody is told anything until … */
int definitions_load(Definitions *s);
/* … what is to be started with the daemon was. */
void definitions_autostart(Definitions *s);
/* The definitions that were changed by hand. Active objects stay as they are until they are started again. */
int definitions_reload(Definitions *s);

/* By name or UUID. NULL: there is none, with DefinitionKind.missing. */
void *definitions_find(const Definitions *s, const char *name, Fault *f);

/* A new definition, or another one for an object that is there. `expect`: it must be of that one. `ret` may be NULL; it gets NULL with
 * `validate_only`. */
int definitions_define(Definitions *s, const char *text, size_t length, bool validate_only, const void *expect, Defined **ret, Fault *f);
/* What definitions_define() would take for this object; nothing is changed. */
int definitions_read_for(void *object, const char *text, size_t length, Definition **ret, Fault *f);
/* An object that is gone when it is stopped; it is not started yet. */
int definitions_add_transient(Definitions *s, const char *text, size_t length, Defined **ret, Fault *f);
/* An active one goes when it is stopped. */
int definitions_undefine(void *object, Fault *f);
int definitions_set_autostart(void *object, bool on, Fault *f);
/* The persistent definition as it was written, comments and all. */
int definitions_export(const void *object, char **ret, Fault *f);

/* Tells of it. */
void definitions_changed(const void *object, unsigned what);
/* Its run state is another one. What goes wrong is logged, too. */
int definitions_save(void *object);
/* One that is neither defined nor active goes. */
void definitions_settle(void *object);
