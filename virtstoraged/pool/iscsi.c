/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "pool.h"
#include "str.h"

/* Units of an iSCSI target, through open-iscsi. */

static char *portal(const PoolDef *def) {
        const SourceHost *h = pool_host(def);
        bool six = strchr(h->name, ':');

        return strf("--portal=%s%s%s:%" PRIu64, six ? "[" : "", h->name, six ? "]" : "", h->port == NUMBER_UNSET ? 3260 : h->port);
}

static int is_active(_unused_ const PoolDef *def, Commands *c) {
        return commands_add(c, "iscsiadm", "--mode=session", NULL);
}

/* "tcp: [1] 10.0.0.1:3260,1 iqn.2026-01.example:disks (non-flash)" */
static bool active(const PoolDef *def, char *const *outputs) {
        const char *target = pool_device(def)->path, *at = outputs[0];

        while (at && (at = strstr(at, target))) {
                at += strlen(target);
                if (*at == ' ' || *at == '\n' || !*at)
                        return true;
        }
        return false;
}

static int node(const PoolDef *def, Commands *c, const char *a, const char *b, const char *d) {
        _cleanup_free_ char *target = strf("--targetname=%s", pool_device(def)->path), *p = portal(def);

        return target && p ? commands_add(c, "iscsiadm", "--mode=node", target, p, a, b ?: "", d ?: "", NULL) : -ENOMEM;
}

/* Not by itself at boot: that is the pool's to decide. */
static int start(const PoolDef *def, Commands *c) {
        int r = node(def, c, "--op=new", NULL, NULL);

        if (r >= 0)
                r = node(def, c, "--op=update", "--name=node.startup", "--value=manual");
        if (r >= 0 && pool_has_auth(def))
                r = commands_add_iscsi_login(c);
        return r < 0 ? r : node(def, c, "--login", NULL, NULL);
}

static int stop(const PoolDef *def, Commands *c) {
        int r = node(def, c, "--logout", NULL, NULL);

        return r >= 0 && pool_has_auth(def) ? node(def, c, "--op=delete", NULL, NULL) : r; /* the record has the password */
}

static int start_failed(const PoolDef *def, Commands *c) {
        return node(def, c, "--op=delete", NULL, NULL);
}

static int find(const PoolDef *hints, Commands *c) {
        _cleanup_free_ char *p = portal(hints);

        return p ? commands_add(c, "iscsiadm", "--mode=discovery", "--type=sendtargets", p, NULL) : -ENOMEM;
}

static int add_target(const PoolDef *hints, const char *line, size_t n, RecordList *ret) {
        const char *space = memchr(line, ' ', n);
        _cleanup_free_ char *target = space ? strndup(space + 1, n - (size_t) (space + 1 - line)) : NULL;
        void *copy = NULL;
        int r;

        if (!target)
                return space ? -ENOMEM : 0;
        r = record_copy(&hints->head, &copy);
        if (r >= 0)
                r = pool_add_device(copy, target);
        if (r < 0) {
                pool_def_free(copy);
                return r;
        }
        return record_list_add(ret, copy);
}

/* "10.0.0.1:3260,1 iqn.2026-01.example:disks" */
static int found(const PoolDef *hints, char *const *outputs, RecordList *ret) {
        int r = 0;

        for (const char *line = outputs[0]; *line && r >= 0; line += strcspn(line, "\n"), line += *line == '\n')
                r = add_target(hints, line, strcspn(line, "\n"), ret);
        return r;
}

const PoolOps pool_iscsi = {
        .type = POOL_ISCSI, .needs = ELEMENT_HOST | ELEMENT_DEVICE | ELEMENT_PATH, .knows = ELEMENT_AUTH, .scan = SCAN_SCSI, .volumes = VOLUME_BLOCK,
        .network = true, .auth = AUTH_CHAP, .device_folder = "/dev/disk/by-path", .check = iscsi_check_target,
        .is_active = is_active, .active = active, .start = start, .stop = stop, .start_failed = start_failed, .find = find, .found = found,
        .network_source = pool_iscsi_source,
};
