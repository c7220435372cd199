/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch.h"

#include <time.h>

#include "../def/controller-def.h"
#include "../device/device.h"
#include "../device/memory.h"
#include "../device/memory-backend.h"
#include "cpu.h"
#include "domain.h"
#include "iothread.h"
#include "mem.h"
#include "memory.h"
#include "hmat.h"
#include "numa.h"
#include "smbios.h"
#include "str.h"

#define SUPERVISOR_MONITOR_FD (PLAN_FD_BASE - 1)

LaunchPlan *launch_plan_free(LaunchPlan *p) {
        if (!p)
                return NULL;

        strv_free(p->argv);
        strv_free(p->environment);
        json_decref(p->commands);
        json_decref(p->tidy);
        for (size_t i = 0; i < p->n_fds; i++)
                free(p->fds[i].path);
        free(p->fds);
        free(p);
        return NULL;
}

/* A comma would end the value; twice it stands for itself. */
static char *escape(const char *s) {
        Text t = TEXT_INIT;

        for (; *s; s++)
                text_addn(&t, *s == ',' ? ",," : s, *s == ',' ? 2 : 1);
        text_add(&t, "");
        return text_finish(&t);
}

static int add_name(Args *a, const DomainDef *def) {
        _cleanup_free_ char *name = escape(def->name);

        return name ? args_option(a, "-name", "guest=%s,debug-threads=on", name) : -ENOMEM;
}

static const Timer *find_timer(const DomainDef *def, TimerName name) {
        for (size_t i = 0; i < def->timers.n; i++)
                if (((const Timer *) def->timers.items[i])->name == (int) name)
                        return (const Timer *) def->timers.items[i];
        return NULL;
}

static bool timer_is_off(const DomainDef *def, TimerName name) {
        const Timer *t = find_timer(def, name);

        return t && t->present == NO;
}

static void add_machine_switch(Text *t, const char *name, Tristate value) {
        if (value != UNSET)
                text_addf(t, ",%s=%s", name, value == YES ? "on" : "off");
}

static bool is_pc(const DomainDef *def) {
        return domain_is_i440fx(def) || domain_is_q35(def);
}

static int add_machine(Args *a, const DomainDef *def) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        text_add(&t, def->machine);
        if (def->code_cache == NUMBER_UNSET && def->dirty_ring_size == NUMBER_UNSET)
                text_addf(&t, ",accel=%s", def->type == DOMAIN_TYPE_KVM ? "kvm" : "tcg");
        text_addf(&t, ",dump-guest-core=%s", def->memory_dump == YES ? "on" : "off");
        if (hmat_any(def))
                text_add(&t, ",hmat=on");
        if (domain_has_nvdimm(def))
                text_add(&t, ",nvdimm=on");
        if (is_pc(def)) {
                text_add(&t, ",usb=off");
                add_machine_switch(&t, "vmport", switch_state(&def->vmport));
                add_machine_switch(&t, "i8042", def->ps2);
                add_machine_switch(&t, "smm", def->loader_secure == YES ? YES : switch_state(&def->smm));
                if (timer_is_off(def, TIMER_HPET))
                        text_add(&t, ",hpet=off");
                if (timer_is_off(def, TIMER_PIT))
                        text_add(&t, ",pit=off");
                if (!def->acpi)
                        text_add(&t, ",acpi=off");
                if (def->bios_serial == YES)
                        text_add(&t, ",graphics=off");
        }
        if (def->ioapic != IOAPIC_NONE)
                text_addf(&t, ",kernel_irqchip=%s", def->ioapic == IOAPIC_KVM ? "on" : "split");
        if (def->loader_type == LOADER_PFLASH)
                text_addf(&t, ",pflash0=pflash0%s", domain_nvram(def) ? ",pflash1=pflash1" : "");

        memory_machine(def, &t);
        text = text_finish(&t);
        return text ? args_option(a, "-machine", "%s", text) : -ENOMEM;
}

static int add_smp(Args *a, const DomainDef *def) {
        bool given = def->cpu_sockets != NUMBER_UNSET;
        uint64_t now = def->vcpus_current == NUMBER_UNSET ? def->vcpus : def->vcpus_current;
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        text_addf(&t, "%" PRIu64, now);
        if (now != def->vcpus)
                text_addf(&t, ",maxcpus=%" PRIu64, def->vcpus);
        /* Without a topology one socket per CPU, as guests made by libvirt have it; QEMU's own default has changed over time. */
        text_addf(&t, ",sockets=%" PRIu64, given ? def->cpu_sockets : def->vcpus);
        if (given && def->cpu_dies != NUMBER_UNSET)
                text_addf(&t, ",dies=%" PRIu64, def->cpu_dies);
        text_addf(&t, ",cores=%" PRIu64 ",threads=%" PRIu64, given ? def->cpu_cores : 1, given ? def->cpu_threads : 1);

        text = text_finish(&t);
        return text ? args_option(a, "-smp", "%s", text) : -ENOMEM;
}

static int add_cpu(Args *a, const DomainDef *def, Fault *f) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = cpu_text(def, &text, f);
        if (r < 0)
                return r;
        return text ? args_option(a, "-cpu", "%s", text) : 0;
}

static void add_time(Text *t, time_t when) {
        char buffer[32];
        struct tm tm;

        if (gmtime_r(&when, &tm) && strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%S", &tm) > 0)
                text_addf(t, "base=%s", buffer);
}

static int add_rtc(Args *a, const DomainDef *def) {
        const Timer *rtc = find_timer(def, TIMER_RTC);
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;
        bool local = def->clock_offset == CLOCK_LOCALTIME || def->clock_offset == CLOCK_TIMEZONE || def->clock_basis == BASIS_LOCALTIME;

        if (def->clock_offset == CLOCK_ABSOLUTE)
                add_time(&t, (time_t) def->clock_start);
        else if (def->clock_adjustment != INTEGER_UNSET && def->clock_adjustment != 0)
                add_time(&t, time(NULL) + (time_t) def->clock_adjustment);
        else
                text_addf(&t, "base=%s", local ? "localtime" : "utc");
        if (rtc && rtc->track == TRACK_GUEST)
                text_add(&t, ",clock=vm");
        if (rtc && rtc->track == TRACK_REALTIME)
                text_add(&t, ",clock=rt");
        if (rtc && rtc->tickpolicy == TICK_CATCHUP)
                text_add(&t, ",driftfix=slew");

        text = text_finish(&t);
        return text ? args_option(a, "-rtc", "%s", text) : -ENOMEM;
}

static int add_globals(Args *a, const DomainDef *def) {
        const char *driver = domain_is_q35(def) ? "ICH9-LPC" : "PIIX4_PM";
        const Controller *root = domain_find_controller(def, CONTROLLER_PCI, 0);
        const Timer *pit = find_timer(def, TIMER_PIT);
        int r = 0;

        if (def->code_cache != NUMBER_UNSET)
                r = args_option(a, "-accel", "tcg,tb-size=%" PRIu64, def->code_cache >> 20);
        else if (def->dirty_ring_size != NUMBER_UNSET)
                r = args_option(a, "-accel", "kvm,dirty-ring-size=%" PRIu64, def->dirty_ring_size);
        if (r >= 0 && root && root->model == MODEL_PCI_ROOT && root->hotplug != UNSET)
                r = args_option(a, "-global", "PIIX4_PM.acpi-root-pci-hotplug=%s", root->hotplug == YES ? "on" : "off");
        if (r >= 0 && def->suspend_to_mem != UNSET)
                r = args_option(a, "-global", "%s.disable_s3=%d", driver, def->suspend_to_mem == NO);
        if (r >= 0 && def->suspend_to_disk != UNSET)
                r = args_option(a, "-global", "%s.disable_s4=%d", driver, def->suspend_to_disk == NO);
        if (r >= 0 && def->smm_segment != NUMBER_UNSET)
                r = args_option(a, "-global", "mch.extended-tseg-mbytes=%" PRIu64, def->smm_segment >> 20);
        if (r >= 0 && root && root->hole != NUMBER_UNSET)
                r = args_option(a, "-global", "%s.pci-hole64-size=%" PRIu64 "K", domain_is_q35(def) ? "q35-pcihost" : "i440FX-pcihost", root->hole / 1024);
        if (r >= 0 && def->loader_secure == YES)
                r = args_option(a, "-global", "driver=cfi.pflash01,property=secure,value=on");
        if (r >= 0 && pit && pit->tickpolicy != TICK_NONE && def->type == DOMAIN_TYPE_KVM)
                r = args_option(a, "-global", "kvm-pit.lost_tick_policy=%s", tick_policy_to_string((TickPolicy) pit->tickpolicy));
        return r;
}

static int add_boot(Args *a, const DomainDef *def) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        add_machine_switch(&t, "menu", def->bootmenu);
        if (def->bootmenu_timeout != NUMBER_UNSET && def->bootmenu == YES)
                text_addf(&t, ",splash-time=%" PRIu64, def->bootmenu_timeout);
        if (def->reboot_timeout != INTEGER_UNSET)
                text_addf(&t, ",reboot-timeout=%" PRIi64, def->reboot_timeout);
        text_add(&t, ",strict=on");

        text = text_finish(&t);
        return text ? args_option(a, "-boot", "%s", text + 1) : -ENOMEM;
}

/* An option whose value is the content of a file, handed over as a memfd. */
static int add_memfd(Args *a, const char *option, const char *path) {
        int fd;

        if (!path)
                return 0;
        fd = args_fd(a, PLAN_FD_MEMFD, path, false, false, false, NULL);
        return fd < 0 ? fd : args_option(a, option, "/proc/self/fd/%d", fd);
}

static int add_kernel(Args *a, const DomainDef *def) {
        int r;

        r = add_memfd(a, "-kernel", def->kernel);
        if (r >= 0)
                r = add_memfd(a, "-initrd", def->initrd);
        if (r >= 0 && def->cmdline)
                r = args_option(a, "-append", "%s", def->cmdline);
        return r;
}

static int add_flash(Args *a, const char *node, const char *path, bool writable) {
        _cleanup_free_ char *file = NULL, *storage = NULL;
        unsigned set;
        int r;

        r = args_fd(a, PLAN_FD_IMAGE, path, writable, false, true, &set);
        if (r < 0)
                return r;
        file = strf("/dev/fdset/%u", set);
        storage = strf("%s-storage", node);
        if (!file || !storage)
                return -ENOMEM;

        r = args_json(a, ARG_BLOCKDEV, json_pack("{s:s, s:s, s:s, s:b}", "driver", "file", "filename", file, "node-name", storage,
                                                 "read-only", !writable));
        if (r < 0)
                return r;
        return args_json(a, ARG_BLOCKDEV, json_pack("{s:s, s:s, s:s, s:b}", "driver", "raw", "file", storage, "node-name", node, "read-only",
                                                    !writable));
}

static int add_firmware(Args *a, const DomainDef *def) {
        int r;

        if (!def->loader)
                return 0;
        if (def->loader_type != LOADER_PFLASH)
                return add_memfd(a, "-bios", def->loader);
        r = add_flash(a, "pflash0", def->loader, def->loader_readonly == NO);
        if (r < 0 || !domain_nvram(def))
                return r;
        return add_flash(a, "pflash1", domain_nvram(def), true);
}

/* The daemon's monitor listens, so that a new virtqemud can come back; the supervisor's is a pair. */
static int add_monitors(Args *a) {
        int fd, r;

        fd = args_fd(a, PLAN_FD_MONITOR, NULL, false, false, false, NULL);
        if (fd < 0)
                return fd;
        r = args_option(a, "-chardev", "socket,id=mon0,fd=%d,server=on,wait=off", fd);
        if (r >= 0)
                r = args_option(a, "-mon", "chardev=mon0,mode=control");
        if (r < 0)
                return r;

        fd = args_fd(a, PLAN_FD_MONITOR_RUN, NULL, false, false, false, NULL);
        if (fd < 0)
                return fd;
        r = args_option(a, "-chardev", "socket,id=mon1,fd=%d", fd);
        return r < 0 ? r : args_option(a, "-mon", "chardev=mon1,mode=control");
}

bool launch_holds_on_shutdown(const DomainDef *def) {
        return def->on_poweroff != LIFECYCLE_DESTROY ||
                (def->on_reboot != LIFECYCLE_RESTART && def->on_reboot != LIFECYCLE_DESTROY);
}

bool launch_makes_files(const LaunchPlan *p, const DomainDef *def) {
        assert(p && def);

        for (size_t i = 0; i < p->n_fds; i++) {
                _cleanup_(companion_clear) Companion c = {};

                if (p->fds[i].kind == PLAN_FD_COMPANION && companion_make(def, p->fds[i].path, "", &c) >= 0 && c.lends)
                        return true;
        }
        return false;
}

/* Only what QEMU would not do by itself. Where the daemon has to act, QEMU waits, paused, until it does. */
static int add_actions(Args *a, const DomainDef *def) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        if (def->on_reboot != LIFECYCLE_RESTART)
                text_add(&t, ",reboot=shutdown");
        if (launch_holds_on_shutdown(def))
                text_add(&t, ",shutdown=pause");
        if (def->on_crash != LIFECYCLE_DESTROY)
                text_add(&t, ",panic=pause");
        if (t.length == 0)
                return 0;
        text = text_finish(&t);
        return text ? args_option(a, "-action", "%s", text + 1) : -ENOMEM;
}

static int add_memory_size(Args *a, const DomainDef *def) {
        uint64_t kib = domain_boot_memory(def) / 1024;

        if (def->memory_max == NUMBER_UNSET)
                return args_option(a, "-m", "size=%" PRIu64 "k", kib);
        return args_option(a, "-m", "size=%" PRIu64 "k,slots=%" PRIu64 ",maxmem=%" PRIu64 "k", kib, def->memory_slots, def->memory_max / 1024);
}

static int add_general(Args *a, const DomainDef *def, Fault *f) {
        int r;

        r = add_name(a, def);
        if (r >= 0)
                r = args_option(a, "-S", NULL);
        if (r >= 0)
                r = args_option(a, "-no-user-config", NULL);
        if (r >= 0)
                r = args_option(a, "-nodefaults", NULL);
        if (r >= 0)
                r = args_option(a, "-display", "none");
        if (r >= 0)
                r = add_machine(a, def);
        if (r >= 0)
                r = add_cpu(a, def, f);
        if (r >= 0)
                r = add_memory_size(a, def);
        if (r >= 0)
                r = memory_args(def, a);
        if (r >= 0)
                r = iothreads_args(def, a);
        if (r >= 0)
                r = add_smp(a, def);
        if (r >= 0)
                r = numa_args(def, a);
        if (r >= 0)
                r = args_option(a, "-uuid", SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(def->uuid));
        if (r >= 0)
                r = add_rtc(a, def);
        return r;
}

static int add_behaviour(Args *a, const DomainDef *def) {
        int r;

        r = add_globals(a, def);
        if (r >= 0)
                r = add_boot(a, def);
        if (r >= 0)
                r = add_firmware(a, def);
        if (r >= 0)
                r = add_kernel(a, def);
        if (r >= 0)
                r = add_actions(a, def);
        if (r >= 0)
                r = args_option(a, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
        if (r >= 0)
                r = args_option(a, "-msg", "timestamp=on");
        if (r >= 0)
                r = add_monitors(a);
        if (r >= 0 && switch_state(&def->vmcoreinfo) == YES)
                r = args_option(a, "-device", "vmcoreinfo");
        if (r >= 0)
                r = smbios_args(def, a);
        return r;
}

static int add_device(Args *a, const Device *d, Fault *f) {
        return d->ops->args ? d->ops->args(d, a, f) : 0;
}

static bool is_controller(const Device *d) {
        return device_kind(d) == DEVICE_CONTROLLER;
}

/* Root ports and bridges come before what is plugged into them, roots first. The check made sure that there are no circles: a
 * parent that is not there yet can only be deeper by the number of controllers. */
static int add_pci_below(Args *a, uint64_t bus, unsigned depth, Fault *f) {
        if (depth > 16)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "PCI bridges are nested more than 16 deep");

        DEVICE_FOREACH(Controller, c, a->def, DEVICE_CONTROLLER) {
                const Address *at = c->device.address;
                int r;

                if (c->type != CONTROLLER_PCI || !at || at->type != ADDRESS_PCI || at->bus != bus || c->index == bus)
                        continue;
                r = add_device(a, &c->device, f);
                if (r >= 0)
                        r = add_pci_below(a, c->index, depth + 1, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Controllers come before what is on them; some are on others. */
static unsigned turn_of(const Args *a, const Device *d) {
        if (!is_controller(d))
                return 2;
        return device_slot(d, a->def) == SLOT_USB ? 1 : 0;
}

static int add_iommu(Args *a, Fault *f) {
        size_t i = 0;
        const Device *d = device_next(a->def, DEVICE_IOMMU, &i);

        return d ? add_device(a, d, f) : 0;
}

static int add_devices(Args *a, Fault *f) {
        int r;

        /* Whose devices it looks after has to be known when they are made. */
        r = add_iommu(a, f);
        if (r >= 0)
                r = add_pci_below(a, 0, 0, f);
        for (unsigned turn = 0; turn < 3; turn++)
                for (size_t i = 0; i < a->def->devices.n && r >= 0; i++) {
                        const Device *d = (const Device *) a->def->devices.items[i];

                        if (device_kind(d) != DEVICE_IOMMU && turn_of(a, d) == turn && !(is_controller(d) && ((const Controller *) d)->type == CONTROLLER_PCI))
                                r = add_device(a, d, f);
                }
        return r;
}

static int push_arg(char ***argv, const Arg *arg) {
        static const char *const options[] = {
                [ARG_OBJECT] = "-object",
                [ARG_CHARDEV] = "-chardev",
                [ARG_BLOCKDEV] = "-blockdev",
                [ARG_NETDEV] = "-netdev",
                [ARG_DEVICE] = "-device",
        };
        int r;

        if (arg->kind == ARG_OPTION) {
                r = strv_push(argv, arg->option);
                return r < 0 || !arg->text ? r : strv_push(argv, arg->text);
        }
        r = strv_push(argv, options[arg->kind]);
        if (r < 0)
                return r;
        if (arg->kind == ARG_CHARDEV)
                return strv_take(argv, args_chardev_text(arg->json));
        return strv_take(argv, json_dumps(arg->json, JSON_COMPACT));
}

/* What belongs to a device has its name, by which it is found when that goes. */
static int push_fdset(LaunchPlan *p, const PlanFd *fd) {
        bool named = (fd->kind == PLAN_FD_LOG || fd->kind == PLAN_FD_USB || fd->kind == PLAN_FD_COMPANION) && !strchr(fd->path, ',');

        return strv_pushf(&p->argv, "fd=%d,set=%u%s%s", fd->number, fd->fdset, named ? ",opaque=" : "", named ? fd->path : "");
}

static int build_argv(const Args *a, LaunchPlan *p) {
        int r;

        r = strv_push(&p->argv, a->def->emulator);
        for (size_t i = 0; i < a->n_fds && r >= 0; i++)
                if (a->fds[i].fdset > 0) {
                        r = strv_push(&p->argv, "-add-fd");
                        if (r >= 0)
                                r = push_fdset(p, &a->fds[i]);
                }
        for (size_t i = 0; i < a->n && r >= 0; i++)
                r = push_arg(&p->argv, &a->items[i]);
        RECORD_FOREACH(ExtraArg, extra, a->def->extra_args)
                r = r < 0 ? r : strv_push(&p->argv, extra->value);
        return r;
}

static int build_environment(const DomainDef *def, LaunchPlan *p) {
        int r;

        r = strv_push(&p->environment, "LC_ALL=C");
        if (r >= 0)
                r = strv_push(&p->environment, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        if (r >= 0 && def->clock_timezone)
                r = strv_pushf(&p->environment, "TZ=%s", def->clock_timezone);
        RECORD_FOREACH(ExtraArg, extra, def->extra_env)
                r = r < 0 ? r : strv_pushf(&p->environment, "%s=%s", extra->name, extra->value ?: "");
        return r;
}

int launch_plan(const DomainDef *def, const QemuCaps *caps, unsigned flags, LaunchPlan **ret, Fault *f) {
        _cleanup_args_ Args a = ARGS_INIT(def, caps);
        _cleanup_(launch_plan_freep) LaunchPlan *p = NULL;
        int r;

        assert(def);
        assert(ret);

        a.flags = flags;
        r = add_general(&a, def, f);
        if (r >= 0)
                r = add_behaviour(&a, def);
        if (r >= 0)
                r = add_devices(&a, f);
        if (r < 0)
                return r == -ENOMEM ? fault_oom(f) : r;

        p = new0(LaunchPlan, 1);
        if (!p || build_argv(&a, p) < 0 || build_environment(def, p) < 0)
                return fault_oom(f);
        p->fds = TAKE_PTR(a.fds);
        p->n_fds = TAKE(a.n_fds, 0);
        p->next_fdset = a.next_fdset;
        p->monitor_run_fd = SUPERVISOR_MONITOR_FD;
        *ret = TAKE_PTR(p);
        return 0;
}

int launch_plan_lend(LaunchPlan *p, int number, const char *device) {
        int r;

        assert(p && device);

        r = strv_push(&p->argv, "-add-fd");
        return r < 0 ? r : strv_pushf(&p->argv, "fd=%d,set=%u,opaque=%s", number, p->next_fdset++, device);
}

int launch_settle(const DomainDef *def, json_t **ret) {
        json_auto_t *commands = json_array();
        int r = commands ? 0 : -ENOMEM;

        assert(def && ret);

        for (size_t i = 0; i < def->devices.n && r >= 0; i++) {
                const Device *d = (const Device *) def->devices.items[i];

                r = d->ops->settle ? d->ops->settle(d, def, commands) : 0;
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(commands);
        return 0;
}

static int want(WantedFiles *requests, WantedKind kind, const DomainDef *def, const char *path, const char *template, bool writable) {
        WantedFile request = {
                .want = kind,
                .path = (char *) path,
                .format = (char *) "raw",
                .template = (char *) template,
                .writable = writable,
                .lease = writable ? LEASE_ALONE : LEASE_NONE, /* what the firmware and the kernel are read from is nobody's */
                .line = def->head.line,
        };

        return path ? wanted_files_add(requests, &request) : 0;
}

int launch_files(const DomainDef *def, WantedFiles *ret, Fault *f) {
        bool flash;
        int r;

        assert(def);
        assert(ret);

        flash = def->loader_type == LOADER_PFLASH;
        r = want(ret, flash ? WANTED_FD : WANTED_MEMFD, def, def->loader, NULL, flash && def->loader_readonly == NO);
        if (r >= 0)
                r = want(ret, WANTED_NVRAM, def, domain_nvram(def), def->nvram_template, true);
        if (r >= 0)
                r = want(ret, WANTED_MEMFD, def, def->kernel, NULL, false);
        if (r >= 0)
                r = want(ret, WANTED_MEMFD, def, def->initrd, NULL, false);
        if (r >= 0)
                r = smbios_files(def, ret);
        if (r >= 0)
                r = memory_files(def, ret);
        for (size_t i = 0; i < def->devices.n && r >= 0; i++) {
                const Device *d = (const Device *) def->devices.items[i];

                r = d->ops->files ? d->ops->files(d, ret) : 0;
        }
        return r == -ENOMEM ? fault_oom(f) : r;
}

int launch_apply_chain(DomainDef *live, const char *image, const ChainLevel *levels, size_t n, Fault *f) {
        bool found = false;

        assert(live);
        assert(image);

        for (size_t i = 0; i < live->devices.n; i++) {
                Device *d = (Device *) live->devices.items[i];
                int r;

                r = d->ops->apply_chain ? d->ops->apply_chain(d, image, levels, n) : 0;
                if (r < 0)
                        return r == -ENOMEM ? fault_oom(f) : r;
                found = found || r > 0;
        }
        return found ? 0 : fault_set(f, FAULT_IMAGE, ENOENT, "no disk of this domain uses the image '%s'", image);
}

int launch_lose_file(DomainDef *live, const char *path, char **ret) {
        assert(live && path && ret);

        *ret = NULL;
        for (size_t i = 0; i < live->devices.n;) {
                Device *d = (Device *) live->devices.items[i];
                int lost = d->ops->lose_file ? d->ops->lose_file(d, path) : 0;

                if (lost > 0 && !*ret) {
                        *ret = strdup(device_target(d) ?: d->id);
                        if (!*ret)
                                return -ENOMEM;
                }
                if (lost > 1)
                        record_free(record_list_take(&live->devices, i));
                else
                        i++;
        }
        return 0;
}
