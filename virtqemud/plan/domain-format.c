/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain.h"

#include "xml-write.h"

int domain_format(DomainDef *def, unsigned xml_write_flags, char **ret, Fault *f) {
        int r;

        assert(def);
        assert(ret);

        if (!def->doc)
                r = xml_record_to_text(&def->head, xml_write_flags, ret);
        else {
                r = xml_merge_record(&def->head, xml_write_flags);
                if (r >= 0)
                        r = xml_doc_to_text(def->doc, ret);
        }
        return r == -ENOMEM ? fault_oom(f) : r;
}
