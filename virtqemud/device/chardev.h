/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

/* What <serial>, <console>, <channel> and others have in common: the host's end of a character device. QEMU opens nothing: a pty is a
 * socket whose only client the daemon is, and the daemon keeps the pty itself, so that it can have several readers. */
typedef enum ChardevType {
        CHARDEV_NONE, CHARDEV_PTY, CHARDEV_FILE, CHARDEV_UNIX, CHARDEV_NULL,
        CHARDEV_SPICEVMC, CHARDEV_SPICEPORT, CHARDEV_VDAGENT,        /* the viewer's; vdagent: QEMU's own */
        CHARDEV_TCP, CHARDEV_DEV, CHARDEV_UDP, CHARDEV_PIPE,
        CHARDEV_STDIO, CHARDEV_VC, CHARDEV_DBUS, CHARDEV_NMDM,       /* not supported */
        _CHARDEV_TYPE_MAX, _CHARDEV_TYPE_INVALID = -EINVAL,
} ChardevType;
DECLARE_ENUM(ChardevType, chardev_type);

typedef enum SerialTarget {
        TARGET_NONE, TARGET_ISA_SERIAL, TARGET_PCI_SERIAL, TARGET_USB_SERIAL, TARGET_SERIAL, TARGET_VIRTIO, TARGET_ISA_DEBUG,
        _SERIAL_TARGET_MAX, _SERIAL_TARGET_INVALID = -EINVAL,
} SerialTarget;
DECLARE_ENUM(SerialTarget, serial_target);

typedef enum SocketMode { SOCKET_NONE, SOCKET_BIND, SOCKET_CONNECT, _SOCKET_MODE_MAX, _SOCKET_MODE_INVALID = -EINVAL } SocketMode;
DECLARE_ENUM(SocketMode, socket_mode);

typedef enum ChardevProtocol { PROTOCOL_UNSET, PROTOCOL_RAW, PROTOCOL_TELNET } ChardevProtocol;
typedef enum VdagentMouse { MOUSE_UNSET, MOUSE_CLIENT, MOUSE_SERVER } VdagentMouse;

/* <source>: what the host's end is. */
typedef struct ChardevSource {
        Record head;
        int mode;              /* SocketMode; unix, tcp, udp */
        char *path;            /* file, unix, dev, pipe; live: of the pty */
        char *host;            /* tcp, udp: an address, "localhost", or "0.0.0.0" */
        uint64_t service;      /* tcp, udp: the port */
        Tristate reconnect;    /* tcp, unix: when the other side has gone */
        uint64_t reconnect_timeout; /* seconds */
        Tristate append;       /* file */
        char *spice_port;      /* @channel: the viewer knows it by that name */
        Tristate clipboard;    /* vdagent */
        int mouse;             /* VdagentMouse */
} ChardevSource;
extern const RecordType chardev_source_record;

typedef struct Chardev {
        Device device;
        int type;              /* ChardevType */
        char *tty;             /* live: "/dev/pts/3" */
        RecordList sources;    /* ChardevSource: one at most; udp: where we are, and where they are */
        char *log;             /* <log file=…>: gets everything the guest writes */
        Tristate log_append;
        int protocol;          /* ChardevProtocol, of tcp */
        int target;            /* SerialTarget */
        uint64_t port;
        char *target_model;    /* <target><model name=…>: as other tools write it; says the same as the type */
} Chardev;

extern const EnumTable chardev_protocol_table;

#define CHARDEV_AT(member) offsetof(Chardev, member)
#define CHARDEV_FIELDS                                                                                  \
        { "@type", &field_enum, CHARDEV_AT(type), FIELD_REQUIRED, .words = &chardev_type_table },       \
        CHARDEV_SOURCE_FIELDS
#define CHARDEV_SOURCE_FIELDS                                                                           \
        { "@tty", &field_string, CHARDEV_AT(tty), FIELD_LIVE },                                         \
        { "source", &field_list, CHARDEV_AT(sources), .record = &chardev_source_record, .max = 2 },     \
        { "protocol/@type", &field_enum, CHARDEV_AT(protocol), .words = &chardev_protocol_table },      \
        { "log/@file", &field_string, CHARDEV_AT(log) },                                                \
        { "log/@append", &field_on_off, CHARDEV_AT(log_append) },                                       \
        { "target/@type", &field_enum, CHARDEV_AT(target), .words = &serial_target_table },             \
        { "target/@port", &field_number, CHARDEV_AT(port), .max = 255 },                                \
        { "target/model/@name", &field_string, CHARDEV_AT(target_model), .max_length = 32 },            \
        DEVICE_FIELDS(Chardev)

/* The channel of the guest's agent, where QEMU listens for us; NULL: there is none. */
const Chardev *domain_find_agent_channel(const DomainDef *def);

/* Whether this QEMU and the rest of the definition can do it. */
int chardev_check(const Chardev *c, const DomainDef *def, const QemuCaps *caps, Fault *f);
int chardev_check_record(Record *r, Fault *f);
int chardev_files(const Device *d, WantedFiles *requests);
/* Appends the -chardev for it; its id is "char" + the device's. */
int chardev_args(const Chardev *c, Args *a);
/* DeviceOps.companion: a device of the host is opened to the VM's user, or the relay carries bytes where QEMU can't. */
int chardev_companion(const Device *d, const char *state, Companion *ret);
int chardev_copy_source(Chardev *to, const Chardev *from);

/* Where the host's end of a pty is now: for the device itself and for the <console> that mirrors it. */
int chardev_set_tty(DomainDef *live, Device *d, const char *tty);
void chardev_drop_live(Device *d);

/* Whether its output is kept by virtlogd, if consoles are: a line to the guest that the definition does not log itself. */
bool chardev_is_logged(const Device *d);

const char *chardev_path(const Chardev *c);
/* QEMU listens at a socket of the host, whatever its path. */
bool chardev_waits_for_us(const Chardev *c);
/* A console the daemon serves: a pty of a device that exists in QEMU (not a <console> that only mirrors a <serial>). */
bool device_is_console(const Device *d);
/* What is served to whoever opens it over D-Bus: consoles, and channels whose other end is nobody's. */
bool device_is_stream(const Device *d);
/* Of a channel: the guest agent's. */
bool channel_is_agent(const Device *d);
/* A <console> that is another name for the serial port of the same number. */
bool console_is_mirror(const Device *d);
