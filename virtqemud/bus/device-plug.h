/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

/* Devices that come, go and change: the handlers of Domain.AttachDevice, Device.Detach, Device.Update and Disk.ChangeMedia. */
int domain_method_attach_device(sd_bus_message *m, void *userdata, sd_bus_error *error);
int device_method_update(sd_bus_message *m, void *userdata, sd_bus_error *error);
int disk_method_change_media(sd_bus_message *m, void *userdata, sd_bus_error *error);
int device_method_detach(sd_bus_message *m, void *userdata, sd_bus_error *error);
