/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-watch.h"

#include <errno.h>
#include <systemd/sd-device.h>

#include "mem.h"

#define SOON_USEC (300u * 1000)

struct DeviceWatch {
        sd_event *event;
        sd_device_monitor *monitor;
        sd_event_source *timer;
        DevicesChanged changed;
        void *userdata;
};

DeviceWatch *device_watch_free(DeviceWatch *w) {
        if (!w)
                return NULL;
        sd_device_monitor_unref(w->monitor);
        sd_event_source_disable_unref(w->timer);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}
DEFINE_CLEANUP(DeviceWatch *, device_watch_free)

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        DeviceWatch *w = userdata;

        w->timer = sd_event_source_disable_unref(w->timer);
        w->changed(w->userdata);
        return 0;
}

static int on_device(sd_device_monitor *monitor, sd_device *device, void *userdata) {
        DeviceWatch *w = userdata;

        if (!w->timer)
                (void) sd_event_add_time_relative(w->event, &w->timer, CLOCK_MONOTONIC, SOON_USEC, 0, on_timer, w);
        return 0;
}

int device_watch_new(sd_event *event, DevicesChanged changed, void *userdata, DeviceWatch **ret) {
        _cleanup_(device_watch_freep) DeviceWatch *w = new0(DeviceWatch, 1);
        int r;

        if (!w)
                return -ENOMEM;
        w->event = sd_event_ref(event);
        w->changed = changed;
        w->userdata = userdata;
        r = sd_device_monitor_new(&w->monitor);
        if (r >= 0)
                r = sd_device_monitor_filter_add_match_subsystem_devtype(w->monitor, "block", NULL);
        if (r >= 0)
                r = sd_device_monitor_attach_event(w->monitor, event);
        if (r >= 0)
                r = sd_device_monitor_start(w->monitor, on_device, w);
        if (r >= 0)
                *ret = TAKE_PTR(w);
        return r;
}
