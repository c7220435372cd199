/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtqemu-dump FOLDER NAME LARGEST NEEDED: what comes by standard input, a pipe that QEMU fills, becomes the file NAME in a folder of dumps
 * that all together are not larger than LARGEST bytes; the oldest make room. NEEDED is how large it may get. Descriptor 3 is a socket: a byte
 * there says that the dump is whole, its end that it is not and nothing is kept. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump-folder.h"
#include "fd.h"
#include "str.h"

#define VERDICT_FD 3
#define CHUNK ((size_t) 1 << 20)

static int fail(const char *folder, const char *what, int error) {
        if (error == -EFBIG)
                fprintf(stderr, "%s: %s is more than DumpFolderMax= of qemu.conf leaves for it\n", folder, what);
        else if (error == -ENOSPC)
                fprintf(stderr, "%s: no space left for %s, also without older dumps\n", folder, what);
        else
                fprintf(stderr, "%s: %s: %s\n", folder, what, strerror(-error));
        return EXIT_FAILURE;
}

static int copy(const DumpFolder *d, int to) {
        static char buffer[CHUNK];
        size_t room = 0;
        ssize_t n;
        int r = 0;

        while (r >= 0 && (n = read(STDIN_FILENO, buffer, sizeof(buffer))) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if ((size_t) n > room) {
                        r = dump_folder_make_room(d, CHUNK);
                        room = CHUNK;
                }
                if (r >= 0)
                        r = fd_write_all(to, buffer, (size_t) n);
                room -= MIN((size_t) n, room);
        }
        return r < 0 ? r : fsync(to) < 0 ? -errno : 0;
}

static bool is_whole(void) {
        char byte;

        return read(VERDICT_FD, &byte, 1) == 1;
}

static int run(DumpFolder *d, const char *path, const char *name, uint64_t needed) {
        _cleanup_fd_ int file = -1;
        int r;

        r = dump_folder_check(d, needed);
        if (r < 0)
                return fail(path, "the guest's memory", r);
        file = dump_folder_create(d, name);
        if (file < 0)
                return fail(path, name, file);
        r = copy(d, file);
        if (r >= 0 && is_whole())
                r = dump_folder_keep(d, name);
        return r < 0 ? fail(path, "the dump", r) : EXIT_SUCCESS;
}

int main(int argc, char *argv[]) {
        uint64_t largest, needed;
        DumpFolder d;
        int r;

        if (argc != 5 || parse_u64(argv[3], 10, &largest) < 0 || parse_u64(argv[4], 10, &needed) < 0 || strchr(argv[2], '/') ||
            !dump_folder_is_ours(argv[2]) || fcntl(VERDICT_FD, F_GETFD) < 0) {
                fprintf(stderr, "%s is started by virtqemud: FOLDER NAME LARGEST NEEDED\n", argv[0]);
                return EXIT_FAILURE;
        }
        (void) fd_set_nonblock(VERDICT_FD, false);
        r = dump_folder_open(argv[1], largest, &d);
        if (r < 0)
                return fail(argv[1], "the folder of dumps", r);
        r = run(&d, argv[1], argv[2], needed);
        dump_folder_close(&d);
        return r;
}
