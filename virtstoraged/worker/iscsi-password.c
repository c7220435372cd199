/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi-password.h"

#include <string.h>

#include "str.h"

/* Neither libiscsi nor open-iscsi takes more. */
#define PASSWORD_MAX 255

int iscsi_password(const void *data, size_t length, char **ret, Fault *f) {
        const unsigned char *bytes = data;

        if (length == 0 || length > PASSWORD_MAX)
                return fault_set(f, FAULT_POOL, EINVAL, "the secret has %zu bytes: a password of iSCSI has from 1 to %d", length, PASSWORD_MAX);
        for (size_t i = 0; i < length; i++)
                if (bytes[i] < ' ' || bytes[i] == 127)
                        return fault_set(f, FAULT_POOL, EINVAL, "the secret has control characters (a line's end, perhaps): a password of iSCSI has none");
        *ret = strndup(data, length);
        return *ret ? 0 : fault_oom(f);
}

char *password_free(char *text) {
        if (text)
                explicit_bzero(text, strlen(text));
        free(text);
        return NULL;
}
