/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../virtlogd/copy.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/virtbus-fuzz-XXXXXX";

static int remove_one(const char *path, _unused_ const struct stat *st, _unused_ int type, _unused_ struct FTW *where) {
        return remove(path);
}

static void remove_folder(void) {
        (void) nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Whatever is kept is the end of what was written, without the lines that are ours. */
static void check_kept(const Logfile *l, const uint8_t *data, size_t size) {
        uint64_t at = logfile_first(l), first = at;
        LogfilePlace p;

        if (logfile_end(l) != size || first > size)
                abort();
        while (logfile_seek(l, &at, &p) >= 0) {
                _cleanup_free_ char *text = malloc(p.length + 1);
                ssize_t n = text ? pread(p.fd, text, p.length, p.offset) : -1;

                fd_close(p.fd);
                if (n != (ssize_t) p.length || at + p.length > size || memcmp(text, data + at, p.length) != 0)
                        abort();
                at += p.length;
        }
}

/* The first byte says how large a file may be, and how much comes at once; the rest is what a guest writes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const JournalSource from = { .domain = "web", .log = "serial0" };
        const Settings settings = { .rate_burst = 1000, .rate_interval_usec = 1000000 };
        const LogfileLimits limits = { .size = LOGFILE_SIZE_MIN, .backups = size > 0 ? data[0] % 4 : 0 };
        static Journal *journal;
        JournalCopy copy = {};
        Logfile *l = NULL;
        char path[64];
        int pair[2];
        size_t step;

        if (!journal && (!mkdtemp(folder) || atexit(remove_folder) != 0 || journal_new(&journal) < 0))
                abort();
        if (size < 2)
                return 0;
        step = data[0] * 256u + 1;      /* what a pipe holds at the most */
        data++;
        size--;
        (void) snprintf(path, sizeof(path), "%s/log/a.log", folder);
        if (logfile_open(path, &limits, 0, &l) < 0 || pipe(pair) < 0)
                abort();
        for (size_t i = 0; i < size;) {
                size_t n = MIN(size - i, step), left = n;

                if (write(pair[1], data + i, n) != (ssize_t) n)
                        abort();
                for (unsigned turns = 0; left > 0 && turns < 100; turns++) {
                        ssize_t moved = logfile_fill(l, pair[0], left, left);

                        if (moved < 0)
                                abort();
                        left -= (size_t) moved;
                }
                i += n;
                journal_copy_run(&copy, &settings, journal, &from, l);
        }
        check_kept(l, data, size);
        journal_copy_finish(&copy, &settings, journal, &from, l);
        close(pair[0]);
        close(pair[1]);
        logfile_free(l);
        (void) snprintf(path, sizeof(path), "%s/log", folder);
        (void) nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return 0;
}
