/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clone-xml.h"

#include <string.h>
#include <systemd/sd-id128.h>

#include "str.h"
#include "xml-lib.h"

#define XC(s) ((const xmlChar *) (s))

/* --- finding --- */

static bool is_called(const xmlNode *node, const char *name, size_t length) {
        return node->type == XML_ELEMENT_NODE && strlen((const char *) node->name) == length && strncmp((const char *) node->name, name, length) == 0;
}

static xmlNode *next_called(xmlNode *node, const char *name, size_t length) {
        while (node && !is_called(node, name, length))
                node = node->next;
        return node;
}

static xmlNode *child(const xmlNode *node, const char *name) {
        return next_called(node->children, name, strlen(name));
}

char *clone_xml_attribute(const xmlNode *node, const char *below, const char *attribute) {
        const xmlNode *holder = below ? child(node, below) : node;
        xmlChar *value = holder ? sym_xmlGetNoNsProp(holder, XC(attribute)) : NULL;
        char *copy = value ? strdup((const char *) value) : NULL;

        if (value)
                (*sym_xmlFree)(value);
        return copy;
}

bool clone_xml_has(const xmlNode *node, const char *below) {
        return child(node, below);
}

xmlNode *clone_xml_next_disk(xmlDoc *doc, const xmlNode *after) {
        xmlNode *devices = child(sym_xmlDocGetRootElement(doc), "devices");

        return next_called(after ? after->next : devices ? devices->children : NULL, "disk", strlen("disk"));
}

/* --- changing --- */

static void drop(xmlNode *node) {
        sym_xmlUnlinkNode(node);
        sym_xmlFreeNode(node);
}

static void empty(xmlNode *node) {
        while (node->children)
                drop(node->children);
}

static int set_text(xmlNode *node, const char *text) {
        xmlNode *content = sym_xmlNewDocText(node->doc, XC(text));

        if (!content)
                return -ENOMEM;
        empty(node);
        return sym_xmlAddChild(node, content) ? 0 : -ENOMEM;
}

static int drop_element(xmlNode *node, const char *unused) {
        drop(node);
        return 0;
}

static int drop_attribute(xmlNode *node, const char *attribute) {
        (void) sym_xmlUnsetProp(node, XC(attribute));
        return 0;
}

/* A port that was chosen by hand is chosen by virtqemud then. */
static int free_port(xmlNode *node, const char *attribute) {
        _cleanup_free_ char *port = clone_xml_attribute(node, NULL, attribute);

        if (!port)
                return 0;
        (void) sym_xmlUnsetProp(node, XC(attribute));
        return sym_xmlSetProp(node, XC("autoport"), XC("yes")) ? 0 : -ENOMEM;
}

/* The file is another one, made from the same template if one is named. */
static int renew_nvram(xmlNode *node, const char *unused) {
        _cleanup_free_ char *template = clone_xml_attribute(node, NULL, "template");

        if (template)
                empty(node);
        else
                drop(node);
        return 0;
}

static int renew_uuid(xmlNode *node, const char *unused) {
        char text[SD_ID128_UUID_STRING_MAX];
        sd_id128_t id;
        int r = sd_id128_randomize(&id);

        return r < 0 ? r : set_text(node, sd_id128_to_uuid_string(id, text));
}

static int free_cid(xmlNode *node, const char *attribute) {
        (void) sym_xmlUnsetProp(node, XC(attribute));
        return sym_xmlSetProp(node, XC("auto"), XC("yes")) ? 0 : -ENOMEM;
}

/* <entry name='uuid'> must be the VM's, which has none yet. */
static int drop_uuid_entry(xmlNode *node, const char *unused) {
        _cleanup_free_ char *name = clone_xml_attribute(node, NULL, "name");

        if (streq_null(name, "uuid"))
                drop(node);
        return 0;
}

static const struct Unique {
        const char *path, *attribute;
        int (*change)(xmlNode *node, const char *attribute);
} uniques[] = {
        { "uuid", NULL, drop_element },
        { "genid", NULL, renew_uuid },
        { "os/nvram", NULL, renew_nvram },
        { "sysinfo/system/entry", NULL, drop_uuid_entry },
        { "devices/interface/mac", NULL, drop_element },
        { "devices/interface/target", "dev", drop_attribute },
        { "devices/interface/source", "portid", drop_attribute },
        { "devices/channel/source", "path", drop_attribute },
        { "devices/graphics", "port", free_port },
        { "devices/graphics", "tlsPort", free_port },
        { "devices/graphics", "socket", drop_attribute },
        { "devices/graphics/listen", "socket", drop_attribute },
        { "devices/vsock/cid", "address", free_cid },
};

static int for_each(xmlNode *parent, const char *path, const struct Unique *u) {
        size_t n = strcspn(path, "/");
        int r = 0;

        for (xmlNode *node = next_called(parent->children, path, n), *next; node && r >= 0; node = next) {
                next = next_called(node->next, path, n);
                r = path[n] ? for_each(node, path + n + 1, u) : u->change(node, u->attribute);
        }
        return r;
}

int clone_xml_rename(xmlDoc *doc, const char *name) {
        xmlNode *root = sym_xmlDocGetRootElement(doc), *node = child(root, "name");
        int r = node ? set_text(node, name) : -EBADMSG;

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(uniques); i++)
                r = for_each(root, uniques[i].path, &uniques[i]);
        return r;
}

/* --- disks --- */

/* What is in <source> beside the place, such as <encryption>, is for the copy as well. */
int clone_xml_set_volume(xmlNode *disk, const char *pool, const char *volume, const char *format) {
        static const char *const places[] = { "file", "dev", "index", "startupPolicy", "mode" };
        xmlNode *source = child(disk, "source"), *driver = child(disk, "driver"), *backing = child(disk, "backingStore");
        _cleanup_free_ char *type = driver ? clone_xml_attribute(driver, NULL, "type") : NULL;

        for (size_t i = 0; i < ARRAY_SIZE(places); i++)
                (void) sym_xmlUnsetProp(source, XC(places[i]));
        if (backing)
                drop(backing);
        if (type && !sym_xmlSetProp(driver, XC("type"), XC(format)))
                return -ENOMEM;
        if (!sym_xmlSetProp(disk, XC("type"), XC("volume")) || !sym_xmlSetProp(source, XC("pool"), XC(pool)) ||
            !sym_xmlSetProp(source, XC("volume"), XC(volume)))
                return -ENOMEM;
        return 0;
}

/* --- files that both would have --- */

char *clone_xml_shared_file(xmlDoc *doc) {
        static const char *const kinds[] = { "serial", "console", "parallel", "memory" }, *const types[] = { "file", "unix", "pipe" };
        xmlNode *devices = child(sym_xmlDocGetRootElement(doc), "devices");

        for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next)
                for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
                        _cleanup_free_ char *type = NULL, *path = NULL, *mode = NULL;
                        bool is_file = streq(kinds[k], "memory");

                        if (!is_called(node, kinds[k], strlen(kinds[k])))
                                continue;
                        type = clone_xml_attribute(node, NULL, "type");
                        path = clone_xml_attribute(node, "source", "path");
                        mode = clone_xml_attribute(node, "source", "mode");
                        for (size_t i = 0; type && i < ARRAY_SIZE(types); i++)
                                is_file |= streq(types[i], type);
                        if (is_file && path && !streq_null(mode, "connect"))
                                return strf("%s: %s", kinds[k], path);
                }
        return NULL;
}
