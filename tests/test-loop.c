/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "loop.h"

/* Who holds up the loop is told, and nobody else. */

#define LONG_USEC (3u * LOOP_LIMIT_MSEC * 1000)

typedef struct Handler {
        clockid_t clock;     /* until that much of it has passed */
        uint64_t usec;
        bool sleeps;
} Handler;

static int on_event(sd_event_source *source, void *userdata) {
        const Handler *h = userdata;
        uint64_t end = now_usec(h->clock) + h->usec;
        const struct timespec until = { .tv_sec = (time_t) (end / 1000000), .tv_nsec = (long) (end % 1000000) * 1000 };

        /* Who wakes up often waits for a processor as often, which is no sleep. The watch's alarm interrupts it. */
        while (h->sleeps && clock_nanosleep(h->clock, TIMER_ABSTIME, &until, NULL) == EINTR)
                ;
        while (now_usec(h->clock) < end)
                ;
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* What is said meanwhile on stderr. */
static void run(Handler h, char *said, size_t size) {
        int fd = memfd_create("said", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        ssize_t n;

        assert_true(fd >= 0 && saved >= 0);
        assert_ok(sd_event_new(&event));
        assert_ok(sd_event_add_defer(event, NULL, on_event, &h));
        assert_true(dup2(fd, STDERR_FILENO) >= 0);
        log_open("test");
        assert_ok(loop_run(event));
        assert_true(dup2(saved, STDERR_FILENO) >= 0);
        n = pread(fd, said, size - 1, 0);
        said[n > 0 ? n : 0] = '\0';
        (void) close(fd);
        (void) close(saved);
}

TEST(quick_ones_are_not_told) {
        char said[4096];

        run((Handler) { .clock = CLOCK_MONOTONIC }, said, sizeof(said));
        assert_string_equal(said, "");
}

TEST(work_is_told) {
        const char *words;
        char said[4096];
        unsigned work;

        if (!WATCH_LOOP)
                return; /* not in builds with sanitizers */
        run((Handler) { .clock = CLOCK_THREAD_CPUTIME_ID, .usec = LONG_USEC + 5000 }, said, sizeof(said));
        words = strstr(said, "handled: ");
        assert_non_null(words);
        /* What a hypervisor has taken from us meanwhile counts, too. */
        assert_true(sscanf(words, "handled: %u ms of work", &work) == 1 && work >= LONG_USEC / 1000);
        assert_non_null(strstr(said, " test-loop+0x"));
}

TEST(sleep_is_told) {
        char said[4096];

        if (!WATCH_LOOP)
                return; /* not in builds with sanitizers */
        run((Handler) { .clock = CLOCK_MONOTONIC, .usec = LONG_USEC, .sleeps = true }, said, sizeof(said));
        assert_non_null(strstr(said, "for one event to be handled:"));
        assert_non_null(strstr(said, "ms of sleep"));
}

TEST_MAIN(TEST_ROW(quick_ones_are_not_told), TEST_ROW(work_is_told), TEST_ROW(sleep_is_told))
