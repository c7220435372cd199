/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "openmetrics.h"

/* Where pages come from: virtqemud, over the message bus. */
typedef struct Source Source;

/* The same page in each format; several clients may be sent it at a time. */
typedef struct Page {
        unsigned n_refs;
        char *text[_METRIC_FORMAT_MAX];
        size_t length[_METRIC_FORMAT_MAX];
} Page;
Page *page_ref(Page *p);
Page *page_unref(Page *p);
DEFINE_CLEANUP(Page *, page_unref)

/* A page, or NULL and why there is none. */
typedef void (*SourceDone)(Page *page, const char *why, void *userdata);

int source_new(sd_event *event, bool user, SourceDone done, void *userdata, Source **ret);
Source *source_free(Source *s);
DEFINE_CLEANUP(Source *, source_free)

/* Asks for a page: done() is called once for all that ask before it, later. Negative: it can't be asked, and done() is not
 * called. */
int source_ask(Source *s);
