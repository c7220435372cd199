/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include <errno.h>
#include <string.h>

#include "service.h"
#include "str.h"
#include "values.h"

#define ASK_TIMEOUT_USEC UINT64_C(60000000)
#define NICE_TIMEOUT_USEC UINT64_C(5000000)

static int send_with(Client *c, sd_bus_message *call, const char *types, va_list ap, uint64_t timeout, sd_bus_error *error, sd_bus_message **ret) {
        int r = types ? sd_bus_message_appendv(call, types, ap) : 0;

        return r < 0 ? r : sd_bus_call(c->bus, call, timeout, error, ret);
}

int ask(Client *c, const char *path, const char *interface, const char *method, sd_bus_error *error, sd_bus_message **ret, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        va_list ap;
        int r;

        if (client_new_call(c, &call, path, interface, method) != 0)
                return -ENOMEM;
        va_start(ap, types);
        r = send_with(c, call, types, ap, ASK_TIMEOUT_USEC, error, ret);
        va_end(ap);
        return r;
}

json_t *ask_json(Client *c, const char *path, const char *interface, const char *method, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        va_list ap;
        int r = sd_bus_message_new_method_call(c->bus, &call, service_of(path)->bus_name, path, interface, method);

        if (r < 0)
                return NULL;
        va_start(ap, types);
        r = send_with(c, call, types, ap, NICE_TIMEOUT_USEC, NULL, &reply);
        va_end(ap);
        return r < 0 ? NULL : value_to_json(reply);
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
