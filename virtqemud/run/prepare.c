/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "prepare-parts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../device/device.h"
#include "../device/disk.h"
#include "../device/interface.h"
#include "../device/lease.h"
#include "fd.h"
#include "file.h"
#include "hostdev-claims.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "scsi-host.h"
#include "str.h"
#include "usb-host.h"
#include "vsock-open.h"

Prepare *prepare_free(Prepare *p) {
        if (!p)
                return NULL;
        image_open_free(p->open);
        fd_close(p->vsock);
        sd_event_source_disable_unref(p->defer);
        for (size_t i = 0; i < p->n_results; i++)
                image_result_clear(&p->results[i]);
        free(p->results);
        for (size_t i = 0; p->fds && i < p->plan->n_fds + PREPARE_EXTRA_FDS; i++)
                fd_close(p->fds[i]);
        free(p->fds);
        for (size_t i = 0; i < p->n_companions; i++) {
                fd_close(p->companions[i].fd);
                fd_close(p->companions[i].qemu);
        }
        free(p->companions);
        launch_plan_free(p->plan);
        wanted_files_clear(&p->wanted);
        free(p);
        return NULL;
}

static int apply_chain(Prepare *p, size_t i, Fault *f) {
        const ImageResult *r = &p->results[i];
        _cleanup_free_ ChainLevel *levels = new0(ChainLevel, r->n_levels);

        if (!levels)
                return fault_oom(f);
        for (size_t k = 0; k < r->n_levels; k++)
                levels[k] = (ChainLevel) { r->levels[k].path, r->levels[k].format };
        return launch_apply_chain(p->live, p->wanted.items[i].path, levels, r->n_levels, f);
}

/* A chain is written into all disks that have the image. */
static bool chain_is_new(const Prepare *p, size_t i) {
        for (size_t k = 0; k < i; k++)
                if (p->wanted.items[k].want == WANTED_CHAIN && streq(p->wanted.items[k].path, p->wanted.items[i].path))
                        return false;
        return true;
}

/* The file may be there without the module that it stands for, until it is opened; and may come later. */
static bool has_vhost(void) {
        static bool known;
        _cleanup_fd_ int fd = known ? -1 : open(VHOST_NET, O_RDWR | O_CLOEXEC);

        known = known || fd >= 0;
        return known;
}

static unsigned launch_flags(const Prepare *p) {
        unsigned flags = manager_launch_flags(p->domain->manager);
        bool taps = false;

        for (size_t i = 0; i < p->live->devices.n; i++) {
                const Interface *n = device_as_interface((const Device *) p->live->devices.items[i]);

                taps = taps || (n && interface_has_tap(n));
        }
        return taps && has_vhost() ? flags | LAUNCH_VHOST : flags;
}

/* The plan says its number. */
static int open_vsock(Prepare *p, Fault *f) {
        Vsock *v = domain_find_vsock(p->live);

        if (!v || p->spec.look_only)
                return 0;
        p->vsock = vsock_open(v, p->domain->name, f);
        return p->vsock;
}

/* Said at every start, so that nobody wonders. */
static int go_without(Prepare *p, size_t i, Fault *f) {
        const char *path = p->wanted.items[i].path;
        _cleanup_free_ char *device = NULL;

        if (launch_lose_file(p->live, path, &device) < 0)
                return fault_oom(f);
        if (device && !p->spec.look_only && !p->wanted.items[i].silent)
                (void) domain_warn(p->domain, "disk %s: started without %s, which is missing", device, path);
        return 0;
}

static int make_plan(Prepare *p, Fault *f) {
        int r = open_vsock(p, f);

        if (r >= 0 && !p->spec.look_only)
                r = usb_hosts_find(p->domain, p->live, !p->spec.hotplug, f);
        if (r >= 0 && !p->spec.look_only)
                r = hostdevs_check_claims(p->domain, p->live, f);
        if (r >= 0 && !p->spec.look_only)
                r = scsi_hosts_find(p->live, f);
        for (size_t i = 0; i < p->n_results && r >= 0; i++)
                if (p->results[i].n_levels == 0)
                        r = go_without(p, i, f);
                else if (p->wanted.items[i].want == WANTED_CHAIN && chain_is_new(p, i))
                        r = apply_chain(p, i, f);
        if (r < 0)
                return r;
        if (p->spec.hotplug)
                return hotplug_plan(p->spec.hotplug, p->spec.caps, launch_flags(p), p->spec.first_fdset, &p->plan, f);
        return launch_plan(p->live, p->spec.caps, launch_flags(p), &p->plan, f);
}

static void finish(Prepare *p, int error, Fault *f) {
        if (error >= 0)
                error = make_plan(p, f);
        p->done(p, MIN(error, 0), f, p->userdata);
}

/* Files whose paths are not in the definition. */
static void say_purpose(const Prepare *p, size_t i, Fault *f) {
        const WantedFile *w = i < p->wanted.n ? &p->wanted.items[i] : NULL;

        if (w && w->purpose)
                fault_prefix(f, "line %u, %s", w->line, w->purpose);
}

static void on_opened(ImageOpen *o, ImageResult *results, size_t n, const Fault *why, void *userdata) {
        Prepare *p = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!results) {
                (void) fault_copy(&f, why);
                say_purpose(p, image_open_failed(o), &f);
                finish(p, -why->error, &f);
                return;
        }
        p->results = new0(ImageResult, n);
        if (!p->results) {
                finish(p, fault_oom(&f), &f);
                return;
        }
        memcpy(p->results, results, n * sizeof(*results));
        memset(results, 0, n * sizeof(*results)); /* taken */
        p->n_results = n;
        finish(p, 0, &f);
}

static int on_defer(sd_event_source *source, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        finish(userdata, 0, &f);
        return 0;
}

static int open_files(Prepare *p, Fault *f) {
        static const ImageWant wants[_WANTED_MAX] = {
                [WANTED_FD] = IMAGE_FD, [WANTED_CHAIN] = IMAGE_CHAIN, [WANTED_MEMFD] = IMAGE_MEMFD,
                [WANTED_NVRAM] = IMAGE_NVRAM, [WANTED_OUTPUT] = IMAGE_OUTPUT, [WANTED_LAYER] = IMAGE_LAYER,
                [WANTED_MEMORY] = IMAGE_SCRATCH,
        };
        sd_event *event = p->domain->manager->event;
        _cleanup_free_ ImageRequest *requests = NULL;

        if (p->wanted.n == 0)
                return sd_event_add_defer(event, &p->defer, on_defer, p);

        requests = new0(ImageRequest, p->wanted.n);
        if (!requests)
                return fault_oom(f);
        for (size_t i = 0; i < p->wanted.n; i++) {
                const WantedFile *w = &p->wanted.items[i];

                requests[i] = (ImageRequest) {
                        .path = w->path ?: manager_memory_folder(p->domain->manager), .format = w->format, .template_path = w->template,
                        .want = wants[w->want], .writable = w->writable, .append = w->append,
                        .optional = w->optional && !p->spec.hotplug,
                };
        }
        return image_open(event, p->domain->manager->image_worker, requests, p->wanted.n, 0, on_opened, p, &p->open, f);
}

/* Only these decide about the plan, and what is in them does not matter but for chains. */
static void keep_deciding(WantedFiles *w) {
        size_t kept = 0;

        for (size_t i = 0; i < w->n; i++) {
                WantedFile item = w->items[i];

                if ((item.want == WANTED_CHAIN || item.optional) && item.want != WANTED_LAYER) {
                        item.writable = false;
                        item.want = item.want == WANTED_MEMFD ? WANTED_FD : item.want;
                        w->items[i] = w->items[kept];
                        w->items[kept++] = item;
                }
        }
        wanted_files_keep(w, kept);
}

/* Those that are ours. */
static int make_folders(const Prepare *p, Fault *f) {
        const Manager *m = p->domain->manager;
        int r = 0;

        for (size_t i = 0; i < p->wanted.n && r >= 0; i++) {
                const WantedFile *w = &p->wanted.items[i];
                const char *folder = w->want == WANTED_NVRAM && str_after(w->path, m->nvram_folder) ? m->nvram_folder :
                                     w->want == WANTED_MEMORY && !m->settings.memory_folder         ? m->memory_folder : NULL;

                r = folder ? mkdir_parents(folder, 0700) : 0;
                if (r < 0)
                        return fault_set(f, FAULT_STORE, -r, "can't make %s: %s", folder, strerror(-r));
        }
        return 0;
}

int prepare_new(Domain *d, const PrepareSpec *spec, PrepareDone done, void *userdata, Prepare **ret, Fault *f) {
        _cleanup_(prepare_freep) Prepare *p = NULL;
        int r;

        assert(d && spec && spec->caps && !spec->live == !!spec->hotplug && done && ret);

        p = new0(Prepare, 1);
        if (!p)
                return fault_oom(f);
        *p = (Prepare) { .domain = d, .spec = *spec, .vsock = -1, .done = done, .userdata = userdata };
        p->live = spec->hotplug ? (DomainDef *) &spec->hotplug->part : spec->live;
        r = launch_files(p->live, &p->wanted, f);
        if (r >= 0 && spec->look_only)
                keep_deciding(&p->wanted);
        if (r >= 0 && !spec->look_only)
                r = make_folders(p, f);
        if (r >= 0)
                r = open_files(p, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

int prepare_images(const Prepare *p, ImageUse **ret, size_t *ret_n) {
        _cleanup_free_ ImageUse *uses = NULL;
        size_t allocated = 0, n = 0;

        assert(p && ret && ret_n);

        for (size_t i = 0; i < p->n_results; i++)
                for (size_t k = 0; k < p->results[i].n_levels && p->wanted.items[i].lease != LEASE_NONE; k++) {
                        const ImageLevel *l = &p->results[i].levels[k];

                        if (!GROW(uses, allocated, n + 1))
                                return -ENOMEM;
                        uses[n++] = (ImageUse) {
                                .path = l->path, .shared_key = l->shared_key, .dev = l->dev, .inode = l->inode,
                                .block_device = l->block_device, .alone = k == 0 && p->wanted.items[i].lease == LEASE_ALONE,
                        };
                }
        for (size_t i = 0; i < p->live->devices.n; i++) {
                const Lease *l = device_as_lease((const Device *) p->live->devices.items[i]);

                if (!l)
                        continue;
                if (!GROW(uses, allocated, n + 1))
                        return -ENOMEM;
                uses[n++] = (ImageUse) { .path = l->key, .lockspace = l->lockspace, .resource = l->key, .alone = true };
        }
        *ret = TAKE_PTR(uses);
        *ret_n = n;
        return 0;
}

const LaunchPlan *prepare_plan(const Prepare *p) {
        assert(p);

        return p->plan;
}

int prepare_fd(const Prepare *p, int number) {
        assert(p && p->plan);

        for (size_t i = 0; p->fds && i < p->plan->n_fds; i++)
                if (p->plan->fds[i].number == number)
                        return fd_copy(p->fds[i]);
        return -EBADF;
}

LaunchPlan *prepare_plan_of(Prepare *p) {
        assert(p);

        return p->plan;
}

const int *prepare_fds(const Prepare *p) {
        assert(p);

        return p->fds;
}
