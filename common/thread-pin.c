/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "thread-pin.h"

#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_LENGTH 32

/* "0-3,8"; what can't be read ends it. */
static bool read_cpus(const char *text, cpu_set_t *set) {
        CPU_ZERO(set);
        while (*text >= '0' && *text <= '9') {
                char *end;
                unsigned long first = strtoul(text, &end, 10), last = *end == '-' ? strtoul(end + 1, &end, 10) : first;

                for (unsigned long cpu = first; cpu <= last && cpu < CPU_SETSIZE; cpu++)
                        CPU_SET(cpu, set);
                text = *end == ',' ? end + 1 : end;
        }
        return CPU_COUNT(set) > 0;
}

/* "CPU 1/" is the beginning of "CPU 1/KVM"; "IO iothread1" is the whole of a name, and nothing is every name. */
static bool is_meant(const char *name, const char *said, size_t n) {
        return n == 0 || (strncmp(name, said, n) == 0 && (said[n - 1] == '/' || !name[n]));
}

/* What is said about a thread of that name; NULL: nothing. */
static const char *find_list(const char *pins, const char *name) {
        while (pins && *pins) {
                const char *equals = strchr(pins, '='), *end = strchr(pins, ';');

                if (!equals)
                        return NULL;
                if (is_meant(name, pins, (size_t) (equals - pins)))
                        return equals + 1;
                pins = end ? end + 1 : NULL;
        }
        return NULL;
}

static bool read_name(pid_t qemu, const char *thread, char name[static NAME_MAX_LENGTH]) {
        char path[320];
        FILE *file;
        bool read;

        (void) snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", (int) qemu, thread);
        file = fopen(path, "re");
        if (!file)
                return false;
        read = fgets(name, NAME_MAX_LENGTH, file);
        (void) fclose(file);
        if (read)
                name[strcspn(name, "\n")] = 0;
        return read;
}

/* What is done with a thread of that number about which that is said; negative: errno says why not. */
typedef int (*ThreadSet)(pid_t thread, const char *text);

static int set_cpus(pid_t thread, const char *text) {
        cpu_set_t set;

        return read_cpus(text, &set) ? sched_setaffinity(thread, sizeof(set), &set) : 0;
}

static int set_scheduler(pid_t thread, const char *text) {
        static const struct {
                const char *word;
                int policy;
        } policies[] = { { "batch:", SCHED_BATCH }, { "idle:", SCHED_IDLE }, { "fifo:", SCHED_FIFO }, { "rr:", SCHED_RR } };

        for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++) {
                size_t n = strlen(policies[i].word);
                const struct sched_param p = { .sched_priority = (int) strtol(text + n, NULL, 10) };

                if (strncmp(text, policies[i].word, n) == 0)
                        return sched_setscheduler(thread, policies[i].policy, &p);
        }
        return 0;
}

static void set_thread(pid_t process, const char *thread, const char *all, ThreadSet set, ThreadPinFailed failed, void *userdata) {
        char name[NAME_MAX_LENGTH];
        const char *text = read_name(process, thread, name) ? find_list(all, name) : NULL;

        if (text && set((pid_t) strtol(thread, NULL, 10), text) < 0)
                failed(name, text, userdata);
}

static void set_threads(pid_t process, const char *all, ThreadSet set, ThreadPinFailed failed, void *userdata) {
        char path[320];
        DIR *folder;

        if (!all)
                return;
        (void) snprintf(path, sizeof(path), "/proc/%d/task", (int) process);
        folder = opendir(path);
        for (struct dirent *e = folder ? readdir(folder) : NULL; e; e = readdir(folder))
                if (e->d_name[0] != '.')
                        set_thread(process, e->d_name, all, set, failed, userdata);
        if (folder)
                (void) closedir(folder);
}

void threads_pin(pid_t process, const char *pins, ThreadPinFailed failed, void *userdata) {
        set_threads(process, pins, set_cpus, failed, userdata);
}

void threads_schedule(pid_t process, const char *schedulers, ThreadPinFailed failed, void *userdata) {
        set_threads(process, schedulers, set_scheduler, failed, userdata);
}
