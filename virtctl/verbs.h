/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* A verb is a row of the table in main.c. Handlers get what follows the verb, and give the exit status. */
typedef struct Verb {
        const char *name, *arguments, *help;
        int min, max;                   /* number of arguments; max -1: any */
        int (*handler)(Client *c, int argc, char **argv);
} Verb;

int verb_define(Client *c, int argc, char **argv);
int verb_list(Client *c, int argc, char **argv);
int verb_status(Client *c, int argc, char **argv);
int verb_start(Client *c, int argc, char **argv);
int verb_stop(Client *c, int argc, char **argv);
int verb_kill(Client *c, int argc, char **argv);
int verb_reboot(Client *c, int argc, char **argv);
int verb_reset(Client *c, int argc, char **argv);
int verb_suspend(Client *c, int argc, char **argv);
int verb_attach(Client *c, int argc, char **argv);
int verb_detach(Client *c, int argc, char **argv);
int verb_update(Client *c, int argc, char **argv);
int verb_change_media(Client *c, int argc, char **argv);
int verb_set_memory(Client *c, int argc, char **argv);
int verb_set_vcpus(Client *c, int argc, char **argv);
int verb_pending(Client *c, int argc, char **argv);
int verb_set(Client *c, int argc, char **argv);
int verb_set_link(Client *c, int argc, char **argv);
int verb_resume(Client *c, int argc, char **argv);
int verb_undefine(Client *c, int argc, char **argv);
int verb_rename(Client *c, int argc, char **argv);
int verb_enable(Client *c, int argc, char **argv);
int verb_disable(Client *c, int argc, char **argv);
int verb_export(Client *c, int argc, char **argv);
int verb_plan(Client *c, int argc, char **argv);
int verb_leases(Client *c, int argc, char **argv);
int verb_lockspaces(Client *c, int argc, char **argv);
int verb_add_lockspace(Client *c, int argc, char **argv);
int verb_remove_lockspace(Client *c, int argc, char **argv);
int verb_networks(Client *c, int argc, char **argv);
int verb_define_network(Client *c, int argc, char **argv);
int verb_undefine_network(Client *c, int argc, char **argv);
int verb_start_network(Client *c, int argc, char **argv);
int verb_stop_network(Client *c, int argc, char **argv);
int verb_enable_network(Client *c, int argc, char **argv);
int verb_disable_network(Client *c, int argc, char **argv);
int verb_export_network(Client *c, int argc, char **argv);
int verb_network_leases(Client *c, int argc, char **argv);
int verb_port_forwards(Client *c, int argc, char **argv);
int verb_add_port_forward(Client *c, int argc, char **argv);
int verb_remove_port_forward(Client *c, int argc, char **argv);
int verb_add_host(Client *c, int argc, char **argv);
int verb_remove_host(Client *c, int argc, char **argv);
int verb_pools(Client *c, int argc, char **argv);
int verb_define_pool(Client *c, int argc, char **argv);
int verb_undefine_pool(Client *c, int argc, char **argv);
int verb_export_pool(Client *c, int argc, char **argv);
int verb_build_pool(Client *c, int argc, char **argv);
int verb_delete_pool(Client *c, int argc, char **argv);
int verb_start_pool(Client *c, int argc, char **argv);
int verb_stop_pool(Client *c, int argc, char **argv);
int verb_refresh_pool(Client *c, int argc, char **argv);
int verb_enable_pool(Client *c, int argc, char **argv);
int verb_disable_pool(Client *c, int argc, char **argv);
int verb_volumes(Client *c, int argc, char **argv);
int verb_create_volume(Client *c, int argc, char **argv);
int verb_resize_volume(Client *c, int argc, char **argv);
int verb_wipe_volume(Client *c, int argc, char **argv);
int verb_delete_volume(Client *c, int argc, char **argv);
int verb_export_volume(Client *c, int argc, char **argv);
int verb_upload_volume(Client *c, int argc, char **argv);
int verb_download_volume(Client *c, int argc, char **argv);
int verb_set_format(Client *c, int argc, char **argv);
int verb_probe_format(Client *c, int argc, char **argv);
int verb_secrets(Client *c, int argc, char **argv);
int verb_define_secret(Client *c, int argc, char **argv);
int verb_undefine_secret(Client *c, int argc, char **argv);
int verb_export_secret(Client *c, int argc, char **argv);
int verb_set_secret(Client *c, int argc, char **argv);
int verb_get_secret(Client *c, int argc, char **argv);
int verb_statistics(Client *c, int argc, char **argv);
int verb_console(Client *c, int argc, char **argv);
int verb_send_break(Client *c, int argc, char **argv);
int verb_guest_info(Client *c, int argc, char **argv);
int verb_wait_address(Client *c, int argc, char **argv);
int verb_exec(Client *c, int argc, char **argv);
int verb_copy_to(Client *c, int argc, char **argv);
int verb_copy_from(Client *c, int argc, char **argv);
int verb_freeze(Client *c, int argc, char **argv);
int verb_thaw(Client *c, int argc, char **argv);
int verb_trim(Client *c, int argc, char **argv);
int verb_set_password(Client *c, int argc, char **argv);
int verb_sync_time(Client *c, int argc, char **argv);
int verb_agent(Client *c, int argc, char **argv);
int verb_host(Client *c, int argc, char **argv);
int verb_host_devices(Client *c, int argc, char **argv);
int verb_capabilities(Client *c, int argc, char **argv);
int verb_dump(Client *c, int argc, char **argv);
int verb_screenshot(Client *c, int argc, char **argv);
int verb_send_keys(Client *c, int argc, char **argv);

/* Which of the running domain and its definition a change is meant for: what was said, else all there are. */
int change_flags(Client *c, const char *domain, uint64_t *ret);
/* The lines of an answer: what --validate is for. */
int change_print_plan(sd_bus_message *reply);
