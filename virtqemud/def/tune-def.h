/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "record.h"

/* <vcpupin>, <iothreadpin>: a thread of QEMU and the CPUs of the host it stays on. */
typedef struct CpuPin {
        Record head;
        uint64_t thread;
        char *cpus;
} CpuPin;
extern const RecordType vcpu_pin_record, iothread_pin_record;

/* <blkiotune><device>: how much a VM may read from and write to a block device of the host. NUMBER_UNSET: no limit. */
typedef struct IoDevice {
        Record head;
        char *path;
        uint64_t weight, read_bytes, write_bytes, read_iops, write_iops;
} IoDevice;

/* <vcpusched>, <iothreadsched>: how threads of QEMU are scheduled; <emulatorsched>: its others. */
typedef struct CpuScheduler {
        Record head;
        char *threads;           /* "0-3"; NULL: all others */
        int scheduler;
        uint64_t priority;
} CpuScheduler;
extern const RecordType vcpu_scheduler_record;
extern const EnumTable scheduler_table;

/* How long CPUs may be used in each period. */
typedef struct CpuQuota {
        uint64_t period;         /* µs; NUMBER_UNSET: the kernel's */
        int64_t quota;           /* µs; -1: no limit; INTEGER_UNSET: nothing is said */
} CpuQuota;

/* <cputune>, <memtune>, <blkiotune>: what systemd is told about the VM's unit. */
typedef struct Tune {
        uint64_t cpu_weight;     /* <shares> */
        CpuQuota cpu_quota;      /* of all CPUs together */
        CpuQuota vcpu_quota, emulator_quota, iothread_quota; /* of each CPU, of all threads that are for nothing else, of each thread for disks */
        uint64_t memory_hard, memory_soft, memory_swap; /* bytes; the last with memory and swap together */
        uint64_t io_weight;
        RecordList io_devices;   /* IoDevice */
        RecordList vcpu_pins, iothread_pins; /* CpuPin */
        char *emulator_pin;
        RecordList vcpu_schedulers, iothread_schedulers; /* CpuScheduler */
        CpuScheduler *emulator_scheduler;
} Tune;
