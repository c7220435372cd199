/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "relay.h"
#include "show.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* A guest's screen in a viewer, which needs no port and no password: whoever may call Graphics.Open() may see it. Viewers know sockets, so there is one that
 * leads there. */

#define GRAPHICS_INTERFACE QEMU1 ".Graphics"
#define VIEWER "remote-viewer"

typedef struct Display {
        Client *client;
        char *path, *type;
} Display;

static void display_clear(Display *d) {
        free(d->path);
        free(d->type);
}

static bool is_viewable(const char *type) {
        return streq(type, "vnc") || streq(type, "spice");
}

/* The first that a viewer can show, in the order of names; or the one that is called so, or is of that type. */
static int find_display(Client *c, const char *domain, const char *wanted, Display *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *prefix = strf("%s/device/", domain);
        json_auto_t *objects = NULL;
        json_t *interfaces;
        const char *path;
        int r = prefix ? client_call(c, QEMU1_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &reply, NULL) : FAILED;

        if (r != 0)
                return r;
        objects = value_to_json(reply);
        json_object_foreach(objects, path, interfaces) {
                const json_t *display = json_object_get(interfaces, GRAPHICS_INTERFACE);
                const char *alias = show_text(json_object_get(interfaces, QEMU1 ".Device"), "Alias"), *type = show_text(display, "Type");

                if (!display || !str_after(path, prefix) || !(wanted ? streq(alias, wanted) || streq(type, wanted) : is_viewable(type)) ||
                    (ret->path && strcmp(ret->path, path) < 0))
                        continue;
                display_clear(ret);
                *ret = (Display) { .client = c, .path = strdup(path), .type = strdup(type) };
        }
        if (ret->path && ret->type)
                return 0;
        (void) (wanted ? client_fail("there is no display %s", wanted) : client_fail("there is no display; define a <graphics> of type vnc or spice"));
        return NO_SUCH;
}

static int open_stream(void *userdata, int *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Display *d = userdata;
        int fd, r = client_call(d->client, d->path, GRAPHICS_INTERFACE, "Open", &reply, "ta{sv}", UINT64_C(0), 0);

        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0)
                r = *ret = fd_copy(fd);
        return r < 0 ? client_garbled(r) : 0;
}

/* --- the socket --- */

static int listen_at(const char *path, int *ret) {
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        mode_t mask;
        int r;

        if (strlen(path) >= sizeof(address.sun_path))
                return client_fail("%s: longer than a socket's path may be", path);
        memcpy(address.sun_path, path, strlen(path));
        mask = umask(0177);
        r = fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
        (void) umask(mask);
        if (r == 0 && listen(fd, 16) < 0) {
                r = -errno;
                (void) unlink(path);
        }
        if (r == -EADDRINUSE)
                return client_fail("%s is there already", path);
        if (r < 0)
                return client_fail("%s: %s", path, strerror(-r));
        *ret = TAKE_FD(fd);
        return 0;
}

static int serve_socket(Display *d, const char *path) {
        _cleanup_free_ char *full = NULL;
        _cleanup_fd_ int listener = -1;
        int status, r;

        /* First: who sees the socket may tell us to end, and then it has to go. */
        relay_block_signals();
        r = listen_at(path, &listener);
        if (r != 0)
                return r;
        full = realpath(path, NULL);
        if (!d->client->quiet)
                fprintf(stderr, "Until Ctrl-C, viewers can come: " VIEWER " %s+unix://%s\n", d->type, full ?: path);
        r = relay_serve(&(Relay) { .listener = listener, .open = open_stream, .userdata = d }, &status);
        (void) unlink(path);
        return r;
}

/* --- the viewer --- */

_noreturn_ static void run_viewer(pid_t parent, const char *where) {
        const char *own = getenv("VIRTCTL_VIEWER");
        _cleanup_free_ char *command = strf("exec %s \"$1\"", !is_empty(own) ? own : VIEWER);

        relay_unblock_signals();
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (command && getppid() == parent)
                execlp("sh", "sh", "-c", command, "virtctl", where, NULL);
        _exit(126);
}

static int judge(int status) {
        const char *own = getenv("VIRTCTL_VIEWER");

        if (WIFEXITED(status) && WEXITSTATUS(status) == 127 && is_empty(own)) {
                (void) client_fail("there is no viewer: " VIEWER " is in the package virt-viewer");
                fprintf(stderr, "  VIRTCTL_VIEWER names another one; --socket=PATH serves whatever can open a socket.\n");
                return FAILED;
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        return client_fail("the viewer %s has failed (%s %d)", !is_empty(own) ? own : VIEWER, WIFEXITED(status) ? "status" : "signal",
                           WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static int run_with(Display *d, const char *socket) {
        _cleanup_free_ char *where = strf("%s+unix://%s", d->type, socket);
        _cleanup_fd_ int listener = -1;
        pid_t viewer, parent = getpid();
        int status, r = where ? listen_at(socket, &listener) : client_fail("out of memory");

        if (r != 0)
                return r;
        viewer = fork();
        if (viewer == 0)
                run_viewer(parent, where);
        r = viewer < 0 ? client_fail("the viewer can't be started: %s", strerror(errno))
                       : relay_serve(&(Relay) { .listener = listener, .viewer = viewer, .open = open_stream, .userdata = d }, &status);
        (void) unlink(socket);
        return r ?: judge(status);
}

static int view(Display *d) {
        const char *base = getenv("XDG_RUNTIME_DIR");
        _cleanup_free_ char *folder = strf("%s/virtctl-XXXXXX", !is_empty(base) && access(base, W_OK) >= 0 ? base : "/tmp"), *socket = NULL;
        int r;

        if (!is_viewable(d->type))
                return client_fail("viewers show displays of type vnc or spice, and this one is of type %s", d->type);
        relay_block_signals();
        if (!folder || !mkdtemp(folder))
                return client_fail("%s: %s", folder ?: "", strerror(errno));
        socket = strf("%s/display", folder);
        r = socket ? run_with(d, socket) : client_fail("out of memory");
        (void) rmdir(folder);
        return r;
}

int verb_display(Client *c, int argc, char **argv) {
        const char *socket = option_given(c, "socket", 0);
        _cleanup_free_ char *domain = NULL;
        Display d = {};
        bool running = false;
        int r = client_domain(c, argv[0], &domain) ?: domain_is_running(c, domain, &running) ?:
                find_display(c, domain, argc > 1 ? argv[1] : NULL, &d);

        if (r == 0 && !running)
                r = client_fail("%s does not run", argv[0]);
        if (r == 0)
                r = socket ? serve_socket(&d, socket) : view(&d);
        display_clear(&d);
        return r;
}
