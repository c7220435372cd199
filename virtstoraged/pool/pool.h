/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/pool-info.h"
#include "fault.h"

/* What a kind of pool needs and does: a file, and a row in list.h. All of it is data: elements of the definition, a mount, commands and
 * what their output means. The worker carries it out. */

/* Elements of a definition's <source> and <target>. */
typedef enum PoolElement {
        ELEMENT_HOST      = 1 << 0,
        ELEMENT_HOSTS     = 1 << 1,   /* several */
        ELEMENT_DEVICE    = 1 << 2,
        ELEMENT_DEVICES   = 1 << 3,
        ELEMENT_DIR       = 1 << 4,
        ELEMENT_ADAPTER   = 1 << 5,
        ELEMENT_NAME      = 1 << 6,
        ELEMENT_INITIATOR = 1 << 7,
        ELEMENT_AUTH      = 1 << 8,
        ELEMENT_PATH      = 1 << 9,
        ELEMENT_MOUNT     = 1 << 10,  /* <fs:mount_opts> */
        ELEMENT_RBD       = 1 << 11,  /* <rbd:config_opts> */
        ELEMENT_PROTOCOL  = 1 << 12,
        ELEMENT_COW       = 1 << 13,
} PoolElement;

/* How its volumes are found. */
typedef enum PoolScan {
        SCAN_FOLDER,                 /* files in the target folder */
        SCAN_COMMANDS,               /* `list` and what it prints */
        SCAN_SCSI,                   /* units of a SCSI host or iSCSI session */
        SCAN_MPATH,                  /* multipath maps */
        SCAN_ISCSI_DIRECT,           /* units of a target, by talking to it */
} PoolScan;

/* A mount that systemd makes. */
typedef struct MountPlan {
        char *what, *type, *options; /* type NULL: found by the kernel */
} MountPlan;
void mount_plan_clear(MountPlan *m);

/* Programs to be run one after the other; what they are given as input; which failures are none. */
typedef struct Command {
        char **argv;                 /* argv[0] is a name in the system's path */
        char *input;                 /* NULL: none */
        bool may_fail;
        bool secret;                 /* reads that of the pool from POOL_SECRET_FILE */
        bool iscsi_login;            /* no program (argv is NULL): name and password of the pool go into open-iscsi's records */
} Command;
#define POOL_SECRET_FILE "/proc/self/fd/7"
typedef struct Commands {
        Command *items;
        size_t n, allocated;
} Commands;
#define _cleanup_commands_ _cleanup_(commands_clear)
void commands_clear(Commands *c);
/* Appends one of the words up to NULL; words with no meaning of their own ("") are left out. -ENOMEM. */
int commands_add(Commands *c, ...) _sentinel_;
int commands_add_strv(Commands *c, char **take);
int commands_add_iscsi_login(Commands *c);
Command *commands_last(Commands *c);

/* A volume that is to be, with all that is chosen for it. */
typedef struct VolumePlan {
        const char *name;
        uint64_t capacity, allocation;
        const VolumeInfo *origin;    /* a snapshot of it, or a clone; NULL: none */
        VolumeFormat format;
} VolumePlan;

typedef struct PoolOps {
        PoolType type;
        unsigned needs, knows;       /* PoolElement */
        const char *const *formats;  /* of the source, ending in NULL; the first is meant where nothing is said. NULL: none */
        PoolScan scan;
        VolumeKind volumes;
        bool any_user;               /* needs no rights over the host */
        bool network;                /* what it works on is somewhere else */
        AuthType auth;               /* the kind it knows */
        const char *refused;         /* why there are none of this kind any more */
        const char *device_folder;   /* where its volumes are if nothing is said: "/dev/" NAME */
        int (*check)(const PoolDef *def, Fault *f);
        int (*mount)(const PoolDef *def, MountPlan *ret);

        /* Whether it is active already, by what these say; they may fail. */
        int (*is_active)(const PoolDef *def, Commands *c);
        bool (*active)(const PoolDef *def, char *const *outputs);
        int (*start)(const PoolDef *def, Commands *c);
        int (*stop)(const PoolDef *def, Commands *c);
        int (*start_failed)(const PoolDef *def, Commands *c); /* what is left of it goes */
        int (*build)(const PoolDef *def, bool overwrite, Commands *c);
        int (*destroy)(const PoolDef *def, Commands *c);
        int (*list)(const PoolDef *def, Commands *c);
        int (*parse)(const PoolDef *def, char *const *outputs, PoolInfo *ret, Fault *f);
        int (*create)(const PoolDef *def, const PoolInfo *now, const VolumePlan *v, Commands *c, Fault *f);
        int (*copy)(const PoolDef *def, const VolumeInfo *from, const char *name, Commands *c); /* of one in the same pool */
        int (*remove)(const PoolDef *def, const VolumeInfo *v, Commands *c);
        int (*resize)(const PoolDef *def, const VolumeInfo *v, uint64_t capacity, Commands *c, Fault *f);
        /* What a volume is to QEMU, if it may reach it by itself: <source> of a disk of type 'network', new string. */
        int (*network_source)(const PoolDef *def, const VolumeInfo *v, char **ret);
        /* What could become a pool: asks `find`, or of a server given as its first host. */
        int (*find)(const PoolDef *hints, Commands *c);
        int (*found)(const PoolDef *hints, char *const *outputs, RecordList *ret); /* PoolDef */
} PoolOps;

/* NULL: no such type. */
const PoolOps *pool_ops(PoolType type);
/* Whether the definition has what its kind needs, and only what it knows. */
int pool_check(const PoolDef *def, Fault *f);
/* The PoolElement that stands at that path of a definition, or above it; 0: none, all kinds have it. */
unsigned pool_element_at(const char *path);
/* Sets what is meant where nothing is said. -ENOMEM. */
int pool_fill(PoolDef *def);

/* --- building blocks for rows --- */

/* Of kinds that have ELEMENT_HOST and ELEMENT_DEVICE among their `needs`. */
static inline const SourceHost *pool_host(const PoolDef *def) {
        assert(def->hosts.n > 0);

        return ASSERT_PTR((const SourceHost *) def->hosts.items[0]);
}
static inline const SourceDevice *pool_device(const PoolDef *def) {
        assert(def->devices.n > 0);

        return ASSERT_PTR((const SourceDevice *) def->devices.items[0]);
}
/* Whether anything tells what pools of that kind could be made of. */
static inline bool pool_has_find(const PoolOps *ops) {
        return ops->find || ops->scan == SCAN_ISCSI_DIRECT;
}
/* Whether its device is the name of an iSCSI target. In iscsi-direct.c. */
int iscsi_check_target(const PoolDef *def, Fault *f);
/* In network-source.c. */
int pool_iscsi_source(const PoolDef *def, const VolumeInfo *v, char **ret);
int pool_rbd_source(const PoolDef *def, const VolumeInfo *v, char **ret);
static inline bool pool_has_auth(const PoolDef *def) {
        return def->auth_type != AUTH_NONE || def->auth_username;
}
int pool_add_device(PoolDef *def, const char *path);
int pool_add_host(PoolDef *def, const char *name, uint64_t port);
/* Options of a mount: "a,b=c"; NULL in *ret: none. */
int pool_mount_options(const PoolDef *def, const char *first, char **ret);
