/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "fdstore.h"
#include "file.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "socket.h"
#include "str.h"
#include "version.h"

/* What has come before the end is answered, by those who listen. */
#define STOP_USEC (1u * 1000 * 1000)
#define STOP_LOOK_USEC 5000u
#define SETTLE_USEC (1u * 1000 * 1000)
#define IDLE_USEC (30u * 1000 * 1000)

/* $VIRTBUS_IDLE_SEC is for tests that don't want to wait. */
static uint64_t idle_usec(void) {
        const char *text = getenv("VIRTBUS_IDLE_SEC");
        uint32_t seconds;

        return text && parse_u32(text, &seconds) >= 0 && seconds > 0 ? seconds * UINT64_C(1000000) : IDLE_USEC;
}

struct Daemon {
        const DaemonSpec *spec;
        bool user;
        bool activated;              /* by systemd or the bus: ends when idle and comes back on demand */
        bool busy;
        bool own_socket;             /* made by us, not by systemd: goes with us */
        bool stopping, refused;
        uint64_t stop_by;            /* CLOCK_MONOTONIC */
        sd_event_source *stop;
        sd_event *event;
        Bus *bus;
        void *state;
        char *config, *data, *run, *cache, *log, *socket;
        sd_event_source *idle;
};

sd_event *daemon_event(Daemon *d) {
        return d->event;
}

void *daemon_state(Daemon *d) {
        return d->state;
}

Bus *daemon_bus(Daemon *d) {
        return d->bus;
}

bool daemon_is_user(const Daemon *d) {
        return d->user;
}

const char *daemon_config_dir(const Daemon *d) {
        return d->config;
}

const char *daemon_state_dir(const Daemon *d) {
        return d->data;
}

const char *daemon_run_dir(const Daemon *d) {
        return d->run;
}

const char *daemon_cache_dir(const Daemon *d) {
        return d->cache;
}

const char *daemon_log_dir(const Daemon *d) {
        return d->log;
}

const char *daemon_socket(const Daemon *d) {
        return d->socket;
}

/* --- folders --- */

static char *user_folder(const char *variable, const char *below_home) {
        const char *e = getenv(variable), *home = getenv("HOME");

        if (e && e[0] == '/')
                return strf("%s/virtbus", e);
        return home && home[0] == '/' && below_home ? strf("%s/%s/virtbus", home, below_home) : NULL;
}

static int set_folders(Daemon *d) {
        if (d->user) {
                d->config = user_folder("XDG_CONFIG_HOME", ".config");
                d->data = user_folder("XDG_DATA_HOME", ".local/share");
                d->cache = user_folder("XDG_CACHE_HOME", ".cache");
                d->log = user_folder("XDG_STATE_HOME", ".local/state");
                d->run = user_folder("XDG_RUNTIME_DIR", NULL);
        } else {
                d->config = strdup("/etc/virtbus");
                d->data = strdup("/var/lib/virtbus");
                d->cache = strdup("/var/cache/virtbus");
                d->log = strdup("/var/log/virtbus");
                d->run = strdup("/run/virtbus");
        }
        if (!d->config || !d->data || !d->cache || !d->log || !d->run) {
                log_error("$HOME and $XDG_RUNTIME_DIR must be set to absolute paths");
                return -ENOENT;
        }
        d->socket = strf("%s/%s.sock", d->run, d->spec->name);
        return d->socket ? 0 : -ENOMEM;
}

/* Others must get to the socket, so this one folder can be entered by everybody; what lies in it can't. */
static int make_run_folder(const Daemon *d) {
        int r = mkdir_parents(d->run, 0755);

        if (r < 0)
                return log_error_errno(r, "can't make %s: %m", d->run);
        if (!d->user)
                (void) chmod(d->run, 0755);
        return 0;
}

/* --- idleness --- */

static void arm_idle(Daemon *d) {
        if (!d->idle)
                return;
        (void) sd_event_source_set_time_relative(d->idle, idle_usec());
        (void) sd_event_source_set_enabled(d->idle, d->busy ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* Everything that was sent to our name before we gave it up has been answered by now. */
static void on_name_released(void *userdata) {
        Daemon *d = userdata;

        if (d->stopping)
                return;
        if (d->busy || bus_owes_answers(d->bus)) { /* one of those made work: stay */
                (void) bus_take_name(d->bus);
                arm_idle(d);
                return;
        }
        (void) sd_event_exit(d->event, 0);
}

/* Gives up the name first: a call that is sent from then on starts the daemon anew, so none is lost. */
static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Daemon *d = userdata;

        if (d->stopping)
                return 0;
        if (d->busy || bus_owes_answers(d->bus)) {
                arm_idle(d);
                return 0;
        }
        log_debug("idle, ending");
        (void) sd_notify(false, "STOPPING=1");
        bus_release_name(d->bus, on_name_released);
        return 0;
}

static void on_activity(void *userdata) {
        arm_idle(userdata);
}

void daemon_set_busy(Daemon *d, bool busy) {
        d->busy = busy;
        arm_idle(d);
}

/* --- signals --- */

static int refuse_rest(Daemon *d) {
        bus_refuse_calls(d->bus, d->spec->name);
        d->refused = true;
        return bus_is_unwritten(d->bus) ? 0 : sd_event_exit(d->event, 0);
}

static void on_stop_released(void *userdata) {
        (void) refuse_rest(userdata);
}

static int on_stop_look(sd_event_source *source, uint64_t usec, void *userdata) {
        Daemon *d = userdata;

        if (usec >= d->stop_by) {
                bus_refuse_calls(d->bus, d->spec->name);
                return sd_event_exit(d->event, 0);
        }
        if (d->refused && !bus_is_unwritten(d->bus))
                return sd_event_exit(d->event, 0);
        (void) sd_event_source_set_time_relative(source, STOP_LOOK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* What was sent before is answered, with why not if need be; what is sent from then on starts the daemon anew. */
static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Daemon *d = userdata;

        (void) sd_notify(false, "STOPPING=1");
        if (d->stopping)
                return sd_event_exit(d->event, 0);
        d->stopping = true;
        d->stop_by = now_usec(CLOCK_MONOTONIC) + STOP_USEC;
        if (sd_event_add_time_relative(d->event, &d->stop, CLOCK_MONOTONIC, STOP_LOOK_USEC, 1, on_stop_look, d) < 0)
                return sd_event_exit(d->event, 0);
        (void) sd_event_source_set_priority(d->stop, SD_EVENT_PRIORITY_IMPORTANT);
        bus_stop(d->bus, on_stop_released);
        return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Daemon *d = userdata;

        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long) now_usec(CLOCK_MONOTONIC));
        if (d->spec->reload)
                (void) d->spec->reload(d->state);
        (void) sd_notify(false, "READY=1");
        return 0;
}

/* Who asks for something after a reload finds the new settings. */
static int add_hangup(Daemon *d) {
        sd_event_source *hangup;
        int r = sd_event_add_signal(d->event, &hangup, SIGHUP, on_hangup, d);

        if (r >= 0)
                r = sd_event_source_set_priority(hangup, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0)
                r = sd_event_source_set_floating(hangup, true);
        if (r >= 0)
                sd_event_source_unref(hangup);
        return r;
}

static int add_signals(Daemon *d) {
        static const int stop[] = { SIGTERM, SIGINT };
        sigset_t set;
        int r = 0;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGINT);
        (void) sigaddset(&set, SIGHUP);
        (void) sigaddset(&set, SIGCHLD);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        (void) signal(SIGPIPE, SIG_IGN);

        for (size_t i = 0; i < ARRAY_SIZE(stop) && r >= 0; i++)
                r = sd_event_add_signal(d->event, NULL, stop[i], on_stop_signal, d);
        return r < 0 ? r : add_hangup(d);
}

/* --- start --- */

static void on_bus_lost(void *userdata) {
        log_warning("the message bus has gone away; the private socket still serves");
}

static int get_listen_fd(Daemon *d) {
        int n = sd_listen_fds(true);

        for (int i = 0; i < n; i++)
                if (sd_is_socket_unix(SD_LISTEN_FDS_START + i, SOCK_STREAM, 1, NULL, 0) > 0)
                        return SD_LISTEN_FDS_START + i;
        d->own_socket = true;
        return socket_listen_unix(d->socket, d->user ? 0600 : 0666);
}

static int connect_all(Daemon *d) {
        int fd, r;

        r = bus_connect(d->bus);
        if (r < 0 && !getenv("LISTEN_FDS"))
                log_notice("no message bus (%s); serving %s only", strerror(-r), d->socket);
        fd = get_listen_fd(d);
        if (fd < 0)
                return log_error_errno(fd, "can't listen on %s: %m", d->socket);
        return bus_listen(d->bus, fd);
}

static int setup(Daemon *d) {
        BusOptions options = {
                .user = d->user, .name = d->spec->bus_name, .root = d->spec->root, .objects = d->spec->objects,
                .for_strangers = d->spec->for_strangers,
                .userdata = d, .activity = on_activity, .lost = on_bus_lost,
        };
        int r;

        r = set_folders(d);
        if (r >= 0)
                r = make_run_folder(d);
        if (r >= 0)
                r = sd_event_default(&d->event);
        if (r < 0)
                return r;
        r = add_signals(d);
        if (r >= 0)
                r = sd_event_set_watchdog(d->event, true);
        if (r >= 0) {
                options.event = d->event;
                r = bus_new(&options, &d->bus);
        }
        if (r < 0)
                return log_error_errno(r, "can't set up the event loop: %m");
        d->activated = getenv("LISTEN_FDS") || getenv("DBUS_STARTER_ADDRESS") || getenv("INVOCATION_ID");
        r = connect_all(d);
        if (r < 0)
                return r;
        if (!d->activated)
                return 0;
        return sd_event_add_time_relative(d->event, &d->idle, CLOCK_MONOTONIC, idle_usec(), 0, on_idle, d);
}

/* A pool of many VMs needs many descriptors; what we start gets the old limit's hard one anyway. */
static void raise_limits(void) {
        struct rlimit l;

        if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
                l.rlim_cur = l.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &l);
        }
}

/* What is known soon is known before anybody can ask; what is not holds up nobody for long. */
static int settle(Daemon *d) {
        uint64_t end = now_usec(CLOCK_MONOTONIC) + SETTLE_USEC, now;
        int r = 0;

        while (r >= 0 && !d->stopping && d->spec->starting && d->spec->starting(d->state) && sd_event_get_state(d->event) != SD_EVENT_FINISHED &&
               (now = now_usec(CLOCK_MONOTONIC)) < end)
                r = loop_once(d->event, end - now);
        return r;
}

static int start(Daemon *d) {
        int r;

        umask(077);
        raise_limits();
        r = fdstore_open();
        if (r < 0)
                return log_error_errno(r, "can't read the descriptors that were passed: %m");
        r = setup(d);
        if (r >= 0) {
                r = d->spec->start(d, &d->state);
                if (r < 0)
                        (void) log_error_errno(r, "can't start: %m");
        }
        fdstore_close();
        if (r < 0)
                return r;
        r = settle(d);
        if (r >= 0 && !d->stopping)
                r = bus_take_name(d->bus);
        if (r < 0)
                return log_error_errno(r, "can't ask for the bus name: %m");
        (void) sd_notify(false, "READY=1");
        return d->spec->started ? d->spec->started(d->state) : 0;
}

Daemon *daemon_free(Daemon *d) {
        if (!d)
                return NULL;
        if (d->state)
                d->spec->stop(d->state);
        bus_free(d->bus);
        if (d->own_socket)
                (void) unlink(d->socket);
        sd_event_source_disable_unref(d->idle);
        sd_event_source_disable_unref(d->stop);
        sd_event_unref(d->event);
        free(d->config);
        free(d->data);
        free(d->run);
        free(d->cache);
        free(d->log);
        free(d->socket);
        free(d);
        return NULL;
}
DEFINE_CLEANUP(Daemon *, daemon_free)

int daemon_new(const DaemonSpec *spec, bool user, Daemon **ret) {
        _cleanup_(daemon_freep) Daemon *d = NULL;
        int r;

        assert(spec && ret);

        d = new0(Daemon, 1);
        if (!d)
                return -ENOMEM;
        d->spec = spec;
        d->user = user;
        r = start(d);
        if (r >= 0)
                *ret = TAKE_PTR(d);
        return r;
}

static int serve(const DaemonSpec *spec, bool user) {
        _cleanup_(daemon_freep) Daemon *d = NULL;
        int r;

        log_open(spec->name);
        r = daemon_new(spec, user, &d);
        return r < 0 ? r : loop_run(d->event);
}

/* --- options --- */

static int print_help(const DaemonSpec *spec) {
        printf("%s [OPTION...]\n\n%s\n\n"
               "  -h --help        Show this help\n"
               "     --version     Show the version\n"
               "     --system      Serve the system (default for root)\n"
               "     --session     Serve the calling user's session (default for others)\n"
               "     --introspect  Print the D-Bus interfaces as XML\n",
               spec->name, spec->description);
        return 0;
}

static int print_interfaces(const DaemonSpec *spec) {
        for (const BusObject *const *o = spec->objects; *o; o++) {
                _cleanup_free_ char *xml = NULL;
                bool seen = false;
                int r;

                for (const BusObject *const *p = spec->objects; p < o; p++)
                        seen = seen || streq((*p)->interface, (*o)->interface);
                if (seen)
                        continue;
                r = bus_introspect(spec->objects, (*o)->interface, &xml);
                if (r < 0)
                        return r;
                printf("%s", xml);
        }
        return 0;
}

int daemon_run(const DaemonSpec *spec, int argc, char *argv[]) {
        enum { OPT_VERSION = 0x100, OPT_SYSTEM, OPT_SESSION, OPT_INTROSPECT };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPT_VERSION },
                { "system", no_argument, NULL, OPT_SYSTEM },
                { "session", no_argument, NULL, OPT_SESSION },
                { "introspect", no_argument, NULL, OPT_INTROSPECT },
                {}
        };
        bool user = geteuid() != 0;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return print_help(spec);
                case OPT_VERSION:
                        printf("%s %s\n", spec->name, VIRTBUS_VERSION);
                        return 0;
                case OPT_SYSTEM:
                case OPT_SESSION:
                        user = c == OPT_SESSION;
                        break;
                case OPT_INTROSPECT:
                        return print_interfaces(spec) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
                default:
                        return EXIT_FAILURE;
                }
        if (optind < argc) {
                fprintf(stderr, "%s: unexpected argument \"%s\"\n", spec->name, argv[optind]);
                return EXIT_FAILURE;
        }
        return serve(spec, user) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
