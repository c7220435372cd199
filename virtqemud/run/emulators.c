/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "emulators.h"

#include <dirent.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "str.h"

#define FOLDER "/usr/bin"
#define PREFIX "qemu-system-"

struct EmulatorScan {
        Manager *manager;
        sd_event_source *next;
        CapsWait *wait;
        char **paths;
        size_t at;
        HostEmulator *found;
        size_t n_found;
        EmulatorsDone done;
        void *userdata;
};

/* Names of architectures have no dash; "qemu-system-x86_64-microvm" is a smaller one of the same. */
static bool is_emulator(const char *name) {
        const char *arch = str_after(name, PREFIX);

        return arch && *arch && !strchr(arch, '-');
}

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

int emulators_list(const Manager *m, char ***ret) {
        _cleanup_strv_ char **paths = NULL;
        const char *own = m->settings.emulator;
        size_t n = 0, first = 0;
        struct dirent *e;
        DIR *d;
        int r;

        assert(m && ret);

        r = own ? strv_push_nth(&paths, &n, own) : 0;
        first = n;
        d = opendir(FOLDER);
        while (d && r >= 0 && n < EMULATORS_MAX && (e = readdir(d))) {
                _cleanup_free_ char *path = is_emulator(e->d_name) ? strf("%s/%s", FOLDER, e->d_name) : NULL;

                if (path && access(path, X_OK) == 0 && !streq_null(path, own))
                        r = strv_push_nth(&paths, &n, path);
        }
        if (d)
                closedir(d);
        if (r < 0)
                return r;
        if (n > first)
                qsort(paths + first, n - first, sizeof(*paths), compare);
        *ret = TAKE_PTR(paths);
        return 0;
}

static bool has_target(const EmulatorScan *s, const char *target) {
        for (size_t i = 0; i < s->n_found; i++)
                if (streq(s->found[i].caps->target, target))
                        return true;
        return false;
}

static void on_caps(CapsStore *store, const char *binary, QemuCaps *caps, const Fault *f, void *userdata) {
        EmulatorScan *s = userdata;
        char *path = caps ? strdup(binary) : NULL;

        s->wait = caps_wait_free(s->wait);
        if (!caps)
                log_notice("%s is left out: %s", binary, fault_text(f));
        if (path && !has_target(s, caps->target))
                s->found[s->n_found++] = (HostEmulator) { TAKE_PTR(path), caps_ref(caps) };
        free(path);
        /* The store must not be asked inside of its own answer. */
        (void) sd_event_source_set_enabled(s->next, SD_EVENT_ONESHOT);
}

static int on_next(sd_event_source *source, void *userdata) {
        EmulatorScan *s = userdata;
        const char *path = s->paths ? s->paths[s->at] : NULL;

        if (!path) {
                s->done(s->found, s->n_found, s->userdata);
                return 0;
        }
        s->at++;
        if (caps_store_get(s->manager->caps, path, on_caps, s, &s->wait) < 0)
                (void) sd_event_source_set_enabled(s->next, SD_EVENT_ONESHOT);
        return 0;
}

EmulatorScan *emulator_scan_free(EmulatorScan *s) {
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->next);
        caps_wait_free(s->wait);
        for (size_t i = 0; i < s->n_found; i++) {
                free(s->found[i].path);
                caps_free(s->found[i].caps);
        }
        free(s->found);
        strv_free(s->paths);
        free(s);
        return NULL;
}
DEFINE_CLEANUP(EmulatorScan *, emulator_scan_free)

int emulators_ask(Manager *m, EmulatorsDone done, void *userdata, EmulatorScan **ret) {
        _cleanup_(emulator_scan_freep) EmulatorScan *s = new0(EmulatorScan, 1);
        int r;

        assert(m && done && ret);

        if (!s)
                return -ENOMEM;
        s->manager = m;
        s->done = done;
        s->userdata = userdata;
        r = emulators_list(m, &s->paths);
        if (r < 0)
                return r;
        s->found = new0(HostEmulator, strv_length(s->paths));
        if (!s->found)
                return -ENOMEM;
        r = sd_event_add_defer(m->event, &s->next, on_next, s);
        if (r >= 0)
                *ret = TAKE_PTR(s);
        return r;
}
