/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../virtstoraged/plan/storage.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What programs say of pools and volumes. The first line is the type of the pool, and what they print is parted by lines with a form feed. */

#define OUTPUTS_MAX 4u

static const char *const pools[] = {
        "<pool type='disk'><name>p</name><source><device path='/dev/sdb'/></source><target><path>/dev</path></target></pool>",
        "<pool type='logical'><name>p</name><source><name>vg</name></source></pool>",
        "<pool type='zfs'><name>p</name><source><name>tank</name></source></pool>",
        "<pool type='rbd'><name>p</name><source><name>images</name></source></pool>",
        "<pool type='iscsi'><name>p</name><source><host name='10.0.0.1'/><device path='iqn.2026-01.example:disks'/></source></pool>",
        "<pool type='netfs'><name>p</name><source><host name='10.0.0.1'/><dir path='/srv'/></source><target><path>/srv/p</path></target></pool>",
};

static void try_parse(const PoolDef *def, char *const *outputs) {
        _cleanup_pool_info_ PoolInfo info = {};
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (pool_ops(def->type)->parse(def, outputs, &info, &f) < 0)
                return;
        for (size_t i = 0; i < info.n; i++)
                if (!info.volumes[i].name || !info.volumes[i].path || strchr(info.volumes[i].name, '/'))
                        abort();
}

static void try_find(const PoolDef *def, char *const *outputs) {
        RecordList found = {};

        (void) pool_ops(def->type)->found(def, outputs, &found);
        record_list_clear(&found);
}

static void try_all(const char *type, char *const *outputs) {
        for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
                _cleanup_(pool_def_freep) PoolDef *def = NULL;
                _cleanup_fault_ Fault f = FAULT_INIT;
                const char *is = str_after(pools[i], "<pool type='");
                const PoolOps *ops;

                if (strncmp(is, type, strlen(type)) != 0 || is[strlen(type)] != '\'')
                        continue;
                if (pool_parse(pools[i], strlen(pools[i]), &def, &f) < 0)
                        abort();
                ops = pool_ops(def->type);
                if (ops->parse)
                        try_parse(def, outputs);
                if (ops->found)
                        try_find(def, outputs);
                if (ops->active)
                        (void) ops->active(def, outputs);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        char *outputs[OUTPUTS_MAX + 1] = { (char *) "", (char *) "", (char *) "", (char *) "", NULL }, *rest;

        if (!text)
                return 0;
        rest = strchr(text, '\n');
        if (!rest)
                return 0;
        *rest++ = '\0';
        for (size_t i = 0; i < OUTPUTS_MAX && rest; i++) {
                char *end = strstr(rest, "\f\n");

                outputs[i] = rest;
                if (end)
                        *end = '\0';
                rest = end ? end + 2 : NULL;
        }
        try_all(text, outputs);
        return 0;
}
