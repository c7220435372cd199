/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one row per device type: DEVICE(KIND, XML element, symbol). From it come the enum, the table of operations
 * (`const DeviceOps device_SYMBOL` in device/SYMBOL.c) and the reader's table of known elements. */
DEVICE(CONTROLLER, "controller", controller)
DEVICE(DISK,       "disk",       disk)
DEVICE(INTERFACE,  "interface",  interface)
DEVICE(SERIAL,     "serial",     serial)
DEVICE(CONSOLE,    "console",    console)
DEVICE(INPUT,      "input",      input)
DEVICE(RNG,        "rng",        rng)
DEVICE(MEMBALLOON, "memballoon", memballoon)
DEVICE(PANIC,      "panic",      panic)
