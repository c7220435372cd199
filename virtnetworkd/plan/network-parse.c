/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include "store.h"
#include "str.h"
#include "xml-read.h"

#define NO_POOL "a pool of PCI devices, from which VMs get one each, is not supported"
#define ONE_DEVICE "<hostdev type='pci'> gives a VM a function of its own; mode 'passthrough' gives each VM an interface of the host"

static const XmlRefused refused[] = {
        { "network/forward", "address", NO_POOL, ONE_DEVICE },
        { "network/forward", "driver", NO_POOL, ONE_DEVICE },
        { "network/forward", "pf", NO_POOL, ONE_DEVICE },
};

int network_parse(const char *text, size_t length, NetworkDef **ret, Fault *f) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        void *record = NULL;
        int r;

        assert(text && ret);

        r = xml_definition_read(text, length, &network_record, refused, ARRAY_SIZE(refused), &record, f);
        if (r < 0)
                return r;
        def = record;
        r = object_name_check("network", def->name, f);
        if (r < 0) {
                fault_prefix(f, "line %u, network/name", def->head.line);
                return r;
        }
        *ret = TAKE_PTR(def);
        return 0;
}
