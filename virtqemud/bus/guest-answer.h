/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "sdbus.h"

/* What an agent answered, as the values of a method's answer. Whatever a guest says: -EBADMSG where it makes no sense. */
int guest_answer_users(sd_bus_message *reply, const json_t *result);
int guest_answer_hostname(sd_bus_message *reply, const json_t *result);
int guest_answer_timezone(sd_bus_message *reply, const json_t *result);
int guest_answer_time(sd_bus_message *reply, const json_t *result);
int guest_answer_number(sd_bus_message *reply, const json_t *result);
int guest_answer_filesystems(sd_bus_message *reply, const json_t *result);
int guest_answer_disks(sd_bus_message *reply, const json_t *result);
int guest_answer_interfaces(sd_bus_message *reply, const json_t *result);
int guest_answer_vcpus(sd_bus_message *reply, const json_t *result);
int guest_answer_trimmed(sd_bus_message *reply, const json_t *result);
int guest_answer_status(sd_bus_message *reply, const json_t *result);
int guest_answer_keys(sd_bus_message *reply, const json_t *result);
int guest_answer_json(sd_bus_message *reply, const json_t *result);
