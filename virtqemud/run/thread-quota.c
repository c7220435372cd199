/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "thread-quota.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "instance.h"
#include "manager.h"
#include "str.h"

#define GROUPS "/sys/fs/cgroup"
#define PERIOD_DEFAULT UINT64_C(100000) /* the kernel's */
#define GROUP_NAME_MAX 48u

/* What threads of these names are for, and the groups they are in; those that are numbered have one each. */
static const struct {
        const char *thread, *group;
        size_t quota;
} kinds[] = {
        { "CPU ", "vcpu", offsetof(Tune, vcpu_quota) },
        { "IO iothread", "iothread", offsetof(Tune, iothread_quota) },
        { "", "emulator", offsetof(Tune, emulator_quota) },
};

static const CpuQuota *quota_of(const DomainDef *def, size_t kind) {
        return (const CpuQuota *) ((const char *) &def->tune + kinds[kind].quota);
}

static bool is_limited(const CpuQuota *q) {
        return q->quota != INTEGER_UNSET && q->quota > 0;
}

static bool any_limited(const DomainDef *def) {
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (is_limited(quota_of(def, i)))
                        return true;
        return false;
}

bool thread_quotas_differ(const DomainDef *a, const DomainDef *b) {
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (quota_of(a, i)->quota != quota_of(b, i)->quota || quota_of(a, i)->period != quota_of(b, i)->period)
                        return true;
        return false;
}

/* --- files of control groups --- */

static int write_text(int folder, const char *name, const char *text) {
        _cleanup_fd_ int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool says(int folder, const char *name, const char *word) {
        _cleanup_fd_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
        char text[256], *rest = text, *one;
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        text[MAX(n, 0)] = '\0';
        while ((one = strsep(&rest, " \n")))
                if (streq(one, word))
                        return true;
        return false;
}

/* The unit's own group, which its supervisor never leaves. */
static int open_unit(const Domain *d) {
        _cleanup_free_ char *text = NULL, *path = NULL;
        char where[64];
        const char *line;
        int r, fd;

        (void) snprintf(where, sizeof(where), "/proc/%d/cgroup", d->instance->supervisor.pid);
        r = file_read(where, 16384, &text, NULL);
        if (r < 0)
                return r;
        line = str_after(text, "0::") ?: strstr(text, "\n0::");
        if (!line)
                return -EUCLEAN;
        line += *line == '\n' ? strlen("\n0::") : 0;
        path = strf(GROUPS "%.*s", (int) strcspn(line, "\n"), line);
        if (!path)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* --- one thread --- */

static size_t kind_of(const char *name, char group[static GROUP_NAME_MAX]) {
        size_t i = 0;

        while (strncmp(name, kinds[i].thread, strlen(kinds[i].thread)) != 0)
                i++;
        if (*kinds[i].thread)
                (void) snprintf(group, GROUP_NAME_MAX, "%s%lu", kinds[i].group, strtoul(name + strlen(kinds[i].thread), NULL, 10));
        else
                (void) snprintf(group, GROUP_NAME_MAX, "%s", kinds[i].group);
        return i;
}

static int make_group(int unit, const char *group, const CpuQuota *q) {
        _cleanup_fd_ int fd = -1;
        char text[64];
        int r;

        if (mkdirat(unit, group, 0755) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(unit, group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = says(fd, "cgroup.type", "threaded") ? 0 : write_text(fd, "cgroup.type", "threaded");
        if (r >= 0 && !says(unit, "cgroup.subtree_control", "cpu"))
                r = write_text(unit, "cgroup.subtree_control", "+cpu");
        if (r < 0)
                return r;
        (void) snprintf(text, sizeof(text), "%" PRIi64 " %" PRIu64, q->quota, q->period == NUMBER_UNSET ? PERIOD_DEFAULT : q->period);
        return write_text(fd, "cpu.max", text);
}

/* Into its group, or back to the unit's. One that has ended meanwhile needs none. */
static int place_thread(int unit, const DomainDef *def, const char *thread, const char *name) {
        char group[GROUP_NAME_MAX], where[GROUP_NAME_MAX + 32];
        const CpuQuota *q = quota_of(def, kind_of(name, group));
        int r = is_limited(q) ? make_group(unit, group, q) : 0;

        if (r < 0)
                return r;
        (void) snprintf(where, sizeof(where), "%s/cgroup.threads", group);
        r = write_text(unit, is_limited(q) ? where : "cgroup.threads", thread);
        return r == -ESRCH ? 0 : r;
}

/* --- all of them --- */

static bool read_name(pid_t process, const char *thread, char name[static 32]) {
        char path[320];
        FILE *file;
        bool read;

        (void) snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", process, thread);
        file = fopen(path, "re");
        if (!file)
                return false;
        read = fgets(name, 32, file);
        (void) fclose(file);
        return read;
}

static int place_all(int unit, const DomainDef *def, pid_t process) {
        char path[64], name[32];
        DIR *folder;
        int r = 0;

        (void) snprintf(path, sizeof(path), "/proc/%d/task", process);
        folder = opendir(path);
        if (!folder)
                return -errno;
        for (struct dirent *e = readdir(folder); e && r >= 0; e = readdir(folder))
                if (e->d_name[0] != '.' && read_name(process, e->d_name, name))
                        r = place_thread(unit, def, e->d_name, name);
        (void) closedir(folder);
        return r;
}

/* Those that still have threads stay by themselves. */
static void remove_empty(int unit) {
        int copy = openat(unit, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *folder = copy < 0 ? NULL : fdopendir(copy);

        for (struct dirent *e = folder ? readdir(folder) : NULL; e; e = readdir(folder))
                for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                        if (e->d_type == DT_DIR && str_after(e->d_name, kinds[i].group))
                                (void) unlinkat(unit, e->d_name, AT_REMOVEDIR);
        if (folder)
                (void) closedir(folder);
}

static int apply(const Domain *d, const DomainDef *def) {
        _cleanup_fd_ int unit = open_unit(d);
        int r;

        if (unit < 0)
                return unit;
        if (!any_limited(def) && !says(unit, "cgroup.type", "threaded"))
                return 0;
        if (!says(unit, "cgroup.controllers", "cpu"))
                return -EOPNOTSUPP;
        /* A thread that was made by one that had not been moved yet is found the second time. */
        r = place_all(unit, def, d->instance->qemu.pid);
        if (r >= 0)
                r = place_all(unit, def, d->instance->qemu.pid);
        remove_empty(unit);
        return r;
}

void thread_quotas_apply(Domain *d, const DomainDef *def) {
        int r;

        assert(d && def && d->instance);

        if (!d->manager->by_unit) {
                if (any_limited(def))
                        (void) domain_warn(d, "the quotas of its threads are not kept: that takes a unit, and it is not run as one");
                return;
        }
        r = apply(d, def);
        if (r < 0)
                (void) domain_warn(d, "the quotas of its threads can't be kept: %s", strerror(-r));
}
