/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

/* Members of org.virtbus.network1.Network that are about parts of its definition. */

int method_add_port_forward(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_remove_port_forward(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_add_static_host(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_remove_static_host(sd_bus_message *m, void *userdata, sd_bus_error *error);

int get_port_forwards(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                      sd_bus_error *error);
int get_static_hosts(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                     sd_bus_error *error);
int get_dhcp_ranges(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                    sd_bus_error *error);
