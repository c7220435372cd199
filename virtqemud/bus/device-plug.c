/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-plug.h"

#include "../device/disk.h"
#include "../device/interface.h"
#include "../run/attach.h"
#include "../run/detach.h"
#include "../run/resize.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "device-bus.h"
#include "device-object.h"
#include "mem.h"
#include "service.h"
#include "str.h"

const char *device_plug_show_job(Operation *o) {
        Service *s = o->domain->manager->watch_userdata;
        char path[DOMAIN_PATH_MAX];
        const JobSpec spec = { .operation = o->name, .object = domain_path(o->domain, path), .cancel = service_cancel_operation, .userdata = o };
        _cleanup_fault_ Fault f = FAULT_INIT;
        Job *j;

        if (job_new(s->jobs, &spec, &j, &f) < 0) {
                log_domain_debug(o->domain, "%s", fault_text(&f));
                return "/";
        }
        o->watcher = j;
        domain_changed(o->domain, DOMAIN_CHANGED_OPERATION);
        return job_path(j);
}

static int answer(sd_bus_message *m, const char *path, char **plan) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "o", path);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, plan);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* --- AttachDevice --- */

static void on_attached(Domain *d, const char *device, char **plan, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;
        _cleanup_free_ char *path = why ? NULL : device_bus_path(d, device);

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else
                (void) answer(m, path ?: "/", plan);
}

static int read_device(sd_bus_message *m, Device **ret, Fault *f) {
        const char *format, *text;
        int r = sd_bus_message_read(m, "ss", &format, &text);

        if (r < 0)
                return r;
        if (!streq(format, "libvirt-xml") && !streq(format, ""))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.64s\" is no format of definitions, expected libvirt-xml", format);
        return device_parse(text, strlen(text), ret, f);
}

static int attach(sd_bus_message *m, Domain *d, Fault *f) {
        Device *device = NULL;
        Operation *o;
        uint64_t flags;
        int r;

        r = read_device(m, &device, f);
        if (r < 0)
                return r;
        r = bus_read_options(m, BUS_FLAG_LIVE | BUS_FLAG_CONFIG | BUS_FLAG_VALIDATE_ONLY, &flags, NULL, 0, f);
        if (r < 0) {
                record_free(&device->head);
                return r;
        }

        const AttachSpec spec = {
                .live = flags & BUS_FLAG_LIVE, .config = flags & BUS_FLAG_CONFIG, .validate_only = flags & BUS_FLAG_VALIDATE_ONLY,
        };

        r = attach_device(d, device, &spec, on_attached, sd_bus_message_ref(m), &o, f);
        if (r < 0)
                sd_bus_message_unref(m);
        else
                (void) device_plug_show_job(o);
        return r;
}

BUS_PUBLIC_HANDLER(domain_method_attach_device, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = attach(m, userdata, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- Update, ChangeMedia --- */

void device_plug_answer_plan(sd_bus_message *call, char **plan, const Fault *why) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = call, *reply = NULL;

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else if (sd_bus_message_new_method_return(m, &reply) >= 0 && sd_bus_message_append_strv(reply, plan) >= 0)
                (void) sd_bus_send(NULL, reply, NULL);
}

static void on_updated(Domain *d, const char *device, char **plan, const Fault *why, void *userdata) {
        device_plug_answer_plan(userdata, plan, why);
}

/* Takes over `device`. */
static int update(sd_bus_message *m, Domain *d, Device *device, Fault *f) {
        AttachSpec spec = { .update = true };
        uint64_t flags;
        Operation *o;
        int r;

        r = bus_read_options(m, BUS_FLAG_LIVE | BUS_FLAG_CONFIG | BUS_FLAG_FORCE | BUS_FLAG_VALIDATE_ONLY, &flags, NULL, 0, f);
        if (r < 0) {
                record_free(&device->head);
                return r;
        }
        spec.live = flags & BUS_FLAG_LIVE;
        spec.config = flags & BUS_FLAG_CONFIG;
        spec.force = flags & BUS_FLAG_FORCE;
        spec.validate_only = flags & BUS_FLAG_VALIDATE_ONLY;
        r = attach_device(d, device, &spec, on_updated, sd_bus_message_ref(m), &o, f);
        if (r < 0)
                sd_bus_message_unref(m);
        else
                (void) device_plug_show_job(o);
        return r;
}

static int update_by_text(sd_bus_message *m, const DeviceObject *object, Fault *f) {
        const Device *now = device_object_device(object);
        Device *device = NULL;
        int r;

        r = read_device(m, &device, f);
        if (r < 0)
                return r;
        if (!now || now->ops != device->ops) {
                fault_set(f, FAULT_INVALID_ARGS, EINVAL, "%s is no <%s>", object->id, device->ops->element);
                record_free(&device->head);
                return -EINVAL;
        }
        if (free_and_strdup(&device->id, object->id) < 0) {
                record_free(&device->head);
                return fault_oom(f);
        }
        return update(m, object->domain, device, f);
}

BUS_PUBLIC_HANDLER(device_method_update, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = update_by_text(m, userdata, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

static int change_medium(sd_bus_message *m, const DeviceObject *object, Fault *f) {
        const char *path = NULL, *pool = NULL, *volume = NULL, *format = NULL;
        const BusOption source[] = { { "path", 's', &path }, { "pool", 's', &pool }, { "volume", 's', &volume }, { "format", 's', &format } };
        const Disk *now = (const Disk *) device_object_device(object);
        Device *device;
        int r;

        r = bus_read_dict(m, source, ARRAY_SIZE(source), f);
        if (r < 0)
                return r;
        r = disk_with_medium(now, path, pool, volume, format, &device, f);
        return r < 0 ? r : update(m, object->domain, device, f);
}

BUS_PUBLIC_HANDLER(disk_method_change_media, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = change_medium(m, userdata, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* The cable of an interface. */
static int set_link(sd_bus_message *m, const DeviceObject *object, Fault *f) {
        const Interface *now = (const Interface *) device_object_device(object);
        void *copy = NULL;
        int up, r;

        r = sd_bus_message_read(m, "b", &up);
        if (r < 0)
                return r;
        if (!now || record_copy(&now->device.head, &copy) < 0)
                return fault_oom(f);
        ((Interface *) copy)->link = up ? LINK_UP : LINK_DOWN;
        return update(m, object->domain, copy, f);
}

BUS_PUBLIC_HANDLER(nic_method_set_link, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = set_link(m, userdata, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- SetMemory, SetVCPUs --- */

static void on_resized(Domain *d, char **plan, const Fault *why, void *userdata) {
        device_plug_answer_plan(userdata, plan, why);
}

static int resize(sd_bus_message *m, Domain *d, ResizeWhat what, uint64_t value, Fault *f) {
        ResizeSpec spec = { .what = what, .value = value };
        const BusOption options[] = { { "timeout-usec", 't', &spec.timeout_usec } };
        uint64_t flags;
        Operation *o;
        int r;

        r = bus_read_options(m, BUS_FLAG_LIVE | BUS_FLAG_CONFIG | BUS_FLAG_VALIDATE_ONLY, &flags, options, ARRAY_SIZE(options), f);
        if (r < 0)
                return r;
        spec.live = flags & BUS_FLAG_LIVE;
        spec.config = flags & BUS_FLAG_CONFIG;
        spec.validate_only = flags & BUS_FLAG_VALIDATE_ONLY;
        r = resize_domain(d, &spec, on_resized, sd_bus_message_ref(m), &o, f);
        if (r < 0)
                sd_bus_message_unref(m);
        else
                (void) device_plug_show_job(o);
        return r;
}

BUS_PUBLIC_HANDLER(domain_method_set_memory, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t bytes;
        int r = sd_bus_message_read(m, "t", &bytes);

        if (r >= 0)
                r = resize(m, userdata, RESIZE_MEMORY, bytes, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

BUS_PUBLIC_HANDLER(domain_method_set_vcpus, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint32_t n;
        int r = sd_bus_message_read(m, "u", &n);

        if (r >= 0)
                r = resize(m, userdata, RESIZE_VCPUS, n, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- Detach --- */

static void on_detached(Domain *d, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;

        if (m && why)
                (void) bus_reply_fault(m, why, -why->error);
        else if (m)
                (void) answer(m, "/", NULL);
}

static int plan(sd_bus_message *m, Domain *d, const DetachSpec *spec, Fault *f) {
        _cleanup_strv_ char **lines = NULL;
        int r = detach_plan(d, spec, &lines, f);

        return r < 0 ? r : answer(m, "/", lines);
}

static int detach(sd_bus_message *m, const DeviceObject *object, Fault *f) {
        uint64_t flags, timeout = 0;
        const BusOption options[] = { { "timeout-usec", 't', &timeout } };
        const char *job;
        Operation *o;
        bool wait;
        int r;

        r = bus_read_options(m, BUS_FLAG_LIVE | BUS_FLAG_CONFIG | BUS_FLAG_VALIDATE_ONLY | BUS_FLAG_NO_WAIT, &flags, options, ARRAY_SIZE(options), f);
        if (r < 0)
                return r;

        const DetachSpec spec = {
                .device = object->id, .live = flags & BUS_FLAG_LIVE, .config = flags & BUS_FLAG_CONFIG, .timeout_usec = timeout,
        };

        if (flags & BUS_FLAG_VALIDATE_ONLY)
                return plan(m, object->domain, &spec, f);
        wait = !(flags & BUS_FLAG_NO_WAIT);
        r = detach_device(object->domain, &spec, on_detached, wait ? sd_bus_message_ref(m) : NULL, &o, f);
        if (r < 0) {
                if (wait)
                        sd_bus_message_unref(m);
                return r;
        }
        job = device_plug_show_job(o);
        return wait ? 1 : answer(m, job, NULL);
}

BUS_PUBLIC_HANDLER(device_method_detach, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = detach(m, userdata, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}
