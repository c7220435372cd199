/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit-transient.h"

#include <linux/capability.h>

#include "mem.h"
#include "str.h"

/* Arguments are what they are: a "$" in them names no variable. */
static char *without_variables(const char *argument) {
        char *text = malloc(2 * strlen(argument) + 1), *to = text;

        for (const char *from = argument; to && *from; from++) {
                if (*from == '$')
                        *to++ = '$';
                *to++ = *from;
        }
        if (to)
                *to = '\0';
        return text;
}

/* Not by ExecStartEx, which could say so: systemd 252 takes it, and does not understand it any more when all units are loaded again. */
static int append_exec(sd_bus_message *m, char *const *argv) {
        _cleanup_strv_ char **arguments = NULL;
        int r = 0;

        for (char *const *a = argv; *a && r >= 0; a++)
                r = strv_take(&arguments, without_variables(*a));
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "ExecStart");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(sasb)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sasb)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "sasb");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", argv[0]);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, arguments);
        if (r >= 0)
                r = sd_bus_message_append(m, "b", 0);
        for (unsigned i = 0; i < 4 && r >= 0; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_view(sd_bus_message *m, char *const *sees, bool network) {
        static const char *const usual[] = { "/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache" };
        static const char *const for_names[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/ssl" };
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", "BindReadOnlyPaths");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(ssbt)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ssbt)");
        for (size_t i = 0; i < ARRAY_SIZE(usual) && r >= 0; i++)
                r = sd_bus_message_append(m, "(ssbt)", usual[i], usual[i], true, UINT64_C(0));
        for (size_t i = 0; i < ARRAY_SIZE(for_names) && network && r >= 0; i++)
                r = sd_bus_message_append(m, "(ssbt)", for_names[i], for_names[i], true, UINT64_C(0));
        for (; *sees && r >= 0; sees += 2)
                r = sd_bus_message_append(m, "(ssbt)", sees[0], sees[1], true, UINT64_C(0)); /* it says best itself what is missing */
        for (unsigned i = 0; i < 3 && r >= 0; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

/* A root of its own, with what programs need, and that. It reads, and does nothing else. */
static int append_own_root(sd_bus_message *m, const UnitTransient *spec) {
        int r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
                                      "DynamicUser", "b", true,
                                      "RootDirectory", "s", spec->root,
                                      "Environment", "as", 1, "HOME=/",
                                      "MountAPIVFS", "b", true,
                                      "DevicePolicy", "s", "closed",
                                      "CapabilityBoundingSet", "t", UINT64_C(1) << CAP_DAC_READ_SEARCH,
                                      "AmbientCapabilities", "t", UINT64_C(1) << CAP_DAC_READ_SEARCH,
                                      "ProtectControlGroups", "b", true);

        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)",
                                          "KeyringMode", "s", "private",
                                          "ProtectClock", "b", true,
                                          "ProtectHostname", "b", true,
                                          "ProtectKernelLogs", "b", true,
                                          "ProtectKernelModules", "b", true,
                                          "SystemCallArchitectures", "as", 1, "native");
        return r < 0 ? r : append_view(m, spec->sees, !spec->no_network);
}

/* What a program of root's does about devices or other users' files, and nothing about the rest of the kernel. */
static int append_privileges(sd_bus_message *m, const UnitTransient *spec) {
        int r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)",
                                      "CapabilityBoundingSet", "t", spec->privileges,
                                      "ProtectHostname", "b", true,
                                      "ProtectKernelLogs", "b", true,
                                      "ProtectControlGroups", "b", true);

        if (r >= 0 && !(spec->privileges & UINT64_C(1) << CAP_SYS_MODULE))
                r = sd_bus_message_append(m, "(sv)(sv)(sv)",
                                          "ProtectKernelModules", "b", true,
                                          "ProtectKernelTunables", "b", true,
                                          "DevicePolicy", "s", "closed");
        return r < 0 ? r : sd_bus_message_append(m, "(sv)(sv)(sv)(sv)",
                                                 "RestrictAddressFamilies", "(bas)", true, 1, "AF_UNIX",
                                                 "SystemCallArchitectures", "as", 1, "native",
                                                 "SystemCallFilter", "(bas)", false, 7, "@clock", "@cpu-emulation", "@debug", "@keyring",
                                                 "@obsolete", "@reboot", "@swap",
                                                 "KeyringMode", "s", "private");
}

/* What only the system's manager can do. Who opens any file finds none hidden; but all is read-only, of which sockets and FIFOs
 * take no notice. */
static int append_rights(sd_bus_message *m, const UnitTransient *spec) {
        const uint64_t pass_by_modes = UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_DAC_READ_SEARCH;
        int r;

        if (spec->any_file)
                r = sd_bus_message_append(m, "(sv)(sv)",
                                          "CapabilityBoundingSet", "t", pass_by_modes,
                                          "ProtectSystem", "s", "strict");
        else
                r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)",
                                          "DynamicUser", "b", true,
                                          "CapabilityBoundingSet", "t", UINT64_C(0),
                                          "PrivateDevices", "b", true,
                                          "ProtectHome", "s", "yes");
        return r < 0 ? r : sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
                                                 "KeyringMode", "s", "private",
                                                 "ProtectClock", "b", true,
                                                 "ProtectHostname", "b", true,
                                                 "ProtectKernelLogs", "b", true,
                                                 "ProtectKernelModules", "b", true,
                                                 "ProtectControlGroups", "b", true,
                                                 "SystemCallArchitectures", "as", 1, "native");
}

static int append_confinement(sd_bus_message *m) {
        int r;

        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)",
                                  "ProtectKernelTunables", "b", true,
                                  "ProtectProc", "s", "invisible",
                                  "ProcSubset", "s", "pid",
                                  "DevicePolicy", "s", "closed",
                                  "RestrictNamespaces", "t", UINT64_C(0),
                                  "RestrictSUIDSGID", "b", true);
        return r < 0 ? r : sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)",
                                                 "RestrictAddressFamilies", "(bas)", true, 3, "AF_UNIX", "AF_INET", "AF_INET6",
                                                 "SystemCallErrorNumber", "i", (int32_t) EPERM,
                                                 "SystemCallFilter", "(bas)", true, 1, "@system-service",
                                                 "SystemCallFilter", "(bas)", false, 2, "@privileged", "@resources",
                                                 "UMask", "u", (uint32_t) 0077);
}

int unit_append_service(sd_bus_message *m, const void *userdata) {
        const UnitTransient *spec = userdata;
        int r;

        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
                                  "Description", "s", spec->description,
                                  "Type", "s", "exec",
                                  "PartOf", "as", 1, spec->part_of,
                                  "CollectMode", "s", "inactive-or-failed",
                                  "StandardInputFileDescriptor", "h", spec->input,
                                  "NoNewPrivileges", "b", true,
                                  "RestrictRealtime", "b", true,
                                  "LockPersonality", "b", true,
                                  "MemoryDenyWriteExecute", "b", true);
        if (r >= 0 && spec->output > 0)
                r = sd_bus_message_append(m, "(sv)", "StandardOutputFileDescriptor", "h", spec->output);
        if (r >= 0 && spec->state)
                r = sd_bus_message_append(m, "(sv)(sv)", "StateDirectory", "as", 1, spec->state, "StateDirectoryMode", "u", (uint32_t) 0700);
        if (r >= 0 && spec->no_network && !spec->user)
                r = sd_bus_message_append(m, "(sv)", "PrivateNetwork", "b", true);
        if (r >= 0 && !spec->user)
                r = spec->privileges ? append_privileges(m, spec) : spec->sees ? append_own_root(m, spec) : append_rights(m, spec);
        if (r >= 0 && !spec->user && spec->confined)
                r = append_confinement(m);
        return r < 0 ? r : append_exec(m, spec->argv);
}
