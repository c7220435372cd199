/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "screenshot.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../device/video.h"
#include "../qmp/qmp-cmd.h"
#include "clock.h"
#include "fd.h"
#include "instance.h"
#include "mem.h"
#include "str.h"

struct Screenshot {
        Instance *instance;
        Screenshot *next;
        int fd;                      /* of the memfd */
        unsigned set;                /* QEMU's name of it */
        char *device;
        uint64_t head;
        Fault fault;
        QmpRequest *asked;
        ScreenshotDone done;
        void *userdata;
};

static Screenshot *screenshot_free(Screenshot *s) {
        if (!s)
                return NULL;
        if (s->instance)
                for (Screenshot **p = &s->instance->screenshots; *p; p = &(*p)->next)
                        if (*p == s) {
                                *p = s->next;
                                break;
                        }
        qmp_request_free(s->asked);
        fd_close(s->fd);
        fault_clear(&s->fault);
        free(s->device);
        free(s);
        return NULL;
}
DEFINE_CLEANUP(Screenshot *, screenshot_free)

/* What is given away can only be read. */
static int seal(const Screenshot *s, int *ret, Fault *f) {
        _cleanup_free_ char *path = strf("/proc/self/fd/%d", s->fd);
        struct stat st;

        if (!path)
                return fault_oom(f);
        if (fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0 || fstat(s->fd, &st) < 0)
                return fault_set(f, FAULT_QEMU, errno, "the picture can't be sealed: %m");
        if (st.st_size == 0 || (uint64_t) st.st_size > SCREENSHOT_SIZE_MAX)
                return fault_set(f, FAULT_QEMU, EBADMSG, "QEMU's picture of the screen has %" PRIi64 " bytes", (int64_t) st.st_size);
        *ret = open(path, O_RDONLY | O_CLOEXEC);
        return *ret < 0 ? fault_set(f, FAULT_HOST, errno, "the picture can't be opened: %m") : 0;
}

static void finish(Screenshot *shot) {
        _cleanup_(screenshot_freep) Screenshot *s = shot;
        _cleanup_fd_ int fd = -1;
        bool failed = fault_is_set(&s->fault) || seal(s, &fd, &s->fault) < 0;

        s->done(fd, failed ? &s->fault : NULL, s->userdata);
}

static void fail(Screenshot *s, const Fault *why) {
        if (!fault_is_set(&s->fault))
                (void) fault_copy(&s->fault, why);
}

static void on_removed(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Screenshot *s = userdata;

        if (why)
                log_domain_debug(s->instance->domain, "descriptors of a picture stay open: %s", fault_text(why));
        finish(s);
}

/* The next command; finishes when it can't be sent. */
static void send(Screenshot *s, const char *command, json_t *arguments, QmpReplyFunc reply) {
        int r;

        s->asked = qmp_request_free(s->asked);
        r = arguments ? domain_ask(s->instance->domain, command, arguments, reply, s, &s->asked) : -ENOMEM;
        if (r >= 0)
                return;
        fault_set(&s->fault, FAULT_QEMU, -r, "QEMU can't be asked: %s", strerror(-r));
        finish(s);
}

static void on_drawn(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Screenshot *s = userdata;

        if (why)
                fail(s, why);
        send(s, "remove-fd", json_pack("{s:I}", "fdset-id", (json_int_t) s->set), on_removed);
}

/* It opens its descriptor by the number it has given it: screendump never lets go of what it got out of a set. */
static void on_passed(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_free_ char *file = result ? strf("/proc/self/fd/%d", (int) json_integer_value(json_object_get(result, "fd"))) : NULL;
        Screenshot *s = userdata;

        if (why) {
                fail(s, why);
                finish(s);
                return;
        }
        send(s, "screendump", file ? json_pack("{s:s, s:s, s:I, s:s}", "filename", file, "device", s->device, "head", (json_int_t) s->head,
                                               "format", "png") : NULL, on_drawn);
}

int screen_find(const Domain *d, uint64_t screen, const char **ret_device, uint64_t *ret_head, Fault *f) {
        const Device *device;
        uint64_t n;

        assert(d);

        if (!d->live || !d->instance || !d->instance->monitor_ready)
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: its screen is dark", d->name, domain_state_to_string(d->state));
        device = video_find_screen(d->live, screen, ret_head, &n);
        if (device) {
                *ret_device = device->id;
                return 0;
        }
        if (n > 0)
                return fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "%s has no screen %" PRIu64 ": it has %" PRIu64 ", counted from 0", d->name, screen, n);
        fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "%s has no screen", d->name);
        fault_hint(f, "give it <video><model type='vga'/></video>, or a <graphics>, which brings one along");
        return -ENODEV;
}

/* A number that no set in this QEMU has, also none that another daemon has left behind. */
static unsigned new_set(void) {
        static uint64_t last;

        last = MAX(now_usec(CLOCK_MONOTONIC) / 1000, last + 1);
        return QMP_FDSET_PASSING + (unsigned) (last % 0x3fffffff);
}

static int pass_memfd(Screenshot *s, Fault *f) {
        int fd = fd_copy(s->fd), r;

        if (fd < 0)
                return fault_set(f, FAULT_HOST, -fd, "can't copy a descriptor: %s", strerror(-fd));
        r = qmp_send_fds(s->instance->qmp, "add-fd", json_pack("{s:I}", "fdset-id", (json_int_t) s->set), &fd, 1, 0, on_passed, s, &s->asked);
        return r < 0 ? fault_set(f, FAULT_QEMU, -r, "QEMU can't be asked: %s", strerror(-r)) : 0;
}

static unsigned count(const Instance *i) {
        unsigned n = 0;

        for (const Screenshot *s = i->screenshots; s; s = s->next)
                n++;
        return n;
}

int screenshot_take(Domain *d, uint64_t screen, ScreenshotDone done, void *userdata, Fault *f) {
        _cleanup_(screenshot_freep) Screenshot *s = NULL;
        const char *device;
        uint64_t head;
        int r;

        assert(d && done);

        r = screen_find(d, screen, &device, &head, f);
        if (r < 0)
                return r;
        if (count(d->instance) >= SCREENSHOTS_MAX)
                return fault_set(f, FAULT_LIMIT, EBUSY, "%u pictures of %s's screen are being taken already", SCREENSHOTS_MAX, d->name);
        s = new0(Screenshot, 1);
        if (!s)
                return fault_oom(f);
        *s = (Screenshot) { .fd = -1, .set = new_set(), .device = strdup(device), .head = head, .done = done, .userdata = userdata };
        s->fd = memfd_create("virtbus-screenshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (!s->device)
                return fault_oom(f);
        if (s->fd < 0)
                return fault_set(f, FAULT_HOST, errno, "can't make a memfd: %m");
        s->instance = d->instance;
        s->next = d->instance->screenshots;
        d->instance->screenshots = s;
        r = pass_memfd(s, f);
        if (r >= 0)
                TAKE_PTR(s);
        return r;
}

void screenshots_abandon(Instance *i) {
        assert(i);

        while (i->screenshots) {
                fault_set(&i->screenshots->fault, FAULT_DISCONNECTED, ENOTCONN, "QEMU of %s has ended", i->domain->name);
                finish(i->screenshots);
        }
}
