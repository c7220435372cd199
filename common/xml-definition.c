/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml-definition.h"

#include "xml-lib.h"
#include "xml-read.h"
#include "xml-write.h"

int xml_definition_read(const char *text, size_t length, const RecordType *type, const XmlRefused *refused, size_t n_refused, void **ret, Fault *f) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        void *record = NULL;
        int r;

        assert(text && type && ret);

        r = xml_parse(text, length, type->element, &doc, f);
        if (r >= 0 && n_refused > 0)
                r = xml_refused_check(sym_xmlDocGetRootElement(doc), refused, n_refused, f);
        if (r >= 0)
                r = xml_read_record(sym_xmlDocGetRootElement(doc), type, &record, f);
        if (r < 0)
                return r;
        ((XmlDefinition *) record)->doc = TAKE_PTR(doc);
        *ret = record;
        return 0;
}

int xml_definition_to_text(void *def, unsigned flags, char **ret, Fault *f) {
        XmlDefinition *d = def;
        int r;

        assert(d && ret);

        if (!d->doc)
                r = xml_record_to_text(&d->head, flags, ret);
        else {
                r = xml_merge_record(&d->head, flags);
                if (r >= 0)
                        r = xml_doc_to_text(d->doc, ret);
        }
        return r == -ENOMEM ? fault_oom(f) : r;
}

void *xml_definition_free(void *def) {
        xmlDoc *doc;

        if (!def)
                return NULL;
        doc = TAKE_PTR(((XmlDefinition *) def)->doc);
        record_free(def); /* its nodes point into the document */
        xml_doc_free(doc);
        return NULL;
}
