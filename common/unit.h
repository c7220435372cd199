/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sdbus.h"

#include "fault.h"

/* systemd's units, over an asynchronous bus: the system's manager on the system bus, the user's on the user bus. */

/* "virtqemu" + "my-vm" -> "virtqemu@my-vm.service". What a unit name can't hold, ':', and '-' at the beginning, becomes \xNN.
 * -ENAMETOOLONG, -EINVAL. Pure, and reversible with unit_instance_unescape(). */
int unit_name_from_instance(const char *prefix, const char *instance, const char *suffix, char **ret);
/* "/srv/my pool" + ".mount" -> "srv-my\x20pool.mount", as systemd-escape --path does for a path without "." and "..". */
int unit_name_from_path(const char *path, const char *suffix, char **ret);
int unit_instance_unescape(const char *escaped, char **ret);

/* A call under way. Freeing it forgets the answer; systemd still does what it was asked. */
typedef struct UnitCall UnitCall;
UnitCall *unit_call_free(UnitCall *c);
DEFINE_CLEANUP(UnitCall *, unit_call_free)

/* Exactly once. `f` is NULL when all went well; FAULT_UNIT otherwise, with systemd's words. */
typedef void (*UnitDone)(const Fault *f, void *userdata);

/* Starts or stops a unit and waits for the job to be over; `mode` as in systemd ("replace", "fail"). */
int unit_start(sd_bus *bus, const char *unit, const char *mode, UnitDone done, void *userdata, UnitCall **ret);
/* Nobody waits for it; `done` gets the answer, with no userdata, and may ignore it. */
int unit_stop_unasked(sd_bus *bus, const char *unit, sd_bus_message_handler_t done);
int unit_stop(sd_bus *bus, const char *unit, const char *mode, UnitDone done, void *userdata, UnitCall **ret);
/* That it has failed is not shown any more. */
void unit_reset_failed(sd_bus *bus, const char *unit);
/* As unit_start(): reads its configuration again if it runs, else is started; or ends and starts again. */
int unit_reload(sd_bus *bus, const char *unit, const char *mode, UnitDone done, void *userdata, UnitCall **ret);
int unit_restart(sd_bus *bus, const char *unit, const char *mode, UnitDone done, void *userdata, UnitCall **ret);
/* A service that exists only while it runs, in place of a child of ours: it lives on when we are restarted. The program is run with
 * nothing but `input` as standard input, no rights and no files but the system's; on the system bus also as a user of its own. */
typedef struct UnitTransient {
        const char *unit, *description;
        const char *part_of;        /* ends with this unit */
        char *const *argv;          /* argv[0] is a path */
        int input;                  /* a descriptor; stays the caller's */
        int output;                 /* likewise; 0: the journal */
        const char *state;          /* a folder below /var/lib; NULL: none */
        uint64_t privileges;        /* it is root with these capabilities, CAP_… as bits, and bounds of its own; 0: see the following */
        char *const *sees;          /* of the host's files it sees these, whoever's they are, and programs: a path, and where it finds it, …; NULL: all */
        const char *root;           /* with `sees`: an empty folder for that */
        bool any_file;              /* it is root with the right to pass by modes of files, none of which it can make or change, and no other */
        bool confined;              /* it does with sockets and files what every program can, and no more */
        bool no_network;
        bool user;                  /* on the user bus */
} UnitTransient;
/* Done when the program runs. */
int unit_start_transient(sd_bus *bus, const UnitTransient *spec, UnitDone done, void *userdata, UnitCall **ret);

/* A mount that exists only while it is there; its name says where. The fault's errno is EEXIST if somebody has a unit of that name. */
typedef struct UnitMount {
        const char *unit, *description, *what;
        const char *type, *options; /* NULL: not said */
        uint64_t timeout_usec;
} UnitMount;
int unit_start_mount(sd_bus *bus, const UnitMount *spec, UnitDone done, void *userdata, UnitCall **ret);

/* Lets a running unit use device files, by their paths or their class ("char-vfio"), until the host is started anew. */
int unit_allow_devices(sd_bus *bus, const char *unit, char *const *files, UnitDone done, void *userdata, UnitCall **ret);

/* Likewise whatever else a unit can be told, as the a(sv) that `fill` appends; until then, `verb` says in errors what it is. */
typedef int (*UnitFill)(sd_bus_message *m, void *userdata);
int unit_set_properties(sd_bus *bus, const char *unit, const char *verb, UnitFill fill, void *fill_userdata, UnitDone done, void *userdata,
                        UnitCall **ret);

/* `on`: enables the unit as its [Install] says, else disables it; then lets systemd read the links. */
int unit_set_enabled(sd_bus *bus, const char *unit, bool on, UnitDone done, void *userdata, UnitCall **ret);

/* Tells when a unit is neither active nor on its way to or from it; at once if it is so already. */
typedef struct UnitGone UnitGone;
typedef void (*UnitGoneFunc)(void *userdata);
int unit_gone_watch(sd_bus *bus, const char *unit, UnitGoneFunc gone, void *userdata, UnitGone **ret);
UnitGone *unit_gone_free(UnitGone *g);
DEFINE_CLEANUP(UnitGone *, unit_gone_free)
