/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "record.h"

/* Words of <domain> itself. */

typedef enum VcpuPlacement { PLACEMENT_NONE, PLACEMENT_STATIC, PLACEMENT_AUTO } VcpuPlacement;

typedef enum DomainType { DOMAIN_TYPE_NONE, DOMAIN_TYPE_KVM, DOMAIN_TYPE_QEMU, _DOMAIN_TYPE_MAX, _DOMAIN_TYPE_INVALID = -EINVAL } DomainType;
DECLARE_ENUM(DomainType, domain_type);

/* What happens to the domain when its guest powers off, reboots or crashes. */
typedef enum LifecycleAction {
        LIFECYCLE_NONE,
        LIFECYCLE_DESTROY,
        LIFECYCLE_RESTART,
        LIFECYCLE_PRESERVE,
        LIFECYCLE_RENAME_RESTART,
        LIFECYCLE_COREDUMP_DESTROY,
        LIFECYCLE_COREDUMP_RESTART,
        _LIFECYCLE_MAX,
        _LIFECYCLE_INVALID = -EINVAL,
} LifecycleAction;
DECLARE_ENUM(LifecycleAction, lifecycle_action);

/* <on_lockfailure>: what is done when a lease of a disk is lost while the domain runs. */
typedef enum LockFailure {
        LOCK_FAILURE_NONE,
        LOCK_FAILURE_POWEROFF,
        LOCK_FAILURE_RESTART,
        LOCK_FAILURE_PAUSE,
        LOCK_FAILURE_IGNORE,
        _LOCK_FAILURE_MAX,
        _LOCK_FAILURE_INVALID = -EINVAL,
} LockFailure;
DECLARE_ENUM(LockFailure, lock_failure);

typedef enum CpuMode {
        CPU_MODE_NONE,
        CPU_MODE_CUSTOM,
        CPU_MODE_HOST_MODEL,
        CPU_MODE_HOST_PASSTHROUGH,
        CPU_MODE_MAXIMUM,
        _CPU_MODE_MAX,
        _CPU_MODE_INVALID = -EINVAL,
} CpuMode;
DECLARE_ENUM(CpuMode, cpu_mode);

typedef enum CpuPolicy {
        CPU_POLICY_NONE,
        CPU_POLICY_FORCE,
        CPU_POLICY_REQUIRE,
        CPU_POLICY_OPTIONAL,
        CPU_POLICY_DISABLE,
        CPU_POLICY_FORBID,
        _CPU_POLICY_MAX,
        _CPU_POLICY_INVALID = -EINVAL,
} CpuPolicy;
DECLARE_ENUM(CpuPolicy, cpu_policy);

typedef enum ClockOffset {
        CLOCK_NONE,
        CLOCK_UTC,
        CLOCK_LOCALTIME,
        CLOCK_VARIABLE,
        CLOCK_TIMEZONE,
        CLOCK_ABSOLUTE,
        _CLOCK_MAX,
        _CLOCK_INVALID = -EINVAL,
} ClockOffset;
DECLARE_ENUM(ClockOffset, clock_offset);

typedef enum OsFirmware { OS_FIRMWARE_NONE, OS_FIRMWARE_BIOS, OS_FIRMWARE_EFI, _OS_FIRMWARE_MAX, _OS_FIRMWARE_INVALID = -EINVAL } OsFirmware;
DECLARE_ENUM(OsFirmware, os_firmware);

typedef enum LoaderType { LOADER_NONE, LOADER_ROM, LOADER_PFLASH, _LOADER_TYPE_MAX, _LOADER_TYPE_INVALID = -EINVAL } LoaderType;
DECLARE_ENUM(LoaderType, loader_type);

typedef enum BootDev { BOOT_NONE, BOOT_FD, BOOT_HD, BOOT_CDROM, BOOT_NETWORK, _BOOT_DEV_MAX, _BOOT_DEV_INVALID = -EINVAL } BootDev;
DECLARE_ENUM(BootDev, boot_dev);

typedef enum IoapicDriver { IOAPIC_NONE, IOAPIC_KVM, IOAPIC_QEMU, _IOAPIC_DRIVER_MAX, _IOAPIC_DRIVER_INVALID = -EINVAL } IoapicDriver;
DECLARE_ENUM(IoapicDriver, ioapic_driver);

typedef enum TimerName {
        TIMER_NONE,
        TIMER_RTC,
        TIMER_PIT,
        TIMER_HPET,
        TIMER_HYPERVCLOCK,
        TIMER_KVMCLOCK,
        TIMER_TSC,
        _TIMER_NAME_MAX,
        _TIMER_NAME_INVALID = -EINVAL,
} TimerName;
DECLARE_ENUM(TimerName, timer_name);

typedef enum TickPolicy { TICK_NONE, TICK_DELAY, TICK_CATCHUP, TICK_MERGE, TICK_DISCARD, _TICK_POLICY_MAX, _TICK_POLICY_INVALID = -EINVAL } TickPolicy;
DECLARE_ENUM(TickPolicy, tick_policy);

typedef enum TimerTrack { TRACK_NONE, TRACK_BOOT, TRACK_GUEST, TRACK_WALL, TRACK_REALTIME, _TIMER_TRACK_MAX, _TIMER_TRACK_INVALID = -EINVAL } TimerTrack;
DECLARE_ENUM(TimerTrack, timer_track);
