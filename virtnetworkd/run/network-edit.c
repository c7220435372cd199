/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network-edit.h"

#include <inttypes.h>
#include <string.h>

#include "../plan/network.h"
#include "log.h"
#include "mem.h"
#include "networks.h"
#include "str.h"
#include "xml-write.h"

/* A change of what is on disk that waits for what is active to change, too. */
typedef struct Change {
        bool stored;
        char *before;                /* what is to be on disk again if that fails; NULL: nothing */
        uint64_t generation;         /* of what was stored: who has defined it anew since then is right */
        DefinedDone done;
        void *userdata;
} Change;

static Change *change_free(Change *c) {
        if (!c)
                return NULL;
        free(c->before);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(Change *, change_free)

/* --- the two definitions --- */

static int edit_text(Network *n, NetworkEdit edit, const void *what, char **ret, Fault *f) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        r = definitions_export(n, &text, f);
        if (r >= 0)
                r = network_parse(text, strlen(text), &def, f);
        if (r >= 0)
                r = edit(def, what, f);
        return r < 0 ? r : network_format(def, XML_WRITE_SECRETS, ret, f);
}

static int edit_live(Network *n, NetworkEdit edit, const void *what, NetworkDef **ret, Fault *f) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        int r;

        if (!n->active)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the network %s is not active", n->name);
        if (network_copy(n->live, &def) < 0)
                return fault_oom(f);
        r = edit(def, what, f);
        if (r >= 0)
                r = network_check(def, f);
        if (r >= 0)
                r = networks_check_others(n->all, def, f);
        if (r >= 0)
                *ret = TAKE_PTR(def);
        return r;
}

static int write_config(Network *n, const char *text, bool validate_only, Fault *f) {
        return definitions_define(&n->all->set, text, strlen(text), validate_only, n, NULL, f);
}

/* --- both, or neither --- */

static void put_back(Network *n, const Change *c) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!c->stored || !n->persistent || n->config_generation != c->generation)
                return;
        r = c->before ? write_config(n, c->before, false, &f) : definitions_undefine(n, &f);
        if (r < 0)
                log_warning("network %s: its definition says what could not be done: %s", n->name, fault_text(&f));
}

static void on_live_changed(void *object, const Fault *why, void *userdata) {
        _cleanup_(change_freep) Change *c = userdata;
        Network *n = object;

        if (why)
                put_back(n, c);
        c->done(n, why, c->userdata);
}

static int store_change(Network *n, Change *c, const char *config, Fault *f) {
        int r = n->persistent ? definitions_export(n, &c->before, f) : 0;

        if (r < 0)
                return r;
        r = write_config(n, config, false, f);
        c->stored = r >= 0;
        c->generation = n->config_generation;
        return r;
}

int network_change(Network *n, NetworkDef *next, const char *config, DefinedDone done, void *userdata, Fault *f) {
        _cleanup_(change_freep) Change *c = new0(Change, 1);
        int r = 0;

        assert(n && next && done);

        if (!c)
                r = fault_oom(f);
        else if (config)
                r = store_change(n, c, config, f);
        if (r < 0) {
                network_def_free(next);
                return r;
        }
        c->done = done;
        c->userdata = userdata;
        r = network_update(n, next, on_live_changed, c, f);
        if (r < 0)
                put_back(n, c);
        else
                c = NULL; /* on_live_changed() has it, or had it */
        return r;
}

int network_edit(Network *n, unsigned scope, NetworkEdit edit, const void *what, DefinedDone done, void *userdata, Fault *f) {
        bool live = scope ? scope & EDIT_LIVE : n->active, config = scope ? scope & EDIT_CONFIG : n->persistent;
        _cleanup_(network_def_freep) NetworkDef *next = NULL;
        _cleanup_free_ char *text = NULL;
        int r = 0;

        assert(n && edit && done);

        if (config) {
                r = edit_text(n, edit, what, &text, f);
                if (r >= 0)
                        r = write_config(n, text, true, f);
        }
        if (r >= 0 && live)
                r = edit_live(n, edit, what, &next, f);
        if (r < 0)
                return r;
        if (live)
                return network_change(n, TAKE_PTR(next), text, done, userdata, f);
        r = write_config(n, text, false, f);
        if (r >= 0)
                done(n, NULL, userdata);
        return r;
}

/* --- port forwards --- */

static int add_copy(RecordList *list, const Record *what, Fault *f) {
        void *copy = NULL;
        int r = record_copy(what, &copy);

        if (r >= 0)
                r = record_list_add(list, copy);
        return r < 0 ? fault_oom(f) : 0;
}

int edit_add_port_forward(NetworkDef *def, const void *what, Fault *f) {
        return add_copy(&def->port_forwards, what, f);
}

int edit_remove_port_forward(NetworkDef *def, const void *what, Fault *f) {
        const PortForward *wanted = what;
        size_t n = 0;

        for (size_t i = def->port_forwards.n; i-- > 0;) {
                const PortForward *w = (const PortForward *) def->port_forwards.items[i];

                if (w->protocol != wanted->protocol || w->start != wanted->start)
                        continue;
                record_free(record_list_take(&def->port_forwards, i));
                n++;
        }
        if (n > 0)
                return 0;
        return fault_set(f, FAULT_INVALID_ARGS, ENOENT, "the network %s forwards no ports from %s %" PRIu64 " on", def->name,
                         port_protocol_to_string((PortProtocol) wanted->protocol), wanted->start);
}

/* --- hosts --- */

/* Where a host belongs: the <ip> of its address, or the first with DHCP of its family. */
static NetworkIp *find_ip(const NetworkDef *def, const DhcpHost *h) {
        NetworkIp *found = NULL;

        RECORD_FOREACH(NetworkIp, ip, def->ips) {
                if (ip_is_set(&h->ip) ? !ip_is_in(&h->ip, &ip->address, network_prefix(ip)) : (ip->family == FAMILY_IPV6) != (h->id != NULL))
                        continue;
                if (!found || (!found->dhcp && ip->dhcp))
                        found = (NetworkIp *) ip;
        }
        return found;
}

int edit_add_host(NetworkDef *def, const void *what, Fault *f) {
        const DhcpHost *h = what;
        NetworkIp *ip = find_ip(def, h);
        char text[IP_TEXT_MAX];

        if (!ip && ip_is_set(&h->ip))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "%s is in no <ip> of the network %s", ip_to_text(&h->ip, text), def->name);
        if (!ip)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the network %s has no <ip> for it", def->name);
        ip->dhcp = true;
        return add_copy(&ip->hosts, &h->head, f);
}

static bool is_meant(const DhcpHost *h, const DhcpHost *wanted) {
        if (wanted->mac.set && !field_mac.equal(&h->mac, &wanted->mac))
                return false;
        if (wanted->id && (!h->id || strcasecmp(h->id, wanted->id) != 0))
                return false;
        if (wanted->name && (!h->name || strcasecmp(h->name, wanted->name) != 0))
                return false;
        return !ip_is_set(&wanted->ip) || ip_equal(&h->ip, &wanted->ip);
}

int edit_remove_host(NetworkDef *def, const void *what, Fault *f) {
        size_t n = 0;

        for (size_t k = 0; k < def->ips.n; k++) {
                NetworkIp *ip = (NetworkIp *) def->ips.items[k];

                for (size_t i = ip->hosts.n; i-- > 0;) {
                        if (!is_meant((const DhcpHost *) ip->hosts.items[i], what))
                                continue;
                        record_free(record_list_take(&ip->hosts, i));
                        n++;
                }
        }
        return n > 0 ? 0 : fault_set(f, FAULT_INVALID_ARGS, ENOENT, "the network %s has no such host", def->name);
}
