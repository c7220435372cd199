/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rom.h"

#include "str.h"
#include "virtio.h"
#include "xml-read.h"

bool rom_is_said(const Rom *rom) {
        return rom->bar != UNSET || rom->enabled != UNSET || rom->file;
}

int rom_check(const Rom *rom, const Record *r, Fault *f) {
        if (rom->enabled == NO && (rom->file || rom->bar != UNSET))
                return xml_fault_below(r, "rom", f, FAULT_INVALID_DEFINITION, "one that is not enabled has no file and no bar");
        if (rom->file && rom->file[0] != '/')
                return xml_fault_below(r, "rom/@file", f, FAULT_INVALID_DEFINITION, "'%.128s' is not an absolute path", rom->file);
        return 0;
}

int rom_files(const Rom *rom, const Record *r, WantedFiles *requests) {
        const WantedFile file = { .want = WANTED_MEMFD, .path = rom->file, .format = (char *) "raw", .lease = LEASE_NONE, .line = r->line };

        return rom->file ? wanted_files_add(requests, &file) : 0;
}

int rom_args(const Rom *rom, Args *a, json_t *json) {
        _cleanup_free_ char *path = NULL;
        int fd;

        if (rom->enabled == NO)
                return json_set_text(json, "romfile", "");
        if (rom->bar != UNSET && json_set_number(json, "rombar", rom->bar == YES) < 0)
                return -ENOMEM;
        if (!rom->file)
                return 0;
        fd = args_fd(a, PLAN_FD_MEMFD, rom->file, false, false, false, NULL);
        if (fd < 0)
                return fd;
        path = strf("/proc/self/fd/%d", fd);
        return path ? json_set_text(json, "romfile", path) : -ENOMEM;
}
