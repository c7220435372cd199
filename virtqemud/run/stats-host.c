/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats-host.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../device/device.h"
#include "../device/interface.h"
#include "fd.h"
#include "file.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "str.h"

#define GROUPS "/sys/fs/cgroup"
#define FILE_MAX 4096u               /* of a file of one process or group */
#define NET_FILE_MAX (4u * 1024 * 1024)
#define THREADS_MAX 4096u            /* of a QEMU that are looked at */
#define NSEC_PER_SEC UINT64_C(1000000000)

void stats_host_clear(StatsHost *h) {
        free(h->group);
        free(h->threads);
        *h = (StatsHost) {};
}

/* The beginning of a small file, as text. */
static bool read_small(char buffer[static FILE_MAX], const char *fmt, ...) _printf_(2, 3);
static bool read_small(char buffer[static FILE_MAX], const char *fmt, ...) {
        _cleanup_fd_ int fd = -1;
        char path[512];
        va_list ap;
        ssize_t n;

        va_start(ap, fmt);
        n = vsnprintf(path, sizeof(path), fmt, ap);
        va_end(ap);
        fd = n > 0 && (size_t) n < sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
        n = fd < 0 ? -1 : read(fd, buffer, FILE_MAX - 1);
        buffer[MAX(n, 0)] = '\0';
        return n > 0;
}

/* The number behind "NAME " at the beginning of a line. */
static bool find_number(const char *text, const char *name, uint64_t *ret) {
        size_t n = strlen(name);

        for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (strncmp(line, name, n) == 0 && line[n] == ' ') {
                        *ret = strtoull(line + n + 1, NULL, 10);
                        return true;
                }
        return false;
}

/* --- processors --- */

/* /proc/…/stat: the name in brackets may hold anything; what follows the last bracket is fields, the first of them the state. */
static bool read_stat(const char *text, char *ret_state, uint64_t *ret_user, uint64_t *ret_kernel) {
        const char *end = strrchr(text, ')');
        unsigned long long user, kernel;
        char state;

        if (!end || sscanf(end + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &state, &user, &kernel) != 3)
                return false;
        *ret_state = state;
        *ret_user = user;
        *ret_kernel = kernel;
        return true;
}

static uint64_t ticks_to_nsec(uint64_t ticks) {
        return ticks * (NSEC_PER_SEC / (uint64_t) sysconf(_SC_CLK_TCK));
}

/* The unit's own group, which its supervisor never leaves. */
static const char *find_group(const Domain *d, StatsHost *h) {
        char text[FILE_MAX];
        const char *line;

        if (h->group || !d->manager->by_unit || !read_small(text, "/proc/%d/cgroup", (int) d->instance->supervisor.pid))
                return h->group ?: "";
        line = str_after(text, "0::/") ?: strstr(text, "\n0::/");
        if (!line)
                return "";
        line += *line == '\n' ? strlen("\n0::/") : 0;
        h->group = strf(GROUPS "/%.*s", (int) strcspn(line, "\n"), line);
        return h->group ?: "";
}

void stats_read_cpu(const Domain *d, StatsHost *h, StatsSet *s) {
        static const struct {
                const char *name, *key;
        } rows[] = { { "usage_usec", "time" }, { "user_usec", "user" }, { "system_usec", "system" }, { "throttled_usec", "throttled" } };
        uint64_t user, kernel, usec;
        char text[FILE_MAX], state;
        const char *group;

        assert(d->instance && h && s);

        group = find_group(d, h);
        stats_set_begin(s);
        if (read_small(text, "/proc/%d/stat", (int) d->instance->qemu.pid) && read_stat(text, &state, &user, &kernel)) {
                stats_number(s, ticks_to_nsec(user + kernel), "cpu.time");
                stats_number(s, ticks_to_nsec(user), "cpu.user");
                stats_number(s, ticks_to_nsec(kernel), "cpu.system");
        }
        if (*group && read_small(text, "%s/cpu.stat", group))
                for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                        if (find_number(text, rows[i].name, &usec))
                                stats_number(s, usec * 1000, "cpu.unit.%s", rows[i].key);
}

/* --- threads --- */

static int compare_threads(const void *a, const void *b) {
        const VcpuThread *x = a, *y = b;

        return (x->number > y->number) - (x->number < y->number);
}

/* "CPU 3/KVM" is what QEMU calls the thread of the guest's processor 3. */
static bool is_vcpu(const char *name, unsigned *ret) {
        const char *digits = str_after(name, "CPU ");
        char *end = NULL;

        if (!digits || *digits < '0' || *digits > '9')
                return false;
        *ret = (unsigned) strtoul(digits, &end, 10);
        return *end == '/';
}

static void find_threads(const Domain *d, StatsHost *h) {
        int pid = (int) d->instance->qemu.pid;
        char path[64], name[FILE_MAX];
        unsigned seen = 0, number;
        DIR *folder;

        h->n_threads = 0;
        (void) snprintf(path, sizeof(path), "/proc/%d/task", pid);
        folder = opendir(path);
        for (struct dirent *e = folder ? readdir(folder) : NULL; e && seen < THREADS_MAX; e = readdir(folder), seen++) {
                unsigned long tid = strtoul(e->d_name, NULL, 10);

                if (tid == 0 || !read_small(name, "/proc/%d/task/%lu/comm", pid, tid) || !is_vcpu(name, &number) ||
                    !GROW(h->threads, h->threads_allocated, h->n_threads + 1))
                        continue;
                h->threads[h->n_threads++] = (VcpuThread) { .number = number, .tid = (pid_t) tid };
        }
        if (folder)
                (void) closedir(folder);
        if (h->n_threads > 0)
                qsort(h->threads, h->n_threads, sizeof(*h->threads), compare_threads);
}

/* Its number may be another thread's by now. */
static bool is_still(const char *stat, const VcpuThread *t) {
        const char *name = strchr(stat, '(');
        unsigned number;

        return name && is_vcpu(name + 1, &number) && number == t->number;
}

/* A processor that has nothing to do, or waits for QEMU, is a thread that sleeps. */
static bool add_thread(const Domain *d, const VcpuThread *t, StatsSet *s) {
        int pid = (int) d->instance->qemu.pid, tid = (int) t->tid;
        unsigned long long ran, delayed;
        uint64_t user, kernel;
        char text[FILE_MAX], state;

        if (!read_small(text, "/proc/%d/task/%d/stat", pid, tid) || !is_still(text, t) || !read_stat(text, &state, &user, &kernel))
                return false;
        stats_flag(s, state == 'S', "vcpu.%u.halted", t->number);
        stats_number(s, ticks_to_nsec(user), "vcpu.%u.user", t->number);
        stats_number(s, ticks_to_nsec(kernel), "vcpu.%u.system", t->number);
        if (!read_small(text, "/proc/%d/task/%d/schedstat", pid, tid) || sscanf(text, "%llu %llu", &ran, &delayed) != 2) {
                stats_number(s, ticks_to_nsec(user + kernel), "vcpu.%u.time", t->number);
                return true;
        }
        stats_number(s, ran, "vcpu.%u.time", t->number);
        stats_number(s, delayed, "vcpu.%u.delay", t->number);
        return true;
}

static bool add_threads(const Domain *d, const StatsHost *h, StatsSet *s) {
        stats_set_begin(s);
        for (size_t i = 0; i < h->n_threads; i++)
                if ((i == 0 || h->threads[i].number != h->threads[i - 1].number) && !add_thread(d, &h->threads[i], s))
                        return false;
        return true;
}

void stats_read_vcpu(const Domain *d, StatsHost *h, StatsSet *s) {
        const DomainDef *live = d->live;
        uint64_t current;

        assert(d->instance && live && h && s);

        current = live->vcpus_current == NUMBER_UNSET ? live->vcpus : live->vcpus_current;
        /* Threads are looked for again when there are others than there were. */
        if (h->n_threads != current || !add_threads(d, h, s)) {
                find_threads(d, h);
                (void) add_threads(d, h, s);
        }
        stats_number(s, current, "vcpu.current");
        stats_number(s, live->vcpus, "vcpu.maximum");
}

/* --- memory --- */

void stats_read_memory(const Domain *d, StatsHost *h, StatsSet *s) {
        unsigned long long pages, shared;
        char text[FILE_MAX];
        const char *group;

        assert(d->instance && h && s);

        group = find_group(d, h);
        stats_set_begin(s);
        if (read_small(text, "/proc/%d/statm", (int) d->instance->qemu.pid) &&
            sscanf(text, "%*u %llu %llu", &pages, &shared) == 2) {
                stats_number(s, pages * (uint64_t) sysconf(_SC_PAGESIZE), "memory.rss");
                stats_number(s, shared * (uint64_t) sysconf(_SC_PAGESIZE), "memory.shared");
        }
        if (*group && read_small(text, "%s/memory.current", group))
                stats_number(s, strtoull(text, NULL, 10), "memory.unit.current");
        if (*group && read_small(text, "%s/memory.swap.current", group))
                stats_number(s, strtoull(text, NULL, 10), "memory.unit.swap");
}

/* --- interfaces --- */

/* The columns of /proc/net/dev: the second half begins with what was sent. */
enum { NET_BYTES, NET_PACKETS, NET_ERRORS, NET_DROPS, NET_SENT = 8, NET_COLUMNS = 16 };

typedef struct NetDevice {
        char name[16];
        uint64_t columns[NET_COLUMNS];
} NetDevice;

struct NetDevices {
        NetDevice *items;
        size_t n, allocated;
};

NetDevices *net_devices_free(NetDevices *n) {
        if (n)
                free(n->items);
        free(n);
        return NULL;
}

static bool parse_device(const char *line, NetDevice *ret) {
        const char *name = line + strspn(line, " "), *colon = strchr(name, ':');
        char *rest;

        if (!colon || colon == name || (size_t) (colon - name) >= sizeof(ret->name))
                return false;
        *ret = (NetDevice) {};
        memcpy(ret->name, name, (size_t) (colon - name));
        rest = (char *) colon + 1;
        for (size_t i = 0; i < NET_COLUMNS; i++)
                ret->columns[i] = strtoull(rest, &rest, 10);
        return true;
}

static int compare_devices(const void *a, const void *b) {
        return strcmp(((const NetDevice *) a)->name, ((const NetDevice *) b)->name);
}

int net_devices_parse(const char *text, NetDevices **ret) {
        _cleanup_(net_devices_freep) NetDevices *n = new0(NetDevices, 1);

        assert(text && ret);

        if (!n)
                return -ENOMEM;
        while (*text) {
                size_t length = strcspn(text, "\n");
                char line[512];

                (void) snprintf(line, sizeof(line), "%.*s", (int) MIN(length, sizeof(line) - 1), text);
                if (!GROW(n->items, n->allocated, n->n + 1))
                        return -ENOMEM;
                n->n += parse_device(line, &n->items[n->n]);
                text += length + (text[length] == '\n');
        }
        if (n->n > 0)
                qsort(n->items, n->n, sizeof(*n->items), compare_devices);
        *ret = TAKE_PTR(n);
        return 0;
}

int net_devices_read(NetDevices **ret) {
        _cleanup_free_ char *text = NULL;
        int r = file_read("/proc/net/dev", NET_FILE_MAX, &text, NULL);

        return r < 0 ? r : net_devices_parse(text, ret);
}

/* What a tap receives its guest has sent; a macvtap is the guest's own end. */
static bool is_swapped(const char *host) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/sys/class/net/%.15s/macvtap", host);
        return access(path, F_OK) < 0;
}

static void add_interface(const Interface *i, const NetDevices *all, unsigned number, StatsSet *s) {
        static const char *const keys[] = {
                [NET_BYTES] = "bytes", [NET_PACKETS] = "pkts", [NET_ERRORS] = "errs", [NET_DROPS] = "drop",
        };
        const NetDevice *found;
        NetDevice wanted = {};
        bool swapped;

        stats_text(s, i->device.id, "net.%u.alias", number);
        if (!all || !i->host || all->n == 0)
                return;
        stats_text(s, i->host, "net.%u.name", number);
        (void) snprintf(wanted.name, sizeof(wanted.name), "%s", i->host);
        found = bsearch(&wanted, all->items, all->n, sizeof(wanted), compare_devices);
        if (!found)
                return;
        swapped = is_swapped(i->host);
        for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
                stats_number(s, found->columns[k + (swapped ? NET_SENT : 0)], "net.%u.rx.%s", number, keys[k]);
                stats_number(s, found->columns[k + (swapped ? 0 : NET_SENT)], "net.%u.tx.%s", number, keys[k]);
        }
}

void stats_read_net(const Domain *d, const NetDevices *n, StatsSet *s) {
        unsigned number = 0;

        assert(d->live && s);

        stats_set_begin(s);
        DEVICE_FOREACH(Interface, i, d->live, DEVICE_INTERFACE)
                add_interface(i, n, number++, s);
        stats_number(s, number, "net.count");
}
