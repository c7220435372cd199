/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "prepare-parts.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../device/device.h"
#include "../device/disk.h"
#include "../device/interface.h"
#include "fd-folder.h"
#include "fd.h"
#include "file.h"
#include "hostdev-claims.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "qemu-log.h"
#include "scsi-host.h"
#include "socket.h"
#include "str.h"
#include "usb-host.h"

/* A file that was opened for this request, as a descriptor of its own. */
static int take_opened(Prepare *p, const PlanFd *want, bool memfd, Fault *f) {
        for (size_t i = 0; i < p->n_results; i++)
                for (size_t k = 0; k < p->results[i].n_levels; k++) {
                        const ImageLevel *l = &p->results[i].levels[k];
                        bool writable = k == 0 && p->wanted.items[i].writable;

                        if (l->fd < 0 || !streq(l->path, want->path) || (p->wanted.items[i].want == WANTED_MEMFD) != memfd)
                                continue;
                        if (!memfd && writable != want->writable)
                                continue;
                        return fd_copy(l->fd);
                }
        return fault_set(f, FAULT_IMAGE, ENOENT, "%s was not opened", want->path);
}

static int take_scratch(const Prepare *p, const char *key, Fault *f) {
        for (size_t i = 0; i < p->n_results; i++)
                if (streq_null(p->wanted.items[i].key, key) && p->results[i].n_levels > 0)
                        return fd_copy(p->results[i].levels[0].fd);
        return fault_set(f, FAULT_IMAGE, ENOENT, "no file was made for %s", key);
}

static int listen_own(const Instance *i, const char *name, Fault *f) {
        _cleanup_free_ char *path = instance_socket(i, name);
        int fd;

        if (!path)
                return fault_oom(f);
        fd = socket_listen_unix(path, 0600);
        return fd >= 0 ? fd : fault_set(f, FAULT_STORE, -fd, "can't make the socket %s: %s", path, strerror(-fd));
}

static int listen_console(const Instance *i, const char *id, Fault *f) {
        _cleanup_free_ char *name = strf("console-%s", id);

        return name ? listen_own(i, name, f) : fault_oom(f);
}

static int user_socket(const PlanFd *want, Fault *f) {
        int fd = want->kind == PLAN_FD_LISTEN ? socket_listen_unix(want->path, 0660) : socket_connect_unix(want->path);

        if (fd == -EEXIST)
                return fault_set(f, FAULT_IMAGE, EEXIST, "%s exists and is not a socket", want->path);
        if (fd < 0)
                return fault_set(f, FAULT_IMAGE, -fd, "can't %s the socket %s: %s",
                                 want->kind == PLAN_FD_LISTEN ? "make" : "connect to", want->path, strerror(-fd));
        (void) fd_set_nonblock(fd, false);
        return fd;
}

static int listen_tcp(const PlanFd *want, Fault *f) {
        const char *space = strchr(want->path, ' ');
        _cleanup_free_ char *address = space ? strndup(want->path, (size_t) (space - want->path)) : NULL;
        IpAddress ip;
        uint32_t port;
        int fd;

        if (!address || ip_from_text(address, &ip) < 0 || parse_u32(space + 1, &port) < 0)
                return fault_oom(f);
        fd = socket_listen_ip(&ip, (uint16_t) port);
        if (fd >= 0)
                return fd;
        fault_set(f, FAULT_INVALID_STATE, -fd, "a console can't be served at %s port %u: %s", address, port, strerror(-fd));
        if (fd == -EADDRINUSE)
                fault_hint(f, "somebody has that port: choose another one");
        return fd;
}

static int read_place(char **words, IpAddress *ret_ip, uint32_t *ret_port) {
        const char *address = strsep(words, " "), *port = strsep(words, " ");

        return !address || !port || ip_from_text(address, ret_ip) < 0 || parse_u32(port, ret_port) < 0 ? -EINVAL : 0;
}

static int open_udp(const PlanFd *want, Fault *f) {
        _cleanup_free_ char *copy = strdup(want->path);
        uint32_t our_port, their_port;
        IpAddress ours, theirs;
        char *words = copy;
        int fd;

        if (!copy || read_place(&words, &ours, &our_port) < 0 || read_place(&words, &theirs, &their_port) < 0)
                return fault_oom(f);
        fd = socket_udp(&ours, (uint16_t) our_port, &theirs, (uint16_t) their_port);
        return fd >= 0 ? fd : fault_set(f, FAULT_INVALID_STATE, -fd, "no UDP socket for %s: %s", want->path, strerror(-fd));
}

static int open_vhost(Fault *f) {
        int fd = open(VHOST_NET, O_RDWR | O_CLOEXEC);

        if (fd >= 0)
                return fd;
        fault_set(f, FAULT_NOT_SUPPORTED, errno, VHOST_NET " can't be opened: %m");
        fault_hint(f, "load the kernel module vhost_net, or let QEMU carry the frames: <driver name='qemu'/>");
        return -f->error;
}

static int open_usb(const Prepare *p, const char *id, Fault *f) {
        const Hostdev *h = device_as_hostdev(domain_device_by_id(p->live, id));

        return h ? usb_host_open(h, f) : fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "there is no device %s", id);
}

static int monitor_pair(Prepare *p, Fault *f) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return fault_set(f, FAULT_QEMU, errno, "can't make a socket pair: %m");
        p->fds[p->plan->n_fds + PREPARE_MONITOR_FD] = pair[1];
        return pair[0];
}

typedef struct Meeting {
        bool listens, by_many, greets, connects;
} Meeting;

static Meeting how_it_meets(const Prepare *p, const char *id) {
        _cleanup_(companion_clear) Companion c = {};
        bool known = companion_make(p->live, id, "", &c) >= 0;

        return (Meeting) { .listens = known && c.listens, .by_many = known && c.by_many, .greets = known && c.greets, .connects = known && c.connects };
}

/* QEMU connects to it before it is there: the socket waits. */
static char *companion_socket(const Prepare *p, const char *id) {
        _cleanup_free_ char *name = strf("companion-%s", id);

        return name ? instance_socket(p->domain->instance, name) : NULL;
}

/* Nobody else gets into our folder, whatever the mode. */
static int listening_pair(Prepare *p, const char *id, bool by_many, int pair[static 2], Fault *f) {
        _cleanup_free_ char *path = companion_socket(p, id);

        if (!path)
                return fault_oom(f);
        pair[1] = socket_listen_unix(path, by_many ? 0666 : 0600);
        pair[0] = pair[1] < 0 ? pair[1] : socket_connect_unix(path);
        if (pair[0] >= 0) {
                (void) fd_set_nonblock(pair[0], false);
                return 0;
        }
        fd_close(pair[1]);
        return fault_set(f, FAULT_STORE, -pair[0], "can't make the socket %s: %s", path, strerror(-pair[0]));
}

static char *relay_socket(const Instance *i, const char *id) {
        _cleanup_free_ char *name = strf("relay-%s", id);

        return name ? instance_socket(i, name) : NULL;
}

/* Who connects to it has another user than we have, and what leads to it is a descriptor: nobody else gets into our folder. */
static int listen_relay(const Instance *i, const char *id, Fault *f) {
        _cleanup_free_ char *path = relay_socket(i, id);
        int fd;

        if (!path)
                return fault_oom(f);
        fd = socket_listen_unix(path, 0666);
        return fd >= 0 ? fd : fault_set(f, FAULT_STORE, -fd, "can't make the socket %s: %s", path, strerror(-fd));
}

/* That descriptor waits for the program in its standard input. A path would not do: the program sees none of our folders. */
static int lead_to_relay(const Prepare *p, const char *id, int end, Fault *f) {
        _cleanup_free_ char *path = relay_socket(p->domain->instance, id);
        _cleanup_fd_ int fd = path ? open(path, O_PATH | O_CLOEXEC) : -1;
        ssize_t n;

        if (!path)
                return fault_oom(f);
        n = fd < 0 ? -errno : fd_send(end, "", 1, &fd, 1);
        (void) unlink(path);
        return n < 0 ? fault_set(f, FAULT_STORE, (int) -n, "can't hand on the socket %s: %s", path, strerror((int) -n)) : 0;
}

static int companion_pair(Prepare *p, const PlanFd *want, Fault *f) {
        struct CompanionEnd *grown = reallocarray(p->companions, p->n_companions + 1, sizeof(*grown));
        const Meeting how = how_it_meets(p, want->path);
        int pair[2], r = 0;

        if (!grown)
                return fault_oom(f);
        p->companions = grown;
        if (how.listens)
                r = listening_pair(p, want->path, how.by_many, pair, f);
        else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                r = fault_set(f, FAULT_QEMU, errno, "can't make a socket pair: %m");
        if (r < 0)
                return r;
        p->companions[p->n_companions++] = (struct CompanionEnd) { want->path, pair[1], how.greets ? fd_copy(pair[0]) : -1 };
        r = how.connects ? lead_to_relay(p, want->path, pair[0], f) : 0;
        if (r < 0)
                fd_close(pair[0]);
        return r < 0 ? r : pair[0];
}

/* What QEMU names by a path is a descriptor to it: it sees none of the host's files. */
static int lead_to_socket(const Prepare *p, const char *what, Fault *f) {
        _cleanup_free_ char *path = what[0] == '/' ? strdup(what) : companion_socket(p, what);
        int fd = path ? open(path, O_PATH | O_CLOEXEC) : -1;
        struct stat st;

        if (!path)
                return fault_oom(f);
        if (fd < 0)
                return fault_set(f, FAULT_IMAGE, errno, "the socket %s can't be used: %s", path, strerror(errno));
        if (fstat(fd, &st) >= 0 && S_ISSOCK(st.st_mode))
                return fd;
        fd_close(fd);
        return fault_set(f, FAULT_IMAGE, ENOTSOCK, "%s is no socket", path);
}

size_t prepare_count_companions(const Prepare *p) {
        assert(p);

        return p->n_companions;
}

int prepare_take_companion(Prepare *p, size_t i, char **ret_device, int *ret_qemu) {
        assert(p && i < p->n_companions && ret_device && ret_qemu);

        *ret_qemu = TAKE_FD(p->companions[i].qemu);
        *ret_device = strdup(p->companions[i].device);
        return TAKE_FD(p->companions[i].fd);
}

void prepare_replace_companion(Prepare *p, const char *device, int fd) {
        assert(p && p->fds && device);

        for (size_t i = 0; i < p->plan->n_fds; i++)
                if (p->plan->fds[i].kind == PLAN_FD_COMPANION && streq(p->plan->fds[i].path, device)) {
                        fd_close(p->fds[i]);
                        p->fds[i] = fd;
                        return;
                }
        fd_close(fd);
}

static int log_descriptor(const Prepare *p, const char *name, Fault *f) {
        int fd = domain_logs_fd(p->gathered.logs, name);

        /* Its output is lost then, which is a warning of the domain already. */
        fd = fd >= 0 ? fd_copy(fd) : open("/dev/null", O_WRONLY | O_CLOEXEC);
        return fd >= 0 ? fd : fault_set(f, FAULT_STORE, -fd, "no log for %s: %s", name, strerror(-fd));
}

/* Its id, in words that need no quoting on a command line. NULL: the image is no disk's. */
static const char *disk_of_image(const DomainDef *live, const char *path) {
        for (size_t i = 0; i < live->devices.n; i++) {
                const Disk *disk = device_as_disk((const Device *) live->devices.items[i]);

                if (disk && streq_null(disk_path(disk), path) && !strchr(disk->device.id, ','))
                        return disk->device.id;
        }
        return NULL;
}

static void keep(LaunchPlan *plan, PlanFdKind kind, int number, size_t i) {
        plan->fds[plan->n_fds++] = (PlanFd) { .kind = kind, .number = number, .fdset = (unsigned) i };
}

/* What QEMU, or its supervisor, only holds: under numbers nobody was told. */
static int plan_kept(Prepare *p) {
        size_t n_logs = domain_logs_count(p->gathered.logs), n_leases = domain_leases_count(p->gathered.leases);
        LaunchPlan *plan = p->plan;
        int number = PLAN_FD_BASE;
        PlanFd *grown;

        for (size_t i = 0; i < plan->n_fds; i++)
                number = MAX(number, plan->fds[i].number + 1);
        grown = reallocarray(plan->fds, plan->n_fds + n_logs + n_leases + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        plan->fds = grown;
        /* QEMU alone holds those that no other VM shares, so that they last until its last write is done, however it ends. With the others it
         * could keep other VMs from starting; and as it writes into none of those, it does not matter if they end a moment earlier. */
        for (size_t i = 0; i < n_leases; i++)
                if (!domain_leases_is_shared(p->gathered.leases, i)) {
                        const char *device = disk_of_image(p->live, domain_leases_path(p->gathered.leases, i));

                        if (device && launch_plan_lend(plan, number, device) < 0)
                                return -ENOMEM;
                        keep(plan, PLAN_FD_LEASE, number++, i);
                }
        plan->kept_fds_from = number;
        for (size_t i = 0; i < n_logs; i++)
                if (domain_logs_keep(p->gathered.logs, i) >= 0)
                        keep(plan, PLAN_FD_LOG_KEEP, number++, i);
        plan->own_fds_from = number;
        for (size_t i = 0; i < n_leases; i++)
                if (domain_leases_is_shared(p->gathered.leases, i))
                        keep(plan, PLAN_FD_LEASE, number++, i);
        return 0;
}

/* A running QEMU is given them under that device's name, by which they are found when it goes. */
static int plan_kept_hot(Prepare *p) {
        const char *device = p->spec.hotplug->device->id;
        int r = 0;

        for (size_t i = 0; i < domain_leases_count(p->gathered.leases) && r >= 0; i++)
                r = hotplug_plan_keep(p->plan, PLAN_FD_LEASE, (unsigned) i, device, true);
        for (size_t i = 0; i < domain_logs_count(p->gathered.logs) && r >= 0; i++)
                if (domain_logs_keep(p->gathered.logs, i) >= 0)
                        r = hotplug_plan_keep(p->plan, PLAN_FD_LOG_KEEP, (unsigned) i, device, false);
        return r;
}

static int get_descriptor(Prepare *p, const PlanFd *want, Fault *f) {
        const Instance *i = p->domain->instance;

        switch (want->kind) {
        case PLAN_FD_IMAGE:
        case PLAN_FD_OUTPUT:
                return take_opened(p, want, false, f);
        case PLAN_FD_MEMFD:
                return take_opened(p, want, true, f);
        case PLAN_FD_FOLDER:
                return fd_folder_open(i, p->plan, want, f);
        case PLAN_FD_SCRATCH:
                return take_scratch(p, want->path, f);
        case PLAN_FD_LISTEN:
        case PLAN_FD_CONNECT:
                return user_socket(want, f);
        case PLAN_FD_UDP:
                return open_udp(want, f);
        case PLAN_FD_CONNECT_TCP:
                return fd_copy(domain_connections_fd(p->gathered.connections, want->number));
        case PLAN_FD_LISTEN_TCP:
                return listen_tcp(want, f);
        case PLAN_FD_CONSOLE:
                return listen_console(i, want->path, f);
        case PLAN_FD_RELAY:
                return listen_relay(i, want->path, f);
        case PLAN_FD_COMPANION:
                return companion_pair(p, want, f);
        case PLAN_FD_SOCKET:
                return lead_to_socket(p, want->path, f);
        case PLAN_FD_TAP:
                return fd_copy(domain_ports_fd(p->gathered.ports, want->path));
        case PLAN_FD_VHOST:
                return open_vhost(f);
        case PLAN_FD_VSOCK:
                return fd_copy(p->vsock);
        case PLAN_FD_USB:
                return open_usb(p, want->path, f);
        case PLAN_FD_LOG:
                return log_descriptor(p, want->path, f);
        case PLAN_FD_LOG_KEEP:
                return fd_copy(domain_logs_keep(p->gathered.logs, want->fdset));
        case PLAN_FD_LEASE:
                return fd_copy(domain_leases_fd(p->gathered.leases, want->fdset));
        case PLAN_FD_SECRET:
                return fd_copy(domain_secrets_fd(p->gathered.secrets, want->path, false));
        case PLAN_FD_MONITOR:
                return listen_own(i, "monitor", f);
        case PLAN_FD_MONITOR_RUN:
                return monitor_pair(p, f);
        case _PLAN_FD_KIND_MAX:
        case _PLAN_FD_KIND_INVALID:
                break;
        }
        return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "a descriptor of an unknown kind is wanted");
}

int prepare_descriptors(Prepare *p, const Gathered *gathered, Fault *f) {
        int log;

        assert(p && p->plan && !p->fds && p->domain->instance && gathered);

        p->gathered = *gathered;
        if ((p->spec.hotplug ? plan_kept_hot : plan_kept)(p) < 0)
                return fault_oom(f);
        p->fds = new0(int, p->plan->n_fds + PREPARE_EXTRA_FDS);
        if (!p->fds)
                return fault_oom(f);
        for (size_t i = 0; i < p->plan->n_fds + PREPARE_EXTRA_FDS; i++)
                p->fds[i] = -1;
        for (size_t i = 0; i < p->plan->n_fds; i++) {
                p->fds[i] = get_descriptor(p, &p->plan->fds[i], f);
                if (p->fds[i] < 0)
                        return p->fds[i];
        }
        log = domain_logs_fd(gathered->logs, QEMU_LOG_NAME);
        p->fds[p->plan->n_fds + PREPARE_LOG_FD] = log >= 0 ? fd_copy(log) : -1;
        p->gathered = (Gathered) {};
        return 0;
}
