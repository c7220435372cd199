/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

#define CHUNK (2 * JOURNAL_LINE_MAX)

static void tell_suppressed(JournalCopy *c, Journal *journal, const JournalSource *from) {
        _cleanup_free_ char *text = NULL;

        if (c->suppressed == 0)
                return;
        text = strf("%" PRIu64 " bytes are in the log file only: they came too fast for the journal", TAKE(c->suppressed, 0));
        if (text)
                (void) journal_line(journal, from, text, strlen(text));
}

/* Whether a line may still be sent in this window. */
static bool may_send(JournalCopy *c, const Settings *settings, Journal *journal, const JournalSource *from) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (c->window_begin == 0 || now - c->window_begin >= settings->rate_interval_usec) {
                c->window_begin = now;
                c->lines = 0;
                tell_suppressed(c, journal, from);
        }
        return c->lines < settings->rate_burst;
}

static void send_line(JournalCopy *c, Journal *journal, const JournalSource *from, const char *line, size_t length) {
        c->lines++;
        if (length > 0 && journal_line(journal, from, line, length) == 0)
                c->suppressed += length;
}

/* Takes lines out of a chunk and returns how many bytes they were. A line that fills the whole chunk is sent in pieces. */
static size_t send_chunk(JournalCopy *c, const Settings *settings, Journal *journal, const JournalSource *from, const char *data,
                         size_t length, bool finish) {
        size_t done = 0;

        while (done < length && c->lines < settings->rate_burst) {
                const char *line = data + done, *end = memchr(line, '\n', length - done);
                size_t n = end ? (size_t) (end - line) : length - done;

                if (!end && n < JOURNAL_LINE_MAX && !finish)
                        break;
                n = MIN(n, (size_t) JOURNAL_LINE_MAX);
                send_line(c, journal, from, line, n);
                done += n;
                if (end && data + done == end)
                        done++;
        }
        return done;
}

static void run(JournalCopy *c, const Settings *settings, Journal *journal, const JournalSource *from, const Logfile *file, bool finish) {
        char data[CHUNK];

        for (;;) {
                LogfilePlace p;
                ssize_t n;
                size_t done;

                if (!may_send(c, settings, journal, from)) {
                        c->suppressed += logfile_end(file) - c->at;
                        c->at = logfile_end(file);
                        return;
                }
                if (logfile_seek(file, &c->at, &p) < 0)
                        return;
                n = pread(p.fd, data, (size_t) MIN(p.length, (uint64_t) sizeof(data)), p.offset);
                fd_close(p.fd);
                if (n <= 0)
                        return;
                /* The end of a rotated file ends a line, too. */
                done = send_chunk(c, settings, journal, from, data, (size_t) n, finish || c->at + p.length < logfile_end(file));
                c->at += done;
                if (done == 0)
                        return;
        }
}

void journal_copy_run(JournalCopy *c, const Settings *settings, Journal *journal, const JournalSource *from, const Logfile *file) {
        assert(c && settings && journal && from && file);

        run(c, settings, journal, from, file, false);
}

void journal_copy_finish(JournalCopy *c, const Settings *settings, Journal *journal, const JournalSource *from, const Logfile *file) {
        assert(c && settings && journal && from && file);

        run(c, settings, journal, from, file, true);
        tell_suppressed(c, journal, from);
}
