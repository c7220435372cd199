/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uevents.h"

#include <linux/netlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "str.h"

#define KERNEL_GROUP 1u
#define MESSAGE_MAX 8192u       /* the kernel's own limit is 2 KiB and the device's path */
#define MESSAGES_AT_ONCE 64u    /* then others have their turn */

struct Uevents {
        int fd;
        sd_event_source *source;
        UeventFunc f;
        void *userdata;
};

Uevents *uevents_free(Uevents *u) {
        if (!u)
                return NULL;
        sd_event_source_disable_unref(u->source);
        fd_close(u->fd);
        free(u);
        return NULL;
}

/* "add@/devices/…", then KEY=VALUE. */
int uevent_parse(const char *text, size_t length, const char **ret_action, const char **ret_devpath, const char **ret_subsystem) {
        const char *action = NULL, *devpath = NULL, *subsystem = NULL;

        assert(text && ret_action && ret_devpath && ret_subsystem);

        if (length == 0 || text[length - 1] != '\0' || !strchr(text, '@'))
                return -EBADMSG;
        for (const char *p = text; p < text + length; p += strlen(p) + 1) {
                action = str_after(p, "ACTION=") ?: action;
                devpath = str_after(p, "DEVPATH=") ?: devpath;
                subsystem = str_after(p, "SUBSYSTEM=") ?: subsystem;
        }
        if (!action || !devpath || devpath[0] != '/' || !subsystem)
                return -EBADMSG;
        *ret_action = action;
        *ret_devpath = devpath;
        *ret_subsystem = subsystem;
        return 0;
}

/* 0: there is no more. */
static ssize_t receive(const Uevents *u, char *buffer, size_t size, bool *ret_from_kernel) {
        struct sockaddr_nl sender = {};
        struct iovec iov = { buffer, size };
        struct msghdr m = { .msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n = recvmsg(u->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        *ret_from_kernel = n > 0 && sender.nl_pid == 0 && sender.nl_groups == KERNEL_GROUP && !(m.msg_flags & MSG_TRUNC);
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Uevents *u = userdata;

        for (unsigned i = 0; i < MESSAGES_AT_ONCE; i++) {
                const char *action, *devpath, *subsystem;
                _cleanup_free_ char *syspath = NULL;
                char buffer[MESSAGE_MAX];
                bool from_kernel;
                ssize_t n = receive(u, buffer, sizeof(buffer), &from_kernel);

                if (n == 0)
                        break;
                if (!from_kernel || uevent_parse(buffer, (size_t) n, &action, &devpath, &subsystem) < 0)
                        continue;
                syspath = strf("/sys%s", devpath);
                if (syspath)
                        u->f(action, syspath, subsystem, u->userdata);
        }
        return 0;
}

int uevents_new(sd_event *event, UeventFunc f, void *userdata, Uevents **ret) {
        const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
        _cleanup_(uevents_freep) Uevents *u = NULL;
        int r;

        assert(event && f && ret);

        u = new0(Uevents, 1);
        if (!u)
                return -ENOMEM;
        u->f = f;
        u->userdata = userdata;
        u->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
        if (u->fd < 0 || bind(u->fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        r = sd_event_add_io(event, &u->source, u->fd, EPOLLIN, on_message, u);
        if (r >= 0)
                *ret = TAKE_PTR(u);
        return r;
}
