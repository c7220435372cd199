/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtqemu-hostdev KIND NAME HOW UID: takes a device from the host for as long as a VM has it, and gives it back.
 *   KIND NAME   pci 0000:01:00.0; mdev and a UUID; file and the path of a file or device that QEMU opens by itself
 *   HOW         "managed": drivers are changed for it; "ready": somebody has done so
 *   UID         who runs the VM, and may open the file, or that of the device's group
 * Standard input is a socket whose other end QEMU holds and nobody writes into. An empty line goes into it when the device can be used, else the
 * reason why it can't; its end is the VM's end, or that of the device in it. */

#include <acl/libacl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "greeting.h"
#include "mem.h"
#include "str.h"

#define VFIO "vfio-pci"
#define PCI_DEVICES "/sys/bus/pci/devices"
#define MDEV_DEVICES "/sys/bus/mdev/devices"
#define NODE_PATIENCE_MSEC 5000
#define NODE_STEP_MSEC 20

typedef enum Kind { KIND_PCI, KIND_MDEV, KIND_FILE } Kind;
static const char *const kind_words[] = { "pci", "mdev", "file" };

typedef struct HostDevice {
        Kind kind;
        bool managed, taken;
        const char *name;
        char *folder;          /* in /sys */
        char *node;            /* of its group, in /dev/vfio */
        uid_t user;
        bool admitted;
} HostDevice;

static char *path_of(const char *fmt, ...) _printf_(1, 2);
static char *path_of(const char *fmt, ...) {
        char *path;
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vasprintf(&path, fmt, ap);
        va_end(ap);
        if (n < 0)
                give_up("out of memory");
        return path;
}

/* --- sysfs --- */

/* The last word of what a link leads to; new string, NULL: there is none. */
static char *link_name(const char *folder, const char *link) {
        _cleanup_free_ char *path = path_of("%s/%s", folder, link);
        char target[PATH_MAX];
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        const char *slash;

        if (n < 0)
                return NULL;
        target[n] = '\0';
        slash = strrchr(target, '/');
        return path_of("%s", slash ? slash + 1 : target);
}

static int put(const char *path, const char *text) {
        _cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int put_below(const char *folder, const char *name, const char *text) {
        _cleanup_free_ char *path = path_of("%s/%s", folder, name);

        return put(path, text);
}

/* --- which driver has it --- */

static void load_driver(void) {
        char *argv[] = { (char *) "modprobe", (char *) VFIO, NULL }, *environment[] = { (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
        pid_t pid;

        if (access("/sys/bus/pci/drivers/" VFIO, F_OK) >= 0)
                return;
        if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environment) == 0)
                (void) waitpid(pid, NULL, 0);
        if (access("/sys/bus/pci/drivers/" VFIO, F_OK) < 0)
                give_up("the kernel has no driver " VFIO ": its module can't be loaded");
}

/* An empty override lets the kernel choose again. */
static int bind_again(const HostDevice *d, const char *override) {
        int r = put_below(d->folder, "driver_override", override);

        if (r >= 0)
                r = put_below(d->folder, "driver/unbind", d->name);
        return r < 0 && r != -ENOENT ? r : put("/sys/bus/pci/drivers_probe", d->name);
}

static void give_back(const HostDevice *d) {
        int r = d->taken ? bind_again(d, "\n") : 0;

        if (r < 0)
                fprintf(stderr, "%s can't be given back to the host's driver: %s\n", d->name, strerror(-r));
}

static void take_pci(HostDevice *d) {
        _cleanup_free_ char *driver = link_name(d->folder, "driver"), *now = NULL;
        int r;

        if (driver && streq(driver, VFIO))
                return;
        if (!d->managed)
                give_up("its driver is %s, not " VFIO ": bind it to that one, or say managed='yes'", driver ?: "none");
        load_driver();
        d->taken = true;
        r = bind_again(d, VFIO);
        now = link_name(d->folder, "driver");
        if (r >= 0 && now && streq(now, VFIO))
                return;
        give_back(d);
        give_up("its driver can't be changed to " VFIO ": %s", r < 0 ? strerror(-r) : "the driver did not take it");
}

/* --- who may open it --- */

static acl_entry_t find_entry(acl_t acl, uid_t user) {
        acl_entry_t e;

        for (int r = acl_get_entry(acl, ACL_FIRST_ENTRY, &e); r > 0; r = acl_get_entry(acl, ACL_NEXT_ENTRY, &e)) {
                acl_tag_t tag;
                uid_t *uid;
                bool same;

                if (acl_get_tag_type(e, &tag) < 0 || tag != ACL_USER)
                        continue;
                uid = acl_get_qualifier(e);
                same = uid && *uid == user;
                acl_free(uid);
                if (same)
                        return e;
        }
        return NULL;
}

static int add_entry(acl_t *acl, uid_t user) {
        acl_permset_t rights;
        acl_entry_t e;

        if (acl_create_entry(acl, &e) < 0 || acl_set_tag_type(e, ACL_USER) < 0 || acl_set_qualifier(e, &user) < 0 || acl_get_permset(e, &rights) < 0 ||
            acl_clear_perms(rights) < 0 || acl_add_perm(rights, ACL_READ) < 0 || acl_add_perm(rights, ACL_WRITE) < 0 || acl_set_permset(e, rights) < 0)
                return -errno;
        return 0;
}

/* Without users and groups of its own the list is the mode of the file again, for which the mask has to go. */
static int finish_list(acl_t *acl) {
        acl_entry_t e, mask = NULL;
        acl_tag_t tag;

        for (int r = acl_get_entry(*acl, ACL_FIRST_ENTRY, &e); r > 0; r = acl_get_entry(*acl, ACL_NEXT_ENTRY, &e)) {
                if (acl_get_tag_type(e, &tag) < 0)
                        return -errno;
                if (tag == ACL_USER || tag == ACL_GROUP)
                        return acl_calc_mask(acl) < 0 ? -errno : 0;
                mask = tag == ACL_MASK ? e : mask;
        }
        return mask && acl_delete_entry(*acl, mask) < 0 ? -errno : 0;
}

static int set_access(const char *node, uid_t user, bool may) {
        acl_t acl = acl_get_file(node, ACL_TYPE_ACCESS);
        acl_entry_t e = acl ? find_entry(acl, user) : NULL;
        int r = acl ? 0 : -errno;

        if (acl && may && !e)
                r = add_entry(&acl, user);
        else if (acl && !may && e && acl_delete_entry(acl, e) < 0)
                r = -errno;
        if (r >= 0)
                r = finish_list(&acl);
        if (r >= 0 && acl_set_file(node, ACL_TYPE_ACCESS, acl) < 0)
                r = -errno;
        if (acl)
                acl_free(acl);
        return r;
}

/* udev may take a moment to make it. */
static bool wait_for_node(const char *node) {
        for (unsigned i = 0; i < NODE_PATIENCE_MSEC / NODE_STEP_MSEC; i++) {
                if (access(node, F_OK) >= 0)
                        return true;
                (void) poll(NULL, 0, NODE_STEP_MSEC);
        }
        return false;
}

static void admit(HostDevice *d) {
        int r;

        if (!wait_for_node(d->node)) {
                give_back(d);
                give_up(d->kind == KIND_FILE ? "there is no %s" : "its group has no %s", d->node);
        }
        if (d->user == 0 || d->user == geteuid())
                return;
        r = set_access(d->node, d->user, true);
        if (r < 0) {
                give_back(d);
                give_up("%s can't be opened to the VM's user: %s", d->node, strerror(-r));
        }
        d->admitted = true;
}

/* --- the whole --- */

static void find_device(HostDevice *d) {
        _cleanup_free_ char *group = NULL;

        if (d->kind == KIND_FILE) {
                d->node = path_of("%s", d->name);
                return;
        }
        d->folder = path_of("%s/%s", d->kind == KIND_PCI ? PCI_DEVICES : MDEV_DEVICES, d->name);
        if (access(d->folder, F_OK) < 0)
                give_up("the host has no such device: %s", d->kind == KIND_PCI ? "lspci -D lists those it has" : "mdevctl list lists those it has");
        group = link_name(d->folder, "iommu_group");
        if (!group)
                give_up("it is behind no IOMMU: switch that on in the firmware, and with intel_iommu=on or amd_iommu=on on the kernel's command line");
        d->node = path_of("/dev/vfio/%s", group);
}

/* Until nobody holds the other end. */
static void wait_for_end(void) {
        char byte;
        ssize_t n;

        do
                n = read(STDIN_FILENO, &byte, 1);
        while (n > 0 || (n < 0 && errno == EINTR));
}

static int find_kind(const char *word) {
        for (size_t i = 0; i < ARRAY_SIZE(kind_words); i++)
                if (streq(kind_words[i], word))
                        return (int) i;
        return -1;
}

static void parse_arguments(int argc, char **argv, HostDevice *d) {
        int kind = argc == 5 ? find_kind(argv[1]) : -1;
        uint64_t user = 0;

        if (kind < 0 || (!streq(argv[3], "managed") && !streq(argv[3], "ready")) || parse_u64(argv[4], 10, &user) < 0 || user >= UINT32_MAX ||
            (kind == KIND_FILE ? argv[2][0] != '/' : strchr(argv[2], '/') != NULL)) {
                fprintf(stderr, "Usage: virtqemu-hostdev pci|mdev|file NAME managed|ready UID\n");
                exit(EXIT_FAILURE);
        }
        *d = (HostDevice) { .kind = (Kind) kind, .managed = streq(argv[3], "managed"), .name = argv[2], .user = (uid_t) user };
}

int main(int argc, char **argv) {
        HostDevice d;

        parse_arguments(argc, argv, &d);
        /* Its end is the VM's: while the VM has the device, it can't be given back. */
        (void) signal(SIGTERM, SIG_IGN);
        (void) signal(SIGPIPE, SIG_IGN);
        find_device(&d);
        if (d.kind == KIND_PCI)
                take_pci(&d);
        admit(&d);
        greet();
        wait_for_end();
        if (d.admitted)
                (void) set_access(d.node, d.user, false);
        give_back(&d);
        free(d.folder);
        free(d.node);
        return EXIT_SUCCESS;
}
