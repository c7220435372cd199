/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "macro.h"

/* A call of another daemon. One that is being stopped, because a newer one takes its place, says so and has not done it: then the next one, which
 * the bus starts, is asked, as long as there is time. */

typedef struct CallAgain CallAgain;

/* `answered` has the answer, or the error that `timeout_usec` ends in, and frees the call. */
int call_again(sd_bus *bus, sd_bus_message *m, sd_bus_message_handler_t answered, void *userdata, uint64_t timeout_usec, CallAgain **ret);
/* No answer will be told of. */
CallAgain *call_again_free(CallAgain *c);
DEFINE_CLEANUP(CallAgain *, call_again_free)
