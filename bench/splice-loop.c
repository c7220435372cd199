/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The least a log keeper can do: moves standard input into a file by splice() and renames it when it is full. What virtlogd is measured
 * against. usage: splice-loop FILE MAX-SIZE */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char *argv[]) {
        long max = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
        char old[4096];
        loff_t at = 0;
        int fd;

        if (max <= 0 || snprintf(old, sizeof(old), "%s.0", argv[1]) >= (int) sizeof(old))
                return 64;
        fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
        while (fd >= 0) {
                ssize_t n = splice(STDIN_FILENO, NULL, fd, &at, (size_t) (max - at), SPLICE_F_MOVE);

                if (n <= 0)
                        return n == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
                if (at < max)
                        continue;
                (void) rename(argv[1], old);
                (void) close(fd);
                fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
                at = 0;
        }
        return EXIT_FAILURE;
}
