/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "server.h"
#include "str.h"
#include "version.h"

#define IDLE_USEC UINT64_C(60000000)   /* longer than most are asked */

static int print_help(void) {
        printf("virtbus-metrics [OPTION...]\n\nGives statistics of virtual machines in the format of OpenMetrics, on the sockets "
               "it is passed.\n\n"
               "  -h --help        Show this help\n"
               "     --version     Show the version\n"
               "     --system      VMs of the host (default for root)\n"
               "     --session     VMs of the calling user's session (default for others)\n");
        return 0;
}

/* $VIRTBUS_IDLE_SEC is for tests that don't want to wait. */
static uint64_t idle_usec(void) {
        const char *text = getenv("VIRTBUS_IDLE_SEC");
        uint32_t seconds;

        return text && parse_u32(text, &seconds) >= 0 && seconds > 0 ? seconds * UINT64_C(1000000) : IDLE_USEC;
}

static void on_idle_begins(void *userdata) {
        sd_event_source *idle = userdata;

        (void) sd_event_source_set_time_relative(idle, idle_usec());
        (void) sd_event_source_set_enabled(idle, SD_EVENT_ONESHOT);
}

/* Who connects from now on starts it anew: the socket is systemd's. */
static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Server **server = userdata;

        if (!server_is_idle(*server))
                return 0;
        (void) sd_notify(false, "STOPPING=1");
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int listen_to_all(Server *s) {
        int n = sd_listen_fds(true), r;

        for (int fd = SD_LISTEN_FDS_START; n > 0 && fd < SD_LISTEN_FDS_START + n; fd++) {
                if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, true) <= 0)
                        return log_error_errno(EINVAL, "descriptor %d is no listening stream socket", fd);
                r = server_listen(s, fd);
                if (r < 0)
                        return log_error_errno(r, "can't listen: %m");
        }
        if (n <= 0)
                return log_error_errno(ENOENT, "there is no socket to listen on: it is started by virtbus-metrics.socket");
        return 0;
}

static int add_signals(sd_event *event) {
        sigset_t set;
        int r;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        (void) signal(SIGPIPE, SIG_IGN);
        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        return r < 0 ? r : sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
}

static int run(bool user) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(sd_event_source_unrefp) sd_event_source *idle = NULL;
        _cleanup_(server_freep) Server *server = NULL;
        int r;

        umask(077);
        r = sd_event_default(&event);
        if (r >= 0)
                r = add_signals(event);
        if (r >= 0)
                r = sd_event_set_watchdog(event, true);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &idle, CLOCK_MONOTONIC, idle_usec(), 0, on_idle, &server);
        if (r >= 0)
                r = server_new(event, user, on_idle_begins, idle, &server);
        if (r < 0)
                return log_error_errno(r, "can't set up the event loop: %m");
        r = listen_to_all(server);
        if (r < 0)
                return r;
        (void) sd_notify(false, "READY=1");
        return loop_run(event);
}

int main(int argc, char *argv[]) {
        enum { OPT_VERSION = 0x100, OPT_SYSTEM, OPT_SESSION };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPT_VERSION },
                { "system", no_argument, NULL, OPT_SYSTEM },
                { "session", no_argument, NULL, OPT_SESSION },
                {}
        };
        bool user = geteuid() != 0;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return print_help();
                case OPT_VERSION:
                        printf("virtbus-metrics %s\n", VIRTBUS_VERSION);
                        return 0;
                case OPT_SYSTEM:
                case OPT_SESSION:
                        user = c == OPT_SESSION;
                        break;
                default:
                        return EXIT_FAILURE;
                }
        if (optind < argc) {
                fprintf(stderr, "virtbus-metrics: unexpected argument \"%s\"\n", argv[optind]);
                return EXIT_FAILURE;
        }
        log_open("virtbus-metrics");
        return run(user) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
