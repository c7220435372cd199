/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vsock-open.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fd.h"

#define DEVICE "/dev/vhost-vsock"
/* More guests than a host has. */
#define CID_TRIES 65536u

/* 0; -EADDRINUSE: another guest has it. */
static int set_cid(int fd, uint64_t cid) {
        return ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, &cid) < 0 ? -errno : 0;
}

static int choose(int fd, Vsock *v) {
        /* Not the one that was just free: who still talks to a guest that has gone shall not meet another one. */
        static uint64_t next = VSOCK_CID_MIN;
        int r = -EADDRINUSE;

        for (unsigned i = 0; i < CID_TRIES && r == -EADDRINUSE; i++) {
                uint64_t cid = next;

                next = next == VSOCK_CID_MIN + CID_TRIES ? VSOCK_CID_MIN : next + 1;
                r = set_cid(fd, cid);
                if (r >= 0)
                        v->cid = cid;
        }
        return r;
}

int vsock_open(Vsock *v, const char *domain, Fault *f) {
        _cleanup_fd_ int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
        bool automatic = vsock_is_automatic(v);
        int r;

        if (fd < 0) {
                fault_set(f, FAULT_NOT_SUPPORTED, errno, DEVICE " can't be opened: %m");
                /* systemd lets a unit have the devices that were there when it started. */
                fault_hint(f, "%s", f->error == EPERM ? "it came after virtqemud was started: systemctl restart virtqemud"
                                                      : "load the kernel module: modprobe vhost_vsock");
                return -f->error;
        }
        r = automatic ? choose(fd, v) : set_cid(fd, v->cid);
        if (r == -EADDRINUSE && !automatic) {
                fault_set(f, FAULT_INVALID_STATE, EADDRINUSE,
                          "the CID %" PRIu64 " that %s wants for its vsock is another guest's", v->cid, domain);
                fault_hint(f, "let it be chosen: <cid auto='yes'/>");
                return -EADDRINUSE;
        }
        return r < 0 ? fault_set(f, FAULT_NOT_SUPPORTED, -r, "%s can't have a vsock: %s", domain, strerror(-r)) : TAKE_FD(fd);
}
