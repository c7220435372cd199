/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "default-pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "definition.h"
#include "storage.h"
#include "str.h"

static const char definition[] =
        "<pool type='dir'>\n"
        "  <name>" DEFAULT_POOL "</name>\n"
        "  <target>\n"
        "    <path>%s/virtbus/images</path>\n"
        "  </target>\n"
        "</pool>\n";

static char *write_definition(const Client *c) {
        const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
        _cleanup_free_ char *usual = home ? strf("%s/.local/share", home) : NULL;
        const char *top = !c->user ? "/var/lib" : data && *data == '/' ? data : usual;

        /* A path with such a character would have to be written in another way. */
        return top && !strpbrk(top, "<>&'\"") ? strf(definition, top) : NULL;
}

static int start(Client *c, const char *pool) {
        return client_call(c, pool, STORAGE1_POOL, "Build", NULL, "ta{sv}", UINT64_C(0), 0) ?:
               client_call(c, pool, STORAGE1_POOL, "SetAutostart", NULL, "bta{sv}", 1, UINT64_C(0), 0) ?:
               client_call(c, pool, STORAGE1_POOL, "Start", NULL, "ta{sv}", UINT64_C(0), 0);
}

int default_pool_make(Client *c) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *text = NULL, *pool = NULL, *path = NULL;
        int r = ask(c, STORAGE1_ROOT, STORAGE1_MANAGER, "GetPool", &error, NULL, "s", DEFAULT_POOL);

        /* Whatever else is wrong will be told by who needs the pool. */
        if (r >= 0 || !error.name || !str_after(error.name, "org.virtbus.Error.NoSuch"))
                return 0;
        text = write_definition(c);
        if (!text)
                return 0;
        r = client_call(c, STORAGE1_ROOT, STORAGE1_MANAGER, "DefinePool", &reply, "ssta{sv}", FORMAT_XML, text, UINT64_C(0), 0) ?:
            client_take_path(reply, &pool) ?: start(c, pool) ?: client_get_text(c, pool, STORAGE1_POOL, "TargetPath", &path);
        if (r == 0 && !c->quiet)
                fprintf(stderr, "The pool " DEFAULT_POOL " is made, in %s.\n", path);
        return r;
}
