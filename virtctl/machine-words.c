/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine-words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "spec.h"
#include "storage.h"
#include "str.h"
#include "values.h"

#define MACHINE_DISKS_MAX 26u            /* vda to vdz */
#define QCOW2_MAGIC "QFI\xfb"
#define KIND_WORDS "raw|qcow2"

void image_clear(Image *i) {
        free(i->path);
        free(i->pool);
        free(i->volume);
        free(i->format);
}

/* --- files of the host --- */

/* Absolute, as daemons want it. Of another host nothing can be looked at. */
static int full_path(const Client *c, const char *option, const char *path, char **ret) {
        char *full = c->host ? strdup(path) : realpath(path, NULL);

        if (c->host && *path != '/')
                return client_fail("--%s=%s: a file of %s is named by its whole path", option, path, c->host);
        /* Whether somebody else may look there is for the daemon to find out. */
        if (!full && errno == EACCES && *path == '/')
                full = strdup(path);
        if (!full)
                return client_fail("--%s=%s: %s", option, path, strerror(errno));
        *ret = full;
        return 0;
}

static bool is_qcow2(const char *path) {
        _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        char start[4] = "";

        return fd >= 0 && pread(fd, start, sizeof(start), 0) == sizeof(start) && memcmp(start, QCOW2_MAGIC, sizeof(start)) == 0;
}

/* The name tells, as with volumes: what is in a raw image may be written by a guest, which must not decide about its format. */
static int find_format(const Client *c, const char *option, const char *path, char **format) {
        bool named = str_ends(path, ".qcow2");

        if (*format)
                return 0;
        if (!c->host && !named && is_qcow2(path)) {
                (void) client_fail("--%s=%s: that looks like a qcow2 image, but its name does not say so", option, path);
                fprintf(stderr, "  Say ,format=qcow2 behind it, or ,format=raw if a guest has written that into a raw disk.\n");
                return USAGE;
        }
        *format = strdup(named ? "qcow2" : "raw");
        return *format ? 0 : client_fail("out of memory");
}

/* POOL/VOLUME, or a path. */
static int find_place(const Client *c, const char *option, const char *what, char **ret_path, char **ret_pool, char **ret_volume) {
        const char *slash = strchr(what, '/');

        if (*what == '/' || str_after(what, "./") || str_after(what, "../") || !slash)
                return full_path(c, option, what, ret_path);
        if (!slash[1] || strchr(slash + 1, '/')) {
                (void) client_fail("--%s=%s: expected POOL/VOLUME, or a path, which begins with / or ./ or is the name of a file in this folder", option, what);
                return USAGE;
        }
        *ret_pool = strndup(what, (size_t) (slash - what));
        *ret_volume = strdup(slash + 1);
        return *ret_pool && *ret_volume ? 0 : client_fail("out of memory");
}

/* --- disks --- */

static const SpecKey disk_keys[] = {
        { "size", SPEC_SIZE, offsetof(NewDisk, size), NULL },
        { "format", SPEC_TEXT, offsetof(NewDisk, format), KIND_WORDS },
        { "bus", SPEC_TEXT, offsetof(NewDisk, bus), "virtio|scsi|sata|usb" },
        { "cache", SPEC_TEXT, offsetof(NewDisk, cache), "none|writeback|writethrough|directsync|unsafe" },
        { "readonly", SPEC_YES_NO, offsetof(NewDisk, read_only), NULL },
        { "serial", SPEC_TEXT, offsetof(NewDisk, serial), NULL },
};

static const SpecKey cdrom_keys[] = {
        { "bus", SPEC_TEXT, offsetof(NewDisk, bus), "sata|scsi|usb" },
};

/* A volume that is to be made: of a pool, or of the one that is meant without a word. */
static int place_new(const Client *c, NewDisk *d, const char *what) {
        const char *slash = what ? strchr(what, '/') : NULL;
        int r = slash && str_after(slash, "/size=") ? value_read_size(slash + strlen("/size="), &d->size) : 0;

        d->make = true;
        d->pool = slash ? strndup(what, (size_t) (slash - what)) : strdup(option_given(c, "pool", 0) ?: DEFAULT_POOL);
        return r != 0 ? r : d->pool ? 0 : client_fail("out of memory");
}

static int read_disk(Client *c, const char *text, NewDisk *d) {
        _cleanup_free_ char *what = NULL;
        int r = spec_read("disk", text, disk_keys, ARRAY_SIZE(disk_keys), d, &what);

        if (r != 0)
                return r;
        if ((!what && d->size > 0) || (what && strstr(what, "/size=")))
                return place_new(c, d, what);
        if (!what) {
                (void) client_fail("--disk=%s: which disk? POOL/size=20G makes one; POOL/VOLUME and a path name one", text);
                return USAGE;
        }
        r = find_place(c, "disk", what, &d->path, &d->pool, &d->volume);
        d->make = d->volume && d->size > 0;
        if (r == 0 && d->path && d->size > 0) {
                (void) client_fail("--disk=%s: size= is for volumes: POOL/size=20G, or POOL/VOLUME,size=20G, is made in a pool", text);
                return USAGE;
        }
        if (r == 0 && d->volume && !d->make && d->format) {
                (void) client_fail("--disk=%s: the pool knows the format of a volume; virtctl set-format changes it", text);
                return USAGE;
        }
        return r ?: d->path ? find_format(c, "disk", d->path, &d->format) : 0;
}

static int read_cdrom(Client *c, const char *text, NewDisk *d) {
        _cleanup_free_ char *what = NULL;
        int r = spec_read("cdrom", text, cdrom_keys, ARRAY_SIZE(cdrom_keys), d, &what);

        d->cdrom = true;
        if (r == 0 && !what) {
                (void) client_fail("--cdrom=%s: which medium? A path, or POOL/VOLUME", text);
                return USAGE;
        }
        return r ?: find_place(c, "cdrom", what, &d->path, &d->pool, &d->volume);
}

int words_read_disks(Client *c, NewMachine *m) {
        static const struct { const char *option; int (*read)(Client *c, const char *text, NewDisk *d); } rows[] = {
                { "disk", read_disk }, { "cdrom", read_cdrom },
        };

        for (size_t k = 0; k < ARRAY_SIZE(rows); k++)
                for (size_t i = 0; option_given(c, rows[k].option, i); i++) {
                        NewDisk *d = machine_add_disk(m);
                        int r = d ? rows[k].read(c, option_given(c, rows[k].option, i), d) : client_fail("out of memory");

                        if (r != 0)
                                return r;
                }
        if (m->n_disks < MACHINE_DISKS_MAX)
                return 0;
        (void) client_fail("at most %u disks and media can be given here", MACHINE_DISKS_MAX - 1);
        return USAGE;
}

int words_read_image(Client *c, const char *text, Image *ret) {
        static const SpecKey keys[] = { { "format", SPEC_TEXT, offsetof(Image, format), KIND_WORDS } };
        _cleanup_free_ char *what = NULL;
        int r = spec_read("image", text, keys, ARRAY_SIZE(keys), ret, &what);

        if (r == 0 && !what) {
                (void) client_fail("--image=%s: which image? A path, or POOL/VOLUME", text);
                return USAGE;
        }
        r = r ?: find_place(c, "image", what, &ret->path, &ret->pool, &ret->volume);
        if (r == 0 && ret->volume && ret->format) {
                (void) client_fail("--image=%s: the pool knows the format of a volume; virtctl set-format changes it", text);
                return USAGE;
        }
        return r ?: ret->path ? find_format(c, "image", ret->path, &ret->format) : 0;
}

/* --- networks --- */

typedef struct NicWords {
        char *bridge, *network, *mac, *model;
} NicWords;

static void nic_words_clear(NicWords *w) {
        free(w->bridge);
        free(w->network);
        free(w->mac);
        free(w->model);
}

static int set_nic(NicWords *w, char *what, NewNic *n) {
        n->kind = w->bridge ? NIC_BRIDGE : what && streq(what, "user") ? NIC_USER : what && streq(what, "none") ? NIC_NONE : NIC_NETWORK;
        n->mac = TAKE_PTR(w->mac);
        n->model = TAKE_PTR(w->model);
        if (n->kind == NIC_NETWORK)
                n->source = what ? strdup(what) : TAKE_PTR(w->network);
        else if (n->kind == NIC_BRIDGE)
                n->source = TAKE_PTR(w->bridge);
        return n->kind <= NIC_BRIDGE && !n->source ? client_fail("out of memory") : 0;
}

static int read_nic(const char *text, NewNic *n) {
        static const SpecKey keys[] = {
                { "bridge", SPEC_TEXT, offsetof(NicWords, bridge), NULL },
                { "network", SPEC_TEXT, offsetof(NicWords, network), NULL },
                { "mac", SPEC_TEXT, offsetof(NicWords, mac), NULL },
                { "model", SPEC_TEXT, offsetof(NicWords, model), "virtio|e1000e|e1000|rtl8139" },
        };
        _cleanup_(nic_words_clear) NicWords w = {};
        _cleanup_free_ char *what = NULL;
        int r = spec_read("network", text, keys, ARRAY_SIZE(keys), &w, &what);

        if (r != 0)
                return r;
        if (!!what + !!w.bridge + !!w.network == 1 && !is_empty(what ?: w.bridge ?: w.network))
                return set_nic(&w, what, n);
        (void) client_fail("--network=%s: expected the name of a network, bridge=BRIDGE, user or none", text);
        return USAGE;
}

int words_read_nics(Client *c, NewMachine *m) {
        const char *text;

        for (size_t i = 0; (text = option_given(c, "network", i)); i++) {
                NewNic *n = machine_add_nic(m);
                int r = n ? read_nic(text, n) : client_fail("out of memory");

                if (r != 0)
                        return r;
        }
        return 0;
}

/* --- the rest --- */

/* One of the words an option takes; NULL where it was not given. */
static int read_choice(Client *c, const char *option, const char *choices, const char **ret) {
        const char *word = option_given(c, option, 0);

        if (!word || spec_is_choice(word, choices)) {
                *ret = word;
                return 0;
        }
        (void) client_fail("--%s=%s: expected %s", option, word, choices);
        return USAGE;
}

static int read_numbers(Client *c, NewMachine *m) {
        const char *memory = option_given(c, "memory", 0) ?: "2G", *cpus = option_given(c, "cpus", 0) ?: "2";
        int r = value_read_size(memory, &m->memory);

        if (r == 0 && m->memory < UINT64_C(1) << 20) {
                (void) client_fail("--memory=%s: that is %llu bytes; sizes are like 2G or 512M", memory, (unsigned long long) m->memory);
                return USAGE;
        }
        if (r == 0 && (parse_u32(cpus, &m->cpus) < 0 || m->cpus == 0)) {
                (void) client_fail("--cpus=%s: expected a number of processors", cpus);
                return USAGE;
        }
        return r;
}

static int read_kernel(Client *c, NewMachine *m) {
        const char *kernel = option_given(c, "kernel", 0), *initrd = option_given(c, "initrd", 0);
        int r = 0;

        m->cmdline = option_given(c, "cmdline", 0);
        if (!kernel && (initrd || m->cmdline)) {
                (void) client_fail("--initrd and --cmdline belong to a kernel: --kernel=FILE");
                return USAGE;
        }
        if (kernel)
                r = full_path(c, "kernel", kernel, &m->kernel);
        return r ?: initrd ? full_path(c, "initrd", initrd, &m->initrd) : 0;
}

int words_read_hardware(Client *c, NewMachine *m) {
        const char *boot = NULL;
        int r = read_numbers(c, m) ?: read_choice(c, "boot", "bios|uefi", &boot) ?: read_choice(c, "graphics", "vnc|spice|none", &m->graphics) ?:
                read_kernel(c, m);

        m->uefi = boot && streq(boot, "uefi");
        m->graphics = m->graphics ?: "vnc";
        return r;
}
