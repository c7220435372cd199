/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The least that looking at a folder of images takes: names, sizes, and the first 4 KiB of each. Prints the microseconds of each of
 * COUNT rounds. */

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

static int look_at_all(const char *folder) {
        DIR *dir = opendir(folder);
        char buffer[4096];
        struct dirent *e;

        if (!dir)
                return -1;
        while ((e = readdir(dir))) {
                int fd = e->d_name[0] == '.' ? -1 : openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC);
                struct stat st;

                if (fd < 0)
                        continue;
                if (fstat(fd, &st) < 0 || read(fd, buffer, sizeof(buffer)) < 0)
                        perror(e->d_name);
                (void) close(fd);
        }
        return closedir(dir);
}

int main(int argc, char *argv[]) {
        long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

        if (count <= 0) {
                fprintf(stderr, "usage: bare-refresh FOLDER COUNT\n");
                return EXIT_FAILURE;
        }
        while (count-- > 0) {
                uint64_t began = now_usec(CLOCK_MONOTONIC);

                if (look_at_all(argv[1]) < 0)
                        return EXIT_FAILURE;
                printf("%" PRIu64 "\n", now_usec(CLOCK_MONOTONIC) - began);
        }
        return EXIT_SUCCESS;
}
