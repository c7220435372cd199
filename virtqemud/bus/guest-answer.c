/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-answer.h"

#include "../run/guest-agent.h"
#include "mem.h"
#include "netaddr.h"

#define LIST_MAX 4096u               /* rows that are taken from the guest */

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

int guest_answer_users(sd_bus_message *reply, const json_t *result) {
        return append_list(reply, result, "(sst)", append_user);
}

int guest_answer_hostname(sd_bus_message *reply, const json_t *result) {
        return append_text(reply, json_object_get(result, "host-name"));
}

int guest_answer_timezone(sd_bus_message *reply, const json_t *result) {
        int r = append_text(reply, json_object_get(result, "zone"));

        return r < 0 ? r : sd_bus_message_append(reply, "i", (int32_t) json_integer_value(json_object_get(result, "offset")));
}

int guest_answer_time(sd_bus_message *reply, const json_t *result) {
        return json_is_integer(result) ? sd_bus_message_append(reply, "t", number_of(result) / 1000) : -EBADMSG;
}

int guest_answer_number(sd_bus_message *reply, const json_t *result) {
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

int guest_answer_filesystems(sd_bus_message *reply, const json_t *result) {
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

int guest_answer_disks(sd_bus_message *reply, const json_t *result) {
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

int guest_answer_interfaces(sd_bus_message *reply, const json_t *result) {
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
int guest_answer_vcpus(sd_bus_message *reply, const json_t *result) {
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

int guest_answer_trimmed(sd_bus_message *reply, const json_t *result) {
        return append_list(reply, json_object_get(result, "paths"), "(sts)", append_trimmed);
}

int guest_answer_status(sd_bus_message *reply, const json_t *result) {
        return append_text(reply, result);
}

/* A key is longer than other texts. */
static int append_key(sd_bus_message *reply, const json_t *row) {
        return json_is_string(row) ? sd_bus_message_append(reply, "s", json_string_value(row)) : -EBADMSG;
}

int guest_answer_keys(sd_bus_message *reply, const json_t *result) {
        return append_list(reply, json_object_get(result, "keys"), "s", append_key);
}

int guest_answer_json(sd_bus_message *reply, const json_t *result) {
        _cleanup_free_ char *text = json_dumps(result, JSON_ENCODE_ANY | JSON_INDENT(2));

        return text ? sd_bus_message_append(reply, "s", text) : -ENOMEM;
}
