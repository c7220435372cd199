/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "../def/caps.h"
#include "../def/domain-def.h"
#include "str.h"

/* What a definition asks of QEMU, as data: JSON objects in creation order and the descriptors they refer to. Formatted as argv for a
 * cold start (launch.c) or as QMP commands for hotplug. */

typedef enum ArgKind {
        ARG_OPTION,    /* a plain argv option that has no run-time form: option + text */
        ARG_OBJECT,    /* -object JSON   | object-add   */
        ARG_CHARDEV,   /* -chardev text  | chardev-add; JSON in chardev-add's form {"id","backend":{"type","data"}} */
        ARG_BLOCKDEV,  /* -blockdev JSON | blockdev-add */
        ARG_NETDEV,    /* -netdev JSON   | netdev_add   */
        ARG_DEVICE,    /* -device JSON   | device_add   */
} ArgKind;

typedef struct Arg {
        ArgKind kind;
        const char *option;    /* ARG_OPTION: "-rtc" */
        char *text;            /* ARG_OPTION: its value, or NULL */
        json_t *json;
} Arg;

/* A descriptor QEMU needs. Who opens it, and how, follows from the kind. `number` is what it is called in argv and in QEMU. */
typedef enum PlanFdKind {
        PLAN_FD_IMAGE,          /* a disk image or firmware file by path; goes into fdset `fdset` */
        PLAN_FD_MEMFD,          /* the content of the file `path` as a sealed memfd */
        PLAN_FD_FOLDER,         /* a folder where the plan's memfds of files in the folder `path` are found by their names */
        PLAN_FD_OUTPUT,         /* the file `path` opened for writing (append or truncate); into fdset `fdset` */
        PLAN_FD_SCRATCH,        /* a file without a name, which goes when nobody has it any more; `path` is its WantedFile.key */
        PLAN_FD_LISTEN,         /* a listening unix socket at `path` */
        PLAN_FD_LISTEN_TCP,     /* a listening TCP socket at `path`, "ADDRESS PORT" */
        PLAN_FD_CONNECT,        /* a unix socket connected to `path` */
        PLAN_FD_CONNECT_TCP,    /* a TCP socket connected to `path`, "ADDRESS PORT" */
        PLAN_FD_UDP,            /* a UDP socket: `path` is "ADDRESS PORT ADDRESS PORT", ours and theirs */
        PLAN_FD_CONSOLE,        /* our listening socket for the console `path` (a device id): virtqemud is its only client */
        PLAN_FD_RELAY,          /* a listening socket for the chardev of the device `path` (an id): the program beside QEMU is its only client */
        PLAN_FD_COMPANION,      /* a connection to the program that stands beside QEMU for the device `path` (an id) */
        PLAN_FD_SOCKET,         /* what leads to a socket of the host, by its absolute path, or to that of the program of that name beside QEMU */
        PLAN_FD_TAP,            /* a queue of a tap, `path` as interface_queue_name() gives it */
        PLAN_FD_VHOST,          /* /dev/vhost-net, once for each queue of the interface `path` (a device id) */
        PLAN_FD_VSOCK,          /* /dev/vhost-vsock, with the number of its guest */
        PLAN_FD_USB,            /* the USB device of the host for the device `path` (an id); into fdset `fdset` */
        PLAN_FD_LOG,            /* where the output of the console `path` (a device id) is kept; into fdset `fdset` */
        PLAN_FD_LOG_KEEP,       /* a reading end of a log's pipe, held by QEMU and its supervisor for its own sake */
        PLAN_FD_LEASE,          /* a lease of an image, number `fdset` of the domain's; it lasts as long as somebody holds it */
        PLAN_FD_SECRET,         /* the passphrase of the disk `path` (a device id), a sealed memfd */
        PLAN_FD_MONITOR,        /* our listening QMP socket */
        PLAN_FD_MONITOR_RUN,    /* the supervisor's QMP socketpair end */
        _PLAN_FD_KIND_MAX,
        _PLAN_FD_KIND_INVALID = -EINVAL,
} PlanFdKind;
DECLARE_ENUM(PlanFdKind, plan_fd_kind);

typedef struct PlanFd {
        PlanFdKind kind;
        int number;             /* from PLAN_FD_BASE on */
        unsigned fdset;         /* 0: none */
        char *path;
        bool writable;
        bool append;
} PlanFd;
#define PLAN_FD_BASE 10         /* below: stdio and what the supervisor keeps for itself */

/* What the surroundings ask of a command line. */
typedef enum LaunchFlags {
        LAUNCH_NO_NETWORK   = 1 << 0,   /* QEMU will be in an empty network namespace */
        LAUNCH_LOG_CONSOLES = 1 << 1,   /* what guests write to their consoles is kept */
        LAUNCH_VHOST        = 1 << 2,   /* the kernel can carry frames between taps and virtio */
} LaunchFlags;

typedef struct Args {
        const DomainDef *def;
        const QemuCaps *caps;
        unsigned flags;         /* LaunchFlags */
        bool hot;               /* for a QEMU that runs: descriptors are called by names */
        Arg *items;
        size_t n, allocated;
        PlanFd *fds;
        size_t n_fds, fds_allocated;
        unsigned next_fdset;    /* from 1 */
} Args;
#define ARGS_INIT(d, c) ((Args) { .def = (d), .caps = (c), .next_fdset = 1 })
void args_clear(Args *a);
#define _cleanup_args_ _cleanup_(args_clear)

/* Appends; takes over `json`, which may be NULL when its making failed (-ENOMEM then). */
int args_json(Args *a, ArgKind kind, json_t *json);
/* Appends a plain option; a NULL format gives an option without value. */
int args_option(Args *a, const char *option, const char *fmt, ...) _printf_(3, 4);

/* Asks for a descriptor and returns its number (> 0) or a negative errno. Two requests for the same thing are one descriptor, unless it is
 * a connection. With
 * `in_fdset`, *ret_fdset tells the set: its path for QEMU is "/dev/fdset/N". */
int args_fd(Args *a, PlanFdKind kind, const char *path, bool writable, bool append, bool in_fdset, unsigned *ret_fdset);
/* What it is called where QEMU takes one by number or by name; new string. NULL: `number` is negative, or out of memory. */
char *args_fd_name(const Args *a, int number);

/* The chardev `id`, which is a socket: that descriptor, as args_fd_name() gave it; `server`: it listens. NULL: -ENOMEM. */
int args_socket(Args *a, const char *id, const char *fd, bool server);

/* Adds {"bus":…,"addr":…} (pci), {"bus","port"} (usb), scsi-id/lun, … to a device's JSON from its address. */
int args_address(Args *a, const Device *d, json_t *json, Fault *f);
/* Adds "bootindex" where the device has a boot order (own or from <os><boot dev>). */
int args_bootindex(Args *a, const Device *d, json_t *json);
/* The place in the boot order, from 1; 0: not booted from. <os><boot dev> means the first device of its class. */
uint64_t device_boot_index(const DomainDef *def, const Device *d);

/* Appends {"execute": …, "arguments": …}; takes over `arguments`, which may be NULL when its making failed (-ENOMEM then). */
int args_command(json_t *commands, const char *command, json_t *arguments);

/* The same with the command that takes it back, which may be NULL. */
int args_command_undo(json_t *commands, const char *command, json_t *arguments, const char *undo, json_t *undo_arguments);

/* Another place in the boot order, which the firmware looks at when the guest boots again. */
int args_boot_change(json_t *commands, const Device *before, const Device *after, const DomainDef *def);

/* ",KEY=VALUE" in QEMU's option syntax, where a comma ends a value; doubled it stands for itself. */
void args_add_value(Text *t, const char *key, const char *value);

/* The command line's form of a chardev: {"id":…,"backend":{"type":"socket","data":{…}}} -> "socket,id=…,…". */
char *args_chardev_text(json_t *chardev);
