/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtqemu-run: the main process of a VM's unit. Fetches the plan from virtqemud and becomes virtqemu-watch, which runs QEMU. It has
 * no work besides, so it may wait. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "mem.h"
#include "plan-format.h"
#include "run.h"
#include "str.h"

#define GET_PLAN_TIMEOUT_USEC UINT64_C(150000000)
#define EXIT_NOT_REACHED 69
#define EXIT_BAD_DEFINITION 78

static int usage(const char *program, int status) {
        fprintf(status == 0 ? stdout : stderr,
                "%s [OPTION...] [NAME]\n\n"
                "Runs a virtual machine that virtqemud has defined. Started as the unit virtqemu@NAME.service.\n\n"
                "     --instance=TEXT  The name as it is in the name of its unit\n"
                "     --socket=PATH    virtqemud's private socket\n"
                "     --user           The calling user's virtqemud, not the system's\n", program);
        return status;
}

typedef struct Options {
        char *socket, *name;
} Options;

static void options_clear(Options *o) {
        free(o->socket);
        free(o->name);
}

/* "my\\x20vm" -> "my vm". Unlike systemd's %I this leaves '-' alone: names may hold it, but no '/'. */
static char *unescape_instance(const char *escaped) {
        char *name = strdup(escaped), *to = name;

        for (const char *p = escaped; name && *p; p++) {
                char hex[3] = {};
                uint64_t value;

                if (*p == '\\' && p[1] == 'x' && p[2] && p[3]) {
                        memcpy(hex, p + 2, 2);
                        if (parse_u64(hex, 16, &value) >= 0 && value > 0) {
                                *to++ = (char) value;
                                p += 3;
                                continue;
                        }
                }
                *to++ = *p;
        }
        if (name)
                *to = '\0';
        return name;
}

static int parse_options(int argc, char *argv[], Options *o) {
        enum { OPT_SOCKET = 0x100, OPT_USER, OPT_INSTANCE };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "instance", required_argument, NULL, OPT_INSTANCE },
                { "socket", required_argument, NULL, OPT_SOCKET },
                { "user", no_argument, NULL, OPT_USER },
                {}
        };
        const char *folder = getenv("XDG_RUNTIME_DIR"), *socket = "/run/virtbus/virtqemud.sock", *instance = NULL;
        bool user = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h': exit(usage(argv[0], 0));
                case OPT_INSTANCE: instance = ASSERT_PTR(optarg); break;
                case OPT_SOCKET: socket = ASSERT_PTR(optarg); break;
                case OPT_USER: user = true; break;
                default: return -EINVAL;
                }
        if (optind + (instance ? 0 : 1) != argc || (user && !folder))
                return -EINVAL;
        o->socket = user ? strf("%s/virtbus/virtqemud.sock", folder) : strdup(socket);
        o->name = instance ? unescape_instance(instance) : strdup(argv[optind]);
        return o->socket && o->name ? 0 : -ENOMEM;
}

/* D-Bus addresses escape all but a few characters. */
static char *address_of(const char *path) {
        Text t = TEXT_INIT;

        text_add(&t, "unix:path=");
        for (; *path; path++)
                if (strchr("-/_.*", *path) || (*path >= '0' && *path <= '9') || (*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z'))
                        text_addn(&t, path, 1);
                else
                        text_addf(&t, "%%%02x", (unsigned char) *path);
        return text_finish(&t);
}

static int connect_to(const char *socket, sd_bus **ret) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *address = address_of(socket);
        int r;

        if (!address)
                return -ENOMEM;
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

static int refused(const char *name, const sd_bus_error *error, int r) {
        static const char *const bad[] = { "org.virtbus.Error.NoSuchDomain", "org.virtbus.Error.InvalidDefinition" };
        bool disconnected = r == -ECONNREFUSED || r == -ENOENT || r == -ECONNRESET || r == -ENOTCONN ||
                            sd_bus_error_has_name(error, "org.virtbus.Error.Stopping");

        fprintf(stderr, "%s can't be started: %s\n", name, error->message ?: strerror(-r));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                if (sd_bus_error_has_name(error, bad[i]))
                        return EXIT_BAD_DEFINITION;
        return disconnected ? EXIT_NOT_REACHED : EXIT_FAILURE;
}

int main(int argc, char *argv[]) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        _cleanup_(options_clear) Options o = {};
        int r;

        if (parse_options(argc, argv, &o) < 0)
                return usage(argv[0], 64);
        r = connect_to(o.socket, &bus);
        if (r < 0) {
                fprintf(stderr, "virtqemud can't be reached at %s: %s\n", o.socket, strerror(-r));
                return EXIT_NOT_REACHED;
        }
        r = sd_bus_message_new_method_call(bus, &call, NULL, "/org/virtbus/qemu1", "org.virtbus.qemu1.Manager", "GetPlan");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", o.name);
        if (r >= 0)
                r = sd_bus_call(bus, call, GET_PLAN_TIMEOUT_USEC, &error, &reply);
        if (r < 0)
                return refused(o.name, &error, r);
        r = run_plan(reply);
        fprintf(stderr, "%s can't be started: %s\n", o.name, strerror(-r));
        return EXIT_FAILURE;
}
