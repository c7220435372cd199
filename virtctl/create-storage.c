/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "create.h"
#include "fd.h"
#include "mem.h"
#include "new-volume.h"
#include "qcow2.h"
#include "storage.h"
#include "str.h"

/* --- what there is --- */

/* Of a pool that is not active nothing is known yet: the start of the VM, or of the pool, tells. */
static int look_for(Client *c, const char *pool, const char *volume, bool wanted) {
        _cleanup_free_ char *object = NULL, *state = NULL, *found = NULL;
        int r = pool_find(c, pool, &object) ?: client_get_text(c, object, STORAGE1_POOL, "State", &state);

        if (r != 0 || !streq(state, "active"))
                return r;
        if (wanted)
                return client_find(c, object, STORAGE1_POOL, "GetVolume", volume, &found);
        if (ask(c, object, STORAGE1_POOL, "GetVolume", NULL, NULL, "s", volume) < 0)
                return 0;
        (void) client_fail("the pool %s has a volume %s already", pool, volume);
        fprintf(stderr, "  Name another one: %s/NAME,size=…; or remove it: virtctl delete-volume %s %s\n", pool, pool, volume);
        return FAILED;
}

/* --- planning --- */

/* "web.qcow2", "web-2.qcow2"; whole devices have no suffix. */
static char *volume_name(const Create *x, size_t index, bool in_folder) {
        const NewDisk *d = &x->machine.disks[index];
        _cleanup_free_ char *stem = NULL;
        size_t n = 1;

        for (size_t i = 0; i < index; i++)
                n += x->machine.disks[i].make && i != x->seed_disk;
        stem = n == 1 ? strdup(x->machine.name) : strf("%s-%zu", x->machine.name, n);
        return !stem ? NULL : in_folder ? strf("%s.%s", stem, d->format) : strdup(stem);
}

static int plan_format(const Create *x, size_t index, const char *usual) {
        NewDisk *d = &x->machine.disks[index];
        bool uploaded = index == x->image_disk && !x->image_is_volume && !x->overlay;

        if (!d->format)
                d->format = strdup(uploaded ? x->image.format : usual);
        if (!d->format)
                return client_fail("out of memory");
        if (streq(usual, "raw") && !streq(d->format, "raw")) {
                (void) client_fail("the pool %s is no folder: its volumes are raw, not %s", d->pool, d->format);
                fprintf(stderr, "  Convert the image (qemu-img convert -O raw), or put it into a pool that is a folder, and name it POOL/VOLUME.\n");
                return FAILED;
        }
        if (uploaded && !streq(d->format, x->image.format)) {
                (void) client_fail("%s is %s, and is taken as it is", x->image.path, x->image.format);
                fprintf(stderr, "  Leave format= out. What is in a pool already can be converted: --image=POOL/VOLUME\n");
                return USAGE;
        }
        if (index == x->image_disk && x->overlay && !streq(d->format, "qcow2")) {
                (void) client_fail("--overlay: what differs from an image is kept in a qcow2 volume, not in a %s one", d->format);
                return USAGE;
        }
        return 0;
}

static int plan_new(const Create *x, size_t index) {
        NewDisk *d = &x->machine.disks[index];
        _cleanup_free_ char *object = NULL;
        const char *usual;
        int r = streq(d->pool, DEFAULT_POOL) && !x->client->dry_run ? default_pool_make(x->client) : 0;

        r = r ?: new_volume_pool(x->client, d->pool, &object, &usual) ?: plan_format(x, index, usual);
        if (r == NO_SUCH && streq(d->pool, DEFAULT_POOL))
                fprintf(stderr, "  Volumes are made there if nothing else is said. Without --dry-run that pool is made, too.\n");
        if (r == 0 && !d->volume && !(d->volume = volume_name(x, index, streq(usual, "qcow2"))))
                r = client_fail("out of memory");
        return r ?: look_for(x->client, d->pool, d->volume, false);
}

/* The disk an image becomes: the first that is to be made, or one of its own before all others. */
static int plan_image(Create *x) {
        NewMachine *m = &x->machine;
        NewDisk *d, fresh;

        x->image_is_volume = x->image.volume ||
                             ask(x->client, STORAGE1_ROOT, STORAGE1_MANAGER, "GetVolumeByPath", NULL, NULL, "s", x->image.path) >= 0;
        for (size_t i = 0; i < m->n_disks; i++)
                if (m->disks[i].make) {
                        x->image_disk = i;
                        return 0;
                }
        d = machine_add_disk(m);
        if (!d)
                return client_fail("out of memory");
        fresh = (NewDisk) { .make = true, .pool = strdup(option_given(x->client, "pool", 0) ?: DEFAULT_POOL) };
        memmove(m->disks + 1, m->disks, (m->n_disks - 1) * sizeof(*m->disks));
        m->disks[0] = fresh;
        x->image_disk = 0;
        return fresh.pool ? 0 : client_fail("out of memory");
}

/* Beside the first disk. */
static int plan_seed(Create *x) {
        const char *pool = option_given(x->client, "seed-pool", 0) ?: option_given(x->client, "pool", 0);
        NewMachine *m = &x->machine;
        NewDisk *d = machine_add_disk(m);

        if (!d)
                return client_fail("out of memory");
        for (size_t i = 0; !pool && i < m->n_disks; i++)
                pool = m->disks[i].pool;
        x->seed_disk = m->n_disks - 1;
        *d = (NewDisk) { .make = true, .cdrom = true };
        d->pool = strdup(pool ?: DEFAULT_POOL);
        d->volume = strf("%s-seed.iso", m->name);
        d->format = strdup("raw");
        return d->pool && d->volume && d->format ? 0 : client_fail("out of memory");
}

/* Files and descriptors stay on this side of ssh. */
static int check_host(const Create *x) {
        const char *host = x->client->host;

        if (!host || (!x->seed.user_data && !(x->image.path && !x->image_is_volume && !x->overlay)))
                return 0;
        (void) client_fail("images, and words for cloud-init, can't be sent to %s", host);
        fprintf(stderr, "  There it works: ssh -t %s virtctl create %s …\n", host, x->machine.name);
        return FAILED;
}

int create_plan_storage(Create *x) {
        bool has_image = x->image.path || x->image.volume;
        int r = has_image ? plan_image(x) : 0;

        r = r ?: check_host(x);
        if (r == 0 && x->image.volume)
                r = look_for(x->client, x->image.pool, x->image.volume, true);
        if (r == 0 && x->seed.user_data)
                r = plan_seed(x);
        for (size_t i = 0; r == 0 && i < x->machine.n_disks; i++) {
                const NewDisk *d = &x->machine.disks[i];

                r = d->make ? plan_new(x, i) : d->volume ? look_for(x->client, d->pool, d->volume, true) : 0;
        }
        return r;
}

/* --- making --- */

static int read_header(const char *path, int fd, uint64_t *ret_size) {
        _cleanup_(qcow2_clear) Qcow2Header h = {};
        _cleanup_free_ char *start = malloc(QCOW2_READ);
        const char *problem = strerror(ENOMEM);
        ssize_t n = start ? pread(fd, start, QCOW2_READ, 0) : 0;

        if (n < 0)
                return client_fail("%s: %s", path, strerror(errno));
        if (!start || qcow2_parse(start, (size_t) n, &h, &problem) < 0)
                return client_fail("%s: %s", path, problem);
        if (h.backing)
                return client_fail("%s is only what differs from %s; make a whole image of it: qemu-img convert -O qcow2 %s NEW", path, h.backing, path);
        if (h.data_file || h.encryption)
                return client_fail("%s can't be taken over: %s", path, h.encryption ? "it is encrypted" : "its data lies in another file");
        *ret_size = h.size;
        return 0;
}

static int image_size(const Image *image, int fd, uint64_t *ret) {
        off_t end;

        if (streq(image->format, "qcow2"))
                return read_header(image->path, fd, ret);
        end = lseek(fd, 0, SEEK_END);
        if (end < 0 || lseek(fd, 0, SEEK_SET) < 0)
                return client_fail("%s: %s", image->path, strerror(errno));
        *ret = (uint64_t) end;
        return 0;
}

/* Byte by byte into a volume, which then grows. */
static int make_uploaded(Create *x, Made *made, const VolumeWish *wish) {
        _cleanup_fd_ int fd = open(x->image.path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_free_ char *volume = NULL;
        VolumeWish w = *wish;
        int r = fd < 0 ? client_fail("%s: %s", x->image.path, strerror(errno)) : image_size(&x->image, fd, &w.size);

        if (r == 0 && wish->size > 0 && wish->size < w.size)
                r = client_fail("the image %s has %llu bytes: a disk of %llu is too small for it", x->image.path, (unsigned long long) w.size,
                                (unsigned long long) wish->size);
        r = r ?: new_volume(made, &w, &volume) ?: new_volume_fill(made, volume, fd);
        return r ?: wish->size > w.size ? new_volume_grow(made, volume, wish->size) : 0;
}

/* Where the image is, and what it is. */
static int find_origin(Create *x, char **ret_path, char **ret_format) {
        _cleanup_free_ char *pool = NULL, *volume = NULL;
        const char *usual;
        int r;

        if (!x->image.volume) {
                *ret_path = strdup(x->image.path);
                *ret_format = strdup(x->image.format);
                return *ret_path && *ret_format ? 0 : client_fail("out of memory");
        }
        r = new_volume_pool(x->client, x->image.pool, &pool, &usual) ?: new_volume_start_pool(x->client, pool) ?:
            client_find(x->client, pool, STORAGE1_POOL, "GetVolume", x->image.volume, &volume);
        return r ?: client_get_text(x->client, volume, STORAGE1_VOLUME, "Path", ret_path) ?:
                client_get_text(x->client, volume, STORAGE1_VOLUME, "Format", ret_format);
}

static int make_from_image(Create *x, Made *made, VolumeWish *w) {
        _cleanup_free_ char *path = NULL, *format = NULL;
        int r;

        if (!x->image_is_volume && !x->overlay)
                return make_uploaded(x, made, w);
        r = find_origin(x, &path, &format);
        if (r != 0)
                return r;
        if (x->overlay) {
                w->backing = path;
                w->backing_format = format;
                w->foreign_backing = !x->image_is_volume;
        } else
                w->clone_from = path;
        return new_volume(made, w, NULL);
}

static int make_seed(Create *x, Made *made, VolumeWish *w) {
        _cleanup_free_ char *volume = NULL;
        _cleanup_fd_ int fd = -1;

        return cloud_seed_to_image(&x->seed, &fd, &w->size) ?: new_volume(made, w, &volume) ?: new_volume_fill(made, volume, fd);
}

int create_make_storage(Create *x, Made *made) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < x->machine.n_disks; i++) {
                const NewDisk *d = &x->machine.disks[i];
                VolumeWish w = { .name = d->volume, .format = d->format, .size = d->size };
                _cleanup_free_ char *pool = NULL;
                const char *usual;

                if (!d->make)
                        continue;
                r = new_volume_pool(x->client, d->pool, &pool, &usual) ?: new_volume_start_pool(x->client, pool);
                w.pool = pool;
                r = r ?: i == x->image_disk ? make_from_image(x, made, &w) : i == x->seed_disk ? make_seed(x, made, &w) : new_volume(made, &w, NULL);
        }
        return r;
}
