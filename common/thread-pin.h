/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/* The threads of QEMU tell by their names what they are for: "CPU 0/KVM", "IO iothread1". Which processors of the host they may use is said as
 * "CPU 0/=0-3;IO iothread1=2;=4,5": a beginning of names and a list; the last one is for all other threads. */

/* About each thread that does not do so, with the list that ends at its ';', and errno. */
typedef void (*ThreadPinFailed)(const char *name, const char *list, void *userdata);

/* NULL: nothing is said. */
void threads_pin(pid_t process, const char *pins, ThreadPinFailed failed, void *userdata);

/* Likewise how they are scheduled: "CPU 0/=fifo:1;=batch:0". */
void threads_schedule(pid_t process, const char *schedulers, ThreadPinFailed failed, void *userdata);
