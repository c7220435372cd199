/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml-refused.h"

#include "str.h"
#include "xml-lib.h"

static int check_below(const xmlNode *parent, const char *path, const XmlRefused *rows, size_t n_rows, Fault *f) {
        int r = 0;

        for (const xmlNode *n = parent->children; n && r >= 0; n = n->next) {
                _cleanup_free_ char *below = NULL;

                if (n->type != XML_ELEMENT_NODE || n->ns || streq((const char *) n->name, "metadata"))
                        continue;
                for (size_t i = 0; i < n_rows; i++)
                        if (streq(path, rows[i].parent) && streq((const char *) n->name, rows[i].name)) {
                                fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "line %ld, %s/%s: %s", (long) sym_xmlGetLineNo(n), path, rows[i].name,
                                          rows[i].reason);
                                if (rows[i].hint)
                                        fault_hint(f, "%s", rows[i].hint);
                                return -EOPNOTSUPP;
                        }
                below = strf("%s/%s", path, (const char *) n->name);
                r = below ? check_below(n, below, rows, n_rows, f) : fault_oom(f);
        }
        return r;
}

int xml_refused_check(const xmlNode *root, const XmlRefused *rows, size_t n, Fault *f) {
        assert(root && rows);

        return check_below(root, (const char *) root->name, rows, n, f);
}
