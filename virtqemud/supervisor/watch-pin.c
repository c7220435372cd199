/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watch.h"

/* QEMU's threads tell by their names what they are for: "CPU 0/KVM", "IO iothread1". Which processors of the host they may use is said as
 * "CPU 0/=0-3;IO iothread1=2;=4,5": a beginning of names and a list; the last one is for all other threads. */

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

/* What is said about a thread of that name; NULL: nothing. */
static const char *find_list(const char *pins, const char *name) {
        while (pins && *pins) {
                const char *equals = strchr(pins, '='), *end = strchr(pins, ';');

                if (!equals)
                        return NULL;
                if (strncmp(name, pins, (size_t) (equals - pins)) == 0)
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

static void pin_thread(const Watch *w, const char *thread) {
        char name[NAME_MAX_LENGTH];
        const char *list;
        cpu_set_t set;

        if (!read_name(w->qemu, thread, name))
                return;
        list = find_list(w->pins, name);
        if (list && read_cpus(list, &set) && sched_setaffinity((pid_t) atol(thread), sizeof(set), &set) < 0)
                fprintf(stderr, "can't keep QEMU's thread \"%s\" on the CPUs %.*s: %m\n", name, (int) strcspn(list, ";"), list);
}

void watch_pin_threads(const Watch *w) {
        char path[320];
        DIR *folder;

        if (!w->pins)
                return;
        (void) snprintf(path, sizeof(path), "/proc/%d/task", (int) w->qemu);
        folder = opendir(path);
        for (struct dirent *e = folder ? readdir(folder) : NULL; e; e = readdir(folder))
                if (e->d_name[0] != '.')
                        pin_thread(w, e->d_name);
        if (folder)
                (void) closedir(folder);
}
