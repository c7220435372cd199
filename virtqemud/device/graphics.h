/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

typedef enum GraphicsType {
        GRAPHICS_UNSET, GRAPHICS_VNC, GRAPHICS_SPICE, GRAPHICS_DBUS, GRAPHICS_SDL, GRAPHICS_RDP, GRAPHICS_DESKTOP, GRAPHICS_EGL_HEADLESS,
        _GRAPHICS_TYPE_MAX, _GRAPHICS_TYPE_INVALID = -EINVAL,
} GraphicsType;
DECLARE_ENUM(GraphicsType, graphics_type);

typedef enum ListenType {
        LISTEN_UNSET,
        LISTEN_ADDRESS,
        LISTEN_NETWORK,
        LISTEN_SOCKET,
        LISTEN_NONE,
        _LISTEN_TYPE_MAX,
        _LISTEN_TYPE_INVALID = -EINVAL
} ListenType;
DECLARE_ENUM(ListenType, listen_type);

typedef struct GraphicsListen {
        Record head;
        int type;                    /* ListenType */
        char *address, *network, *socket;
        char *found;                 /* live: the socket, where none is named */
} GraphicsListen;

/* <channel>: which parts of SPICE want TLS. */
typedef struct GraphicsChannel {
        Record head;
        int name, mode;              /* the latter: SpiceMode */
} GraphicsChannel;

/* <graphics>: what people see and type into. QEMU listens nowhere: the daemon does, and hands on who comes. */
typedef struct Graphics {
        Device device;
        int type;                    /* GraphicsType */
        int64_t port, tls_port;      /* -1: chosen by us; a tls_port that is absent is, too, with autoport */
        Tristate autoport;
        int64_t websocket;           /* -1: likewise */
        Tristate websocket_chosen;   /* live: it was */
        char *listen, *socket;       /* older forms of <listen> */
        char *keymap, *password, *valid_to;
        int connected, share;
        Tristate power_control;
        RecordList listens;          /* GraphicsListen; what `listen` and `socket` say is in it, too, once filled */

        /* TLS */
        char *certificates;          /* live: the folder they are in; NULL: it has no TLS */
        Tristate verify_clients;     /* live: they show a certificate, too */

        /* spice */
        int default_mode;            /* SpiceMode */
        RecordList channels;         /* GraphicsChannel */
        int image, jpeg, zlib, streaming, mouse;
        Tristate playback, copypaste, filetransfer;
        Tristate gl;
        char *render_node;

        /* dbus */
        Tristate p2p;
        char *address;
        uint64_t audio;
} Graphics;

const Graphics *domain_find_graphics(const DomainDef *def, GraphicsType type);
Graphics *device_as_graphics(const Device *d);

/* Where clients come in; NULL: nowhere but over D-Bus. */
const GraphicsListen *graphics_listen(const Graphics *g);
bool graphics_listens_by_port(const Graphics *g);
/* Whether a port is opened for it, without or with TLS. */
bool graphics_has_port(const Graphics *g, bool tls);
/* The protocol as add_client() calls it. */
const char *graphics_protocol(const Graphics *g);
