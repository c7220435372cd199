/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-auth.h"

#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus-calls.h"
#include "bus-error.h"
#include "mem.h"
#include "str.h"

#define PENDING_MAX 1024u            /* calls that wait to be authorised */
#define PENDING_PER_USER_MAX 256u   /* of one user, for polkit, which may ask somebody and so take minutes: others get through */
#define SENDERS_MAX 256u             /* clients whose user is remembered */
#define POLKIT_TIMEOUT_USEC (25u * 1000 * 1000)
#define POLKIT_DIALOG_TIMEOUT_USEC (5u * 60 * 1000 * 1000) /* somebody types a password */

/* A call that waits for the bus or polkit to answer. */
typedef struct Pending {
        BusAuth *auth;
        sd_bus_message *message;
        const BusMethod *method;
        uid_t uid;                   /* (uid_t) -1: not known yet */
        sd_bus_slot *slot;
        LIST_ENTRY(Pending) link;
} Pending;

/* Unique names are never given twice, so what was found out about one stays true. */
typedef struct Sender {
        char *name;
        uid_t uid;
} Sender;

struct BusAuth {
        Bus *bus;
        LIST_HEAD(, Pending) pending;
        unsigned n_pending;
        Sender senders[SENDERS_MAX];
        unsigned next_sender;
};

static Pending *pending_free(Pending *p) {
        if (!p)
                return NULL;
        if (p->auth) {
                LIST_REMOVE(p, link);
                p->auth->n_pending--;
        }
        sd_bus_slot_unref(p->slot);
        sd_bus_message_unref(p->message);
        free(p);
        return NULL;
}
DEFINE_CLEANUP(Pending *, pending_free)

int bus_auth_new(Bus *b, BusAuth **ret) {
        BusAuth *a = new0(BusAuth, 1);

        if (!a)
                return -ENOMEM;
        a->bus = b;
        LIST_INIT(&a->pending);
        *ret = a;
        return 0;
}

BusAuth *bus_auth_free(BusAuth *a) {
        if (!a)
                return NULL;
        while (!LIST_EMPTY(&a->pending))
                pending_free(LIST_FIRST(&a->pending));
        for (size_t i = 0; i < SENDERS_MAX; i++)
                free(a->senders[i].name);
        free(a);
        return NULL;
}

static uid_t find_sender(const BusAuth *a, const char *name) {
        for (size_t i = 0; name && i < SENDERS_MAX; i++)
                if (a->senders[i].name && streq(a->senders[i].name, name))
                        return a->senders[i].uid;
        return (uid_t) -1;
}

static void remember_sender(BusAuth *a, const char *name, uid_t uid) {
        Sender *s = &a->senders[a->next_sender];

        if (free_and_strdup(&s->name, name) < 0)
                return;
        s->uid = uid;
        a->next_sender = (a->next_sender + 1) % SENDERS_MAX;
}

static uid_t peer_uid(sd_bus *connection) {
        struct ucred cred;
        socklen_t length = sizeof(cred);
        int fd = sd_bus_get_fd(connection);

        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0)
                return (uid_t) -1;
        return cred.uid;
}

uid_t bus_sender_uid(sd_bus_message *m) {
        sd_bus *connection = sd_bus_message_get_bus(m);
        Bus *b = bus_of(connection);

        if (!b)
                return (uid_t) -1;
        return bus_is_peer(b, connection) ? peer_uid(connection) : find_sender(bus_auth_of(b), sd_bus_message_get_sender(m));
}

static int deny(const sd_bus_message *m, const BusMethod *method, const char *why, Fault *f) {
        fault_set(f, FAULT_ACCESS_DENIED, EACCES, "%s() is not allowed: it needs the authorization %s%s%s",
                  sd_bus_message_get_member((sd_bus_message *) m), method->action, why ? "; " : "", why ?: "");
        return -EACCES;
}

/* A handler that has nothing to say of an error may return it as it is. */
static int handle(const BusMethod *method, sd_bus_message *m, void *object, sd_bus_error *error) {
        static const Fault none = FAULT_INIT;
        int r = method->handler(m, object, error);

        return r < 0 && !sd_bus_error_is_set(error) ? fault_to_bus(&none, r, error) : r;
}

/* Allowed after a wait: the object may have gone meanwhile, so it is looked up again. */
static void resume(Pending *p) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const BusObject *row;
        void *object;
        int r;

        if (bus_calls_refused(bus_calls_of(p->auth->bus)))
                return;
        r = bus_find_target(p->auth->bus, p->message, &row, &object);
        if (r < 0) {
                (void) sd_bus_reply_method_errorf(p->message, SD_BUS_ERROR_UNKNOWN_OBJECT, "the object is gone");
                return;
        }
        r = handle(p->method, p->message, object, &error);
        if (r < 0 || sd_bus_error_is_set(&error))
                (void) sd_bus_reply_method_errno(p->message, r, &error);
}

static void refuse(Pending *p, const char *why) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = deny(p->message, p->method, why, &f);

        (void) bus_reply_fault(p->message, &f, r);
}

static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        _cleanup_(pending_freep) Pending *p = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int authorized = 0, challenge = 0;

        if (e) {
                refuse(p, sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ? "polkit is not there to be asked" : e->message);
                return 0;
        }
        if (sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(reply, "bb", &authorized, &challenge) < 0)
                refuse(p, "polkit's answer can't be read");
        else if (authorized)
                resume(p);
        else if (challenge && !sd_bus_message_get_allow_interactive_authorization(p->message))
                (void) sd_bus_reply_method_errorf(p->message, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                                  "%s() needs the authorization %s, which somebody has to give interactively",
                                                  sd_bus_message_get_member(p->message), p->method->action);
        else
                refuse(p, "polkit says no");
        return 0;
}

static int append_details(const Pending *p, sd_bus_message *call) {
        const BusObject *row;
        void *object;
        int r;

        r = sd_bus_message_open_container(call, 'a', "{ss}");
        if (r >= 0)
                r = sd_bus_message_append(call, "{ss}", "verb", sd_bus_message_get_member(p->message));
        if (r >= 0 && bus_find_target(p->auth->bus, p->message, &row, &object) >= 0 && row->details)
                r = row->details(object, call);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static bool is_one_too_many(const Pending *p) {
        unsigned n = 0;
        const Pending *other;

        LIST_FOREACH(other, &p->auth->pending, link)
                n += other->uid == p->uid;
        return n > PENDING_PER_USER_MAX;
}

static int ask_polkit(Pending *p, Fault *f) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        bool dialog = sd_bus_message_get_allow_interactive_authorization(p->message) > 0;
        sd_bus *broker = bus_broker(p->auth->bus);
        int r;

        if (is_one_too_many(p))
                return fault_set(f, FAULT_LIMIT, EBUSY, "user %u has %u calls waiting for their authorization already", p->uid, PENDING_PER_USER_MAX);
        r = sd_bus_message_new_method_call(broker, &call, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
                                           "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(call, "(sa{sv})s", "system-bus-name", 1, "name", "s",
                                          sd_bus_message_get_sender(p->message), p->method->action);
        if (r >= 0)
                r = append_details(p, call);
        if (r >= 0)
                r = sd_bus_message_append(call, "us", dialog ? 1u : 0u, "");
        if (r < 0)
                return r;
        p->slot = sd_bus_slot_unref(p->slot);
        return sd_bus_call_async(broker, &p->slot, call, on_polkit, p, dialog ? POLKIT_DIALOG_TIMEOUT_USEC : POLKIT_TIMEOUT_USEC);
}

static bool may_at_once(const BusMethod *method, uid_t uid) {
        return uid == 0 || uid == geteuid() || streq(method->action, BUS_ANYBODY);
}

static int on_user(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        _cleanup_(pending_freep) Pending *p = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint32_t uid;
        int r;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "u", &uid) < 0)
                return 0; /* the caller has gone: nobody waits for an answer */
        remember_sender(p->auth, sd_bus_message_get_sender(p->message), uid);
        p->uid = uid;

        if (may_at_once(p->method, uid))
                resume(p);
        else if (!sd_bus_is_bus_client(bus_broker(p->auth->bus)))
                refuse(p, NULL);
        else {
                r = ask_polkit(p, &f);
                if (r >= 0)
                        p = NULL; /* on_polkit() goes on */
                else
                        (void) bus_reply_fault(p->message, &f, r);
        }
        return 0;
}

static int wait_for(BusAuth *a, sd_bus_message *m, const BusMethod *method, uid_t uid, Fault *f) {
        _cleanup_(pending_freep) Pending *p = NULL;
        int r;

        if (a->n_pending >= PENDING_MAX)
                return fault_set(f, FAULT_LIMIT, EBUSY, "%u calls wait for their authorization already", a->n_pending);
        p = new0(Pending, 1);
        if (!p)
                return -ENOMEM;
        p->auth = a;
        p->message = sd_bus_message_ref(m);
        p->method = method;
        p->uid = uid;
        LIST_INSERT_HEAD(&a->pending, p, link);
        a->n_pending++;

        if (uid != (uid_t) -1)
                r = ask_polkit(p, f);
        else
                r = sd_bus_call_method_async(bus_broker(a->bus), &p->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                             "org.freedesktop.DBus", "GetConnectionUnixUser", on_user, p, "s",
                                             sd_bus_message_get_sender(m));
        if (r < 0)
                return r;
        p = NULL;
        return 1; /* answered later */
}

static int authorise(Bus *b, sd_bus_message *m, void *userdata, sd_bus_error *error, const BusMethod *method) {
        sd_bus *connection = sd_bus_message_get_bus(m);
        _cleanup_fault_ Fault f = FAULT_INIT;
        uid_t uid;
        int r;

        if (streq(method->action, BUS_OPEN) || streq(method->action, BUS_SELF))
                return handle(method, m, userdata, error);

        uid = bus_sender_uid(m);
        if (uid != (uid_t) -1 && may_at_once(method, uid))
                return handle(method, m, userdata, error);
        r = bus_is_peer(b, connection) ? deny(m, method, "on this socket only root and the daemon's own user have it", &f)
                                       : wait_for(bus_auth_of(b), m, method, uid, &f);
        if (r > 0)
                return r;
        return fault_to_bus(&f, r, error);
}

int bus_enter(sd_bus_message *m, void *userdata, sd_bus_error *error, const BusMethod *method) {
        Bus *b = bus_of(sd_bus_message_get_bus(m));
        BusCalls *calls = b ? bus_calls_of(b) : NULL;

        if (!calls)
                return -ENOTCONN;
        if (bus_calls_refused(calls)) {
                bus_calls_refuse_one(calls, m);
                return 1;
        }
        bus_calls_begin(calls, m);
        return bus_calls_end(calls, m, authorise(b, m, userdata, error, method), error);
}
