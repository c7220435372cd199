/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>

#include "fault.h"
#include "journal.h"
#include "logfile.h"
#include "settings.h"
#include "table.h"

/* One log of one domain: a FIFO that writers hold, emptied into a rotated file; what is in the file goes on to the journal and to whoever
 * follows. The FIFO and its reading end outlive this process: the end in the fd store, the FIFO by its name. */
typedef struct Guestlog Guestlog;

#define FOLLOWERS_MAX 32u   /* of one log */

typedef enum GuestlogState {
        GUESTLOG_CLOSED,     /* nobody writes */
        GUESTLOG_OPEN,
        GUESTLOG_FULL,       /* the file can't be written; writers will soon have to wait */
        GUESTLOG_DROPPING,   /* that has lasted longer than the limit: bytes are thrown away and counted */
        _GUESTLOG_STATE_MAX,
        _GUESTLOG_STATE_INVALID = -EINVAL,
} GuestlogState;
DECLARE_ENUM(GuestlogState, guestlog_state);

/* What a log is; strings are copied. */
typedef struct GuestlogSpec {
        sd_id128_t uuid;
        const char *domain, *name;      /* "web", "serial0" */
        const char *unit;               /* of the domain, for the journal; may be NULL */
        LogfileLimits limits;
        bool journal;
} GuestlogSpec;

/* What all logs share. */
typedef struct GuestlogContext {
        sd_event *event;
        const Settings *settings;
        Journal *journal;               /* NULL: none */
        const char *log_dir, *run_dir;  /* "/var/log/virtbus/qemu", "/run/virtbus/log" */
        bool user;
        /* State, limits or followers are others now; `ended`: the last writer has gone. */
        void (*changed)(Guestlog *g, bool ended, void *userdata);
        /* A new number of the first kept byte: written down before it is true. */
        int (*rotating)(Guestlog *g, uint64_t first, void *userdata);
        void *userdata;
} GuestlogContext;

/* `first` as for logfile_open(). */
int guestlog_new(const GuestlogContext *context, const GuestlogSpec *spec, uint64_t first, Guestlog **ret, Fault *f);
/* Leaves the FIFO to the next process. */
Guestlog *guestlog_free(Guestlog *g);
DEFINE_CLEANUP(Guestlog *, guestlog_free)

/* Writes down what is there, without waiting: before this process ends. */
void guestlog_settle(Guestlog *g);
/* Takes up a FIFO that a process before us has left. -ENOENT: there is none. */
int guestlog_resume(Guestlog *g);
/* A new writer: the descriptor to write into, blocking. */
int guestlog_open(Guestlog *g, const GuestlogSpec *spec, int *ret_fd, Fault *f);
/* A stream of what was and will be written, beginning `tail` bytes before the end; ends when the log does. */
int guestlog_follow(Guestlog *g, uint64_t tail, int *ret_fd, Fault *f);
/* At most `max` bytes from number *at on, which is moved to where they begin. */
int guestlog_read(Guestlog *g, uint64_t *at, size_t max, char **ret, size_t *ret_length, Fault *f);
int guestlog_rotate(Guestlog *g, Fault *f);

/* "UUID.NAME". */
const char *guestlog_key(const Guestlog *g);
const GuestlogSpec *guestlog_spec(const Guestlog *g);
GuestlogState guestlog_state(const Guestlog *g);
const char *guestlog_path(const Guestlog *g);
uint64_t guestlog_first(const Guestlog *g);
uint64_t guestlog_end(const Guestlog *g);
uint64_t guestlog_dropped(const Guestlog *g);
unsigned guestlog_followers(const Guestlog *g);
