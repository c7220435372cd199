/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage.h"

#include "xml-lib.h"
#include "xml-read.h"
#include "xml-write.h"

int secret_parse(const char *text, size_t length, SecretDef **ret, Fault *f) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        _cleanup_(secret_def_freep) SecretDef *def = NULL;
        void *record = NULL;
        int r;

        assert(text && ret);

        r = xml_parse(text, length, "secret", &doc, f);
        if (r >= 0)
                r = xml_read_record(sym_xmlDocGetRootElement(doc), &secret_record, &record, f);
        if (r < 0)
                return r;
        def = record;
        def->doc = TAKE_PTR(doc);
        *ret = TAKE_PTR(def);
        return 0;
}

int secret_format(SecretDef *def, char **ret, Fault *f) {
        int r;

        assert(def && ret);

        if (!def->doc)
                r = xml_record_to_text(&def->head, 0, ret);
        else {
                r = xml_merge_record(&def->head, 0);
                if (r >= 0)
                        r = xml_doc_to_text(def->doc, ret);
        }
        return r == -ENOMEM ? fault_oom(f) : r;
}
