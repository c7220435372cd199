/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "str.h"
#include "xml-build.h"

/* What a volume of a pool in the network is to QEMU: <source> of a disk of type 'network'. */

static void add_hosts(XmlBuild *b, xmlNode *source, const PoolDef *def) {
        RECORD_FOREACH(SourceHost, h, def->hosts) {
                xmlNode *host = xml_build_add(b, source, "host");

                xml_build_set(b, host, "name", "%s", h->name);
                if (h->port != NUMBER_UNSET)
                        xml_build_set(b, host, "port", "%" PRIu64, h->port);
        }
}

static void add_auth(XmlBuild *b, xmlNode *source, const PoolDef *def, const char *type) {
        xmlNode *auth, *secret;

        if (!pool_has_auth(def))
                return;
        auth = xml_build_add(b, source, "auth");
        xml_build_set(b, auth, "username", "%s", def->auth_username);
        secret = xml_build_add(b, auth, "secret");
        xml_build_set(b, secret, "type", "%s", type);
        if (def->auth_secret_usage)
                xml_build_set(b, secret, "usage", "%s", def->auth_secret_usage);
        else
                xml_build_set(b, secret, "uuid", SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(def->auth_secret_uuid));
}

static int make(const PoolDef *def, const char *protocol, const char *secret, const char *name, char **ret) {
        XmlBuild b;
        xmlNode *source = xml_build_start(&b, "source");

        xml_build_set(&b, source, "protocol", "%s", protocol);
        xml_build_set(&b, source, "name", "%s", name);
        add_hosts(&b, source, def);
        add_auth(&b, source, def, secret);
        RECORD_FOREACH(InitiatorIqn, iqn, def->iqns)
                xml_build_set(&b, xml_build_add(&b, xml_build_add(&b, source, "initiator"), "iqn"), "name", "%s", iqn->name);
        return xml_build_finish(&b, ret);
}

/* "unit:0:0:1" or "unit:1": the last number is that of the unit. */
int pool_iscsi_source(const PoolDef *def, const VolumeInfo *v, char **ret) {
        const char *unit = strrchr(v->name, ':');
        _cleanup_free_ char *name = unit ? strf("%s/%s", pool_device(def)->path, unit + 1) : NULL;

        if (!unit)
                return -EINVAL;
        return name ? make(def, "iscsi", "iscsi", name, ret) : -ENOMEM;
}

int pool_rbd_source(const PoolDef *def, const VolumeInfo *v, char **ret) {
        return make(def, "rbd", "ceph", v->path, ret);
}
