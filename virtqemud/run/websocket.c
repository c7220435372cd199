/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../device/display-tls.h"
#include "child.h"
#include "fd.h"
#include "image.h"
#include "instance.h"
#include "log.h"
#include "manager.h"
#include "mem.h"
#include "program.h"
#include "str.h"
#include "unit.h"

#define PROGRAM "virtqemu-websocket"
#define VIEWERS_MAX 16u
#define BUNDLE_MAX ((size_t) 1 << 20)

/* One program. Its standard input tells when it has ended. */
typedef struct Viewer {
        WebSockets *all;
        int end;
        sd_event_source *source;
        UnitCall *call;
        struct Viewer *next;
} Viewer;

struct WebSockets {
        Domain *domain;
        char *device;                /* id of the <graphics> */
        bool tls, verify;
        ImageOpen *open;
        int bundle;                  /* all that the program needs for TLS, in one file; -1: not there */
        Viewer *viewers;
        unsigned n_viewers;
        WebSocketsChanged changed;
        void *userdata;
};

static Viewer *viewer_free(Viewer *v) {
        if (!v)
                return NULL;
        sd_event_source_disable_unref(v->source);
        unit_call_free(v->call);
        fd_close(v->end);
        free(v);
        return NULL;
}
DEFINE_CLEANUP(Viewer *, viewer_free)

/* Who is in stays in, until QEMU ends. */
WebSockets *websockets_free(WebSockets *w) {
        if (!w)
                return NULL;
        while (w->viewers) {
                Viewer *v = w->viewers;

                w->viewers = v->next;
                viewer_free(v);
        }
        image_open_free(w->open);
        fd_close(w->bundle);
        free(w->device);
        free(w);
        return NULL;
}

bool websockets_may_admit(const WebSockets *w) {
        assert(w);

        return w->n_viewers < VIEWERS_MAX && (!w->tls || w->bundle >= 0);
}

/* --- certificates --- */

static int append_file(Text *t, int fd) {
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_read_all(fd, BUNDLE_MAX, &text, &n);

        if (r >= 0)
                text_addf(t, "%s\n", text);
        return r;
}

/* The server's comes first. */
static int make_bundle(const ImageResult *results) {
        static const TlsFile order[] = { TLS_CERTIFICATE, TLS_KEY, TLS_CA_CERTIFICATE };
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;
        int fd, r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(order) && r >= 0; i++)
                r = append_file(&t, results[order[i]].levels[0].fd);
        text = text_finish(&t);
        if (r < 0 || !text)
                return r < 0 ? r : -ENOMEM;
        fd = memfd_new_sealed("certificates", text, strlen(text));
        explicit_bzero(text, strlen(text));
        return fd;
}

static void on_certificates(ImageOpen *o, ImageResult *results, size_t n, const Fault *why, void *userdata) {
        WebSockets *w = userdata;

        w->open = image_open_free(w->open);
        w->bundle = results ? make_bundle(results) : -1;
        if (w->bundle < 0)
                (void) domain_warn(w->domain, "the display %s takes no websockets: %s", w->device, why ? fault_text(why) : strerror(-w->bundle));
        w->changed(w->userdata);
}

static int read_certificates(WebSockets *w, const Graphics *g, Fault *f) {
        const Manager *m = w->domain->manager;
        ImageRequest requests[_TLS_FILE_MAX] = {};
        char *paths[_TLS_FILE_MAX] = {};
        int r = 0;

        for (size_t i = 0; i < _TLS_FILE_MAX; i++) {
                paths[i] = display_tls_path(g, (TlsFile) i);
                requests[i] = (ImageRequest) { .path = paths[i], .format = "raw", .want = IMAGE_MEMFD };
                r = paths[i] ? r : fault_oom(f);
        }
        if (r >= 0)
                r = image_open(m->event, m->image_worker, requests, _TLS_FILE_MAX, 0, on_certificates, w, &w->open, f);
        for (size_t i = 0; i < _TLS_FILE_MAX; i++)
                free(paths[i]);
        return r;
}

int websockets_new(Domain *d, const Graphics *g, WebSocketsChanged changed, void *userdata, WebSockets **ret, Fault *f) {
        _cleanup_(websockets_freep) WebSockets *w = new0(WebSockets, 1);
        int r;

        assert(d && g && changed && ret);

        if (!w)
                return fault_oom(f);
        *w = (WebSockets) { .domain = d, .tls = g->certificates, .verify = g->verify_clients == YES, .bundle = -1, .changed = changed,
                            .userdata = userdata };
        w->device = strdup(g->device.id);
        r = !w->device ? fault_oom(f) : w->tls ? read_certificates(w, g, f) : 0;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

/* --- viewers --- */

static void viewer_ended(Viewer *v) {
        WebSockets *w = v->all;
        Viewer **at;

        for (at = &w->viewers; *at != v; at = &(*at)->next)
                ;
        *at = v->next;
        w->n_viewers--;
        viewer_free(v);
        w->changed(w->userdata);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        viewer_ended(userdata);
        return 0;
}

static void on_started(const Fault *why, void *userdata) {
        Viewer *v = userdata;

        v->call = unit_call_free(v->call);
        if (!why)
                return;
        log_domain_warning(v->all->domain, "a viewer was not let in: %s", fault_text(why));
        viewer_ended(v);
}

static int start_unit(Viewer *v, char *program, int input) {
        const Domain *d = v->all->domain;
        _cleanup_free_ char *unit = NULL, *description = strf("Viewer of %s of Virtual Machine %s", v->all->device, d->name);
        char *const argv[] = { program, NULL };
        sd_id128_t chance;
        int r = sd_id128_randomize(&chance);

        if (r < 0)
                return r;
        unit = strf(PROGRAM "-%s-%s-%08x.service", d->uuid_string, v->all->device, (unsigned) chance.qwords[0]);
        if (!unit || !description)
                return -ENOMEM;

        const UnitTransient spec = {
                .unit = unit, .description = description, .part_of = d->unit, .argv = argv, .input = input, .user = d->manager->user,
                .confined = true, .no_network = true,
        };
        return unit_start_transient(d->manager->bus, &spec, on_started, v, &v->call);
}

static int start_child(Viewer *v, char *program, int input, Fault *f) {
        char *const argv[] = { program, NULL };
        const ChildFd fds[] = { { input, STDIN_FILENO } };
        const ChildSpec spec = { .argv = argv, .fds = fds, .n_fds = 1, .detach = true };
        Child *child;
        int r = child_new(v->all->domain->manager->event, &spec, NULL, NULL, &child, f);

        if (r >= 0)
                child_release(child);
        return r;
}

/* What it is to do waits in its standard input. */
static int start(Viewer *v, int viewer, int stream, Fault *f) {
        const WebSockets *w = v->all;
        const char *how = !w->tls ? "plain" : w->verify ? "verify" : "tls";
        const int fds[] = { viewer, stream, w->bundle };
        _cleanup_free_ char *program = program_beside(PROGRAM);
        _cleanup_fd_ int input = -1;
        int pair[2];
        ssize_t n;

        if (!program)
                return -ENOMEM;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        v->end = pair[0];
        input = pair[1];
        n = fd_send(v->end, how, strlen(how), fds, w->tls ? 3 : 2);
        if (n < 0)
                return (int) n;
        return w->domain->manager->by_unit ? start_unit(v, program, input) : start_child(v, program, input, f);
}

int websockets_admit(WebSockets *w, int viewer, int stream, Fault *f) {
        _cleanup_(viewer_freep) Viewer *v = new0(Viewer, 1);
        int r;

        assert(w && websockets_may_admit(w));

        if (!v)
                return fault_oom(f);
        *v = (Viewer) { .all = w, .end = -1 };
        r = start(v, viewer, stream, f);
        if (r >= 0)
                r = sd_event_add_io(w->domain->manager->event, &v->source, v->end, EPOLLIN, on_end, v);
        if (r < 0)
                return fault_is_set(f) ? r : fault_set(f, FAULT_UNIT, -r, "no program for a websocket: %s", strerror(-r));
        v->next = w->viewers;
        w->viewers = TAKE_PTR(v);
        w->n_viewers++;
        return 0;
}
