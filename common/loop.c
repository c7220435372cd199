/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loop.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "macro.h"
#include "str.h"

#define TOO_SLOW_USEC (1000u * 1000)
#define FRAMES_MAX 32

/* How much of a stretch of time this thread has been on a processor, and how much it has waited for one. */
typedef struct Clocks {
        uint64_t wall, worked, waited;
} Clocks;

static struct {
        bool ready;
        int schedstat;
        void *frames[FRAMES_MAX];    /* where it was when the limit was reached */
        volatile sig_atomic_t n_frames;
        char note[160];              /* which method it is, if it is one */
} watch = { .schedstat = -1 };

/* --- where it is --- */

static void on_limit(int number) {
        int saved = errno;

        watch.n_frames = backtrace(watch.frames, FRAMES_MAX);
        errno = saved;
}

static void prepare_watch(void) {
        struct sigaction action = { .sa_handler = on_limit, .sa_flags = SA_RESTART };

        watch.ready = true;
        watch.schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
        (void) backtrace(watch.frames, FRAMES_MAX); /* the first call loads what it needs, which no handler of signals may */
        (void) sigaction(SIGALRM, &action, NULL);
}

static void set_alarm(unsigned msec) {
        struct itimerval timer = { .it_value = { .tv_sec = msec / 1000, .tv_usec = msec % 1000 * 1000 } };

        (void) setitimer(ITIMER_REAL, &timer, NULL);
}

/* "virtqemud+0x1f30 libsystemd.so.0+0x5d210 …", for addr2line. The handler itself and how it came to be called are left out. */
static void name_frames(void *const *frames, int n, char *text, size_t size) {
        size_t used = 0;

        text[0] = '\0';
        for (int i = 2; i < n && used < size; i++) {
                Dl_info info;
                const char *slash;

                if (!dladdr(frames[i], &info) || !info.dli_fname)
                        continue;
                slash = strrchr(info.dli_fname, '/');
                used += (size_t) snprintf(text + used, size - used, " %s+%#zx", slash ? slash + 1 : info.dli_fname,
                                          (size_t) ((char *) frames[i] - (char *) info.dli_fbase));
        }
}

/* --- who comes too late --- */

#if WATCH_SOURCES
static void complain(int fd) {
        void *frames[FRAMES_MAX];
        int saved = errno;
        char where[1024];

        name_frames(frames, backtrace(frames, FRAMES_MAX), where, sizeof(where));
        log_error("descriptor %d was closed before its source of events was freed, in%s", fd, where);
        errno = saved;
}

/* libsystemd's calls come here. Where a child of ours still has open what we have closed, the kernel would go on telling of it, and sd-event look
 * for a source that is no more. */
__attribute__((visibility("default"))) int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event) {
        int r = (int) syscall(SYS_epoll_ctl, epoll, what, fd, event);

        if (r < 0 && what == EPOLL_CTL_DEL)
                complain(fd);
        return r;
}
#endif

/* --- how long it takes --- */

/* The kernel's second figure: nanoseconds on the run queue. Others' work is not counted against us. */
static uint64_t waited_usec(void) {
        char text[96], *end;
        ssize_t n = watch.schedstat >= 0 ? pread(watch.schedstat, text, sizeof(text) - 1, 0) : -1;

        if (n <= 0)
                return 0;
        text[n] = '\0';
        (void) strtoull(text, &end, 10);
        return strtoull(end, NULL, 10) / 1000;
}

/* At the beginning the wait is read first, at the end last: who has to wait for a processor in between has not been slow. */
static Clocks begin(void) {
        Clocks c = { .waited = waited_usec() };

        c.worked = now_usec(CLOCK_THREAD_CPUTIME_ID);
        c.wall = now_usec(CLOCK_MONOTONIC);
        return c;
}

static void judge(const Clocks *began, uint64_t end) {
        Clocks c = { .wall = end, .worked = now_usec(CLOCK_THREAD_CPUTIME_ID), .waited = waited_usec() };
        uint64_t wall = c.wall - began->wall, waited = c.waited - began->waited;
        uint64_t took = wall > waited ? wall - waited : 0, worked = MIN(c.worked - began->worked, took);
        char where[1024];

        if (took <= LOOP_LIMIT_MSEC * 1000)
                return;
        name_frames(watch.frames, watch.n_frames, where, sizeof(where));
        if (!where[0] && !watch.note[0])
                (void) snprintf(where, sizeof(where), " the end of it");
        log_warning("everything waited %u ms for one event to be handled: %u ms of work, %u ms of sleep, in%s%s", (unsigned) (took / 1000),
                    (unsigned) (worked / 1000), (unsigned) ((took - worked) / 1000), watch.note, where);
}

void loop_note(const char *interface, const char *member) {
        if (WATCH_LOOP)
                (void) snprintf(watch.note, sizeof(watch.note), " %s.%s", interface, member);
}

static int dispatch_watched(sd_event *event) {
        uint64_t end;
        Clocks began;
        int r;

        if (!watch.ready)
                prepare_watch();
        watch.n_frames = 0;
        watch.note[0] = '\0';
        set_alarm(LOOP_LIMIT_MSEC);
        began = begin();
        r = sd_event_dispatch(event);
        end = now_usec(CLOCK_MONOTONIC);
        set_alarm(0);
        if (end - began.wall > LOOP_LIMIT_MSEC * 1000)
                judge(&began, end);
        return r;
}

static int dispatch(sd_event *event) {
        uint64_t began = now_usec(CLOCK_MONOTONIC), took;
        int r = sd_event_dispatch(event);

        took = now_usec(CLOCK_MONOTONIC) - began;
        if (took > TOO_SLOW_USEC)
                log_warning("everything waited %u ms for one event to be handled", (unsigned) (took / 1000));
        return r;
}

int loop_once(sd_event *event, uint64_t usec) {
        int r = sd_event_prepare(event);

        if (r == 0)
                r = sd_event_wait(event, usec);
        if (r <= 0)
                return r;
        return WATCH_LOOP ? dispatch_watched(event) : dispatch(event);
}

int loop_run(sd_event *event) {
        int r = 0;

        while (r >= 0 && sd_event_get_state(event) != SD_EVENT_FINISHED)
                r = loop_once(event, UINT64_MAX);
        return MIN(r, 0);
}
