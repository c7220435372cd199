/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-def.h"

#include "mem.h"
#include "str.h"
#include "xml-read.h"

DEFINE_ENUM(DomainType, domain_type, NULL, "kvm", "qemu")
DEFINE_ENUM(LifecycleAction, lifecycle_action, NULL, "destroy", "restart", "preserve", "rename-restart", "coredump-destroy",
            "coredump-restart")
DEFINE_ENUM(LockFailure, lock_failure, NULL, "poweroff", "restart", "pause", "ignore")
DEFINE_ENUM(CpuMode, cpu_mode, NULL, "custom", "host-model", "host-passthrough", "maximum")
DEFINE_ENUM(CpuPolicy, cpu_policy, NULL, "force", "require", "optional", "disable", "forbid")
DEFINE_ENUM(CpuMatch, cpu_match, NULL, "minimum", "exact", "strict")
DEFINE_ENUM(CpuCheck, cpu_check, NULL, "none", "partial", "full")
DEFINE_ENUM(ClockOffset, clock_offset, NULL, "utc", "localtime", "variable", "timezone", "absolute")
DEFINE_ENUM(ClockBasis, clock_basis, NULL, "utc", "localtime")
DEFINE_ENUM(TimerName, timer_name, NULL, "rtc", "pit", "hpet", "hypervclock", "kvmclock", "tsc")
DEFINE_ENUM(TickPolicy, tick_policy, NULL, "delay", "catchup", "merge", "discard")
DEFINE_ENUM(TimerTrack, timer_track, NULL, "boot", "guest", "wall", "realtime")

/* <genid/>: a new one. */
static int genid_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        *ret_wanted = "a UUID, or nothing for a new one";
        return *text ? field_uuid.from_text(f, text, value, ret_wanted) : sd_id128_randomize(value);
}

static FieldType field_new_uuid;
__attribute__((constructor)) static void make_type(void) {
        field_new_uuid = field_uuid;
        field_new_uuid.from_text = genid_from_text;
}

/* What firmware is kept in. */
static const char *const raw_words[] = { NULL, "raw" };
static const EnumTable raw_table = { raw_words, ARRAY_SIZE(raw_words) };
static const char *const file_words[] = { NULL, "file" };
static const EnumTable file_table = { file_words, ARRAY_SIZE(file_words) };

DEFINE_ENUM(OsFirmware, os_firmware, NULL, "bios", "efi")
DEFINE_ENUM(LoaderType, loader_type, NULL, "rom", "pflash")
DEFINE_ENUM(BootDev, boot_dev, NULL, "fd", "hd", "cdrom", "network")
DEFINE_ENUM(IoapicDriver, ioapic_driver, NULL, "kvm", "qemu")
DEFINE_ENUM(CpuCache, cpu_cache, NULL, "emulate", "passthrough", "disable")
DEFINE_ENUM(CpuAddress, cpu_address, NULL, "emulate", "passthrough")
DEFINE_ENUM(HypervMode, hyperv_mode, NULL, "custom", "passthrough")

DEFINE_ENUM(MemorySource, memory_source, NULL, "anonymous", "memfd", "file")
DEFINE_ENUM(MemoryAccess, memory_access, NULL, "private", "shared")
DEFINE_ENUM(MemoryAllocation, memory_allocation, NULL, "immediate", "ondemand")
DEFINE_ENUM(SmbiosMode, smbios_mode, NULL, "emulate", "host", "sysinfo")
DEFINE_ENUM(SysinfoType, sysinfo_type, NULL, "smbios", "fwcfg")

static const char *const vcpu_placement_words[] = { NULL, "static", "auto" };
static const EnumTable vcpu_placement_table = { vcpu_placement_words, ARRAY_SIZE(vcpu_placement_words) };
static const char *const os_type_words[] = { NULL, "hvm" };
static const EnumTable os_type_table = { os_type_words, ARRAY_SIZE(os_type_words) };
static const char *const fallback_words[] = { NULL, "allow", "forbid" };
static const EnumTable fallback_table = { fallback_words, ARRAY_SIZE(fallback_words) };

#define AT(member) offsetof(BootDevice, member)
static const Field boot_device_fields[] = {
        { "@dev", &field_enum, AT(dev), FIELD_REQUIRED, .words = &boot_dev_table },
};
#undef AT
const RecordType boot_device_record = { "boot", sizeof(BootDevice), RECORD_FIELDS(boot_device_fields) };

#define AT(member) offsetof(FirmwareFeature, member)
static const Field firmware_feature_fields[] = {
        { "@enabled", &field_yes_no, AT(enabled), FIELD_REQUIRED },
        { "@name", &field_string, AT(name), FIELD_REQUIRED, .max_length = 64 },
};
#undef AT
static const RecordType firmware_feature_record = { "feature", sizeof(FirmwareFeature), RECORD_FIELDS(firmware_feature_fields) };

#define AT(member) offsetof(IothreadId, member)
static const Field iothread_fields[] = {
        { "@id", &field_number, AT(id), FIELD_REQUIRED, .min = 1, .max = UINT32_MAX },
        { "@thread_pool_min", &field_number, AT(pool_min), .max = 1024 },
        { "@thread_pool_max", &field_number, AT(pool_max), .min = 1, .max = 1024 },
        { "poll/@max", &field_number, AT(poll_max), .max = INT64_MAX },
        { "poll/@grow", &field_number, AT(poll_grow), .max = INT64_MAX },
        { "poll/@shrink", &field_number, AT(poll_shrink), .max = INT64_MAX },
};
#undef AT
const RecordType iothread_record = { "iothread", sizeof(IothreadId), RECORD_FIELDS(iothread_fields) };

#define AT(member) offsetof(CpuPin, member)
static const Field vcpu_pin_fields[] = {
        { "@vcpu", &field_number, AT(thread), FIELD_REQUIRED, .max = 4095 },
        { "@cpuset", &field_string, AT(cpus), FIELD_REQUIRED, .max_length = 1024 },
};
const RecordType vcpu_pin_record = { "vcpupin", sizeof(CpuPin), RECORD_FIELDS(vcpu_pin_fields) };

static const Field iothread_pin_fields[] = {
        { "@iothread", &field_number, AT(thread), FIELD_REQUIRED, .min = 1, .max = UINT32_MAX },
        { "@cpuset", &field_string, AT(cpus), FIELD_REQUIRED, .max_length = 1024 },
};
#undef AT
const RecordType iothread_pin_record = { "iothreadpin", sizeof(CpuPin), RECORD_FIELDS(iothread_pin_fields) };

static const char *const scheduler_words[] = { NULL, "batch", "idle", "fifo", "rr" };
const EnumTable scheduler_table = { scheduler_words, ARRAY_SIZE(scheduler_words) };

#define AT(member) offsetof(CpuScheduler, member)
#define SCHEDULER_FIELDS                                                                                \
        { "@scheduler", &field_enum, AT(scheduler), FIELD_REQUIRED, .words = &scheduler_table },        \
        { "@priority", &field_number, AT(priority), .min = 1, .max = 99 }
static const Field vcpu_scheduler_fields[] = { { "@vcpus", &field_string, AT(threads), FIELD_REQUIRED, .max_length = 1024 }, SCHEDULER_FIELDS };
static const Field iothread_scheduler_fields[] = { { "@iothreads", &field_string, AT(threads), FIELD_REQUIRED, .max_length = 1024 }, SCHEDULER_FIELDS };
static const Field emulator_scheduler_fields[] = { SCHEDULER_FIELDS };
#undef AT
const RecordType vcpu_scheduler_record = { "vcpusched", sizeof(CpuScheduler), RECORD_FIELDS(vcpu_scheduler_fields) };
static const RecordType iothread_scheduler_record = { "iothreadsched", sizeof(CpuScheduler), RECORD_FIELDS(iothread_scheduler_fields) };
static const RecordType emulator_scheduler_record = { "emulatorsched", sizeof(CpuScheduler), RECORD_FIELDS(emulator_scheduler_fields) };

#define AT(member) offsetof(IoDevice, member)
static const Field io_device_fields[] = {
        { "path", &field_string, AT(path), FIELD_REQUIRED },
        { "weight", &field_number, AT(weight), .min = 1, .max = 10000 },
        { "read_bytes_sec", &field_number, AT(read_bytes), .min = 1, .max = INT64_MAX },
        { "write_bytes_sec", &field_number, AT(write_bytes), .min = 1, .max = INT64_MAX },
        { "read_iops_sec", &field_number, AT(read_iops), .min = 1, .max = INT64_MAX },
        { "write_iops_sec", &field_number, AT(write_iops), .min = 1, .max = INT64_MAX },
};
#undef AT
static const RecordType io_device_record = { "device", sizeof(IoDevice), RECORD_FIELDS(io_device_fields) };

#define AT(member) offsetof(HugePage, member)
static const Field huge_page_fields[] = {
        { "@size", &field_number, AT(size), FIELD_REQUIRED, .min = 1 },
        { "@unit", &field_string, AT(unit), .max_length = 8 },
        { "@nodeset", &field_string, AT(nodeset), .max_length = 256 },
};
#undef AT
static const RecordType huge_page_record = { "page", sizeof(HugePage), RECORD_FIELDS(huge_page_fields) };

#define AT(member) offsetof(SysinfoEntry, member)
static const Field sysinfo_entry_fields[] = {
        { "@name", &field_string, AT(name), .max_length = 64 },
        { "@file", &field_string, AT(file) },
        { ".", &field_string, AT(text), .max_length = 255 },
};
#undef AT
static const RecordType sysinfo_entry_record = { "entry", sizeof(SysinfoEntry), RECORD_FIELDS(sysinfo_entry_fields) };

#define AT(member) offsetof(Sysinfo, member)
static const Field sysinfo_fields[] = {
        { "@type", &field_enum, AT(type), .words = &sysinfo_type_table },
        { "bios/entry", &field_list, AT(bios), .record = &sysinfo_entry_record, .max = 16 },
        { "system/entry", &field_list, AT(product), .record = &sysinfo_entry_record, .max = 16 },
        { "baseBoard/entry", &field_list, AT(base_board), .record = &sysinfo_entry_record, .max = 16 },
        { "chassis/entry", &field_list, AT(chassis), .record = &sysinfo_entry_record, .max = 16 },
        { "oemStrings/entry", &field_list, AT(oem_strings), .record = &sysinfo_entry_record, .max = 64 },
        { "entry", &field_list, AT(configuration), .record = &sysinfo_entry_record, .max = 64 },
};
#undef AT
static const RecordType sysinfo_record = { "sysinfo", sizeof(Sysinfo), RECORD_FIELDS(sysinfo_fields) };

#define AT(member) offsetof(CpuFeature, member)
static const Field cpu_feature_fields[] = {
        { "@policy", &field_enum, AT(policy), .words = &cpu_policy_table },
        { "@name", &field_string, AT(name), FIELD_REQUIRED, .max_length = 64 },
};
#undef AT
static const RecordType cpu_feature_record = { "feature", sizeof(CpuFeature), RECORD_FIELDS(cpu_feature_fields) };

#define AT(member) offsetof(Timer, member)
static const Field timer_fields[] = {
        { "@name", &field_enum, AT(name), FIELD_REQUIRED, .words = &timer_name_table },
        { "@present", &field_yes_no, AT(present) },
        { "@tickpolicy", &field_enum, AT(tickpolicy), .words = &tick_policy_table },
        { "@track", &field_enum, AT(track), .words = &timer_track_table },
        { "@frequency", &field_number, AT(frequency), .min = 1 },
};
#undef AT

/* Which policies and tracks a timer has is fixed by what QEMU can do for it. */
static int timer_check(Record *r, Fault *f) {
        const Timer *t = (const Timer *) r;

        if (t->track != TRACK_NONE && t->name != TIMER_RTC)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only the timer 'rtc' has a track");
        if (t->track == TRACK_BOOT)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "QEMU's 'rtc' can't track 'boot', only 'guest', 'wall' or 'realtime'");
        if (t->frequency != NUMBER_UNSET && t->name != TIMER_TSC)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only the timer 'tsc' has a frequency");
        if (t->tickpolicy == TICK_NONE)
                return 0;
        if (t->name == TIMER_RTC && (t->tickpolicy == TICK_DELAY || t->tickpolicy == TICK_CATCHUP))
                return 0;
        if (t->name == TIMER_PIT && (t->tickpolicy == TICK_DELAY || t->tickpolicy == TICK_DISCARD))
                return 0;
        return xml_fault(r, f, FAULT_NOT_SUPPORTED, "tickpolicy '%s' does not exist for the timer '%s' (rtc: delay, catchup; pit: delay, discard)",
                         tick_policy_to_string(t->tickpolicy), timer_name_to_string(t->name));
}
static const RecordType timer_record = { "timer", sizeof(Timer), RECORD_FIELDS(timer_fields), .check = timer_check };

#define QUOTA_FIELDS(prefix, member)                                                                                    \
        { "cputune/" prefix "period", &field_number, AT(tune.member.period), .min = 1000, .max = 1000000 },             \
        { "cputune/" prefix "quota", &field_integer, AT(tune.member.quota) }
#define AT(member) offsetof(DomainDef, member)
#define SWITCH(path, member)                                                                            \
        { path, &field_flag, AT(member.present) },                                                      \
        { path "/@state", &field_on_off, AT(member.state) }
#define HYPERV(name, member) { "features/hyperv/" name "/@state", &field_on_off, AT(hyperv.member) }

static const Field domain_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &domain_type_table },
        { "@id", &field_number, AT(id), FIELD_LIVE },
        { "name", &field_string, AT(name), FIELD_REQUIRED },
        { "uuid", &field_uuid, AT(uuid) },
        { "genid", &field_new_uuid, AT(genid) },
        { "title", &field_string, AT(title) },
        { "description", &field_string, AT(description), .max_length = 65536 },
        { "metadata", &field_xml, AT(metadata) },
        { "launchSecurity", &field_xml, AT(launch_security) },
        { "memory", &field_size, AT(memory), FIELD_REQUIRED, .unit = "KiB" },
        { "memory/@dumpCore", &field_on_off, AT(memory_dump) },
        { "maxMemory", &field_size, AT(memory_max), .unit = "KiB" },
        { "maxMemory/@slots", &field_number, AT(memory_slots), .max = 256 },
        { "currentMemory", &field_size, AT(current_memory), .unit = "KiB" },
        { "memoryBacking/hugepages", &field_flag, AT(memory_backing.hugepages) },
        { "memoryBacking/hugepages/page", &field_list, AT(memory_backing.pages), .record = &huge_page_record, .max = 8 },
        { "memoryBacking/nosharepages", &field_flag, AT(memory_backing.nosharepages) },
        { "memoryBacking/locked", &field_flag, AT(memory_backing.locked) },
        { "memoryBacking/source/@type", &field_enum, AT(memory_backing.source), .words = &memory_source_table },
        { "memoryBacking/access/@mode", &field_enum, AT(memory_backing.access), .words = &memory_access_table },
        { "memoryBacking/allocation/@mode", &field_enum, AT(memory_backing.allocation), .words = &memory_allocation_table },
        { "memoryBacking/allocation/@threads", &field_number, AT(memory_backing.allocation_threads), .min = 1, .max = 1024 },
        { "memoryBacking/discard", &field_flag, AT(memory_backing.discard) },
        { "vcpu", &field_number, AT(vcpus) },
        { "defaultiothread/@thread_pool_min", &field_number, AT(main_pool_min), .max = 1024 },
        { "defaultiothread/@thread_pool_max", &field_number, AT(main_pool_max), .min = 1, .max = 1024 },
        { "iothreads", &field_number, AT(iothreads), .max = 256 },
        { "iothreadids/iothread", &field_list, AT(iothread_ids), .record = &iothread_record, .max = 256 },
        { "vcpus/vcpu", &field_list, AT(vcpu_list), .record = &vcpu_state_record, .max = 4096 },
        { "seclabel", &field_list, AT(labels), .record = &security_label_record, .max = 8 },
        { "qemu:commandline/qemu:arg", &field_list, AT(extra_args), .record = &extra_arg_record, .max = 256 },
        { "qemu:commandline/qemu:env", &field_list, AT(extra_env), .record = &extra_env_record, .max = 64 },
        { "vcpu/@placement", &field_enum, AT(vcpu_placement), .words = &vcpu_placement_table },
        { "vcpu/@cpuset", &field_string, AT(vcpu_cpuset) },
        { "vcpu/@current", &field_number, AT(vcpus_current) },

        { "cputune/shares", &field_number, AT(tune.cpu_weight), .min = 1, .max = 10000 },
        { "cputune/vcpupin", &field_list, AT(tune.vcpu_pins), .record = &vcpu_pin_record, .max = 4096 },
        { "cputune/emulatorpin/@cpuset", &field_string, AT(tune.emulator_pin), .max_length = 1024 },
        { "cputune/iothreadpin", &field_list, AT(tune.iothread_pins), .record = &iothread_pin_record, .max = 256 },
        { "cputune/vcpusched", &field_list, AT(tune.vcpu_schedulers), .record = &vcpu_scheduler_record, .max = 256 },
        { "cputune/iothreadsched", &field_list, AT(tune.iothread_schedulers), .record = &iothread_scheduler_record, .max = 256 },
        { "cputune/emulatorsched", &field_record, AT(tune.emulator_scheduler), .record = &emulator_scheduler_record },
        QUOTA_FIELDS("global_", cpu_quota),
        QUOTA_FIELDS("", vcpu_quota),
        QUOTA_FIELDS("emulator_", emulator_quota),
        QUOTA_FIELDS("iothread_", iothread_quota),
        { "memtune/hard_limit", &field_size, AT(tune.memory_hard), .unit = "KiB" },
        { "memtune/soft_limit", &field_size, AT(tune.memory_soft), .unit = "KiB" },
        { "memtune/swap_hard_limit", &field_size, AT(tune.memory_swap), .unit = "KiB" },
        { "numatune/memory/@mode", &field_enum, AT(numa.mode), .words = &numa_mode_table },
        { "numatune/memory/@nodeset", &field_string, AT(numa.nodes), .max_length = 1024 },
        { "numatune/memory/@placement", &field_enum, AT(numa.placement), .words = &numa_placement_table },
        { "numatune/memnode", &field_list, AT(numa.places), .record = &numa_place_record, .max = 128 },
        { "blkiotune/weight", &field_number, AT(tune.io_weight), .min = 1, .max = 10000 },
        { "resource/partition", &field_string, AT(partition), .max_length = 255 },
        { "blkiotune/device", &field_list, AT(tune.io_devices), .record = &io_device_record, .max = 64 },

        { "os/@firmware", &field_enum, AT(os_firmware), .words = &os_firmware_table },
        { "os/type", &field_enum, AT(os_type), FIELD_REQUIRED, .words = &os_type_table },
        { "os/type/@arch", &field_string, AT(arch), .max_length = 64 },
        { "os/type/@machine", &field_string, AT(machine), .max_length = 64 },
        { "os/firmware/feature", &field_list, AT(firmware_features), .record = &firmware_feature_record },
        { "os/loader", &field_string, AT(loader) },
        { "os/loader/@readonly", &field_yes_no, AT(loader_readonly) },
        { "os/loader/@secure", &field_yes_no, AT(loader_secure) },
        { "os/loader/@stateless", &field_yes_no, AT(loader_stateless) },
        { "os/loader/@type", &field_enum, AT(loader_type), .words = &loader_type_table },
        { "os/loader/@format", &field_enum, AT(loader_format), .words = &raw_table },
        { "os/nvram", &field_string, AT(nvram) },
        { "os/nvram/@template", &field_string, AT(nvram_template) },
        { "os/nvram/@templateFormat", &field_enum, AT(template_format), .words = &raw_table },
        { "os/nvram/@format", &field_enum, AT(nvram_format), .words = &raw_table },
        { "os/nvram/@type", &field_enum, AT(nvram_type), .words = &file_table },
        { "os/nvram/source/@file", &field_string, AT(nvram_source) },
        { "os/kernel", &field_string, AT(kernel) },
        { "os/initrd", &field_string, AT(initrd) },
        { "os/cmdline", &field_string, AT(cmdline) },
        { "os/boot", &field_list, AT(boot), .record = &boot_device_record },
        { "os/bootmenu/@enable", &field_yes_no, AT(bootmenu) },
        { "os/bootmenu/@timeout", &field_number, AT(bootmenu_timeout), .max = 65535 },
        { "os/bios/@useserial", &field_yes_no, AT(bios_serial) },
        { "os/bios/@rebootTimeout", &field_integer, AT(reboot_timeout) },
        { "os/smbios/@mode", &field_enum, AT(smbios_mode), .words = &smbios_mode_table },
        { "os/acpi/table", &field_list, AT(acpi_tables), .record = &acpi_table_record, .max = 8 },
        { "sysinfo", &field_list, AT(sysinfo), .record = &sysinfo_record, .max = 2 },

        { "features/acpi", &field_flag, AT(acpi) },
        { "features/apic", &field_flag, AT(apic) },
        { "features/apic/@eoi", &field_on_off, AT(apic_eoi) },
        { "features/pae", &field_flag, AT(pae) },
        { "features/hyperv/@mode", &field_enum, AT(hyperv.mode), .words = &hyperv_mode_table },
        HYPERV("relaxed", relaxed),
        HYPERV("vapic", vapic),
        HYPERV("spinlocks", spinlocks),
        { "features/hyperv/spinlocks/@retries", &field_number, AT(hyperv.spinlock_retries), .min = 4095, .max = UINT32_MAX },
        HYPERV("vpindex", vpindex),
        HYPERV("runtime", runtime),
        HYPERV("synic", synic),
        HYPERV("stimer", stimer),
        HYPERV("stimer/direct", stimer_direct),
        HYPERV("reset", reset),
        HYPERV("vendor_id", vendor_id),
        { "features/hyperv/vendor_id/@value", &field_string, AT(hyperv.vendor_id_value), .max_length = 12 },
        HYPERV("frequencies", frequencies),
        HYPERV("reenlightenment", reenlightenment),
        HYPERV("tlbflush", tlbflush),
        HYPERV("tlbflush/direct", tlbflush_direct),
        HYPERV("tlbflush/extended", tlbflush_extended),
        HYPERV("ipi", ipi),
        HYPERV("evmcs", evmcs),
        HYPERV("avic", avic),
        HYPERV("emsr_bitmap", emsr_bitmap),
        HYPERV("xmm_input", xmm_input),
        { "features/kvm/hidden/@state", &field_on_off, AT(kvm_hidden) },
        { "features/kvm/hint-dedicated/@state", &field_on_off, AT(kvm_hint_dedicated) },
        { "features/kvm/poll-control/@state", &field_on_off, AT(kvm_poll_control) },
        { "features/kvm/pv-ipi/@state", &field_on_off, AT(kvm_pv_ipi) },
        { "features/kvm/dirty-ring/@state", &field_on_off, AT(dirty_ring) },
        { "features/kvm/dirty-ring/@size", &field_number, AT(dirty_ring_size), .min = 1024, .max = 65536 },
        { "features/tcg/tb-cache", &field_size, AT(code_cache), .unit = "MiB" },
        SWITCH("features/pvspinlock", pvspinlock),
        SWITCH("features/pmu", pmu),
        SWITCH("features/vmport", vmport),
        { "features/ps2/@state", &field_on_off, AT(ps2) },
        { "features/ioapic/@driver", &field_enum, AT(ioapic), .words = &ioapic_driver_table },
        SWITCH("features/smm", smm),
        { "features/smm/tseg", &field_size, AT(smm_segment), .unit = "MiB" },
        SWITCH("features/vmcoreinfo", vmcoreinfo),

        { "cpu/@mode", &field_enum, AT(cpu_mode), .words = &cpu_mode_table },
        { "cpu/@match", &field_enum, AT(cpu_match), .words = &cpu_match_table },
        { "cpu/@check", &field_enum, AT(cpu_check), .words = &cpu_check_table },
        { "cpu/@migratable", &field_on_off, AT(cpu_migratable) },
        { "cpu/model", &field_string, AT(cpu_model), .max_length = 64 },
        { "cpu/model/@fallback", &field_enum, AT(cpu_fallback), .words = &fallback_table },
        { "cpu/model/@vendor_id", &field_string, AT(cpu_vendor_id), .max_length = 12 },
        { "cpu/topology/@sockets", &field_number, AT(cpu_sockets), .min = 1, .max = 4096 },
        { "cpu/topology/@dies", &field_number, AT(cpu_dies), .min = 1, .max = 4096 },
        { "cpu/vendor", &field_string, AT(cpu_vendor), .max_length = 32 },
        { "cpu/topology/@clusters", &field_number, AT(cpu_clusters), .min = 1, .max = 4096 },
        { "cpu/topology/@cores", &field_number, AT(cpu_cores), .min = 1, .max = 4096 },
        { "cpu/topology/@threads", &field_number, AT(cpu_threads), .min = 1, .max = 4096 },
        { "cpu/cache/@level", &field_number, AT(cpu_cache_level), .min = 1, .max = 3 },
        { "cpu/cache/@mode", &field_enum, AT(cpu_cache), .words = &cpu_cache_table },
        { "cpu/maxphysaddr/@mode", &field_enum, AT(cpu_address), .words = &cpu_address_table },
        { "cpu/maxphysaddr/@bits", &field_number, AT(cpu_address_bits), .min = 32, .max = 52 },
        { "cpu/maxphysaddr/@limit", &field_number, AT(cpu_address_limit), .min = 32, .max = 52 },
        { "cpu/numa/cell", &field_list, AT(numa.cells), .record = &numa_cell_record, .max = 128 },
        { "cpu/numa/interconnects/latency", &field_list, AT(numa.latencies), .record = &numa_latency_record, .max = 1024 },
        { "cpu/numa/interconnects/bandwidth", &field_list, AT(numa.bandwidths), .record = &numa_bandwidth_record, .max = 1024 },
        { "cpu/feature", &field_list, AT(cpu_features), .record = &cpu_feature_record },

        { "clock/@offset", &field_enum, AT(clock_offset), .words = &clock_offset_table },
        { "clock/@adjustment", &field_integer, AT(clock_adjustment) },
        { "clock/@basis", &field_enum, AT(clock_basis), .words = &clock_basis_table },
        { "clock/@timezone", &field_string, AT(clock_timezone), .max_length = 255 },
        { "clock/@start", &field_number, AT(clock_start), .max = UINT64_C(253402300799) } /* as long as a year has four digits */,
        { "clock/timer", &field_list, AT(timers), .record = &timer_record },

        { "on_poweroff", &field_enum, AT(on_poweroff), .words = &lifecycle_action_table },
        { "on_reboot", &field_enum, AT(on_reboot), .words = &lifecycle_action_table },
        { "on_crash", &field_enum, AT(on_crash), .words = &lifecycle_action_table },
        { "on_lockfailure", &field_enum, AT(on_lockfailure), .words = &lock_failure_table },
        { "pm/suspend-to-mem/@enabled", &field_yes_no, AT(suspend_to_mem) },
        { "pm/suspend-to-disk/@enabled", &field_yes_no, AT(suspend_to_disk) },

        { "devices/emulator", &field_string, AT(emulator) },
        { "devices/*", &field_variants, AT(devices), .variant = device_record_type, .names = device_elements },
};
#undef AT

/* <loader secure='yes'/> says something of the one that is going to be chosen. */
static int domain_def_check(Record *r, Fault *f) {
        DomainDef *def = (DomainDef *) r;

        if (def->loader && !*def->loader && def->os_firmware != OS_FIRMWARE_NONE)
                free_and_replace(&def->loader, NULL);
        return 0;
}

const RecordType domain_record = { "domain", sizeof(DomainDef), RECORD_FIELDS(domain_fields), .check = domain_def_check };

bool domain_has_iothread(const DomainDef *def, uint64_t id) {
        RECORD_FOREACH(IothreadId, t, def->iothread_ids)
                if (t->id == id)
                        return true;
        return false;
}

bool domain_is_i440fx(const DomainDef *def) {
        return def->machine && (streq(def->machine, "pc") || str_after(def->machine, "pc-i440fx-"));
}

bool domain_is_q35(const DomainDef *def) {
        return def->machine && (streq(def->machine, "q35") || str_after(def->machine, "pc-q35-"));
}

bool domain_has_pcie(const DomainDef *def) {
        return domain_is_q35(def) || (def->machine && (streq(def->machine, "virt") || str_after(def->machine, "virt-")));
}
