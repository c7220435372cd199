/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "progress.h"

#include "clock.h"
#include "worker-serve.h"

#define INTERVAL_USEC 200000u

int progress_set(Progress *p, uint64_t done) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        p->done = done;
        if (now < p->told_usec + INTERVAL_USEC && done < p->total)
                return 0;
        p->told_usec = now;
        return worker_say(json_pack("{s:I, s:I}", "done", (json_int_t) done, "total", (json_int_t) p->total), NULL, 0);
}

int progress_add(Progress *p, uint64_t bytes) {
        return progress_set(p, p->done + bytes);
}
