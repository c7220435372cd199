/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <systemd/sd-bus.h>

#include "macro.h"
#include "service.h"

/* What every verb works with: options, the bus, and how errors are told. A client may wait for its answers. */

#define LOCK1_ROOT "/org/virtbus/lock1"
#define NETWORK1_ROOT "/org/virtbus/network1"
#define STORAGE1_ROOT "/org/virtbus/storage1"
#define QEMU1 "org.virtbus.qemu1"
#define QEMU1_ROOT "/org/virtbus/qemu1"
#define MANAGER_INTERFACE QEMU1 ".Manager"
#define DOMAIN_INTERFACE QEMU1 ".Domain"

/* Exit statuses, as the manual has them. */
enum { DONE = 0, FAILED = 1, USAGE = 2, NO_SUCH = 3, DENIED = 4, UNREACHABLE = 5, TIMED_OUT = 6 };

#define FLAG_LIVE UINT64_C(1)
#define FLAG_CONFIG UINT64_C(2)
#define FLAG_FORCE UINT64_C(4)
#define FLAG_NO_WAIT UINT64_C(8)
#define FLAG_VALIDATE_ONLY UINT64_C(16)
#define FLAG_SENSITIVE UINT64_C(32)

typedef enum JsonMode { JSON_OFF, JSON_SHORT, JSON_PRETTY } JsonMode;

/* An option as it was given, of those that only one verb has. */
typedef struct GivenOption {
        const char *name, *value;
} GivenOption;

typedef struct Client {
        sd_bus *bus;
        bool user, quiet, no_wait, force, live, config, secrets, dry_run, no_pager, no_ask, help, version;
        JsonMode json;
        const char *host;        /* --host=, by ssh */
        const char *address;     /* of a bus; NULL: the usual one */
        const char *timeout;     /* --timeout=, seconds */
        const char *kind;        /* --kind=, of devices */
        bool domain;             /* --domain: not of the host */
        const char *groups;      /* --groups=, of statistics */
        GivenOption *given;
        size_t n_given;
        json_t *ended;           /* jobs by path: what went wrong, or "" */
} Client;

/* The value of an option with IS_GIVEN, of as many as were given; NULL: no more. */
const char *option_given(const Client *c, const char *name, size_t index);

/* Connects; tells what is wrong. 0 or UNREACHABLE. */
int client_connect(Client *c);
void client_close(Client *c);
/* The command that reaches --host=, which may have a port: "ssh -p 2222 HOST". */
char *client_ssh(const Client *c);

/* Calls a method of the daemon whose object it is, as the path says. On failure tells why, with the hint, and returns an exit status;
 * else 0 with *ret set (may be NULL). */
int client_call(Client *c, const char *path, const char *interface, const char *method, sd_bus_message **ret, const char *types, ...);
/* A property that is a text. 0, or an exit status. */
int client_get_text(Client *c, const char *path, const char *interface, const char *property, char **ret);
/* A message to be filled by hand, and the call of it, which takes it over. */
int client_new_call(Client *c, sd_bus_message **ret, const char *path, const char *interface, const char *method);
int client_send(Client *c, sd_bus_message *call, sd_bus_message **ret);
/* The same for who deals with errors himself (negative errno and *error), and what the others say of one. */
int client_try(Client *c, sd_bus_message *call, sd_bus_error *error, sd_bus_message **ret);
int client_tell(const Client *c, const sd_bus_error *error, const Service *service, int r);

/* --timeout= in µs, or what is meant without it. 0, or an exit status. */
int client_timeout(const Client *c, uint64_t otherwise, uint64_t *ret);

/* Path of a domain by name or UUID. */
int client_domain(Client *c, const char *name, char **ret);
/* Path of an object, out of an answer; or as a method gives it for a name. */
int client_take_path(sd_bus_message *reply, char **ret);
int client_find(Client *c, const char *root, const char *interface, const char *method, const char *name, char **ret);

typedef int (*ClientFind)(Client *c, const char *name, char **ret);
typedef int (*ClientDo)(Client *c, const char *path);
/* The same with each object that is named. Goes on after a failure; the first one decides about the exit status. */
int client_each(Client *c, int argc, char **argv, ClientFind find, ClientDo f);
/* Likewise a call of a method that takes `t flags, a{sv} options`; or of SetAutostart. */
int client_each_call(Client *c, int argc, char **argv, ClientFind find, const char *interface, const char *method, uint64_t flags);
int client_each_autostart(Client *c, int argc, char **argv, ClientFind find, const char *interface, bool on);

/* Listens for ends of jobs; waits for the end of one: with a bar on a terminal, and Ctrl-C asks to cancel it. */
int client_watch_jobs(Client *c);
int client_wait_job(Client *c, const char *job);
/* What a job says of itself; NULL: it is not there (any more), {}: it does not say. */
json_t *client_look_at_job(Client *c, const char *job);

/* "virtctl: TEXT" on standard error; returns FAILED. */
int client_fail(const char *fmt, ...) _printf_(1, 2);
#define client_fail(...) as_positive(client_fail(__VA_ARGS__))
/* An answer that can't be read. */
int client_garbled(int r);
