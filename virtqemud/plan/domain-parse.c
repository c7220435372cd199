/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain.h"

#include "../device/device.h"
#include "refused.h"
#include "store.h"
#include "xml-lib.h"
#include "xml-read.h"

int domain_name_check(const char *name, Fault *f) {
        return object_name_check("domain", name, f);
}

int domain_parse(const char *text, size_t length, DomainDef **ret, Fault *f) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        void *record = NULL;
        int r;

        assert(text);
        assert(ret);

        r = xml_parse(text, length, "domain", &doc, f);
        if (r < 0)
                return r;
        r = refused_check(sym_xmlDocGetRootElement(doc), f);
        if (r < 0)
                return r;
        r = xml_read_record(sym_xmlDocGetRootElement(doc), &domain_record, &record, f);
        if (r < 0)
                return r;

        def = record;
        def->doc = TAKE_PTR(doc);
        device_bind_ops(def);

        r = domain_name_check(def->name, f);
        if (r < 0) {
                fault_prefix(f, "line %u, domain/name", def->head.line);
                return r;
        }
        if (def->emulator && def->emulator[0] != '/')
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "devices/emulator", "\"%s\" is no absolute path", def->emulator);

        *ret = TAKE_PTR(def);
        return 0;
}

int device_parse(const char *text, size_t length, Device **ret, Fault *f) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        const RecordType *type;
        void *record = NULL, *copy;
        xmlNode *root;
        Device *d;
        int r;

        assert(text && ret);

        r = xml_parse(text, length, NULL, &doc, f);
        if (r < 0)
                return r;
        root = sym_xmlDocGetRootElement(doc);
        r = refused_check_device(root, f);
        if (r < 0)
                return r;
        type = device_record_type((const char *) root->name);
        if (!type)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "line %ld: <%s> is no device", (long) sym_xmlGetLineNo(root), (const char *) root->name);
        r = xml_read_record(root, type, &record, f);
        if (r < 0)
                return r;
        /* Its nodes go with the document. */
        r = record_copy(record, &copy);
        record_free(record);
        if (r < 0)
                return fault_oom(f);
        d = copy;
        d->ops = device_ops_by_element(d->head.type->element);
        *ret = d;
        return 0;
}

int domain_drop_document(DomainDef **def) {
        DomainDef *copy;
        int r;

        assert(def && *def);

        r = domain_copy(*def, &copy);
        if (r < 0)
                return r;
        domain_def_free(*def);
        *def = copy;
        return 0;
}
