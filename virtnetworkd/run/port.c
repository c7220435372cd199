/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "port.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge-vlan.h"
#include "fd.h"
#include "mem.h"
#include "shape.h"
#include "str.h"

/* With the header that tells checksums and segments: QEMU can do without, guests are much faster with it. */
static int open_queue(char *name, bool many, int *ret) {
        struct ifreq q = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
        _cleanup_fd_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

        if (fd < 0)
                return -errno;
        if (many)
                q.ifr_flags |= IFF_MULTI_QUEUE;
        memcpy(q.ifr_name, name, IFNAMSIZ);
        if (ioctl(fd, TUNSETIFF, &q) < 0)
                return -errno;
        memcpy(name, q.ifr_name, IFNAMSIZ);
        *ret = TAKE_FD(fd);
        return 0;
}

void port_close(int *fds, uint32_t n) {
        for (uint32_t i = 0; i < n; i++)
                fds[i] = fd_close(fds[i]);
}

static int open_queues(const PortSpec *spec, char *name, int *fds) {
        int r = 0;

        /* The kernel fills in the number. */
        memset(name, 0, IFNAMSIZ);
        (void) snprintf(name, IFNAMSIZ, "%s", spec->name ?: "vnet%d");
        for (uint32_t i = 0; i < spec->queues; i++)
                fds[i] = -1;
        for (uint32_t i = 0; i < spec->queues && r >= 0; i++)
                r = open_queue(name, spec->queues > 1, &fds[i]);
        return r;
}

/* The guest's own address would make the bridge think that the guest is the tap. */
static MacAddress address_of_tap(const MacAddress *guest) {
        MacAddress a = *guest;

        a.octets[0] = 0xfe;
        return a;
}

static int set_bridge_port(const char *name, const char *setting, const char *value, Fault *f) {
        _cleanup_free_ char *path = strf("/sys/class/net/%s/brport/%s", name, setting);
        _cleanup_fd_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

        if (fd >= 0 && write(fd, value, strlen(value)) >= 0)
                return 0;
        return fault_set(f, FAULT_NETWORK, errno, "%s can't have %s %s: %m", name, setting, value);
}

/* Frames to addresses that nobody was told of don't go to it, nor does it become who it pretends to be. */
static int fix_address(Links *l, const char *name, const MacAddress *mac, Fault *f) {
        int r;

        r = set_bridge_port(name, "learning", "0", f);
        if (r >= 0)
                r = set_bridge_port(name, "unicast_flood", "0", f);
        return r < 0 ? r : links_add_to_bridge_table(l, name, mac, f);
}

/* It is the guest's end: the host says nothing on it. */
static void make_quiet(const char *name) {
        _cleanup_free_ char *ipv6 = strf("ipv6/conf/%s/disable_ipv6", name);

        if (ipv6)
                (void) sysctl_set(ipv6, "1");
}

static int connect_to_bridge(Links *l, const PortSpec *spec, const char *name, Fault *f) {
        _cleanup_free_ char *alias = spec->domain ? strf("virtbus:%s", spec->domain) : NULL;
        const MacAddress mac = address_of_tap(&spec->mac);
        int r;

        if (spec->domain && !alias)
                return fault_oom(f);
        make_quiet(name);
        r = links_connect(l, name, spec->bridge, spec->mac.set ? &mac : NULL, spec->mtu, alias, f);
        if (r >= 0 && spec->isolated)
                r = set_bridge_port(name, "isolated", "1", f);
        if (r >= 0 && spec->fixed && spec->mac.set)
                r = fix_address(l, name, &spec->mac, f);
        return r;
}

/* The kernel would take what is there, or make what is not, and a '%' in a name for a number's place. */
static int check_name(Links *l, const PortSpec *spec, Fault *f) {
        LinkInfo info = {};
        bool there;

        if (!spec->name)
                return 0;
        if (!*spec->name || strlen(spec->name) >= IFNAMSIZ || spec->name[strcspn(spec->name, "%/: \t\n")])
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.32s\" can't be the name of a tap", spec->name);
        there = links_find(l, spec->name, &info) >= 0;
        if (!spec->existing && there)
                return fault_set(f, FAULT_NETWORK, EEXIST, "there is a link %s already: give another name, or managed='no' to use it", spec->name);
        if (spec->existing && !there)
                return fault_set(f, FAULT_NETWORK, ENODEV, "the host has no tap %s", spec->name);
        if (spec->existing && !streq(info.kind, "tun"))
                return fault_set(f, FAULT_NETWORK, EINVAL, "%s is no tap", spec->name);
        return 0;
}

static int set_up_alone(Links *l, const PortSpec *spec, const char *name, Fault *f) {
        _cleanup_free_ char *alias = strf("virtbus:%s", spec->domain ?: "");
        const MacAddress mac = address_of_tap(&spec->mac);

        if (spec->quiet)
                make_quiet(name);
        return alias ? links_set_up_tap(l, name, spec->mac.set ? &mac : NULL, spec->mtu, alias, f) : fault_oom(f);
}

/* Fewer interruptions for frames that a moment later reach the host. */
static int coalesce(const char *name, uint32_t frames, Fault *f) {
        struct ethtool_coalesce wish = { .cmd = ETHTOOL_SCOALESCE, .rx_max_coalesced_frames = frames };
        struct ifreq q = { .ifr_data = (char *) &wish };
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* any kind of socket takes it */

        (void) snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name);
        if (fd < 0 || ioctl(fd, SIOCETHTOOL, &q) < 0)
                return fault_set(f, FAULT_NETWORK, errno, "%s can't take %u frames together: %m", name, frames);
        return 0;
}

int port_open(Links *l, const PortSpec *spec, char *ret_name, int *fds, Fault *f) {
        int r;

        assert(l && spec && spec->queues > 0 && spec->queues <= PORT_QUEUES_MAX);

        r = check_name(l, spec, f);
        if (r < 0)
                return r;
        r = open_queues(spec, ret_name, fds);
        if (r < 0) {
                fault_set(f, FAULT_NETWORK, -r, "a tap can't be made: %s", strerror(-r));
                if (r == -ENOENT || r == -ENODEV)
                        fault_hint(f, "load the kernel module tun");
        } else if (!spec->existing)
                r = (spec->bridge ? connect_to_bridge : set_up_alone)(l, spec, ret_name, f);
        if (r >= 0 && spec->coalesce > 0)
                r = coalesce(ret_name, spec->coalesce, f);
        if (r < 0)
                port_close(fds, spec->queues);
        return r;
}

int port_reconnect(Links *l, const PortSpec *spec, Fault *f) {
        _cleanup_free_ char *bridge = strf("/sys/class/net/%s/master", spec->name);
        LinkInfo info = {};
        int r;

        assert(l && spec && spec->name && spec->bridge && spec->existing);

        r = check_name(l, spec, f);
        if (r < 0)
                return r;
        (void) links_find(l, spec->name, &info);
        if (!str_after(info.alias, "virtbus:"))
                return fault_set(f, FAULT_NETWORK, EINVAL, "%s is no guest's", spec->name);
        if (!bridge || access(bridge, F_OK) >= 0)
                return fault_set(f, FAULT_INVALID_STATE, EALREADY, "%s is on a bridge", spec->name);
        return connect_to_bridge(l, spec, spec->name, f);
}

int port_set_up(Links *l, const char *name, const char *bridge, const PortSettings *s, Fault *f) {
        int r = shape_link(l, name, &s->inbound, &s->outbound, f);

        if (r < 0 || s->tags.n == 0)
                return r;
        if (!bridge)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "a macvtap is in no VLANs: have it on a VLAN of the host's link");
        return bridge_port_set_vlans(l, bridge, name, s, f);
}

int port_list(const char *bridge, char ***ret) {
        _cleanup_free_ char *path = strf("/sys/class/net/%s/brif", bridge);
        _cleanup_strv_ char **names = new0(char *, 1);
        struct dirent *e;
        DIR *folder;
        size_t n = 0;
        int r = 0;

        if (!path || !names)
                return -ENOMEM;
        folder = opendir(path);
        if (!folder)
                return -errno;
        while ((e = readdir(folder)) && r >= 0)
                if (e->d_name[0] != '.')
                        r = strv_push_nth(&names, &n, e->d_name);
        closedir(folder);
        if (r >= 0)
                *ret = TAKE_PTR(names);
        return r;
}
