/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../virtstoraged/plan/storage.h"
#include "str.h"
#include "xml-write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No word of a command can become two, or an option that nobody meant. */
static void check_commands(const Commands *c) {
        for (size_t i = 0; i < c->n; i++)
                for (char **word = c->items[i].argv; word && *word; word++)
                        if (!**word || strchr(*word, '\n'))
                                abort();
}

static void check_plan(const PoolDef *def) {
        const PoolOps *ops = pool_ops(def->type);
        int (*const makers[])(const PoolDef *, Commands *) = { ops->is_active, ops->start, ops->stop, ops->list, ops->destroy };
        MountPlan m = {};

        if (ops->mount && ops->mount(def, &m) < 0)
                abort();
        mount_plan_clear(&m);
        for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
                _cleanup_commands_ Commands c = {};

                if (makers[i] && makers[i](def, &c) < 0)
                        abort();
                check_commands(&c);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(pool_def_freep) PoolDef *def = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (pool_parse((const char *) data, size, &def, &f) < 0)
                return 0;
        check_plan(def);
        if (pool_format(def, 0, &text, &f) < 0)
                abort();
        return 0;
}
