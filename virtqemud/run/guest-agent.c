/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-agent.h"

#include <string.h>

#include "../device/chardev.h"
#include "../device/interface.h"
#include "manager.h"
#include "mem.h"
#include "str.h"

#define TEXT_MAX 255u
#define COMMANDS_MAX 256u
#define ADDRESSES_MAX 256u
#define LOOKS_MAX 7u                              /* at a guest that has just come: after 1 s, 2 s, 4 s, … */
#define SECOND UINT64_C(1000000)

DEFINE_ENUM(GuestAgentState, guest_agent_state, "absent", "disconnected", "connected", "silent")

struct GuestAgent {
        Domain *domain;
        char *device;
        Qga *qga;
        GuestAgentState state;
        char *version, *hostname;
        char **commands;
        json_t *os;
        DomainAddress *addresses;
        size_t n_addresses;
        sd_event_source *look;
        unsigned looks;
        GuestWatch *watches;
};

static void forget_guest(GuestAgent *a) {
        free_and_replace(&a->version, NULL);
        free_and_replace(&a->hostname, NULL);
        strv_free(TAKE_PTR(a->commands));
        json_decref(TAKE_PTR(a->os));
        free(TAKE_PTR(a->addresses));
        a->n_addresses = 0;
        a->look = sd_event_source_disable_unref(a->look);
}

/* Whoever waits is told. */
static void tell_gone(GuestAgent *a) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        GuestWatch *w;

        fault_set(&f, FAULT_DISCONNECTED, ENOTCONN, "the guest agent of %s has gone", a->domain->name);
        while ((w = a->watches)) {
                a->watches = w->next;
                w->gone(&f, w->userdata);
        }
}

GuestAgent *guest_agent_free(GuestAgent *a) {
        if (!a)
                return NULL;
        if (a->qga)
                qga_set_open(a->qga, false);
        tell_gone(a);
        qga_free(a->qga);
        forget_guest(a);
        free(a->device);
        free(a);
        return NULL;
}

static GuestAgent *agent_of(const Domain *d) {
        return d->instance ? d->instance->agent : NULL;
}

static void set_state(GuestAgent *a, GuestAgentState state) {
        if (a->state == state)
                return;
        log_domain_info(a->domain, "guest agent: %s -> %s", guest_agent_state_to_string(a->state), guest_agent_state_to_string(state));
        a->state = state;
        domain_changed(a->domain, DOMAIN_CHANGED_GUEST);
}

static void on_answered(bool yes, void *userdata) {
        GuestAgent *a = userdata;

        if (a->state != AGENT_DISCONNECTED)
                set_state(a, yes ? AGENT_CONNECTED : AGENT_SILENT);
}

/* --- what it says of itself and of the guest --- */

char *guest_text(const json_t *json) {
        char *text = json_is_string(json) ? strndup(json_string_value(json), TEXT_MAX) : NULL;

        for (char *c = text; c && *c; c++)
                if ((unsigned char) *c < ' ' || *c == 0x7f)
                        *c = '?';
        while (text && *text && !is_utf8(text))
                text[strlen(text) - 1] = '\0'; /* the cut went through a letter */
        return text;
}

static void on_info(json_t *result, const Fault *why, void *userdata) {
        GuestAgent *a = userdata;
        const json_t *command;
        size_t i;

        free_and_replace(&a->version, guest_text(json_object_get(result, "version")));
        strv_free(TAKE_PTR(a->commands));
        json_array_foreach(json_object_get(result, "supported_commands"), i, command) {
                _cleanup_free_ char *name = guest_text(json_object_get(command, "name"));

                if (i < COMMANDS_MAX && name && !json_is_false(json_object_get(command, "enabled")))
                        (void) strv_push(&a->commands, name);
        }
        domain_changed(a->domain, DOMAIN_CHANGED_GUEST);
}

static void on_hostname(json_t *result, const Fault *why, void *userdata) {
        GuestAgent *a = userdata;

        free_and_replace(&a->hostname, guest_text(json_object_get(result, "host-name")));
        domain_changed(a->domain, DOMAIN_CHANGED_GUEST);
}

static void on_os(json_t *result, const Fault *why, void *userdata) {
        GuestAgent *a = userdata;
        json_auto_t *os = json_object();
        const char *key;
        json_t *value;

        json_object_foreach(result, key, value) {
                _cleanup_free_ char *text = guest_text(value);

                if (text && json_object_size(os) < 32 && strlen(key) <= TEXT_MAX)
                        (void) json_object_set_new(os, key, json_string(text));
        }
        json_decref(a->os);
        a->os = json_object_size(os) > 0 ? json_incref(os) : NULL;
        domain_changed(a->domain, DOMAIN_CHANGED_GUEST);
}

/* --- addresses --- */

static const char *device_of_mac(const DomainDef *def, const char *text) {
        for (size_t i = 0; i < def->devices.n; i++) {
                const Interface *n = device_as_interface((const Device *) def->devices.items[i]);
                _cleanup_free_ char *mac = n ? field_mac.to_text(NULL, &n->mac) : NULL;

                if (mac && strcasecmp(mac, text) == 0)
                        return n->device.id;
        }
        return NULL;
}

static void add_addresses(GuestAgent *a, const char *device, const json_t *list, DomainAddress *all, size_t *n) {
        const json_t *one;
        size_t i;

        json_array_foreach(list, i, one) {
                const char *text = json_string_value(json_object_get(one, "ip-address"));
                json_int_t prefix = json_integer_value(json_object_get(one, "prefix"));
                DomainAddress address = { .device = device, .source = "agent" };

                if (*n >= ADDRESSES_MAX || !text || ip_from_text(text, &address.address) < 0)
                        continue;
                address.prefix = prefix < 0 ? 0 : (unsigned) MIN(prefix, (json_int_t) ip_bits(address.address.family));
                all[(*n)++] = address;
        }
}

static bool is_same(const DomainAddress *a, const DomainAddress *b, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!ip_equal(&a[i].address, &b[i].address) || a[i].prefix != b[i].prefix || !streq(a[i].device, b[i].device))
                        return false;
        return true;
}

static void on_interfaces(json_t *result, const Fault *why, void *userdata) {
        GuestAgent *a = userdata;
        _cleanup_free_ DomainAddress *all = new0(DomainAddress, ADDRESSES_MAX);
        const json_t *one;
        size_t i, n = 0;

        if (!result || !all || !a->domain->live)
                return;
        json_array_foreach(result, i, one) {
                const char *mac = json_string_value(json_object_get(one, "hardware-address"));
                const char *device = mac ? device_of_mac(a->domain->live, mac) : NULL;

                if (device)
                        add_addresses(a, device, json_object_get(one, "ip-addresses"), all, &n);
        }
        if (n == a->n_addresses && is_same(all, a->addresses, n))
                return;
        free(a->addresses);
        a->addresses = TAKE_PTR(all);
        a->n_addresses = n;
        domain_changed(a->domain, DOMAIN_CHANGED_ADDRESSES);
}

static void ask(GuestAgent *a, const char *command, QgaReply reply) {
        (void) qga_send(a->qga, command, NULL, 0, reply, a, NULL, NULL); /* the Qga goes with the GuestAgent */
}

/* A guest that starts has its agent before it has its addresses. */
static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        GuestAgent *a = userdata;

        ask(a, "guest-network-get-interfaces", on_interfaces);
        if (++a->looks >= LOOKS_MAX)
                return 0;
        (void) sd_event_source_set_time_relative(source, SECOND << a->looks);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void set_open(GuestAgent *a, bool open) {
        if (open == qga_is_open(a->qga))
                return;
        qga_set_open(a->qga, open);
        if (!open)
                tell_gone(a);
        forget_guest(a);
        set_state(a, qga_is_open(a->qga) ? AGENT_CONNECTED : AGENT_DISCONNECTED);
        domain_changed(a->domain, DOMAIN_CHANGED_GUEST | DOMAIN_CHANGED_ADDRESSES);
        if (!qga_is_open(a->qga))
                return;
        ask(a, "guest-info", on_info);
        ask(a, "guest-get-host-name", on_hostname);
        ask(a, "guest-get-osinfo", on_os);
        ask(a, "guest-network-get-interfaces", on_interfaces);
        a->looks = 0;
        (void) sd_event_add_time_relative(a->domain->manager->event, &a->look, CLOCK_MONOTONIC, SECOND, 0, on_look, a);
}

/* --- the channel --- */

void guest_agent_port(Instance *i, const char *device, bool open) {
        assert(i && device);

        if (i->agent && streq(i->agent->device, device))
                set_open(i->agent, open);
}

/* It may have been opened before we listened. */
static void on_chardevs(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Instance *i = userdata;
        _cleanup_free_ char *label = i->agent ? strf("char%s", i->agent->device) : NULL;
        const json_t *one;
        size_t k;

        json_array_foreach(result, k, one)
                if (label && streq_null(json_string_value(json_object_get(one, "label")), label))
                        set_open(i->agent, json_is_true(json_object_get(one, "frontend-open")));
}

static int new_agent(Domain *d, const Chardev *c, GuestAgent **ret) {
        _cleanup_free_ char *name = strf("console-%s", c->device.id), *ours = name ? instance_socket(d->instance, name) : NULL;
        _cleanup_(guest_agent_freep) GuestAgent *a = new0(GuestAgent, 1);
        int r;

        if (!a)
                return -ENOMEM;
        *a = (GuestAgent) { .domain = d, .state = AGENT_DISCONNECTED };
        if (!ours)
                return -ENOMEM;
        a->device = strdup(c->device.id);
        r = a->device ? qga_new(d->manager->event, d->name, chardev_path(c) ?: ours, on_answered, a, &a->qga) : -ENOMEM;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

void guest_agent_look(Instance *i) {
        const Chardev *c;
        int r = 0;

        assert(i);

        c = i->domain->live ? domain_find_agent_channel(i->domain->live) : NULL;
        if (i->agent && (!c || !streq(i->agent->device, c->device.id))) {
                i->agent = guest_agent_free(i->agent);
                domain_changed(i->domain, DOMAIN_CHANGED_GUEST | DOMAIN_CHANGED_ADDRESSES);
        }
        if (!c || !i->monitor_ready)
                return;
        if (!i->agent) {
                r = new_agent(i->domain, c, &i->agent);
                domain_changed(i->domain, DOMAIN_CHANGED_GUEST);
        }
        if (r >= 0)
                r = qmp_send(i->qmp, "query-chardev", NULL, 0, on_chardevs, i, NULL);
        if (r < 0)
                (void) log_domain_warning_errno(i->domain, r, "can't look for the guest's agent: %m");
}

/* --- for those who ask --- */

int domain_ask_guest(Domain *d, const char *command, json_t *arguments, uint64_t timeout_usec, QgaReply reply, void *userdata, QgaCall **ret, Fault *f) {
        const GuestAgent *a = agent_of(d);

        assert(d && command && reply);

        if (a && d->state == DOMAIN_RUNNING)
                return qga_send(a->qga, command, arguments, timeout_usec, reply, userdata, ret, f);
        json_decref(arguments);
        if (d->state != DOMAIN_RUNNING)
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: nobody in its guest can answer", d->name, domain_state_to_string(d->state));
        fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s has no channel for a guest agent", d->name);
        fault_hint(f, "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>");
        return -EOPNOTSUPP;
}

void domain_watch_guest(Domain *d, GuestWatch *w) {
        GuestAgent *a = agent_of(d);

        assert(a && w && w->gone);

        w->next = a->watches;
        a->watches = w;
}

void domain_forget_guest_watch(Domain *d, GuestWatch *w) {
        GuestAgent *a = agent_of(d);

        for (GuestWatch **p = a ? &a->watches : NULL; p && *p; p = &(*p)->next)
                if (*p == w) {
                        *p = w->next;
                        return;
                }
}

GuestAgentState domain_agent_state(const Domain *d) {
        return agent_of(d) ? agent_of(d)->state : AGENT_ABSENT;
}

const char *domain_agent_version(const Domain *d) {
        return agent_of(d) && agent_of(d)->version ? agent_of(d)->version : "";
}

char *const *domain_agent_commands(const Domain *d) {
        return agent_of(d) ? agent_of(d)->commands : NULL;
}

const char *domain_guest_hostname(const Domain *d) {
        return agent_of(d) && agent_of(d)->hostname ? agent_of(d)->hostname : "";
}

const json_t *domain_guest_os(const Domain *d) {
        return agent_of(d) ? agent_of(d)->os : NULL;
}

int domain_guest_addresses_each(const Domain *d, int (*found)(const DomainAddress *address, void *userdata), void *userdata) {
        const GuestAgent *a = agent_of(d);
        int r = 0;

        for (size_t i = 0; a && i < a->n_addresses && r >= 0; i++)
                r = found(&a->addresses[i], userdata);
        return r;
}

void domain_guest_refresh(Domain *d) {
        GuestAgent *a = agent_of(d);

        if (a && qga_is_open(a->qga) && d->state == DOMAIN_RUNNING)
                ask(a, "guest-network-get-interfaces", on_interfaces);
}
