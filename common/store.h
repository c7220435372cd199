/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "fault.h"

/* A folder of small files, one per object, replaced atomically. File names are object names with everything escaped that a file name
 * can't hold, so any object name of up to STORE_NAME_MAX bytes works and comes back as it was. */
typedef struct Store Store;

#define STORE_NAME_MAX 200u
#define STORE_FILE_MAX (16u * 1024 * 1024)

/* `suffix` (".xml") ends every file's name. The folder is made when the first file is written. Both are copied. */
int store_new(const char *folder, const char *suffix, Store **ret);
Store *store_free(Store *s);
DEFINE_CLEANUP(Store *, store_free)

/* What can't be written, because there is no room perhaps, is tried again each second, until it can or something else is to be written or
 * removed. The answer of store_write() is what it was. */
int store_insist(Store *s, sd_event *event);

/* Whether a name is one that objects may have: up to STORE_NAME_MAX bytes of UTF-8, so that units and files can be called after them, no
 * '/', no control characters, no '.' or '-' first. FAULT_INVALID_DEFINITION; `kind` ("domain") is what it would be the name of. */
int object_name_check(const char *kind, const char *name, Fault *f);

/* The file as a whole, mode 0600. -EINVAL: a name that can't be stored. */
int store_write(Store *s, const char *name, const void *data, size_t length);
int store_read(Store *s, const char *name, char **ret, size_t *ret_length);
/* A file that is not there is no error. */
int store_remove(Store *s, const char *name);
bool store_exists(Store *s, const char *name);
/* "FOLDER/escaped.xml", for messages; NULL: out of memory. */
char *store_path(const Store *s, const char *name);
const char *store_folder(const Store *s);
/* How many files there are. */
size_t store_count(const Store *s);

/* Calls for every file in the order of names. `error` is negative and `text` NULL for one that can't be read. Leftovers of writes
 * that a crash interrupted are removed; other files without the suffix are none of ours. A callback's negative answer ends it. */
typedef int (*StoreFunc)(const char *name, const char *text, size_t length, int error, void *userdata);
int store_scan(Store *s, StoreFunc found, void *userdata);

/* Letters, digits, "_-." (not first) and bytes of UTF-8 stay; the rest is %XX. Reversible. */
char *store_escape(const char *name);
char *store_unescape(const char *file);
