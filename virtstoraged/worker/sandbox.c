/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE)
#define WRITING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
/* All that the first version of Landlock knows. */
#define EVERYTHING ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

static const char *const system_parts[] = { "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/proc/self", "/sys/devices", "/dev/fd", NULL };
static const char *const harmless[] = { "/dev/null", "/dev/zero", "/dev/urandom", NULL };

static int allow(int rules, const char *path, uint64_t access) {
        struct landlock_path_beneath_attr attr = { .allowed_access = access };
        _cleanup_fd_ int fd = open(path, O_PATH | O_CLOEXEC);
        struct stat st;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                attr.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE;
        attr.parent_fd = fd;
        return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0 ? -errno : 0;
}

static int allow_all(int rules, const char *const *paths, uint64_t access) {
        int r = 0;

        for (; *paths && r >= 0; paths++)
                r = allow(rules, *paths, access);
        return r;
}

static int limit_files(const char *const *readable, const char *const *writable) {
        const struct landlock_ruleset_attr attr = { .handled_access_fs = EVERYTHING };
        _cleanup_fd_ int rules = (int) syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
        int r;

        if (rules < 0)
                return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
        r = allow_all(rules, system_parts, READING);
        if (r >= 0)
                r = allow_all(rules, harmless, WRITING);
        if (r >= 0)
                r = allow_all(rules, readable, READING);
        if (r >= 0)
                r = allow_all(rules, writable, WRITING);
        if (r < 0)
                return r;
        return syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;
}

static int empty_network = -1; /* a network namespace with nothing in it; making one takes longer than a small program runs */

void sandbox_prepare_network(void) {
        _cleanup_fd_ int ours = -1;

        if (empty_network >= 0)
                return;
        ours = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (ours < 0 || unshare(CLONE_NEWNET) < 0)
                return;
        empty_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (setns(ours, CLONE_NEWNET) < 0)
                abort(); /* it had the right to leave */
}

void sandbox_leave_network(void) {
        if (empty_network < 0 || setns(empty_network, CLONE_NEWNET) < 0)
                (void) unshare(CLONE_NEWNET);
}

int sandbox_enter(const char *const *readable, const char *const *writable) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &(struct rlimit) {}) < 0)
                return -errno;
        return readable && writable ? limit_files(readable, writable) : 0;
}
