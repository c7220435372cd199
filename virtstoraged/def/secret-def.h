/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "xml-definition.h"

/* libvirt's secret XML: what a secret is for, and who may see it. Its value is somewhere else. */

typedef enum SecretUsage { USAGE_NONE, USAGE_VOLUME, USAGE_CEPH, USAGE_ISCSI, USAGE_TLS, USAGE_VTPM, _SECRET_USAGE_MAX,
                           _SECRET_USAGE_INVALID = -EINVAL } SecretUsage;
DECLARE_ENUM(SecretUsage, secret_usage);

typedef struct SecretDef {
        Record head;
        xmlDoc *doc;
        Tristate ephemeral;          /* kept in memory only */
        Tristate is_private;         /* its value is never given out */
        sd_id128_t uuid;
        char *description;
        SecretUsage usage;
        char *volume, *name, *target;
} SecretDef;

extern const RecordType secret_record;

static inline SecretDef *secret_def_free(SecretDef *def) {
        return xml_definition_free(def);
}
DEFINE_CLEANUP(SecretDef *, secret_def_free)

/* What it is for: unique for each kind of usage; NULL: nothing is said. */
const char *secret_usage_id(const SecretDef *def);
