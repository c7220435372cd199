/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

/* Devices that come and go: the handlers of Domain.AttachDevice and Device.Detach. */
int domain_method_attach_device(sd_bus_message *m, void *userdata, sd_bus_error *error);
int device_method_detach(sd_bus_message *m, void *userdata, sd_bus_error *error);
