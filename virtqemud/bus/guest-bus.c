/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <time.h>

#include "base64.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "guest-answer.h"
#include "guest-bus.h"
#include "guest-call.h"
#include "mem.h"
#include "service.h"
#include "str.h"

/* org.virtbus.qemu1.Guest, on the objects of domains: what the agent in the guest says and does. */

#define FREEZE_TIMEOUT_USEC UINT64_C(60000000) /* everything that is written has to reach the disks */
#define SECOND UINT64_C(1000000)

/* --- properties --- */

BUS_GETTER(get_state) {
        return sd_bus_message_append(reply, "s", guest_agent_state_to_string(domain_agent_state(userdata)));
}

BUS_GETTER(get_version) {
        return sd_bus_message_append(reply, "s", domain_agent_version(userdata));
}

BUS_GETTER(get_commands) {
        char *const none[] = { NULL }, *const *commands = domain_agent_commands(userdata);

        return sd_bus_message_append_strv(reply, (char **) (commands ?: none));
}

BUS_GETTER(get_hostname) {
        return sd_bus_message_append(reply, "s", domain_guest_hostname(userdata));
}

BUS_GETTER(get_os) {
        int r = sd_bus_message_open_container(reply, 'a', "{ss}");
        const char *key;
        json_t *value;

        json_object_foreach((json_t *) domain_guest_os(userdata), key, value)
                if (r >= 0)
                        r = sd_bus_message_append(reply, "{ss}", key, json_string_value(value));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* --- methods that ask, and no more --- */

static int ask(sd_bus_message *m, Domain *d, const char *command, GuestAnswer answer, sd_bus_error *error) {
        uint64_t timeout;
        int r = guest_read_timeout(m, &timeout, error);

        return r < 0 ? r : guest_call(d, m, command, NULL, timeout, answer, error);
}

BUS_HANDLER(method_ping, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-ping", guest_answer_nothing, error);
}

BUS_HANDLER(method_get_hostname, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-host-name", guest_answer_hostname, error);
}

BUS_HANDLER(method_get_timezone, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-timezone", guest_answer_timezone, error);
}

BUS_HANDLER(method_get_users, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-users", guest_answer_users, error);
}

BUS_HANDLER(method_get_time, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-time", guest_answer_time, error);
}

BUS_HANDLER(method_get_filesystems, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-fsinfo", guest_answer_filesystems, error);
}

BUS_HANDLER(method_get_disks, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-disks", guest_answer_disks, error);
}

BUS_HANDLER(method_get_interfaces, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-network-get-interfaces", guest_answer_interfaces, error);
}

BUS_HANDLER(method_get_vcpus, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-vcpus", guest_answer_vcpus, error);
}

BUS_HANDLER(method_get_freeze_status, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-fsfreeze-status", guest_answer_status, error);
}

/* --- methods with arguments --- */

static int strings_to_json(sd_bus_message *m, json_t **ret, Fault *f) {
        _cleanup_strv_ char **strings = NULL;
        json_auto_t *list = json_array();
        int r = bus_read_strings(m, &strings, f);

        for (char **s = strings; r >= 0 && s && *s; s++)
                r = json_array_append_new(list, json_string(*s)) < 0 ? -ENOMEM : 0;
        if (r < 0)
                return r;
        *ret = json_incref(list);
        return 0;
}

BUS_HANDLER(method_set_time, ACTION_GUEST) {
        uint64_t usec, timeout;
        struct timespec now;
        int r = sd_bus_message_read(m, "t", &usec);

        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        if (r < 0)
                return r;
        if (usec == 0 && clock_gettime(CLOCK_REALTIME, &now) == 0)
                usec = (uint64_t) now.tv_sec * SECOND + (uint64_t) now.tv_nsec / 1000;
        if (usec > INT64_MAX / 1000)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "times are in µs since 1970");
        return guest_call(userdata, m, "guest-set-time", json_pack("{s:I}", "time", (json_int_t) usec * 1000), timeout, guest_answer_nothing, error);
}

BUS_HANDLER(method_freeze, ACTION_GUEST) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_auto_t *folders = NULL;
        uint64_t timeout;
        int r = strings_to_json(m, &folders, &f);

        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = guest_read_timeout(m, &timeout, error);
        if (r < 0)
                return r;
        if (json_array_size(folders) == 0)
                return guest_call(userdata, m, "guest-fsfreeze-freeze", NULL, timeout ?: FREEZE_TIMEOUT_USEC, guest_answer_number, error);
        return guest_call(userdata, m, "guest-fsfreeze-freeze-list", json_pack("{s:O}", "mountpoints", folders), timeout ?: FREEZE_TIMEOUT_USEC,
                          guest_answer_number, error);
}

BUS_HANDLER(method_thaw, ACTION_GUEST) {
        uint64_t timeout;
        int r = guest_read_timeout(m, &timeout, error);

        return r < 0 ? r : guest_call(userdata, m, "guest-fsfreeze-thaw", NULL, timeout ?: FREEZE_TIMEOUT_USEC, guest_answer_number, error);
}

BUS_HANDLER(method_trim, ACTION_GUEST) {
        uint64_t minimum, timeout;
        int r = sd_bus_message_read(m, "t", &minimum);

        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        return r < 0 ? r : guest_call(userdata, m, "guest-fstrim", json_pack("{s:I}", "minimum", (json_int_t) MIN(minimum, (uint64_t) INT64_MAX)),
                                      timeout ?: 10 * FREEZE_TIMEOUT_USEC, guest_answer_trimmed, error);
}

BUS_HANDLER(method_set_password, ACTION_GUEST) {
        _cleanup_free_ char *encoded = NULL;
        const char *user, *password;
        uint64_t timeout;
        int crypted, r = sd_bus_message_read(m, "ssb", &user, &password, &crypted);

        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        if (r < 0)
                return r;
        encoded = base64_encode(password, strlen(password));
        if (!encoded)
                return -ENOMEM;
        return guest_call(userdata, m, "guest-set-user-password", json_pack("{s:s, s:s, s:b}", "username", user, "password", encoded, "crypted", crypted),
                          timeout, guest_answer_nothing, error);
}

BUS_HANDLER(method_get_keys, ACTION_GUEST_READ) {
        const char *user;
        uint64_t timeout;
        int r = sd_bus_message_read(m, "s", &user);

        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        return r < 0 ? r : guest_call(userdata, m, "guest-ssh-get-authorized-keys", json_pack("{s:s}", "username", user), timeout, guest_answer_keys, error);
}

BUS_HANDLER(method_add_keys, ACTION_GUEST) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_auto_t *keys = NULL;
        const char *user;
        uint64_t timeout;
        int reset, r = sd_bus_message_read(m, "s", &user);

        if (r >= 0)
                r = strings_to_json(m, &keys, &f);
        if (r >= 0)
                r = sd_bus_message_read(m, "b", &reset);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = guest_read_timeout(m, &timeout, error);
        return r < 0 ? r : guest_call(userdata, m, "guest-ssh-add-authorized-keys",
                                      json_pack("{s:s, s:O, s:b}", "username", user, "keys", keys, "reset", reset), timeout, guest_answer_nothing, error);
}

BUS_HANDLER(method_remove_keys, ACTION_GUEST) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_auto_t *keys = NULL;
        const char *user;
        uint64_t timeout;
        int r = sd_bus_message_read(m, "s", &user);

        if (r >= 0)
                r = strings_to_json(m, &keys, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = guest_read_timeout(m, &timeout, error);
        return r < 0 ? r : guest_call(userdata, m, "guest-ssh-remove-authorized-keys", json_pack("{s:s, s:O}", "username", user, "keys", keys), timeout,
                                      guest_answer_nothing, error);
}

BUS_HANDLER(method_set_vcpus, ACTION_GUEST) {
        json_auto_t *list = json_array();
        uint64_t number, timeout;
        int online, r = sd_bus_message_enter_container(m, 'a', "(tb)");

        while (r >= 0 && (r = sd_bus_message_read(m, "(tb)", &number, &online)) > 0)
                if (json_array_append_new(list, json_pack("{s:I, s:b}", "logical-id", (json_int_t) number, "online", online)) < 0)
                        r = -ENOMEM;
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        return r < 0 ? r : guest_call(userdata, m, "guest-set-vcpus", json_pack("{s:O}", "vcpus", list), timeout, guest_answer_number, error);
}

BUS_HANDLER(method_suspend, ACTION_GUEST) {
        static const struct {
                const char *mode, *command;
        } modes[] = { { "ram", "guest-suspend-ram" }, { "disk", "guest-suspend-disk" }, { "hybrid", "guest-suspend-hybrid" } };
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *mode;
        uint64_t timeout;
        int r = sd_bus_message_read(m, "s", &mode);

        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
                if (streq(modes[i].mode, mode))
                        return guest_call_silent(userdata, m, modes[i].command, timeout, error);
        r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "there is no mode \"%.32s\": it is ram, disk or hybrid", mode);
        return fault_to_bus(&f, r, error);
}

/* Whoever talks to the guest behind our back may have changed anything in it, but nothing of ours. */
BUS_HANDLER(method_command, ACTION_GUEST) {
        json_auto_t *json = NULL;
        const char *text, *name;
        uint64_t timeout;
        json_error_t e;
        int r = sd_bus_message_read(m, "s", &text);

        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        if (r < 0)
                return r;
        json = text[0] == '{' ? json_loads(text, JSON_REJECT_DUPLICATES, &e) : json_pack("{s:s}", "execute", text);
        name = json_string_value(json_object_get(json, "execute"));
        if (!name)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "the command is no JSON object with an \"execute\"");
        return guest_call(userdata, m, name, json_incref(json_object_get(json, "arguments")), timeout, guest_answer_json, error);
}

/* --- the interface --- */

#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define FLAGS SD_BUS_PARAM(flags) SD_BUS_PARAM(options)
#define METHOD(member, in, in_names, out, out_names, handler)                                           \
        SD_BUS_METHOD_WITH_NAMES(member, in "ta{sv}", in_names FLAGS, out, out_names, handler, SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable guest_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("AgentState", "s", get_state, 0, EMITS),
        SD_BUS_PROPERTY("AgentVersion", "s", get_version, 0, EMITS),
        SD_BUS_PROPERTY("AgentCommands", "as", get_commands, 0, EMITS),
        SD_BUS_PROPERTY("Hostname", "s", get_hostname, 0, EMITS),
        SD_BUS_PROPERTY("OS", "a{ss}", get_os, 0, EMITS),
        METHOD("Ping", "",, "",, method_ping),
        METHOD("GetHostname", "",, "s", SD_BUS_PARAM(hostname), method_get_hostname),
        METHOD("GetTimezone", "",, "si", SD_BUS_PARAM(zone) SD_BUS_PARAM(offset), method_get_timezone),
        METHOD("GetUsers", "",, "a(sst)", SD_BUS_PARAM(users), method_get_users),
        METHOD("GetTime", "",, "t", SD_BUS_PARAM(usec), method_get_time),
        METHOD("SetTime", "t", SD_BUS_PARAM(usec), "",, method_set_time),
        METHOD("GetFilesystems", "",, "a(sssttas)", SD_BUS_PARAM(filesystems), method_get_filesystems),
        METHOD("GetDisks", "",, "a(sbs)", SD_BUS_PARAM(disks), method_get_disks),
        METHOD("GetInterfaces", "",, "a(ssa(ayy))", SD_BUS_PARAM(interfaces), method_get_interfaces),
        METHOD("GetVCPUs", "",, "a(tbb)", SD_BUS_PARAM(vcpus), method_get_vcpus),
        METHOD("SetOnlineVCPUs", "a(tb)", SD_BUS_PARAM(vcpus), "u", SD_BUS_PARAM(done), method_set_vcpus),
        METHOD("GetFreezeStatus", "",, "s", SD_BUS_PARAM(status), method_get_freeze_status),
        METHOD("FreezeFilesystems", "as", SD_BUS_PARAM(folders), "u", SD_BUS_PARAM(frozen), method_freeze),
        METHOD("ThawFilesystems", "",, "u", SD_BUS_PARAM(thawed), method_thaw),
        METHOD("TrimFilesystems", "t", SD_BUS_PARAM(minimum), "a(sts)", SD_BUS_PARAM(trimmed), method_trim),
        SD_BUS_METHOD_WITH_NAMES("SetPassword", "ssb" "ta{sv}", SD_BUS_PARAM(user) SD_BUS_PARAM(password) SD_BUS_PARAM(crypted) FLAGS, "",,
                                 method_set_password, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        METHOD("GetSSHKeys", "s", SD_BUS_PARAM(user), "as", SD_BUS_PARAM(keys), method_get_keys),
        METHOD("AddSSHKeys", "sasb", SD_BUS_PARAM(user) SD_BUS_PARAM(keys) SD_BUS_PARAM(reset), "",, method_add_keys),
        METHOD("RemoveSSHKeys", "sas", SD_BUS_PARAM(user) SD_BUS_PARAM(keys), "",, method_remove_keys),
        METHOD("Sleep", "s", SD_BUS_PARAM(mode), "",, method_suspend),
        METHOD("Command", "s", SD_BUS_PARAM(command), "s", SD_BUS_PARAM(result), method_command),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable *const guest_vtables[] = { guest_vtable, guest_exec_vtable, NULL };

const BusObject guest_object = {
        .path = QEMU1_ROOT "/domain", .many = true, .interface = QEMU1_GUEST, .vtables = guest_vtables,
        .find = domain_object_find, .details = domain_object_details,
};
