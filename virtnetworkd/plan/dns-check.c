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

int network_check_dns(const NetworkDef *def, Fault *f) {
        int r;

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
