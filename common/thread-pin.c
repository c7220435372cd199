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

static void pin_thread(pid_t process, const char *thread, const char *pins, ThreadPinFailed failed, void *userdata) {
        char name[NAME_MAX_LENGTH];
        const char *list;
        cpu_set_t set;

        if (!read_name(process, thread, name))
                return;
        list = find_list(pins, name);
        if (list && read_cpus(list, &set) && sched_setaffinity((pid_t) strtol(thread, NULL, 10), sizeof(set), &set) < 0)
                failed(name, list, userdata);
}

void threads_pin(pid_t process, const char *pins, ThreadPinFailed failed, void *userdata) {
        char path[320];
        DIR *folder;

        if (!pins)
                return;
        (void) snprintf(path, sizeof(path), "/proc/%d/task", (int) process);
        folder = opendir(path);
        for (struct dirent *e = folder ? readdir(folder) : NULL; e; e = readdir(folder))
                if (e->d_name[0] != '.')
                        pin_thread(process, e->d_name, pins, failed, userdata);
        if (folder)
                (void) closedir(folder);
}
