/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "clone-xml.h"
#include "definition.h"
#include "made.h"
#include "mem.h"
#include "new-volume.h"
#include "storage.h"
#include "str.h"
#include "verbs.h"
#include "xml-read.h"
#include "xml-write.h"

/* A VM like another one, with copies of its disks. What can't be copied is found before anything is made. */

typedef struct CloneDisk {
        xmlNode *node;
        char *target;
        char *path, *format;             /* of the volume it is */
        char *pool, *pool_name, *name;   /* of the one that it becomes */
        char *new_format;
} CloneDisk;

typedef struct Clone {
        Client *client;
        char *from;
        const char *to;
        xmlDoc *doc;
        CloneDisk *disks;
        size_t n, allocated;
        bool overlay;
} Clone;

static void clone_clear(Clone *x) {
        for (size_t i = 0; i < x->n; i++) {
                CloneDisk *d = &x->disks[i];
                char *const texts[] = { d->target, d->path, d->format, d->pool, d->pool_name, d->name, d->new_format };

                for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
                        free(texts[k]);
        }
        free(x->disks);
        free(x->from);
        if (x->doc)
                xml_doc_free(x->doc);
}

/* --- the definition --- */

static int read_definition(Clone *x, const char *who) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL, *state = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *text;
        int r = client_domain(x->client, who, &domain) ?: client_get_text(x->client, domain, DOMAIN_INTERFACE, "Name", &x->from) ?:
                client_get_text(x->client, domain, DOMAIN_INTERFACE, "State", &state);

        if (r == 0 && !streq(state, "shutoff")) {
                r = client_fail("%s is %s: its disks can be copied while it is off only", x->from, state);
                fprintf(stderr, "  virtctl stop %s\n", x->from);
        }
        r = r ?: client_call(x->client, domain, DOMAIN_INTERFACE, "ExportDefinition", &reply, "st", FORMAT_XML, FLAG_CONFIG | FLAG_SENSITIVE);
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return client_garbled(r);
        return xml_parse(text, strlen(text), "domain", &x->doc, &f) < 0 ? client_fail("%s", fault_text(&f)) : 0;
}

/* --- its disks --- */

static int cannot(const CloneDisk *d, const char *why) {
        (void) client_fail("the disk %s can't be cloned: %s", d->target ?: "?", why);
        fprintf(stderr, "  Nothing was made. Let it be of a pool (virtctl refresh-pool finds files that are new there), or read-only or shared.\n");
        return FAILED;
}

/* Media stay in their drives; what nobody writes to, or all write to, is the same for both. */
static bool is_kept(const xmlNode *disk) {
        _cleanup_free_ char *device = clone_xml_attribute(disk, NULL, "device");

        return !clone_xml_has(disk, "source") || streq_null(device, "cdrom") || streq_null(device, "floppy") || clone_xml_has(disk, "readonly") ||
               clone_xml_has(disk, "shareable");
}

static int find_by_path(Clone *x, CloneDisk *d, const char *path, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *why = strf("%s is in no active pool", path);

        if (ask(x->client, STORAGE1_ROOT, STORAGE1_MANAGER, "GetVolumeByPath", NULL, &reply, "s", path) < 0)
                return cannot(d, why ?: path);
        return client_take_path(reply, ret);
}

static int find_volume(Clone *x, CloneDisk *d, char **ret) {
        _cleanup_free_ char *file = clone_xml_attribute(d->node, "source", "file") ?: clone_xml_attribute(d->node, "source", "dev");
        _cleanup_free_ char *type = clone_xml_attribute(d->node, NULL, "type"), *pool = NULL, *volume = NULL, *object = NULL, *why = NULL;
        int r;

        if (file && type && (streq(type, "file") || streq(type, "block")))
                return find_by_path(x, d, file, ret);
        pool = clone_xml_attribute(d->node, "source", "pool");
        volume = clone_xml_attribute(d->node, "source", "volume");
        why = strf("it is of the type %s, and not a volume", type ?: "?");
        if (!pool || !volume)
                return cannot(d, why ?: "it is no volume");
        r = pool_find(x->client, pool, &object);
        if (r == 0 && !x->client->dry_run)
                r = new_volume_start_pool(x->client, object);
        return r ?: client_find(x->client, object, STORAGE1_POOL, "GetVolume", volume, ret);
}

/* "web-data.qcow2" of web is "new-data.qcow2"; any other name is of the new VM and its disk. */
static char *new_name(const Clone *x, const CloneDisk *d, const char *old, bool in_folder) {
        _cleanup_free_ char *suffix = NULL, *middle = NULL;
        const char *rest = str_after(old, x->from), *dot = strrchr(old, '.');

        if (!in_folder)
                suffix = strdup("");
        else if (streq(d->new_format, d->format))
                suffix = strdup(dot ?: "");
        else
                suffix = strf(".%s", d->new_format);
        if (rest && (!dot || dot >= rest))
                middle = strndup(rest, dot ? (size_t) (dot - rest) : strlen(rest));
        else
                middle = strf("-%s", d->target);
        return suffix && middle ? strf("%s%s%s", x->to, middle, suffix) : NULL;
}

/* Where the copy goes, and what it is. */
static int choose_place(Clone *x, CloneDisk *d, const char *volume) {
        const char *pool = option_given(x->client, "pool", 0), *end = strstr(ASSERT_PTR(volume), "/volume/"), *usual;
        _cleanup_free_ char *own = end ? strndup(volume, (size_t) (end - volume)) : NULL, *own_name = NULL, *old = NULL;
        int r = !own ? client_fail("out of memory") : client_get_text(x->client, own, STORAGE1_POOL, "Name", &own_name);

        r = r ?: new_volume_pool(x->client, pool ?: own_name, &d->pool, &usual) ?: client_get_text(x->client, volume, STORAGE1_VOLUME, "Name", &old);
        if (r != 0)
                return r;
        if (x->overlay && !streq(usual, "qcow2"))
                return cannot(d, "an overlay is a file, and the pool is no folder; name one: --pool=POOL");
        d->pool_name = strdup(pool ?: own_name);
        d->new_format = strdup(x->overlay ? "qcow2" : streq(usual, "raw") ? "raw" : d->format);
        if (!d->pool_name || !d->new_format || !(d->name = new_name(x, d, old, streq(usual, "qcow2"))))
                return client_fail("out of memory");
        if (ask(x->client, d->pool, STORAGE1_POOL, "GetVolume", NULL, NULL, "s", d->name) < 0)
                return 0;
        return client_fail("the disk %s would become the volume %s of the pool %s, which is there already", d->target, d->name, d->pool_name);
}

static int plan_disk(Clone *x, CloneDisk *d) {
        _cleanup_free_ char *volume = NULL;
        int r = find_volume(x, d, &volume) ?: client_get_text(x->client, volume, STORAGE1_VOLUME, "Path", &d->path) ?:
                client_get_text(x->client, volume, STORAGE1_VOLUME, "Format", &d->format) ?: choose_place(x, d, volume);

        if (r != 0)
                return r;
        return clone_xml_set_volume(d->node, d->pool_name, d->name, d->new_format) < 0 ? client_fail("out of memory") : 0;
}

static int plan_disks(Clone *x) {
        int r = 0;

        for (xmlNode *node = clone_xml_next_disk(x->doc, NULL); node && r == 0; node = clone_xml_next_disk(x->doc, node)) {
                CloneDisk *d;

                if (is_kept(node))
                        continue;
                if (!GROW(x->disks, x->allocated, x->n + 1))
                        return client_fail("out of memory");
                d = &x->disks[x->n++];
                *d = (CloneDisk) { .node = node, .target = clone_xml_attribute(node, "target", "dev") };
                r = plan_disk(x, d);
        }
        return r;
}

/* --- making --- */

static int make_disk(Clone *x, Made *made, const CloneDisk *d) {
        VolumeWish w = { .pool = d->pool, .name = d->name, .format = d->new_format };

        if (x->overlay) {
                w.backing = d->path;
                w.backing_format = d->format;
        } else
                w.clone_from = d->path;
        return new_volume_start_pool(x->client, d->pool) ?: new_volume(made, &w, NULL);
}

static int define(Clone *x, const char *xml, uint64_t flags) {
        return client_call(x->client, QEMU1_ROOT, MANAGER_INTERFACE, "DefineDomain", NULL, "ssta{sv}", FORMAT_XML, xml, flags, 1, "create-only", "b", 1);
}

static int make(Clone *x, const char *xml) {
        Made made;
        int r = 0;

        made_begin(&made, x->client);
        for (size_t i = 0; r == 0 && i < x->n; i++)
                r = make_disk(x, &made, &x->disks[i]);
        r = r ?: made_stopped(&made) ?: define(x, xml, 0);
        if (r != 0)
                made_undo(&made);
        made_end(&made);
        return r;
}

static int check_files(Clone *x) {
        _cleanup_free_ char *shared = clone_xml_shared_file(x->doc);

        if (!shared)
                return 0;
        (void) client_fail("%s would be of both VMs", shared);
        fprintf(stderr, "  Nothing was made. Clone by hand: virtctl cat %s, change that, virtctl define\n", x->from);
        return FAILED;
}

static void tell(const Clone *x) {
        if (!x->client->quiet)
                fprintf(stderr, "%s: cloned from %s\n", x->to, x->from);
        if (x->overlay && x->n > 0)
                fprintf(stderr, "virtctl: don't start %s again: the disks of %s stand on its disks, which must not change any more\n", x->from, x->to);
}

int verb_clone(Client *c, int argc, char **argv) {
        _cleanup_(clone_clear) Clone x = { .client = c, .to = argv[1], .overlay = option_given(c, "overlay", 0) };
        _cleanup_free_ char *xml = NULL;
        int r = read_definition(&x, argv[0]) ?: check_files(&x) ?: plan_disks(&x);

        if (r == 0 && (clone_xml_rename(x.doc, x.to) < 0 || xml_doc_to_text(x.doc, &xml) < 0))
                r = client_fail("out of memory");
        r = r ?: define(&x, xml, FLAG_VALIDATE_ONLY);
        if (r != 0)
                return r;
        if (c->dry_run)
                return fputs(xml, stdout) < 0 ? client_fail("standard output can't be written to") : 0;
        r = make(&x, xml);
        if (r == 0)
                tell(&x);
        return r;
}
