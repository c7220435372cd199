/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mem.h"
#include "plan-format.h"
#include "program.h"
#include "run.h"
#include "str.h"

#define NUMBER_MIN 8u
#define NUMBER_MAX 4096u

typedef struct Given {
        uint32_t number;
        int fd;
} Given;

typedef struct Plan {
        char **argv, **environment;   /* of QEMU */
        char **options;               /* of virtqemu-watch */
        Given *fds;
        size_t n, allocated;
} Plan;

static void plan_clear(Plan *p) {
        strv_free(p->argv);
        strv_free(p->environment);
        strv_free(p->options);
        free(p->fds);
}

/* --- reading the answer --- */

/* Copies that stay open without the message, out of the way of all wanted numbers. */
static int read_descriptors(sd_bus_message *m, Plan *p) {
        uint32_t number;
        int fd, r;

        r = sd_bus_message_enter_container(m, 'a', "(uh)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(uh)", &number, &fd)) > 0) {
                if (number < NUMBER_MIN || number > NUMBER_MAX || !GROW(p->fds, p->allocated, p->n + 1))
                        return -EBADMSG;
                p->fds[p->n].number = number;
                p->fds[p->n].fd = fcntl(fd, F_DUPFD_CLOEXEC, (int) NUMBER_MAX + 1);
                if (p->fds[p->n++].fd < 0)
                        return -errno;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* How a setting becomes an option; the types are D-Bus'. */
static const struct {
        const char *name, *option;
        char type;
} settings[] = {
        { PLAN_MONITOR_FD, "monitor-fd", 'u' },
        { PLAN_LOG_FD, "log-fd", 'u' },
        { PLAN_KEPT_FDS, "kept-fds-from", 'u' },
        { PLAN_OWN_FDS, "own-fds-from", 'u' },
        { PLAN_PINS, "pins", 's' },
        { PLAN_STOP_TIMEOUT, "stop-timeout", 't' },
        { PLAN_POWERDOWN_INTERVAL, "powerdown-interval", 't' },
        { PLAN_HELD, "held", 'b' },
        { PLAN_PAUSED, "paused", 'b' },
        { PLAN_MAKES_FILES, "makes-files", 'b' },
        { PLAN_ON_POWEROFF, "on-poweroff", 's' },
        { PLAN_ON_REBOOT, "on-reboot", 's' },
        { PLAN_ON_CRASH, "on-crash", 's' },
};

static int read_value(sd_bus_message *m, const char *option, char type, char ***options) {
        const char *word;
        uint32_t small;
        uint64_t large;
        int flag, r;

        switch (type) {
        case 'u':
                r = sd_bus_message_read(m, "v", "u", &small);
                return r < 0 ? r : strv_pushf(options, "--%s=%u", option, small);
        case 't':
                r = sd_bus_message_read(m, "v", "t", &large);
                return r < 0 ? r : strv_pushf(options, "--%s=%llu", option, (unsigned long long) large);
        case 'b':
                r = sd_bus_message_read(m, "v", "b", &flag);
                return r < 0 || !flag ? r : strv_pushf(options, "--%s", option);
        default:
                r = sd_bus_message_read(m, "v", "s", &word);
                return r < 0 ? r : strv_pushf(options, "--%s=%s", option, word);
        }
}

static int read_setting(sd_bus_message *m, Plan *p) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        for (size_t i = 0; i < ARRAY_SIZE(settings) && r >= 0; i++)
                if (streq(settings[i].name, name))
                        return read_value(m, settings[i].option, settings[i].type, &p->options);
        return r < 0 ? r : sd_bus_message_skip(m, "v"); /* of a newer virtqemud */
}

static int read_settings(sd_bus_message *m, Plan *p) {
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_setting(m, p);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* --- becoming virtqemu-watch --- */

static int place_descriptors(const Plan *p) {
        /* The bus connection and everything else of ours goes; the copies are above. */
        if (close_range(3, NUMBER_MAX, 0) < 0)
                return -errno;
        for (size_t i = 0; i < p->n; i++)
                if (dup2(p->fds[i].fd, (int) p->fds[i].number) < 0)
                        return -errno;
        return 0;
}

static int build_argv(const Plan *p, const char *program, char ***ret) {
        _cleanup_strv_ char **argv = NULL;
        int r;

        r = strv_push(&argv, program);
        for (char **o = p->options; o && *o && r >= 0; o++)
                r = strv_push(&argv, *o);
        if (r >= 0)
                r = strv_push(&argv, "--");
        for (char **a = p->argv; a && *a && r >= 0; a++)
                r = strv_push(&argv, *a);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(argv);
        return 0;
}

/* What systemd told this process it tells virtqemu-watch, too: it is the same one. */
static int keep_environment(Plan *p) {
        static const char *const kept[] = { "NOTIFY_SOCKET=", "VIRTBUS_", "ASAN_OPTIONS=", "UBSAN_OPTIONS=" };
        int r = 0;

        for (char **e = environ; *e && r >= 0; e++)
                for (size_t i = 0; i < ARRAY_SIZE(kept) && r >= 0; i++)
                        if (str_after(*e, kept[i]))
                                r = strv_push(&p->environment, *e);
        return r;
}

/* A session's soft limit is too low for a guest with many disks. */
static void raise_limit(void) {
        struct rlimit l;

        if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
                l.rlim_cur = l.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &l);
        }
}

int run_plan(sd_bus_message *reply) {
        _cleanup_(plan_clear) Plan p = {};
        _cleanup_strv_ char **argv = NULL;
        _cleanup_free_ char *program = program_beside("virtqemu-watch");
        int r;

        if (!program)
                return -ENOMEM;
        raise_limit();
        r = sd_bus_message_read_strv(reply, &p.argv);
        if (r >= 0)
                r = sd_bus_message_read_strv(reply, &p.environment);
        if (r >= 0)
                r = read_descriptors(reply, &p);
        if (r >= 0)
                r = read_settings(reply, &p);
        if (r >= 0)
                r = keep_environment(&p);
        if (r >= 0)
                r = build_argv(&p, program, &argv);
        if (r >= 0)
                r = place_descriptors(&p);
        if (r < 0)
                return r;
        (void) execve(program, argv, p.environment);
        return -errno;
}
