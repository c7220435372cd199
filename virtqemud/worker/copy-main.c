/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"

/* virtqemu-copy: what comes by standard input, a pipe, goes to descriptor 3. It may wait for whatever that is, which virtqemud may not,
 * and its end ends whoever fills the pipe. */

#define TARGET_FD 3
#define CHUNK ((size_t) 1 << 20)

static ssize_t copy_by_hand(void) {
        static char buffer[65536];
        ssize_t n = read(STDIN_FILENO, buffer, sizeof(buffer));
        int r = n > 0 ? fd_write_all(TARGET_FD, buffer, (size_t) n) : 0;

        if (r < 0)
                errno = -r;
        return r < 0 ? -1 : n;
}

static int copy(void) {
        bool splices = true;
        ssize_t n;

        for (;;) {
                n = splices ? splice(STDIN_FILENO, NULL, TARGET_FD, NULL, CHUNK, SPLICE_F_MOVE) : copy_by_hand();
                if (n == 0)
                        return 0;
                if (n < 0 && splices && errno == EINVAL) /* not into this kind of file */
                        splices = false;
                else if (n < 0 && errno != EINTR)
                        return -errno;
        }
}

/* What can't be written after all is told now, not when nobody asks any more. */
static int settle(void) {
        struct stat st;

        if (fstat(TARGET_FD, &st) < 0 || (S_ISREG(st.st_mode) && fsync(TARGET_FD) < 0))
                return -errno;
        return close(TARGET_FD) < 0 ? -errno : 0;
}

int main(int argc, char *argv[]) {
        int r;

        if (argc > 1 || fcntl(TARGET_FD, F_GETFD) < 0) {
                fprintf(stderr, "%s is started by virtqemud: copies standard input to descriptor 3\n", argv[0]);
                return argc > 1 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        (void) fd_set_nonblock(TARGET_FD, false);
        r = copy();
        if (r >= 0)
                r = settle();
        if (r < 0)
                fprintf(stderr, "%s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
