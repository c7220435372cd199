/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gl.h"

#include <string.h>

#include "str.h"
#include "xml-read.h"

#define ANY_NODE "char-drm" /* QEMU takes the first */

static bool has_gl(const Graphics *g) {
        return g->type == GRAPHICS_EGL_HEADLESS || g->gl == YES;
}

const Graphics *domain_find_gl(const DomainDef *def) {
        DEVICE_FOREACH(Graphics, g, def, DEVICE_GRAPHICS)
                if (has_gl(g))
                        return g;
        return NULL;
}

static int refuse(const Graphics *g, Fault *f, const char *what, const char *hint) {
        xml_fault_below(&g->device.head, "gl", f, FAULT_NOT_SUPPORTED, "%s", what);
        fault_hint(f, "%s", hint);
        return -EOPNOTSUPP;
}

static int check_type(const Graphics *g, Fault *f) {
        if (g->type == GRAPHICS_EGL_HEADLESS || g->type == GRAPHICS_DBUS)
                return 0;
        if (g->type != GRAPHICS_SPICE)
                return refuse(g, f, "what is drawn with the host's graphics is read back for VNC",
                              "put <graphics type='egl-headless'/> beside it in the place of gl");
        if (graphics_listens_by_port(g))
                return refuse(g, f, "SPICE hands drawn pictures to viewers on this host alone, and this display has a port",
                              "say <listen type='none'/>, or put <graphics type='egl-headless'/> beside it in the place of gl");
        return 0;
}

int gl_check(const Graphics *g, const DomainDef *def, Fault *f) {
        const Graphics *first = domain_find_gl(def);
        int r;

        if (g->render_node && (!str_after(g->render_node, "/dev/") || strstr(g->render_node, "/../")))
                return xml_fault_below(&g->device.head, "gl/@rendernode", f, FAULT_INVALID_DEFINITION, "'%s' is no device such as /dev/dri/renderD128",
                                       g->render_node);
        if (!has_gl(g))
                return 0;
        r = check_type(g, f);
        if (r < 0)
                return r;
        if (first != g)
                return xml_fault(&g->device.head, f, FAULT_NOT_SUPPORTED, "there is one display with the host's graphics, and that in line %u is it",
                                 first->device.head.line);
        if (g->type == GRAPHICS_EGL_HEADLESS && domain_find_graphics(def, GRAPHICS_DBUS))
                return xml_fault(&g->device.head, f, FAULT_NOT_SUPPORTED,
                                 "QEMU has either a display of type 'dbus', which may say gl enable='yes', or this one");
        return 0;
}

const char *gl_device(const DomainDef *def) {
        const Graphics *g = domain_find_gl(def);

        return g ? g->render_node ?: ANY_NODE : NULL;
}

void gl_add_options(const Graphics *g, Text *t) {
        if (g->gl == YES)
                text_add(t, ",gl=on");
        if (has_gl(g) && g->render_node)
                args_add_value(t, "rendernode", g->render_node);
}
