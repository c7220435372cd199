/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtstoraged/def/secret-def.h"
#include "../../virtstoraged/def/volume-def.h"
#include "../../virtstoraged/pool/pool.h"
#include "page.h"
#include "str.h"

/* virtbus.storage(5). */

/* The i-th kind of pool that nobody can use. */
static bool storage_refused(size_t i, XmlRefused *ret) {
        for (int type = 1; type < _POOL_TYPE_MAX; type++) {
                const PoolOps *ops = pool_ops((PoolType) type);

                if (!ops || !ops->refused || i-- > 0)
                        continue;
                *ret = (XmlRefused) { .what = must(strf("pool/@type = %s", pool_type_to_string((PoolType) type))), .why = ops->refused };
                return true;
        }
        return false;
}

int main(int argc, char **argv) {
        static const XmlPage page = {
                .name = "virtbus.storage", .title = "XML of storage pools, volumes and secrets",
                .roots = { { "pool/", &pool_record }, { "volume/", &volume_record }, { "secret/", &secret_record } },
                .refused = storage_refused,
        };

        return xml_page_main(&page, argc, argv);
}
