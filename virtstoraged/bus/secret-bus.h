/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "service.h"

#define SECRET_PATH_MAX 96u

/* Of the Manager. */
int method_define_secret(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_get_secret(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_get_secret_by_usage(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_secrets(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_open_secret(sd_bus_message *m, void *userdata, sd_bus_error *error);

extern const SecretsWatch secret_bus_watch;
