/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <time.h>

#include "base64.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "guest-bus.h"
#include "guest-call.h"
#include "mem.h"
#include "netaddr.h"
#include "service.h"
#include "str.h"

/* org.virtbus.qemu1.Guest, on the objects of domains: what the agent in the guest says and does. */

#define LIST_MAX 4096u               /* rows that are taken from the guest */
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

/* --- answers --- */

static int append_text(sd_bus_message *reply, const json_t *json) {
        _cleanup_free_ char *text = guest_text(json);

        return sd_bus_message_append(reply, "s", text ?: "");
}

static uint64_t number_of(const json_t *json) {
        return json_is_integer(json) && json_integer_value(json) > 0 ? (uint64_t) json_integer_value(json) : 0;
}

/* Rows of an array: `append` for each, in a container of that type. */
static int append_list(sd_bus_message *reply, const json_t *list, const char *type, int (*append)(sd_bus_message *reply, const json_t *row)) {
        int r = json_is_array(list) ? sd_bus_message_open_container(reply, 'a', type) : -EBADMSG;
        const json_t *row;
        size_t i;

        json_array_foreach(list, i, row)
                if (r >= 0 && i < LIST_MAX)
                        r = append(reply, row);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_user(sd_bus_message *reply, const json_t *row) {
        double login = json_number_value(json_object_get(row, "login-time"));
        int r = sd_bus_message_open_container(reply, 'r', "sst");

        if (r >= 0)
                r = append_text(reply, json_object_get(row, "user"));
        if (r >= 0)
                r = append_text(reply, json_object_get(row, "domain"));
        if (r >= 0)
                r = sd_bus_message_append(reply, "t", login > 0 && login < 1e12 ? (uint64_t) (login * 1e6) : 0);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int answer_users(sd_bus_message *reply, const json_t *result) {
        return append_list(reply, result, "(sst)", append_user);
}

static int answer_hostname(sd_bus_message *reply, const json_t *result) {
        return append_text(reply, json_object_get(result, "host-name"));
}

static int answer_timezone(sd_bus_message *reply, const json_t *result) {
        int r = append_text(reply, json_object_get(result, "zone"));

        return r < 0 ? r : sd_bus_message_append(reply, "i", (int32_t) json_integer_value(json_object_get(result, "offset")));
}

static int answer_time(sd_bus_message *reply, const json_t *result) {
        return json_is_integer(result) ? sd_bus_message_append(reply, "t", number_of(result) / 1000) : -EBADMSG;
}

static int answer_number(sd_bus_message *reply, const json_t *result) {
        return json_is_integer(result) ? sd_bus_message_append(reply, "u", (uint32_t) MIN(number_of(result), UINT32_MAX)) : -EBADMSG;
}

static int append_disk_of(sd_bus_message *reply, const json_t *row) {
        return append_text(reply, json_object_get(row, "dev"));
}

static int append_filesystem(sd_bus_message *reply, const json_t *row) {
        int r = sd_bus_message_open_container(reply, 'r', "sssttas");

        if (r >= 0)
                r = append_text(reply, json_object_get(row, "name"));
        if (r >= 0)
                r = append_text(reply, json_object_get(row, "mountpoint"));
        if (r >= 0)
                r = append_text(reply, json_object_get(row, "type"));
        if (r >= 0)
                r = sd_bus_message_append(reply, "tt", number_of(json_object_get(row, "total-bytes")), number_of(json_object_get(row, "used-bytes")));
        if (r >= 0)
                r = append_list(reply, json_object_get(row, "disk"), "s", append_disk_of);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int answer_filesystems(sd_bus_message *reply, const json_t *result) {
        return append_list(reply, result, "(sssttas)", append_filesystem);
}

static int append_disk(sd_bus_message *reply, const json_t *row) {
        int r = sd_bus_message_open_container(reply, 'r', "sbs");

        if (r >= 0)
                r = append_text(reply, json_object_get(row, "name"));
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", json_is_true(json_object_get(row, "partition")));
        if (r >= 0)
                r = append_text(reply, json_object_get(row, "alias"));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int answer_disks(sd_bus_message *reply, const json_t *result) {
        return append_list(reply, result, "(sbs)", append_disk);
}

static int append_address(sd_bus_message *reply, const json_t *row) {
        const char *text = json_string_value(json_object_get(row, "ip-address"));
        IpAddress ip;
        int r;

        if (!text || ip_from_text(text, &ip) < 0)
                return 0;
        r = sd_bus_message_open_container(reply, 'r', "ayy");
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', ip.bytes, ip_bits(ip.family) / 8);
        if (r >= 0)
                r = sd_bus_message_append(reply, "y", (uint8_t) MIN(number_of(json_object_get(row, "prefix")), ip_bits(ip.family)));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_interface(sd_bus_message *reply, const json_t *row) {
        const json_t *addresses = json_object_get(row, "ip-addresses");
        json_auto_t *none = json_array();
        int r = sd_bus_message_open_container(reply, 'r', "ssa(ayy)");

        if (r >= 0)
                r = append_text(reply, json_object_get(row, "name"));
        if (r >= 0)
                r = append_text(reply, json_object_get(row, "hardware-address"));
        if (r >= 0)
                r = append_list(reply, addresses ?: none, "(ayy)", append_address);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int answer_interfaces(sd_bus_message *reply, const json_t *result) {
        return append_list(reply, result, "(ssa(ayy))", append_interface);
}

static int append_vcpu(sd_bus_message *reply, const json_t *row) {
        const json_t *may = json_object_get(row, "can-offline");

        return sd_bus_message_append(reply, "(tbb)", number_of(json_object_get(row, "logical-id")), json_is_true(json_object_get(row, "online")),
                                     json_is_true(may));
}

static int compare_vcpus(const void *a, const void *b) {
        uint64_t x = number_of(json_object_get(*(json_t *const *) a, "logical-id")), y = number_of(json_object_get(*(json_t *const *) b, "logical-id"));

        return x < y ? -1 : x > y;
}

/* The agent says them as it finds them in a folder. */
static int answer_vcpus(sd_bus_message *reply, const json_t *result) {
        size_t n = json_array_size(result);
        _cleanup_free_ json_t **rows = new0(json_t *, n + 1);
        json_auto_t *sorted = json_is_array(result) ? json_array() : NULL;

        if (!rows)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                rows[i] = json_array_get(result, i);
        qsort(rows, n, sizeof(*rows), compare_vcpus);
        for (size_t i = 0; i < n; i++)
                if (json_array_append(sorted, rows[i]) < 0)
                        return -ENOMEM;
        return append_list(reply, sorted, "(tbb)", append_vcpu);
}

static int append_trimmed(sd_bus_message *reply, const json_t *row) {
        int r = sd_bus_message_open_container(reply, 'r', "sts");

        if (r >= 0)
                r = append_text(reply, json_object_get(row, "path"));
        if (r >= 0)
                r = sd_bus_message_append(reply, "t", number_of(json_object_get(row, "trimmed")));
        if (r >= 0)
                r = append_text(reply, json_object_get(row, "error"));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int answer_trimmed(sd_bus_message *reply, const json_t *result) {
        return append_list(reply, json_object_get(result, "paths"), "(sts)", append_trimmed);
}

static int answer_status(sd_bus_message *reply, const json_t *result) {
        return append_text(reply, result);
}

/* A key is longer than other texts. */
static int append_key(sd_bus_message *reply, const json_t *row) {
        return json_is_string(row) ? sd_bus_message_append(reply, "s", json_string_value(row)) : -EBADMSG;
}

static int answer_keys(sd_bus_message *reply, const json_t *result) {
        return append_list(reply, json_object_get(result, "keys"), "s", append_key);
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
        return ask(m, userdata, "guest-get-host-name", answer_hostname, error);
}

BUS_HANDLER(method_get_timezone, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-timezone", answer_timezone, error);
}

BUS_HANDLER(method_get_users, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-users", answer_users, error);
}

BUS_HANDLER(method_get_time, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-time", answer_time, error);
}

BUS_HANDLER(method_get_filesystems, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-fsinfo", answer_filesystems, error);
}

BUS_HANDLER(method_get_disks, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-disks", answer_disks, error);
}

BUS_HANDLER(method_get_interfaces, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-network-get-interfaces", answer_interfaces, error);
}

BUS_HANDLER(method_get_vcpus, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-get-vcpus", answer_vcpus, error);
}

BUS_HANDLER(method_get_freeze_status, ACTION_GUEST_READ) {
        return ask(m, userdata, "guest-fsfreeze-status", answer_status, error);
}

/* --- methods with arguments --- */

static int strings_to_json(sd_bus_message *m, json_t **ret) {
        _cleanup_strv_ char **strings = NULL;
        json_auto_t *list = json_array();
        int r = sd_bus_message_read_strv(m, &strings);

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
        json_auto_t *folders = NULL;
        uint64_t timeout;
        int r = strings_to_json(m, &folders);

        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        if (r < 0)
                return r;
        if (json_array_size(folders) == 0)
                return guest_call(userdata, m, "guest-fsfreeze-freeze", NULL, timeout ?: FREEZE_TIMEOUT_USEC, answer_number, error);
        return guest_call(userdata, m, "guest-fsfreeze-freeze-list", json_pack("{s:O}", "mountpoints", folders), timeout ?: FREEZE_TIMEOUT_USEC, answer_number,
                          error);
}

BUS_HANDLER(method_thaw, ACTION_GUEST) {
        uint64_t timeout;
        int r = guest_read_timeout(m, &timeout, error);

        return r < 0 ? r : guest_call(userdata, m, "guest-fsfreeze-thaw", NULL, timeout ?: FREEZE_TIMEOUT_USEC, answer_number, error);
}

BUS_HANDLER(method_trim, ACTION_GUEST) {
        uint64_t minimum, timeout;
        int r = sd_bus_message_read(m, "t", &minimum);

        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        return r < 0 ? r : guest_call(userdata, m, "guest-fstrim", json_pack("{s:I}", "minimum", (json_int_t) MIN(minimum, (uint64_t) INT64_MAX)),
                                      timeout ?: 10 * FREEZE_TIMEOUT_USEC, answer_trimmed, error);
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
        return r < 0 ? r : guest_call(userdata, m, "guest-ssh-get-authorized-keys", json_pack("{s:s}", "username", user), timeout, answer_keys, error);
}

BUS_HANDLER(method_add_keys, ACTION_GUEST) {
        json_auto_t *keys = NULL;
        const char *user;
        uint64_t timeout;
        int reset, r = sd_bus_message_read(m, "s", &user);

        if (r >= 0)
                r = strings_to_json(m, &keys);
        if (r >= 0)
                r = sd_bus_message_read(m, "b", &reset);
        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        return r < 0 ? r : guest_call(userdata, m, "guest-ssh-add-authorized-keys",
                                      json_pack("{s:s, s:O, s:b}", "username", user, "keys", keys, "reset", reset), timeout, guest_answer_nothing, error);
}

BUS_HANDLER(method_remove_keys, ACTION_GUEST) {
        json_auto_t *keys = NULL;
        const char *user;
        uint64_t timeout;
        int r = sd_bus_message_read(m, "s", &user);

        if (r >= 0)
                r = strings_to_json(m, &keys);
        if (r < 0)
                return r;
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
        return r < 0 ? r : guest_call(userdata, m, "guest-set-vcpus", json_pack("{s:O}", "vcpus", list), timeout, answer_number, error);
}

BUS_HANDLER(method_suspend, ACTION_GUEST) {
        static const struct {
                const char *mode, *command;
        } modes[] = { { "ram", "guest-suspend-ram" }, { "disk", "guest-suspend-disk" }, { "hybrid", "guest-suspend-hybrid" } };
        const char *mode;
        uint64_t timeout;
        int r = sd_bus_message_read(m, "s", &mode);

        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        for (size_t i = 0; i < ARRAY_SIZE(modes) && r >= 0; i++)
                if (streq(modes[i].mode, mode))
                        return guest_call_silent(userdata, m, modes[i].command, timeout, error);
        return r < 0 ? r : sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "there is no mode \"%.32s\": it is ram, disk or hybrid", mode);
}

/* Whoever talks to the guest behind our back may have changed anything in it, but nothing of ours. */
static int answer_json(sd_bus_message *reply, const json_t *result) {
        _cleanup_free_ char *text = json_dumps(result, JSON_ENCODE_ANY | JSON_INDENT(2));

        return text ? sd_bus_message_append(reply, "s", text) : -ENOMEM;
}

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
        return guest_call(userdata, m, name, json_incref(json_object_get(json, "arguments")), timeout, answer_json, error);
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
