/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include "store.h"
#include "str.h"
#include "xml-lib.h"
#include "xml-read.h"
#include "xml-refused.h"
#include "xml-write.h"

#define NO_SWITCH "switches other than the kernel's bridge are not supported"
#define NO_POOL "a pool of PCI devices, from which VMs get one each, is not supported"
#define ONE_DEVICE "<hostdev type='pci'> gives a VM a function of its own; mode 'passthrough' gives each VM an interface of the host"

static const XmlRefused refused[] = {
        { "network", "virtualport", NO_SWITCH, "the bridge of another switch can't take part; VLANs: a bridge of the host, mode 'bridge'" },
        { "network/portgroup", "virtualport", NO_SWITCH, NULL },
        { "network/forward", "address", NO_POOL, ONE_DEVICE },
        { "network/forward", "driver", NO_POOL, ONE_DEVICE },
        { "network/forward", "pf", NO_POOL, ONE_DEVICE },
};

int network_parse(const char *text, size_t length, NetworkDef **ret, Fault *f) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        void *record = NULL;
        int r;

        assert(text && ret);

        r = xml_parse(text, length, "network", &doc, f);
        if (r < 0)
                return r;
        r = xml_refused_check(sym_xmlDocGetRootElement(doc), refused, ARRAY_SIZE(refused), f);
        if (r < 0)
                return r;
        r = xml_read_record(sym_xmlDocGetRootElement(doc), &network_record, &record, f);
        if (r < 0)
                return r;
        def = record;
        def->doc = TAKE_PTR(doc);
        r = object_name_check("network", def->name, f);
        if (r < 0) {
                fault_prefix(f, "line %u, network/name", def->head.line);
                return r;
        }
        *ret = TAKE_PTR(def);
        return 0;
}

int network_format(NetworkDef *def, unsigned xml_write_flags, char **ret, Fault *f) {
        int r;

        assert(def && ret);

        if (!def->doc)
                r = xml_record_to_text(&def->head, xml_write_flags, ret);
        else {
                r = xml_merge_record(&def->head, xml_write_flags);
                if (r >= 0)
                        r = xml_doc_to_text(def->doc, ret);
        }
        return r == -ENOMEM ? fault_oom(f) : r;
}

int network_copy(const NetworkDef *def, NetworkDef **ret) {
        void *copy = NULL;
        int r;

        assert(def && ret);

        r = record_copy(&def->head, &copy);
        if (r >= 0)
                *ret = copy;
        return r;
}
