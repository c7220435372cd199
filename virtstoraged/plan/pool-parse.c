/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage.h"

#include "mem.h"
#include "store.h"
#include "str.h"
#include "xml-read.h"

static int complete(PoolDef *def, Fault *f) {
        int r;

        /* As others do: what it is made of names it. */
        if (!def->name && def->source_name && free_and_strdup(&def->name, def->source_name) < 0)
                return fault_oom(f);
        if (!def->name)
                return xml_fault(&def->head, f, FAULT_INVALID_DEFINITION, "name is missing");
        r = object_name_check("pool", def->name, f);
        if (r < 0) {
                fault_prefix(f, "line %u, pool/name", def->head.line);
                return r;
        }
        if (pool_fill(def) < 0)
                return fault_oom(f);
        return pool_check(def, f);
}

static const XmlRefused refused[] = {
        { "pool/source/adapter", "parentaddr", "finding an adapter by its PCI address is not supported", "name it: <adapter name='scsi_host2'/>" },
};

int pool_parse(const char *text, size_t length, PoolDef **ret, Fault *f) {
        _cleanup_(pool_def_freep) PoolDef *def = NULL;
        void *record = NULL;
        int r;

        assert(text && ret);

        r = xml_definition_read(text, length, &pool_record, refused, ARRAY_SIZE(refused), &record, f);
        if (r < 0)
                return r;
        def = record;
        r = complete(def, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(def);
        return 0;
}
