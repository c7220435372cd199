/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-watch.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "fd.h"
#include "mem.h"

/* More than the kernel says of one link. */
#define MESSAGE_MAX ((size_t) 64 * 1024)

struct LinkWatch {
        int fd;
        sd_event_source *source;
        LinkGone gone;
        void *userdata;
};

LinkWatch *link_watch_free(LinkWatch *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->source);
        fd_close(w->fd);
        free(w);
        return NULL;
}

/* A link that leaves a bridge is told of in the same way, but for the family. */
static void read_message(const LinkWatch *w, const struct nlmsghdr *h) {
        const struct ifinfomsg *link = mnl_nlmsg_get_payload(h);

        if (h->nlmsg_type == RTM_DELLINK && h->nlmsg_len >= NLMSG_LENGTH(sizeof(*link)) && link->ifi_family == AF_UNSPEC)
                w->gone(link->ifi_index, w->userdata);
}

static int on_ready(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        static union {
                struct nlmsghdr head;
                char data[MESSAGE_MAX];
        } buffer;
        const LinkWatch *w = userdata;
        ssize_t n = recv(fd, &buffer, sizeof(buffer), MSG_DONTWAIT | MSG_TRUNC);
        int left;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0 || (size_t) n > sizeof(buffer)) {
                w->gone(LINK_ANY, w->userdata);
                return 0;
        }
        left = (int) n;
        for (const struct nlmsghdr *h = &buffer.head; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
                read_message(w, h);
        return 0;
}

int link_watch_new(sd_event *event, LinkGone gone, void *userdata, LinkWatch **ret) {
        const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
        _cleanup_(link_watch_freep) LinkWatch *w = new0(LinkWatch, 1);
        int r;

        assert(event && gone && ret);

        if (!w)
                return -ENOMEM;
        *w = (LinkWatch) { .fd = -1, .gone = gone, .userdata = userdata };
        w->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
        if (w->fd < 0 || bind(w->fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        r = sd_event_add_io(event, &w->source, w->fd, EPOLLIN, on_ready, w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}
