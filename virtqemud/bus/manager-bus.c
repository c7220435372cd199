/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/socket.h>
#include <unistd.h>

#include "../device/disk.h"
#include "../plan/launch.h"
#include "../plan/tune.h"
#include "../run/define.h"
#include "../run/handover.h"
#include "../run/prepare.h"
#include "../run/start.h"
#include "../supervisor/plan-format.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "capabilities-bus.h"
#include "describe-bus.h"
#include "disk-resize.h"
#include "host-bus.h"
#include "hostdev-bus.h"
#include "mem.h"
#include "service.h"
#include "statistics-bus.h"
#include "str.h"
#include "version.h"

/* org.virtbus.qemu1.Manager: finding domains, making them, and the verbs by name. */

static int check_format(const char *format, Fault *f) {
        if (streq(format, "libvirt-xml") || streq(format, ""))
                return 0;
        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.64s\" is no format of definitions, expected libvirt-xml", format);
}

/* --- finding --- */

static int reply_domain(sd_bus_message *m, const Domain *d) {
        char path[DOMAIN_PATH_MAX];

        return sd_bus_reply_method_return(m, "o", domain_path(d, path));
}

BUS_HANDLER(method_get_domain, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *name;
        Domain *d;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        r = service_find_domain(service_of(userdata), name, &d, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : reply_domain(m, d);
}

BUS_HANDLER(method_get_domain_by_uuid, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        sd_id128_t id;
        Domain *d;
        int r;

        r = bus_read_uuid(m, &id, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        d = manager_find_uuid(service_of(userdata)->manager, id);
        if (d)
                return reply_domain(m, d);
        r = fault_set(&f, FAULT_NO_SUCH_DOMAIN, ENOENT, "no domain has the uuid " SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(id));
        return fault_to_bus(&f, r, error);
}

BUS_HANDLER(method_get_domain_by_pid, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint32_t pid;
        Domain *d;
        int r;

        r = sd_bus_message_read(m, "u", &pid);
        if (r < 0)
                return r;
        d = manager_find_pid(service_of(userdata)->manager, (pid_t) pid);
        if (d)
                return reply_domain(m, d);
        r = fault_set(&f, FAULT_NO_SUCH_DOMAIN, ENOENT, "no domain has a process %u", pid);
        return fault_to_bus(&f, r, error);
}

static int append_domain(sd_bus_message *reply, const Domain *d) {
        char path[DOMAIN_PATH_MAX];
        int r;

        r = sd_bus_message_open_container(reply, 'r', "ssayso");
        if (r >= 0)
                r = sd_bus_message_append(reply, "ss", d->name, domain_state_to_string(d->state));
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', d->uuid.bytes, sizeof(d->uuid));
        if (r >= 0)
                r = sd_bus_message_append(reply, "so", domain_unit(d), domain_path(d, path));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_HANDLER(method_resize_disk, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *name, *target;
        uint64_t capacity, flags;
        Domain *d;
        int r;

        r = sd_bus_message_read(m, "sst", &name, &target, &capacity);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_FORCE, &flags, NULL, 0, &f);
        if (r >= 0)
                r = service_find_domain(service_of(userdata), name, &d, &f);
        if (r >= 0)
                r = disk_resize(d, target, capacity, flags & BUS_FLAG_FORCE, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* An image and what it is a layer on. */
static int append_disk(sd_bus_message *reply, const Domain *d, const Disk *disk) {
        int r = sd_bus_message_append(reply, "(sssb)", d->name, disk->target, disk_path(disk) ?: disk->found, (int) !disk->readonly);

        for (const BackingStore *b = disk->below; b && b->type != DISK_TYPE_NONE && r >= 0; b = b->below)
                r = sd_bus_message_append(reply, "(sssb)", d->name, disk->target, backing_path(b), 0);
        return r;
}

static int append_disks(sd_bus_message *reply, const Domain *d) {
        int r = 0;

        for (size_t i = 0; d->live && i < d->live->devices.n && r >= 0; i++) {
                const Disk *disk = device_as_disk((const Device *) d->live->devices.items[i]);

                if (disk && (disk_path(disk) || disk->found))
                        r = append_disk(reply, d, disk);
        }
        return r;
}

BUS_HANDLER(method_list_disks, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssb)");
        REGISTRY_FOREACH(Domain, d, service_of(userdata)->manager->domains)
                if (r >= 0)
                        r = append_disks(reply, d);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

BUS_HANDLER(method_list_domains, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssayso)");
        if (r < 0)
                return r;
        REGISTRY_FOREACH(Domain, d, service_of(userdata)->manager->domains) {
                r = append_domain(reply, d);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

BUS_HANDLER(method_list_jobs, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = jobs_append_list(service_of(userdata)->jobs, reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* --- making --- */

static void on_defined(Domain *d, int error, const Fault *f, void *userdata) {
        sd_bus_message *m = userdata;
        char path[DOMAIN_PATH_MAX];

        if (error < 0)
                (void) bus_reply_fault(m, f, error);
        else
                (void) sd_bus_reply_method_return(m, "o", d ? domain_path(d, path) : "/");
        sd_bus_message_unref(m);
}

BUS_HANDLER(method_define_domain, ACTION_CREATE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags, generation = 0;
        int create_only = false, r;
        const BusOption options[] = { { "if-generation", 't', &generation }, { "create-only", 'b', &create_only } };
        const char *format, *text;
        unsigned how = 0;

        r = sd_bus_message_read(m, "ss", &format, &text);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_VALIDATE_ONLY, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = check_format(format, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        how |= flags & BUS_FLAG_VALIDATE_ONLY ? DEFINE_VALIDATE_ONLY : 0;
        how |= create_only ? DEFINE_NEW_ONLY : 0;
        r = define_domain(service_of(userdata)->manager, text, strlen(text), how, NULL, generation, on_defined,
                          sd_bus_message_ref(m), &f);
        if (r < 0) {
                sd_bus_message_unref(m);
                return fault_to_bus(&f, r, error);
        }
        return 1;
}

BUS_HANDLER(method_start_transient, ACTION_CREATE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *format, *text;
        int paused = false, r;
        const BusOption options[] = { { "paused", 'b', &paused } };
        uint64_t flags;
        Domain *d;

        r = sd_bus_message_read(m, "ss", &format, &text);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "h");
        if (r >= 0 && !sd_bus_message_at_end(m, false))
                r = fault_set(&f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "descriptors can't be given to a domain yet: name files in the definition");
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_NO_WAIT, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = check_format(format, &f);
        if (r >= 0)
                r = define_transient(service_of(userdata)->manager, text, strlen(text), &d, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = domain_start_call(d, m, flags, paused, true, error);
        if (r < 0)
                domain_settle(d);
        return r;
}

static void on_converted(const char *text, int error, const Fault *f, void *userdata) {
        sd_bus_message *m = userdata;

        if (error < 0)
                (void) bus_reply_fault(m, f, error);
        else
                (void) sd_bus_reply_method_return(m, "s", text);
        sd_bus_message_unref(m);
}

static int convert(sd_bus_message *m, Service *s, bool any_program, Fault *f) {
        const char *from, *text, *to;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "sss", &from, &text, &to);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, f);
        if (r >= 0)
                r = check_format(from, f);
        if (r >= 0)
                r = check_format(to, f);
        if (r < 0)
                return r;
        r = define_convert(s->manager, text, strlen(text), any_program, on_converted, sd_bus_message_ref(m), f);
        if (r < 0)
                sd_bus_message_unref(m);
        return r < 0 ? r : 1;
}

BUS_HANDLER(convert_with_any_program, ACTION_CREATE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        (void) sd_bus_message_rewind(m, true);
        r = convert(m, service_of(userdata), true, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : r;
}

/* Nobody's program is run for everybody: who names one that is no installed QEMU needs the right to make VMs. */
BUS_HANDLER(method_convert_definition, BUS_SELF) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = convert(m, service_of(userdata), false, &f);

        if (f.kind == FAULT_ACCESS_DENIED)
                return convert_with_any_program(m, userdata, error);
        return r < 0 ? fault_to_bus(&f, r, error) : r;
}

BUS_HANDLER(method_reload, ACTION_ADMIN) {
        int r = manager_reload(service_of(userdata)->manager);

        return r < 0 ? sd_bus_error_set_errno(error, r) : sd_bus_reply_method_return(m, NULL);
}

/* --- verbs by name --- */

/* Reads `s t`. */
static int read_verb(sd_bus_message *m, void *userdata, uint64_t known, Domain **ret, uint64_t *ret_flags, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *name;
        int r;

        r = sd_bus_message_read(m, "st", &name, ret_flags);
        if (r < 0)
                return r;
        if (*ret_flags & ~known)
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "this method does not know the flags 0x%" PRIx64, *ret_flags & ~known);
        else
                r = service_find_domain(service_of(userdata), name, ret, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 0;
}

BUS_HANDLER(method_start_domain, ACTION_POWER) {
        uint64_t flags;
        Domain *d;
        int r = read_verb(m, userdata, BUS_FLAG_NO_WAIT, &d, &flags, error);

        return r < 0 ? r : domain_start_call(d, m, flags, false, false, error);
}

BUS_HANDLER(method_shutdown_domain, ACTION_POWER) {
        uint64_t flags;
        Domain *d;
        int r = read_verb(m, userdata, BUS_FLAG_NO_WAIT, &d, &flags, error);

        return r < 0 ? r : domain_shutdown_call(d, m, "", 0, error);
}

BUS_HANDLER(method_reboot_domain, ACTION_POWER) {
        uint64_t flags;
        Domain *d;
        int r = read_verb(m, userdata, BUS_FLAG_NO_WAIT, &d, &flags, error);

        return r < 0 ? r : domain_reboot_call(d, m, "", error);
}

BUS_HANDLER(method_terminate_domain, ACTION_POWER) {
        uint64_t flags;
        Domain *d;
        int r = read_verb(m, userdata, BUS_FLAG_NO_WAIT | BUS_FLAG_FORCE, &d, &flags, error);

        return r < 0 ? r : domain_terminate_call(d, m, flags, error);
}

BUS_HANDLER(method_suspend_domain, ACTION_POWER) {
        uint64_t flags;
        Domain *d;
        int r = read_verb(m, userdata, 0, &d, &flags, error);

        return r < 0 ? r : domain_suspend_call(d, m, true, error);
}

BUS_HANDLER(method_resume_domain, ACTION_POWER) {
        uint64_t flags;
        Domain *d;
        int r = read_verb(m, userdata, 0, &d, &flags, error);

        return r < 0 ? r : domain_suspend_call(d, m, false, error);
}

/* --- the supervisor's plan --- */

static int append_pins(sd_bus_message *reply, const DomainDef *live) {
        _cleanup_free_ char *pins = NULL;
        int r = tune_pins(live, &pins);

        return r < 0 || !pins ? r : sd_bus_message_append(reply, "{sv}", PLAN_PINS, "s", pins);
}

static int append_plan(sd_bus_message *reply, const LaunchPlan *plan, const int *fds, const Domain *d) {
        const Settings *s = &d->manager->settings;
        const int *extra = fds + plan->n_fds;
        int r;

        r = sd_bus_message_append_strv(reply, plan->argv);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, plan->environment);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(uh)");
        for (size_t i = 0; i < plan->n_fds && r >= 0; i++)
                r = sd_bus_message_append(reply, "(uh)", (uint32_t) plan->fds[i].number, fds[i]);
        if (r >= 0)
                r = sd_bus_message_append(reply, "(uh)", (uint32_t) plan->monitor_run_fd, extra[PREPARE_MONITOR_FD]);
        if (r >= 0 && extra[PREPARE_LOG_FD] >= 0)
                r = sd_bus_message_append(reply, "(uh)", (uint32_t) PLAN_LOG_NUMBER, extra[PREPARE_LOG_FD]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}",
                                          PLAN_MONITOR_FD, "u", (uint32_t) plan->monitor_run_fd,
                                          PLAN_STOP_TIMEOUT, "t", s->stop_timeout_usec,
                                          PLAN_POWERDOWN_INTERVAL, "t", s->powerdown_interval_usec,
                                          PLAN_HELD, "b", (int) launch_holds_on_shutdown(d->live),
                                          PLAN_PAUSED, "b", (int) start_is_paused(d),
                                          PLAN_MAKES_FILES, "b", (int) launch_makes_files(plan, d->live),
                                          PLAN_ON_POWEROFF, "s", lifecycle_action_to_string(d->live->on_poweroff),
                                          PLAN_ON_REBOOT, "s", lifecycle_action_to_string(d->live->on_reboot),
                                          PLAN_ON_CRASH, "s", lifecycle_action_to_string(d->live->on_crash));
        if (r >= 0)
                r = append_pins(reply, d->live);
        if (r >= 0 && plan->kept_fds_from > 0)
                r = sd_bus_message_append(reply, "{sv}", PLAN_KEPT_FDS, "u", (uint32_t) plan->kept_fds_from);
        if (r >= 0 && plan->own_fds_from > 0)
                r = sd_bus_message_append(reply, "{sv}", PLAN_OWN_FDS, "u", (uint32_t) plan->own_fds_from);
        if (r >= 0 && extra[PREPARE_LOG_FD] >= 0)
                r = sd_bus_message_append(reply, "{sv}", PLAN_LOG_FD, "u", (uint32_t) PLAN_LOG_NUMBER);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void plan_request_free(PlanRequest *r) {
        sd_bus_message_unref(r->message);
        free(r);
}

static void refuse_plan(PlanRequest *p, const Fault *f) {
        (void) bus_reply_fault(p->message, f, -f->error);
        plan_request_free(p);
}

static void answer_plan(PlanRequest *p, const LaunchPlan *plan, const int *fds, const Domain *d) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(p->message, &reply);
        if (r >= 0)
                r = append_plan(reply, plan, fds, d);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        if (r < 0)
                (void) sd_bus_reply_method_errno(p->message, r, NULL);
        plan_request_free(p);
}

BUS_HANDLER(method_get_plan, BUS_SELF) {
        Service *s = service_of(userdata);
        _cleanup_fault_ Fault f = FAULT_INIT;
        struct ucred cred;
        socklen_t length = sizeof(cred);
        const char *name;
        PlanRequest *p;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        if (!bus_is_peer(s->bus, sd_bus_message_get_bus(m)) ||
            getsockopt(sd_bus_get_fd(sd_bus_message_get_bus(m)), SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0) {
                r = fault_set(&f, FAULT_ACCESS_DENIED, EACCES, "plans are given to supervisors only, over the private socket");
                return fault_to_bus(&f, r, error);
        }
        p = new0(PlanRequest, 1);
        if (!p)
                return -ENOMEM;
        *p = (PlanRequest) { .pid = cred.pid, .uid = cred.uid, .answer = answer_plan, .refuse = refuse_plan, .message = sd_bus_message_ref(m) };
        handover_request(s->manager, name, p);
        return 1;
}

/* --- properties --- */

static int get_kvm(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                   void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", service_of(userdata)->manager->defaults.kvm);
}

static int get_memory(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "t", service_of(userdata)->manager->defaults.host_memory);
}

static int get_cpus(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *error) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);

        return sd_bus_message_append(reply, "u", n > 0 ? (uint32_t) n : 1);
}

static int get_count(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "u", (uint32_t) registry_count(service_of(userdata)->manager->domains));
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                       void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", VIRTBUS_VERSION);
}

#define NAME_FLAGS SD_BUS_PARAM(name) SD_BUS_PARAM(flags)
#define DEFINITION SD_BUS_PARAM(format) SD_BUS_PARAM(definition)
#define FLAGS SD_BUS_PARAM(flags) SD_BUS_PARAM(options)
#define METHOD(member, in, in_names, out, out_names, handler)                                           \
        SD_BUS_METHOD_WITH_NAMES(member, in, in_names, out, out_names, handler, SD_BUS_VTABLE_UNPRIVILEGED)
#define BY_NAME(member, handler) METHOD(member, "st", NAME_FLAGS, "o", SD_BUS_PARAM(job), handler)

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("GetDomain", "s", SD_BUS_PARAM(name), "o", SD_BUS_PARAM(domain), method_get_domain),
        METHOD("GetDomainByUUID", "ay", SD_BUS_PARAM(uuid), "o", SD_BUS_PARAM(domain), method_get_domain_by_uuid),
        METHOD("GetDomainByPID", "u", SD_BUS_PARAM(pid), "o", SD_BUS_PARAM(domain), method_get_domain_by_pid),
        METHOD("ListDomains", "", , "a(ssayso)", SD_BUS_PARAM(domains), method_list_domains),
        METHOD("ListDisks", "", , "a(sssb)", SD_BUS_PARAM(disks), method_list_disks),
        SD_BUS_METHOD_WITH_NAMES("ResizeDisk", "sstta{sv}", SD_BUS_PARAM(domain) SD_BUS_PARAM(target) SD_BUS_PARAM(capacity) SD_BUS_PARAM(flags)
                                 SD_BUS_PARAM(options), NULL,, method_resize_disk, SD_BUS_VTABLE_UNPRIVILEGED),
        METHOD("ListJobs", "", , "a(uosos)", SD_BUS_PARAM(jobs), method_list_jobs),
        SD_BUS_METHOD_WITH_NAMES("DefineDomain", "ssta{sv}", DEFINITION FLAGS, "o", SD_BUS_PARAM(domain), method_define_domain,
                                 SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_NAMES("StartTransient", "ssahta{sv}", DEFINITION SD_BUS_PARAM(descriptors) FLAGS, "oo",
                                 SD_BUS_PARAM(domain) SD_BUS_PARAM(job), method_start_transient,
                                 SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_NAMES("ConvertDefinition", "sssta{sv}", DEFINITION SD_BUS_PARAM(to) FLAGS, "s", SD_BUS_PARAM(result),
                                 method_convert_definition, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD("Reload", NULL, NULL, method_reload, SD_BUS_VTABLE_UNPRIVILEGED),
        BY_NAME("StartDomain", method_start_domain),
        BY_NAME("ShutdownDomain", method_shutdown_domain),
        BY_NAME("RebootDomain", method_reboot_domain),
        BY_NAME("TerminateDomain", method_terminate_domain),
        BY_NAME("SuspendDomain", method_suspend_domain),
        BY_NAME("ResumeDomain", method_resume_domain),
        METHOD("GetPlan", "s", SD_BUS_PARAM(name), "asasa(uh)a{sv}",
               SD_BUS_PARAM(argv) SD_BUS_PARAM(environment) SD_BUS_PARAM(descriptors) SD_BUS_PARAM(settings), method_get_plan),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("KVMAvailable", "b", get_kvm, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("HostMemory", "t", get_memory, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("HostCPUs", "u", get_cpus, 0, 0),
        SD_BUS_PROPERTY("DomainCount", "u", get_count, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_SIGNAL("DisksChanged", "", 0),
        SD_BUS_SIGNAL_WITH_NAMES("DomainNew", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(domain), 0),
        SD_BUS_SIGNAL_WITH_NAMES("DomainRemoved", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(domain), 0),
        SD_BUS_SIGNAL_WITH_NAMES("JobNew", "uos", SD_BUS_PARAM(id) SD_BUS_PARAM(job) SD_BUS_PARAM(operation), 0),
        SD_BUS_SIGNAL_WITH_NAMES("JobRemoved", "uosss", SD_BUS_PARAM(id) SD_BUS_PARAM(job) SD_BUS_PARAM(object) SD_BUS_PARAM(result)
                                 SD_BUS_PARAM(error), 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable *const manager_vtables[] = {
        manager_vtable, manager_describe_vtable, manager_hostdev_vtable, manager_host_vtable, manager_capabilities_vtable, statistics_manager_vtable, NULL
};

const BusObject manager_object = { .path = QEMU1_ROOT, .interface = QEMU1_MANAGER, .vtables = manager_vtables };
