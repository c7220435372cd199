/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What virtlockd and virtlock-worker say to each other: JSON messages with descriptors, over a SOCK_SEQPACKET socket that is descriptor 3
 * of the worker. One request after the other:
 *
 *   {"do": "open", "path", "make"} + inotify      first of all: the folder, which is then watched by that
 *   {"do": "acquire", "file", "lease"} [+ anchor]
 *   {"do": "transfer", "file", "lease"} + lease
 *   {"do": "look", "files"} + anchors
 *   {"do": "list"}
 *
 * Each is answered by any number of
 *   {"file", "owners", "misplaced"} [+ anchor]    of a long list of owners only a part; the next message goes on
 *   {"file", "error"}
 * and one of
 *   {"end": true, "remote"} [+ lease, anchor]
 *   {"held": true}                                the owners came before
 *   {"error": {"kind", "errno", "message", "hint"}}
 */
#define WORKER_SOCKET_FD 3
#define WORKER_MESSAGE_MAX ((size_t) 96 * 1024)
#define WORKER_OWNERS_MAX 40u     /* in one message */
#define WORKER_FILES_MAX 200u     /* to be looked at by one request */
