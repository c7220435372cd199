/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include <string.h>

#include "str.h"
#include "xml-read.h"

#define bad(record, f, ...) xml_fault(&(record)->head, (f), FAULT_INVALID_DEFINITION, __VA_ARGS__)

static int check_name(const Record *where, const char *what, const char *name, Fault *f) {
        return !name || network_is_dns_name(name) ? 0 : xml_fault(where, f, FAULT_INVALID_DEFINITION, "%s: \"%s\" is no DNS name", what, name);
}

/* A service or protocol is a label, which gets its underscore from us. */
static int check_label(const Record *where, const char *what, const char *name, Fault *f) {
        if (network_is_dns_name(name) && !strchr(name, '.'))
                return 0;
        return xml_fault(where, f, FAULT_INVALID_DEFINITION, "%s: \"%s\" is no single DNS label", what, name);
}

static int check_host(const NetworkDef *def, const DnsHost *h, Fault *f) {
        int r = h->names.n > 0 ? 0 : bad(h, f, "a <hostname> is needed");

        RECORD_FOREACH(DnsHostname, n, h->names)
                if (r >= 0)
                        r = check_name(&n->head, "hostname", n->name, f);
        return r;
}

static int check_txt(const DnsTxt *t, Fault *f) {
        int r = check_name(&t->head, "name", t->name, f);

        if (r >= 0 && t->value && t->value[strcspn(t->value, "\"\\\n\t")])
                r = bad(t, f, "the value has quotes, backslashes or line breaks");
        return r;
}

static int check_srv(const DnsSrv *s, Fault *f) {
        int r;

        r = check_label(&s->head, "service", s->service, f);
        if (r >= 0)
                r = check_label(&s->head, "protocol", s->protocol, f);
        if (r >= 0)
                r = check_name(&s->head, "domain", s->domain, f);
        if (r >= 0 && s->target && !streq(s->target, "."))
                r = check_name(&s->head, "target", s->target, f);
        if (r >= 0 && !s->target && (s->port != NUMBER_UNSET || s->priority != NUMBER_UNSET || s->weight != NUMBER_UNSET))
                r = bad(s, f, "port, priority and weight need a target");
        return r;
}

/* Which files it has and whom it serves is virtnetworkd's matter; programs it would run with its rights. */
static const struct {
        const char *name, *reason;
} refused_options[] = {
        { "dhcp-script", "no programs are run" }, { "dhcp-luascript", "no programs are run" }, { "conf-script", "no programs are run" },
        { "conf-file", "its files are made by virtnetworkd" }, { "conf-dir", "its files are made by virtnetworkd" },
        { "servers-file", "its files are made by virtnetworkd" }, { "pid-file", "its files are made by virtnetworkd" },
        { "log-facility", "its files are made by virtnetworkd" }, { "dhcp-leasefile", "its files are made by virtnetworkd" },
        { "dhcp-hostsfile", "its files are made by virtnetworkd" }, { "user", "its user is the unit's" }, { "group", "its user is the unit's" },
        { "dhcp-scriptuser", "its user is the unit's" }, { "keep-in-foreground", "how it is started is the unit's" },
        { "no-daemon", "how it is started is the unit's" }, { "interface", "it serves the network's bridge alone" },
        { "listen-address", "it serves the network's bridge alone" }, { "bind-interfaces", "it serves the network's bridge alone" },
};

/* One line, which begins with the name of an option. */
static int check_option(const DnsmasqOption *o, Fault *f) {
        size_t name = strspn(o->value, "abcdefghijklmnopqrstuvwxyz0123456789-");

        if (name == 0 || (o->value[name] && o->value[name] != '=') || strpbrk(o->value, "\n\t"))
                return bad(o, f, "\"%.64s\" is no NAME or NAME=VALUE, as a line of dnsmasq.conf is", o->value);
        for (size_t i = 0; i < ARRAY_SIZE(refused_options); i++)
                if (strlen(refused_options[i].name) == name && strncmp(refused_options[i].name, o->value, name) == 0)
                        return xml_fault(&o->head, f, FAULT_NOT_SUPPORTED, "'%s' is not taken: %s", refused_options[i].name, refused_options[i].reason);
        return 0;
}

static int check_options(const NetworkDef *def, Fault *f) {
        int r = 0;

        RECORD_FOREACH(DnsmasqOption, o, def->dnsmasq_options)
                r = r < 0 ? r : check_option(o, f);
        return r;
}

int network_check_dns(const NetworkDef *def, Fault *f) {
        int r = check_options(def, f);

        if (r < 0)
                return r;

        r = !def->domain || network_is_dns_name(def->domain) ? 0 :
            xml_fault_below(&def->head, "domain/@name", f, FAULT_INVALID_DEFINITION, "\"%s\" is no DNS name", def->domain);
        if (r >= 0 && !def->domain && (def->domain_local != UNSET || def->domain_register != UNSET))
                r = xml_fault_below(&def->head, "domain", f, FAULT_INVALID_DEFINITION, "localOnly and register need a name");
        RECORD_FOREACH(DnsForwarder, w, def->forwarders)
                if (r >= 0)
                        r = check_name(&w->head, "domain", w->domain, f);
        RECORD_FOREACH(DnsHost, h, def->dns_hosts)
                if (r >= 0)
                        r = check_host(def, h, f);
        RECORD_FOREACH(DnsTxt, t, def->dns_txts)
                if (r >= 0)
                        r = check_txt(t, f);
        RECORD_FOREACH(DnsSrv, s, def->dns_srvs)
                if (r >= 0)
                        r = check_srv(s, f);
        return r;
}
