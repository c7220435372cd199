/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qmp.h"

/* Commands one after the other, each with the one that takes it back: [{"execute", "arguments", "fd", "undo": {"execute", "arguments"}}, …].
 * What only "fd" is for: a number by which the owner knows the descriptor that goes with the
 * command. Where arguments of later commands are "/proc/self/fd/NUMBER", they get the number that QEMU has given it. */
typedef struct QmpScript QmpScript;

typedef struct QmpScriptSpec {
        sd_event *event;
        /* The connection as it is now; NULL: there is none, and nothing can be said any more. */
        Qmp *(*get_qmp)(void *userdata);
        json_t *commands;            /* stays; is changed */
        /* A copy of that descriptor, for QEMU; NULL where no command has one. */
        int (*get_fd)(int number, void *userdata);
        /* Exactly once, never from within qmp_script_new(): all are done; or why one is not, when those before it were taken back. With
         * `go_on` a failure stops nothing, and the first one is told, unless it only is that what was to go is gone. */
        void (*done)(const Fault *why, void *userdata);
        void *userdata;
        bool go_on;
        bool from_end;               /* nothing is done, and all of it is taken back */
        const char *name;            /* for tests, see qmp-script.c; or NULL */
} QmpScriptSpec;

/* "qmp COMMAND ARGUMENTS", for who asks what would be done. */
int qmp_commands_to_lines(const json_t *commands, char ***lines);

int qmp_script_new(const QmpScriptSpec *spec, QmpScript **ret);
QmpScript *qmp_script_free(QmpScript *s);
DEFINE_CLEANUP(QmpScript *, qmp_script_free)

/* Takes back what is done, or stops after the command that is under way and then does so. done() is called once more at the end of it. */
void qmp_script_undo(QmpScript *s);

/* Something could not be taken back: the guest does not let go of it, or nobody could be asked. */
bool qmp_script_left_something(const QmpScript *s);

/* DEVICE_DELETED: a device_del that takes something back has ended. */
void qmp_script_device_deleted(QmpScript *s, const char *device);
