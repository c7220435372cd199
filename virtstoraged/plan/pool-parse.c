/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage.h"

#include "mem.h"
#include "store.h"
#include "str.h"
#include "xml-lib.h"
#include "xml-read.h"
#include "xml-refused.h"
#include "xml-write.h"

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
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        _cleanup_(pool_def_freep) PoolDef *def = NULL;
        void *record = NULL;
        int r;

        assert(text && ret);

        r = xml_parse(text, length, "pool", &doc, f);
        if (r < 0)
                return r;
        r = xml_refused_check(sym_xmlDocGetRootElement(doc), refused, ARRAY_SIZE(refused), f);
        if (r < 0)
                return r;
        r = xml_read_record(sym_xmlDocGetRootElement(doc), &pool_record, &record, f);
        if (r < 0)
                return r;
        def = record;
        def->doc = TAKE_PTR(doc);
        r = complete(def, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(def);
        return 0;
}

int pool_format(PoolDef *def, unsigned xml_write_flags, char **ret, Fault *f) {
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

int pool_copy(const PoolDef *def, PoolDef **ret) {
        void *copy = NULL;
        int r;

        assert(def && ret);

        r = record_copy(&def->head, &copy);
        if (r >= 0)
                *ret = copy;
        return r;
}
