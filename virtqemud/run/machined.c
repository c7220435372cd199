/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machined.h"

#include <ctype.h>
#include <stdio.h>

#include "mem.h"
#include "str.h"

#define REGISTER_TIMEOUT_USEC (5u * 1000 * 1000)
#define MACHINE_NAME_MAX 64u
#define MACHINE1 "org.freedesktop.machine1"
#define MACHINE1_PATH "/org/freedesktop/machine1"

struct MachineRegistration {
        sd_bus *bus;
        char *domain_name, *name, *unit;
        sd_id128_t uuid;
        pid_t leader;
        int links[MACHINE_LINKS_MAX];
        size_t n_links;
        bool second_try;
        bool looked;               /* whose the machine of that name is */
        sd_bus_slot *slot;
        MachineDone done;
        void *userdata;
};

/* The name as a valid host name of at most 64 characters: letters, digits, '-', '.', '_'; what is not becomes '-'. `suffix` (may be
 * NULL) is appended after a '-'. */
static char *machine_name_from_domain(const char *name, const char *suffix) {
        size_t room = MACHINE_NAME_MAX - (suffix ? strlen(suffix) + 1 : 0);
        Text t = TEXT_INIT;
        char last = '-'; /* no '-' or '.' at the beginning, none twice */

        assert(name && room > 0);

        for (const char *p = name; *p && t.length < room; p++) {
                char c = isalnum((unsigned char) *p) || *p == '_' || *p == '.' ? *p : '-';

                if ((c == '-' && last == '-' && t.length == 0) || (c == '.' && (last == '.' || last == '-')))
                        continue;
                if (c == '-' && *p != '-' && last == '-')
                        continue;
                text_addn(&t, &c, 1);
                last = c;
        }
        while (t.length > 0 && (t.data[t.length - 1] == '-' || t.data[t.length - 1] == '.'))
                t.length--;
        if (t.length == 0)
                text_add(&t, "vm");
        t.data[t.length] = '\0';
        if (suffix)
                text_addf(&t, "-%s", suffix);
        return text_finish(&t);
}

MachineRegistration *machine_registration_free(MachineRegistration *m) {
        if (!m)
                return NULL;
        sd_bus_slot_unref(m->slot);
        sd_bus_unref(m->bus);
        free(m->domain_name);
        free(m->name);
        free(m->unit);
        free(m);
        return NULL;
}

static int send_register(MachineRegistration *m);

static int try_longer_name(MachineRegistration *m) {
        char suffix[9], hex[SD_ID128_STRING_MAX], *name;

        (void) snprintf(suffix, sizeof(suffix), "%.8s", sd_id128_to_string(m->uuid, hex));
        name = machine_name_from_domain(m->domain_name, suffix);
        if (!name)
                return -ENOMEM;
        free_and_replace(&m->name, name);
        m->second_try = true;
        m->looked = false;
        return send_register(m);
}

static void finish(MachineRegistration *m, const char *problem) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (problem)
                fault_set(&f, FAULT_UNIT, EIO, "not registered with systemd-machined: %s", problem);
        m->done(problem ? NULL : m->name, &f, m->userdata);
}

/* --- a name that is taken --- */

/* machined looks whether the unit of a machine is there. It keeps the one of a run before if the unit was started again meanwhile. */
static int on_unregistered(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        MachineRegistration *m = userdata;

        m->slot = sd_bus_slot_unref(m->slot);
        if (send_register(m) < 0)
                finish(m, "out of memory");
        return 0;
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        MachineRegistration *m = userdata;
        const char *unit = "";
        int r = 0;

        m->slot = sd_bus_slot_unref(m->slot);
        if (sd_bus_message_is_method_error(reply, NULL)) /* it has just gone */
                r = send_register(m);
        else if (sd_bus_message_read(reply, "v", "s", &unit) >= 0 && streq(unit, m->unit))
                r = sd_bus_call_method_async(m->bus, &m->slot, MACHINE1, MACHINE1_PATH, MACHINE1 ".Manager", "UnregisterMachine", on_unregistered, m, "s",
                                             m->name);
        else
                r = m->second_try ? -EEXIST : try_longer_name(m);
        if (r < 0)
                finish(m, "its name is taken by another machine");
        return 0;
}

static int ask_whose(MachineRegistration *m) {
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_path_encode(MACHINE1_PATH "/machine", m->name, &path);

        m->looked = true;
        return r < 0 ? r : sd_bus_call_method_async(m->bus, &m->slot, MACHINE1, path, "org.freedesktop.DBus.Properties", "Get", on_owner, m, "ss",
                                                    MACHINE1 ".Machine", "Unit");
}

static int on_registered(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        MachineRegistration *m = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        bool taken = e && streq(e->name, MACHINE1 ".MachineExists");

        m->slot = sd_bus_slot_unref(m->slot);
        if (taken && !m->looked && m->unit && ask_whose(m) >= 0)
                return 0;
        if (taken && !m->second_try && try_longer_name(m) >= 0)
                return 0;
        finish(m, e ? e->message ?: e->name : NULL);
        return 0;
}

static int send_register(MachineRegistration *m) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(m->bus, &call, MACHINE1, MACHINE1_PATH, MACHINE1 ".Manager", "RegisterMachineWithNetwork");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "s", m->name);
        if (r >= 0)
                r = sd_bus_message_append_array(call, 'y', m->uuid.bytes, sizeof(m->uuid.bytes));
        if (r >= 0)
                r = sd_bus_message_append(call, "ssus", "virtqemud", "vm", (uint32_t) m->leader, "");
        if (r >= 0)
                r = sd_bus_message_append_array(call, 'i', m->links, m->n_links * sizeof(*m->links));
        if (r < 0)
                return r;
        return sd_bus_call_async(m->bus, &m->slot, call, on_registered, m, REGISTER_TIMEOUT_USEC);
}

int machine_register(sd_bus *bus, const MachineSpec *spec, MachineDone done, void *userdata, MachineRegistration **ret) {
        _cleanup_(machine_registration_freep) MachineRegistration *m = NULL;
        int r;

        assert(bus && spec && spec->name && spec->n_links <= MACHINE_LINKS_MAX && done && ret);

        m = new0(MachineRegistration, 1);
        if (!m)
                return -ENOMEM;
        *m = (MachineRegistration) {
                .bus = sd_bus_ref(bus), .uuid = spec->uuid, .leader = spec->leader, .n_links = spec->n_links, .done = done, .userdata = userdata,
                .unit = spec->unit ? strdup(spec->unit) : NULL, .domain_name = strdup(spec->name), .name = machine_name_from_domain(spec->name, NULL),
        };
        if (!m->domain_name || !m->name || (spec->unit && !m->unit))
                return -ENOMEM;
        for (size_t i = 0; i < spec->n_links; i++)
                m->links[i] = spec->links[i];
        r = send_register(m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}
