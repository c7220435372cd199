/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtstoraged/def/secret-def.h"
#include "../../virtstoraged/def/volume-def.h"
#include "../../virtstoraged/pool/pool.h"
#include "page.h"
#include "str.h"

/* virtbus.storage(5). */

/* Kinds of pools that can be used, one after the other; NULL: there are no more. */
static const PoolOps *next_kind(int *type) {
        while (++*type < _POOL_TYPE_MAX) {
                const PoolOps *ops = pool_ops((PoolType) *type);

                if (ops && !ops->refused)
                        return ops;
        }
        return NULL;
}

/* "needed by: dir, fs", or nothing. */
static void add_kinds(Text *t, const char *how, size_t offset, unsigned element) {
        const PoolOps *ops;
        bool any = false;

        for (int type = 0; (ops = next_kind(&type));) {
                if (!(*(const unsigned *) ((const char *) ops + offset) & element))
                        continue;
                if (any)
                        text_add(t, ", ");
                else
                        text_addf(t, "%s%s", t->length > 0 ? "; " : "", how);
                text_add(t, pool_type_to_string((PoolType) type));
                any = true;
        }
}

static char *formats_text(void) {
        const PoolOps *ops;
        Text t = TEXT_INIT;

        for (int type = 0; (ops = next_kind(&type));)
                for (size_t i = 0; ops->formats && ops->formats[i]; i++) {
                        if (i == 0)
                                text_addf(&t, "%s%s: ", t.length > 0 ? "; " : "", pool_type_to_string((PoolType) type));
                        text_addf(&t, "%s%s", i > 0 ? ", " : "", ops->formats[i]);
                }
        return must(text_finish(&t));
}

/* What is said of an element stands at the first of its fields. */
static bool is_first(const Field *f, unsigned element) {
        for (size_t i = 0; i < pool_record.n_fields; i++)
                if (pool_element_at(pool_record.fields[i].path) == element)
                        return f == &pool_record.fields[i];
        return false;
}

/* Which pools have it. */
static char *storage_when(const XmlPath *p) {
        const char *path = str_after(p->path, "pool/");
        unsigned element = path ? pool_element_at(path) : 0;
        Text t = TEXT_INIT;

        if (streq(p->path, "pool/source/format/@type"))
                return formats_text();
        if (element == 0 || !is_first(p->field, element))
                return NULL;
        add_kinds(&t, "needed by ", offsetof(PoolOps, needs), element);
        add_kinds(&t, "may be in ", offsetof(PoolOps, knows), element);
        return must(text_finish(&t));
}

/* The i-th kind of pool that nobody can use. */
static bool storage_refused(size_t i, XmlRefusal *ret) {
        for (int type = 1; type < _POOL_TYPE_MAX; type++) {
                const PoolOps *ops = pool_ops((PoolType) type);

                if (!ops || !ops->refused || i-- > 0)
                        continue;
                *ret = (XmlRefusal) { .what = must(strf("pool/@type = %s", pool_type_to_string((PoolType) type))), .why = ops->refused };
                return true;
        }
        return false;
}

int main(int argc, char **argv) {
        static const XmlPage page = {
                .name = "virtbus.storage", .title = "XML of storage pools, volumes and secrets",
                .roots = { { "pool/", &pool_record }, { "volume/", &volume_record }, { "secret/", &secret_record } },
                .when = storage_when, .refused = storage_refused,
        };

        return xml_page_main(&page, argc, argv);
}
