/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "../run/operation.h"

/* The handlers of what comes, goes and changes. */
int domain_method_attach_device(sd_bus_message *m, void *userdata, sd_bus_error *error);
int domain_method_set_memory(sd_bus_message *m, void *userdata, sd_bus_error *error);
int domain_method_set_vcpus(sd_bus_message *m, void *userdata, sd_bus_error *error);
int nic_method_set_link(sd_bus_message *m, void *userdata, sd_bus_error *error);
int device_method_update(sd_bus_message *m, void *userdata, sd_bus_error *error);
int disk_method_change_media(sd_bus_message *m, void *userdata, sd_bus_error *error);
int device_method_detach(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* Beside the answer there is a job, by which others see what goes on. Without one it goes on all the same. Its path, or "/". */
const char *device_plug_show_job(Operation *o);
/* Answers with the lines of a plan, or with why not; the message is unreferenced. */
void device_plug_answer_plan(sd_bus_message *m, char **plan, const Fault *why);
