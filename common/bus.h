/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sdbus.h"

#include "fault.h"

/* A daemon's place on D-Bus: the same objects on the message bus and on every connection to its private socket. */
typedef struct Bus Bus;
typedef struct BusObject BusObject;

#define BUS_PEERS_MAX 512u          /* connections to the private socket at a time */
#define BUS_STRANGERS_MAX 448u      /* of users that are neither root nor ours, so that these always get in */
#define BUS_STRANGERS_PER_USER_MAX 64u
#define BUS_PEER_ANSWERS_MAX 16u    /* that one of them has not read: then its calls wait until it has */
#define BUS_PEER_UNREAD_MAX 8192u   /* messages of any kind: then it is disconnected */

/* A kind of object and one of its interfaces. An interface may be made of several vtables. */
struct BusObject {
        const char *path;           /* of the one object, or of the folder that holds many */
        bool many;                  /* objects are PATH/… */
        const char *interface;
        const sd_bus_vtable *const *vtables; /* ends in NULL */
        /* For `many`: the object of a path, or 0. *ret may be freed before an answer to a message is ready, so it is looked up again. */
        int (*find)(const char *path, void *userdata, void **ret);
        /* The paths of all objects; one row per folder has it. */
        int (*enumerate)(char ***ret, void *userdata);
        /* What polkit is told about the object, so that rules can decide by it: appended as details. May be NULL. */
        int (*details)(void *object, sd_bus_message *call);
};

typedef struct BusOptions {
        sd_event *event;
        bool user;                      /* the session bus */
        const char *name;               /* "org.virtbus.qemu1" */
        const char *root;               /* "/org/virtbus/qemu1": carries the ObjectManager */
        const BusObject *const *objects; /* ends in NULL */
        /* On the private socket root and the daemon's own user may everything. Others, whom nobody there can ask about, hear nothing and may
         * call this method of the root object; NULL: none. */
        const char *for_strangers;
        void *userdata;                 /* for find() and enumerate(), and of the objects that are not `many` */
        void (*activity)(void *userdata);                   /* a message came in: not idle */
        void (*lost)(void *userdata);                       /* the message bus has gone away */
        void (*peer_gone)(sd_bus *peer, void *userdata);    /* may be NULL */
} BusOptions;

int bus_new(const BusOptions *options, Bus **ret);
Bus *bus_free(Bus *b);
DEFINE_CLEANUP(Bus *, bus_free)

/* Connects to the message bus; objects are there before the name is asked for. */
int bus_connect(Bus *b);
/* Asks for the name: from here on messages come. */
int bus_take_name(Bus *b);
/* Gives it up; `released` is called with BusOptions.userdata when all that was sent to it before has been handled. */
void bus_release_name(Bus *b, void (*released)(void *userdata));
/* For a daemon that ends: nobody can connect any more; else as bus_release_name(). */
void bus_stop(Bus *b, void (*released)(void *userdata));
/* Calls wait for their answer. */
bool bus_owes_answers(const Bus *b);
/* They and all that come get FAULT_STOPPING, which names the daemon. */
void bus_refuse_calls(Bus *b, const char *daemon);
/* There is something that nobody has taken yet. */
bool bus_is_unwritten(Bus *b);
/* Serves connections to a listening socket, which it takes over. */
int bus_listen(Bus *b, int fd);

/* The connection to the message bus; NULL without one. */
sd_bus *bus_broker(Bus *b);
bool bus_is_peer(Bus *b, sd_bus *connection);
sd_event *bus_event(Bus *b);

/* A property has another value now. Signals go out together when the loop comes round, one per object and interface. */
void bus_changed(Bus *b, const char *path, const char *interface, const char *property);
void bus_added(Bus *b, const char *path);
void bus_removed(Bus *b, const char *path);
/* Sends a signal on every connection. */
int bus_emit(Bus *b, const char *path, const char *interface, const char *member, const char *types, ...);
/* Likewise with a body that `fill` appends, once for each connection. */
typedef int (*BusFill)(sd_bus_message *m, void *userdata);
int bus_emit_filled(Bus *b, const char *path, const char *interface, const char *member, BusFill fill, void *userdata);

/* Introspection of one interface as a whole <interface> element, for --introspect and tests. */
int bus_introspect(const BusObject *const *objects, const char *interface, char **ret);

/* The head of a property's getter: BUS_GETTER(get_name) { const Domain *d = userdata; return sd_bus_message_append(reply, …); } */
#define BUS_GETTER(name) static BUS_PUBLIC_GETTER(name)
/* For a vtable in another file. */
#define BUS_PUBLIC_GETTER(name)                                                                         \
        int name(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,       \
                 _unused_ const char *property, sd_bus_message *reply, _unused_ void *userdata,         \
                 _unused_ sd_bus_error *error)

/* --- property getters by offset --- */
int bus_get_string(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                   void *value, sd_bus_error *error);       /* char *, NULL as "" */
int bus_get_bool(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                 void *value, sd_bus_error *error);         /* bool */
int bus_get_id(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
               void *value, sd_bus_error *error);           /* sd_id128_t as ay */
int bus_get_strings(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *value, sd_bus_error *error);      /* char ** */

/* A UUID as ay. FAULT_INVALID_ARGS: not 16 bytes. */
int bus_read_uuid(sd_bus_message *m, sd_id128_t *ret, Fault *f);

/* An `as`; an empty one may be NULL. FAULT_LIMIT: more than BUS_STRINGS_MAX. */
#define BUS_STRINGS_MAX 16384u
int bus_read_strings(sd_bus_message *m, char ***ret, Fault *f);

/* --- arguments that every changing method ends in --- */
typedef struct BusOption {
        const char *name;
        char type;            /* 's', 'b', 't', 'u', 'h' */
        void *value;          /* const char **, int *, uint64_t *, uint32_t *, int * */
} BusOption;
/* Reads `t flags, a{sv} options`. A flag outside `known_flags` or an option outside the table is FAULT_INVALID_ARGS. */
int bus_read_options(sd_bus_message *m, uint64_t known_flags, uint64_t *ret_flags, const BusOption *options, size_t n, Fault *f);

/* The option if-generation, 0 where it was not given: FAULT_INVALID_STATE if somebody has changed the definition since. */
int bus_check_generation(const char *name, uint64_t expected, uint64_t generation, Fault *f);

/* Likewise of a method that has no options; sets `error`. */
int bus_read_flags(sd_bus_message *m, uint64_t known_flags, uint64_t *ret_flags, sd_bus_error *error);

/* `s format, s text` of a definition. FAULT_INVALID_ARGS: another format than libvirt's XML. */
int bus_read_definition(sd_bus_message *m, const char **ret_text, Fault *f);
int bus_check_format(const char *format, Fault *f);

/* An a{sv} alone. */
int bus_read_dict(sd_bus_message *m, const BusOption *options, size_t n, Fault *f);

#define BUS_FLAG_LIVE UINT64_C(1)
#define BUS_FLAG_CONFIG UINT64_C(2)
#define BUS_FLAG_FORCE UINT64_C(4)
#define BUS_FLAG_NO_WAIT UINT64_C(8)
#define BUS_FLAG_VALIDATE_ONLY UINT64_C(16)
#define BUS_FLAG_SENSITIVE UINT64_C(32)
