/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include <string.h>

#include "service.h"
#include "str.h"

#define ASK_TIMEOUT_USEC UINT64_C(60000000)

int ask(Client *c, const char *path, const char *interface, const char *method, sd_bus_error *error, sd_bus_message **ret, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        va_list ap;
        int r;

        if (client_new_call(c, &call, path, interface, method) != 0)
                return -ENOMEM;
        if (types) {
                va_start(ap, types);
                r = sd_bus_message_appendv(call, types, ap);
                va_end(ap);
                if (r < 0)
                        return r;
        }
        return sd_bus_call(c->bus, call, ASK_TIMEOUT_USEC, error, ret);
}

int ask_error(const sd_bus_error *error, int r, char **ret_sentence, char **ret_hint) {
        const char *text = error->message ?: strerror(-r), *end = strchrnul(text, '\n');
        char *sentence = strndup(text, (size_t) (end - text)), *hint = *end ? strdup(end + 1) : NULL;

        if (!sentence || (*end && !hint)) {
                free(sentence);
                free(hint);
                return -ENOMEM;
        }
        *ret_sentence = sentence;
        *ret_hint = hint;
        return 0;
}
