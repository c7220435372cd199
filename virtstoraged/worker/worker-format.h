/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What virtstoraged asks virtstorage-worker, beside what worker.h says. Sizes are in bytes; "name" is a volume's.
 *
 *   {"do": "open", "pool", "tag", "formats", "secret"} [+ secret]   first of all: its definition; whose unfinished files are ours; formats that are said
 *   {"do": "watch", "busy"} + inotify               → "remote"; removes unfinished files that are not in the list
 *   {"do": "refresh"}                               volumes, space
 *   {"do": "look", "names"}                         volumes, space, "gone": names
 *   {"do": "space"}
 *   {"do": "leave"}                                 nothing of it is open any more
 *   {"do": "tidy", "busy"}
 *   {"do": "is-active"}                             → "active"
 *   {"do": "activate"}
 *   {"do": "deactivate"}
 *   {"do": "find", "type", "host", "port"}          needs no pool → "sources": [{"host", "dir", "name", "format", "devices"}]
 *   {"do": "build", "format", "overwrite"}
 *   {"do": "destroy"}
 *   {"do": "create", "volume", "part", "preallocation", "origin": {"path", "format", "capacity", "chain", "encrypted"}, "secret"} [+ secret [+ the origin's]]
 *   {"do": "remove", "name"}
 *   {"do": "resize", "name", "format", "capacity", "shrink", "allocate", "secret"} [+ secret]
 *   {"do": "wipe", "name", "algorithm"}
 *   {"do": "upload" or "download", "name", "offset", "length", "sparse"} + where from or to
 *   {"do": "describe", "name"}                      → "volume"
 *   {"do": "guess", "name"}                         → "format"
 *   {"do": "fetch", "name", "writable"}             → + the volume
 *   {"do": "seal" or "unseal", "name"} + value      needs no pool → + the other one
 *
 * "volumes" are in answers before the last one, as in ../def/pool-info.h, many at a time; so is {"done", "total"} of long work.
 * Space is "capacity", "allocation", "available" in the last answer; "volume" in it is how the volume is afterwards.
 */
