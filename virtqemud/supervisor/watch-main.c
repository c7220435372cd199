/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watch.h"

static int usage(const char *program, int status) {
        fprintf(status == 0 ? stdout : stderr,
                "%s --monitor-fd=N [OPTION...] -- QEMU [ARGUMENT...]\n\n"
                "Runs QEMU and turns signals into what the guest understands. Started by virtqemu-run.\n\n"
                "     --monitor-fd=N             Descriptor of a QMP monitor of that QEMU\n"
                "     --log-fd=N                 Where QEMU's output is kept\n"
                "     --kept-fds-from=N          Descriptors below this one are QEMU's alone, once it runs\n"
                "     --own-fds-from=N           Descriptors from this one on are held here only\n"
                "     --stop-timeout=USEC        Time for the guest to power off\n"
                "     --pins=NAME=CPUS;...       Keep QEMU's threads on these CPUs\n"
                "     --powerdown-interval=USEC  The power button is pressed again after that\n"
                "     --held                     QEMU pauses when the guest has powered off\n"
                "     --paused                   The guest is started without running\n"
                "     --makes-files              QEMU knows the modes of files it makes\n"
                "     --on-poweroff=ACTION       What is done then: destroy, restart, preserve\n"
                "     --on-reboot=ACTION         Likewise after a reset by the guest\n"
                "     --on-crash=ACTION          Likewise after the guest has panicked\n", program);
        return status;
}

static bool read_number(const char *text, uint64_t max, uint64_t *ret) {
        unsigned long long n;
        char *end;

        errno = 0;
        n = strtoull(text, &end, 10);
        if (errno != 0 || *end || text[0] < '0' || text[0] > '9' || n > max)
                return false;
        *ret = n;
        return true;
}

static bool read_fd(const char *text, int *ret) {
        uint64_t n;

        if (!read_number(text, 1 << 20, &n) || fcntl((int) n, F_SETFD, FD_CLOEXEC) < 0)
                return false;
        *ret = (int) n;
        return true;
}

/* Leases that must not be in QEMU's hands, because others share the locks behind them. */
static bool keep_from_qemu(const char *text) {
        uint64_t from;

        return read_number(text, 1 << 20, &from) && close_range((unsigned) from, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

static bool parse_options(int argc, char *argv[], Watch *w, bool *ret_help) {
        enum {
                OPT_MONITOR = 0x100, OPT_LOG, OPT_KEPT, OPT_OWN, OPT_PINS, OPT_TIMEOUT, OPT_INTERVAL, OPT_HELD, OPT_PAUSED, OPT_FILES, OPT_POWEROFF,
                OPT_REBOOT, OPT_CRASH,
        };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "monitor-fd", required_argument, NULL, OPT_MONITOR },
                { "log-fd", required_argument, NULL, OPT_LOG },
                { "kept-fds-from", required_argument, NULL, OPT_KEPT },
                { "own-fds-from", required_argument, NULL, OPT_OWN },
                { "pins", required_argument, NULL, OPT_PINS },
                { "stop-timeout", required_argument, NULL, OPT_TIMEOUT },
                { "powerdown-interval", required_argument, NULL, OPT_INTERVAL },
                { "held", no_argument, NULL, OPT_HELD },
                { "paused", no_argument, NULL, OPT_PAUSED },
                { "makes-files", no_argument, NULL, OPT_FILES },
                { "on-poweroff", required_argument, NULL, OPT_POWEROFF },
                { "on-reboot", required_argument, NULL, OPT_REBOOT },
                { "on-crash", required_argument, NULL, OPT_CRASH },
                {}
        };
        bool good = true;
        int c;

        while (good && (c = getopt_long(argc, argv, "+h", options, NULL)) >= 0)
                switch (c) {
                case 'h': *ret_help = true; break;
                case OPT_MONITOR: good = read_fd(optarg, &w->monitor); break;
                case OPT_LOG: good = read_fd(optarg, &w->log); break;
                case OPT_KEPT: good = read_number(optarg, 1 << 20, &w->kept_from); break;
                case OPT_OWN: good = keep_from_qemu(optarg); break;
                case OPT_PINS: w->pins = optarg; break;
                case OPT_TIMEOUT: good = read_number(optarg, UINT64_MAX / 2, &w->stop_timeout); break;
                case OPT_INTERVAL: good = read_number(optarg, UINT64_MAX / 2, &w->interval) && w->interval > 0; break;
                case OPT_HELD: w->held = true; break;
                case OPT_PAUSED: w->paused = true; break;
                case OPT_FILES: w->makes_files = true; break;
                case OPT_POWEROFF: w->on_poweroff = optarg; break;
                case OPT_REBOOT: w->on_reboot = optarg; break;
                case OPT_CRASH: w->on_crash = optarg; break;
                default: good = false;
                }
        w->argv = argv + optind;
        return good && (*ret_help || (w->monitor >= 0 && argv[optind]));
}

/* Signals that mean nothing to us are caught as well, so that none of them ends the VM. */
static int open_signals(Watch *w) {
        sigset_t set;

        (void) sigfillset(&set);
        (void) sigdelset(&set, SIGSEGV);
        (void) sigdelset(&set, SIGBUS);
        (void) sigdelset(&set, SIGFPE);
        (void) sigdelset(&set, SIGILL);
        (void) sigdelset(&set, SIGABRT);
        if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
                return -errno;
        w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return w->signals < 0 ? -errno : 0;
}

static void read_signals(Watch *w) {
        struct signalfd_siginfo si;

        while (read(w->signals, &si, sizeof(si)) == sizeof(si))
                watch_on_signal(w, (int) si.ssi_signo);
}

static int time_to_wait(const Watch *w) {
        uint64_t next = MIN(w->press_at, w->give_up_at), now;

        next = MIN(next, w->extend_at);
        if (next == NEVER)
                return -1;
        now = now_monotonic();
        return next <= now ? 0 : (int) MIN((next - now + 999) / 1000, (uint64_t) 3600000);
}

/* Until QEMU has ended. */
static int loop(Watch *w) {
        for (;;) {
                struct pollfd fds[] = {
                        { .fd = w->qemu_fd, .events = POLLIN },
                        { .fd = w->signals, .events = POLLIN },
                        { .fd = w->monitor, .events = POLLIN },
                        { .fd = w->output, .events = POLLIN },
                };

                if (poll(fds, ARRAY_SIZE(fds), time_to_wait(w)) < 0 && errno != EINTR)
                        return 71;
                if (fds[3].revents && !watch_pass_output(w)) {
                        (void) close(w->output);
                        w->output = -1;
                }
                if (fds[0].revents)
                        return watch_reap(w);
                if (fds[1].revents)
                        read_signals(w);
                if (fds[2].revents)
                        watch_read_monitor(w);
                watch_on_time(w);
        }
}

int main(int argc, char *argv[]) {
        Watch w = {
                .monitor = -1, .log = -1, .stop_timeout = 90000000, .interval = 5000000,
                .on_poweroff = "destroy", .on_reboot = "restart", .on_crash = "destroy",
                .qemu_fd = -1, .signals = -1, .output = -1, .press_at = NEVER, .give_up_at = NEVER, .extend_at = NEVER,
        };
        bool help = false;

        if (!parse_options(argc, argv, &w, &help))
                return usage(argv[0], 64);
        if (help)
                return usage(argv[0], 0);
        (void) umask(077);
        if (open_signals(&w) < 0 || watch_start_qemu(&w) < 0)
                return 71;
        return loop(&w);
}
