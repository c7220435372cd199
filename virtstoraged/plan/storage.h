/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/pool-info.h"
#include "../def/secret-def.h"
#include "../pool/pool.h"

/* Pure functions: text -> PoolDef, VolumeDef -> completed and checked ones -> text, commands of qemu-img. */

int pool_parse(const char *text, size_t length, PoolDef **ret, Fault *f);
/* The document as it was written, brought up to date, or a new one where there is none. */
static inline int pool_format(PoolDef *def, unsigned xml_write_flags, char **ret, Fault *f) {
        return xml_definition_to_text(def, xml_write_flags, ret, f);
}
static inline int pool_copy(const PoolDef *def, PoolDef **ret) {
        return record_copy(&def->head, (void **) ret);
}

static inline int secret_parse(const char *text, size_t length, SecretDef **ret, Fault *f) {
        return xml_definition_read(text, length, &secret_record, NULL, 0, (void **) ret, f);
}
static inline int secret_format(SecretDef *def, char **ret, Fault *f) {
        return xml_definition_to_text(def, 0, ret, f);
}

static inline int volume_parse(const char *text, size_t length, VolumeDef **ret, Fault *f) {
        return xml_definition_read(text, length, &volume_record, NULL, 0, (void **) ret, f);
}
/* What a new volume of this pool may be; sets what is meant where nothing is said. */
int volume_complete(const PoolDef *pool, VolumeDef *def, Fault *f);
