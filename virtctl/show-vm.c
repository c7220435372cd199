/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "show-vm.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "show-device.h"
#include "show.h"
#include "str.h"
#include "terminal.h"

void show_head(const char *name, const char *title, const char *state) {
        bool utf8 = streq(nl_langinfo(CODESET), "UTF-8");
        const char *dot = !utf8 ? "*" : streq(state, "shutoff") ? "○" : streq(state, "broken") || streq(state, "crashed") ? "×" : "●";
        _cleanup_free_ char *text = strf("%s%s%s", name, *title ? " - " : "", title);
        size_t room = terminal_width() > 4 ? terminal_width() - 2 : SIZE_MAX;

        printf("%s%s%s ", terminal_state(state), dot, terminal_plain());
        if (text && text_width(text) > room)
                printf("%.*s…\n", (int) text_fits(text, room - 1), text);
        else
                puts(text ?: name);
}

/* --- what it does --- */

static void show_state(const json_t *d) {
        const char *state = show_text(d, "State"), *pause = show_text(d, "PauseReason"), *reason = show_text(d, "StateReason");
        uint64_t since_usec = show_number(d, "StateTimestamp");
        char since[128];
        bool known;

        format_since(since_usec, now_usec(CLOCK_REALTIME), since, sizeof(since));
        known = !streq(reason, "unknown");
        print_line("State", "%s%s%s%s%s%s%s%s", terminal_state(state), state, terminal_plain(), known ? " (" : "", known ? reason : "", known ? ")" : "",
                   since_usec > 0 ? " since " : "", since_usec > 0 ? since : "");
        if (*pause)
                print_line("Stopped by", "%s", pause);
}

static void show_definition(const json_t *d) {
        const char *unit = show_text(d, "Unit"), *enabled = json_is_true(json_object_get(d, "Autostart")) ? "enabled" : "disabled";
        bool persistent = json_is_true(json_object_get(d, "Persistent"));

        if (*unit)
                print_line("Unit", "%s; %s", unit, enabled);
        print_line("Defined", "%s%s%s", persistent ? "yes" : "no, it is gone when it ends", *unit ? "" : "; ", *unit ? "" : enabled);
        print_line("UUID", "%s", show_text(d, "UUID"));
        if (*show_text(d, "MachineName"))
                print_line("Machine", "%s", show_text(d, "MachineName"));
        if (show_number(d, "MainPID") > 0)
                print_line("QEMU PID", "%llu", (unsigned long long) show_number(d, "MainPID"));
}

/* "start, waiting for QEMU, 40%, 1.2G of 3G, 1min left" */
static void show_job(const json_t *job) {
        double progress = json_number_value(json_object_get(job, "Progress"));
        uint64_t total = show_number(job, "BytesTotal"), end = show_number(job, "ExpectedEndTimestamp"), now = now_usec(CLOCK_REALTIME);
        const char *phase = show_text(job, "Phase");
        char percent[16] = "", bytes[80] = "", left[64] = "", done_text[32], total_text[32];

        if (!job)
                return;
        if (progress >= 0 && progress <= 1)
                (void) snprintf(percent, sizeof(percent), ", %.0f%%", progress * 100);
        format_size(show_number(job, "BytesDone"), done_text, sizeof(done_text));
        format_size(total, total_text, sizeof(total_text));
        if (total > 0)
                (void) snprintf(bytes, sizeof(bytes), ", %s of %s", done_text, total_text);
        if (end > now)
                format_age(end - now, left, sizeof(left));
        print_line("Job", "%s%s%s%s%s%s%s%s", show_text(job, "Operation"), *phase ? ", " : "", phase, percent, bytes, *left ? ", " : "", left,
                   *left ? " left" : "");
}

/* --- what it is and takes --- */

static void format_cpu_time(uint64_t nsec, char *buffer, size_t size) {
        if (nsec < UINT64_C(10000000000))
                (void) snprintf(buffer, size, "%.3fs", (double) nsec / 1e9);
        else
                format_age(nsec / 1000, buffer, size);
}

static void show_processors(const json_t *d, const json_t *statistics) {
        const json_t *vcpus = json_object_get(d, "VCPUs");
        json_int_t current = json_integer_value(json_array_get(vcpus, 0)), maximum = json_integer_value(json_array_get(vcpus, 1));
        uint64_t spent = show_number(statistics, "cpu.unit.time") ?: show_number(statistics, "cpu.time");
        char text[64];

        if (*show_text(d, "Architecture"))
                print_line("Hardware", "%s %s, %s, %s", show_text(d, "Architecture"), show_text(d, "MachineType"), show_text(d, "Firmware"),
                           show_text(d, "Type"));
        if (maximum > current)
                print_line("VCPUs", "%" JSON_INTEGER_FORMAT " of at most %" JSON_INTEGER_FORMAT, current, maximum);
        else if (current > 0)
                print_line("VCPUs", "%" JSON_INTEGER_FORMAT, current);
        if (spent > 0) {
                format_cpu_time(spent, text, sizeof(text));
                print_line("CPU", "%s", text);
        }
}

/* What is said by the definition, by the balloon, by the guest, and by the host. */
static void show_memory(const json_t *d, const json_t *statistics) {
        uint64_t current = show_number(d, "MemoryCurrent"), balloon = show_number(statistics, "balloon.current");
        uint64_t available = show_number(statistics, "balloon.available"), unused = show_number(statistics, "balloon.unused");
        uint64_t host = show_number(statistics, "memory.unit.current") ?: show_number(statistics, "memory.rss");
        char text[32], max[32], more[160] = "";
        size_t n = 0;

        if (show_number(d, "MemoryMax") == 0)
                return;
        format_size(current, text, sizeof(text));
        format_size(show_number(d, "MemoryMax"), max, sizeof(max));
        if (balloon > 0 && balloon != current) {
                char real[32];

                format_size(balloon, real, sizeof(real));
                n += (size_t) snprintf(more + n, sizeof(more) - n, "; the balloon leaves %s", real);
        }
        if (available > unused) {
                char used[32];

                format_size(available - unused, used, sizeof(used));
                n += (size_t) snprintf(more + n, sizeof(more) - n, "; the guest uses %s", used);
        }
        if (host > 0) {
                char taken[32];

                format_size(host, taken, sizeof(taken));
                (void) snprintf(more + n, sizeof(more) - n, "; %s of the host", taken);
        }
        print_line("Memory", "%s%s%s%s", text, show_number(d, "MemoryMax") > current ? " of at most " : "", show_number(d, "MemoryMax") > current ? max : "",
                   more);
}

static void show_addresses(const json_t *d) {
        json_t *a;
        size_t i;

        json_array_foreach(json_object_get(d, "Addresses"), i, a)
                print_line("Address", "%s/%lld on %s (%s)", json_string_value(json_array_get(a, 1)) ?: "?", json_integer_value(json_array_get(a, 2)),
                           json_string_value(json_array_get(a, 0)) ?: "", json_string_value(json_array_get(a, 3)) ?: "");
}

/* Without a channel for it there is nothing to say. */
static void show_agent(const json_t *agent) {
        const char *state = show_text(agent, "AgentState"), *version = show_text(agent, "AgentVersion"), *name = show_text(agent, "Hostname");
        const char *os = show_text(json_object_get(agent, "OS"), "pretty-name");

        if (*state && !streq(state, "absent"))
                print_line("Agent", "%s%s%s%s%s%s%s", state, *version ? " " : "", version, *name ? ", " : "", name, *os ? ", " : "", os);
}

/* --- what is not as it should be --- */

/* What to do about a warning, by words of it. */
static const struct {
        const char *words, *hint;
} hints[] = {
        { "has ended, its log tells why", "its device works again after a new start: virtctl stop, virtctl start" },
        { "started without", "put it back, or take the disk out of the definition; the VM sees it at its next start" },
        { "its definition says what could not be done", "virtctl pending shows what; it is done at the next start" },
        { "a unit, and it is", "run virtqemud where there is systemd: its VMs are units then" },
        { "they are systemd's to keep", "run virtqemud where there is systemd: its VMs are units then" },
        { "the lease of", "stop it unless you know that no other VM has the image: virtctl leases" },
        { "can't be kept on the CPUs", "virtctl set gives it CPUs that the host has: EmulatorPin, VCPUPins, IOThreadPins" },
        { "QEMU's monitor can't be used", "virtctl kill ends it, virtctl start gives it a new one" },
        { "can't be used", "it works again after a new start: virtctl stop, virtctl start" },
        { "is not kept", "see whether virtlogd works, and has room: systemctl status virtlogd" },
        { "not registered with systemd-machined", "see whether it works: systemctl status systemd-machined" },
};

static void show_warning(const json_t *d, const char *text) {
        print_line("Warning", "%s%s%s", terminal_state("warning"), text, terminal_plain());
        for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
                if (strstr(text, hints[i].words)) {
                        print_line("", "%s", hints[i].hint);
                        return;
                }
        if (*show_text(d, "Unit"))
                print_line("", "what led to it: journalctl -u %s", show_text(d, "Unit"));
}

static void show_troubles(const json_t *d) {
        const json_t *error = json_object_get(d, "LastError");
        const char *text = json_string_value(json_array_get(error, 0)) ?: "", *hint = json_string_value(json_array_get(error, 1)) ?: "";
        json_t *item;
        size_t i;

        json_array_foreach(json_object_get(d, "Warnings"), i, item)
                show_warning(d, json_string_value(item) ?: "");
        json_array_foreach(json_object_get(d, "Tainted"), i, item)
                print_line("Tainted", "%s", json_string_value(item));
        if (*text)
                print_line("Last error", "%s%s%s", terminal_state("failed"), text, terminal_plain());
        if (*hint)
                print_line("", "%s", hint);
}

static const char *when_text(const char *when) {
        static const struct {
                const char *when, *text;
        } words[] = { { "now", "can be had now" }, { "reboot", "at the guest's next reboot" }, { "power-off", "after power-off" } };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (streq(words[i].when, when))
                        return words[i].text;
        return when;
}

/* "vda cache: none, will be writeback; after power-off" */
static void show_pending(const json_t *d) {
        const json_t *row;
        size_t i;

        json_array_foreach(json_object_get(d, "Pending"), i, row) {
                const char *device = show_text(row, "device"), *now = show_text(row, "running"), *then = show_text(row, "defined");

                print_line(i == 0 ? "Pending" : "", "%s%s%s: %s, will be %s; %s", device, *device ? " " : "", show_text(row, "setting"),
                           *now ? now : "nothing", *then ? then : "nothing", when_text(show_text(row, "when")));
        }
}

/* --- what it says --- */

static void show_log_line(const char *line) {
        size_t width = terminal_width();

        if (width > 4 && text_width(line) > width - 2)
                printf("  %.*s…\n", (int) text_fits(line, width - 3), line);
        else
                printf("  %s\n", line);
}

static void show_log(const json_t *d) {
        const char *name;
        json_t *lines, *line;
        size_t i;

        json_object_foreach(json_object_get(d, "Log"), name, lines) {
                printf("\n%s%s:%s\n", terminal_bold(), name, terminal_plain());
                json_array_foreach(lines, i, line)
                        show_log_line(json_string_value(line) ?: "");
        }
}

void show_vm(const json_t *vm) {
        const json_t *statistics = json_object_get(vm, "Statistics");

        show_head(show_text(vm, "Name"), show_text(vm, "Title"), show_text(vm, "State"));
        show_state(vm);
        show_job(json_object_get(vm, "JobUnderWay"));
        show_definition(vm);
        show_processors(vm, statistics);
        show_memory(vm, statistics);
        show_addresses(vm);
        show_devices(vm);
        show_agent(json_object_get(vm, "Agent"));
        show_troubles(vm);
        show_pending(vm);
        show_log(vm);
}
