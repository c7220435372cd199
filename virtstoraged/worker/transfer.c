/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "transfer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "progress.h"

#define STEP ((size_t) 1 << 20)
#define HOLE_STEP ((size_t) 64 * 1024)

static int volume_size(int fd, uint64_t *ret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        *ret = (uint64_t) st.st_size;
        return S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
}

/* The other side may have made its end non-blocking. */
static int wait_ready(int fd, short events) {
        struct pollfd p = { .fd = fd, .events = events };

        return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

static int write_all(int fd, const char *data, size_t length) {
        while (length > 0) {
                ssize_t n = write(fd, data, length);

                if (n < 0 && errno == EAGAIN && wait_ready(fd, POLLOUT) >= 0)
                        continue;
                if (n < 0 && errno != EINTR)
                        return -errno;
                data += MAX(n, 0);
                length -= (size_t) MAX(n, 0);
        }
        return 0;
}

/* 0: end of file. */
static ssize_t read_some(int fd, char *data, size_t length) {
        for (;;) {
                ssize_t n = read(fd, data, length);

                if (n < 0 && errno == EAGAIN && wait_ready(fd, POLLIN) >= 0)
                        continue;
                if (n >= 0 || errno != EINTR)
                        return n < 0 ? -errno : n;
        }
}

static bool is_zero(const char *data, size_t n) {
        return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

static int pwrite_all(int fd, const char *data, size_t length, uint64_t at) {
        while (length > 0) {
                ssize_t n = pwrite(fd, data, length, (off_t) at);

                if (n < 0 && errno != EINTR)
                        return -errno;
                data += MAX(n, 0);
                at += (uint64_t) MAX(n, 0);
                length -= (size_t) MAX(n, 0);
        }
        return 0;
}

/* --- into the volume --- */

/* Zeros become a hole where the file can have one. */
static int put(const Transfer *t, const char *data, size_t length, uint64_t at) {
        while (t->sparse && length > 0) {
                size_t n = MIN(length, HOLE_STEP);
                int r = 0;

                if (!is_zero(data, n) || fallocate(t->volume, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) at, (off_t) n) < 0)
                        r = pwrite_all(t->volume, data, n, at);
                if (r < 0)
                        return r;
                data += n;
                at += n;
                length -= n;
        }
        return pwrite_all(t->volume, data, length, at);
}

int transfer_upload(const Transfer *t, Fault *f) {
        _cleanup_free_ char *buffer = malloc(STEP);
        Progress p = { .total = t->length };
        uint64_t size, done = 0;
        int r;

        if (!buffer)
                return fault_oom(f);
        r = volume_size(t->volume, &size);
        if (r < 0)
                return fault_set(f, FAULT_POOL, -r, "the size of the volume can't be read: %s", strerror(-r));
        while (t->length == 0 || done < t->length) {
                uint64_t left = t->length == 0 ? STEP : t->length - done;
                ssize_t n = read_some(t->other, buffer, (size_t) MIN(left, (uint64_t) STEP));

                if (n < 0)
                        return fault_set(f, FAULT_POOL, (int) -n, "what is sent can't be read: %s", strerror((int) -n));
                if (n == 0)
                        break;
                r = put(t, buffer, (size_t) n, t->offset + done);
                if (r < 0)
                        return fault_set(f, r == -ENOSPC ? FAULT_NO_SPACE : FAULT_POOL, -r, "after %" PRIu64 " bytes: %s", done, strerror(-r));
                done += (uint64_t) n;
                if (progress_set(&p, done) < 0)
                        return -EPIPE;
        }
        *t->ret_done = done;
        /* Holes at the end have not made it longer. */
        if (t->sparse && t->offset + done > size)
                (void) ftruncate(t->volume, (off_t) (t->offset + done));
        if (fdatasync(t->volume) < 0 && errno != EINVAL)
                return fault_set(f, errno == ENOSPC ? FAULT_NO_SPACE : FAULT_POOL, errno, "the volume can't be written: %s", strerror(errno));
        if (t->length > 0 && done < t->length)
                return fault_set(f, FAULT_POOL, EPIPE, "%" PRIu64 " of %" PRIu64 " bytes came: the sender has closed", done, t->length);
        return 0;
}

/* --- out of it --- */

/* How far the data or the hole at `at` goes; where nothing is known of holes all is data. */
static uint64_t span(int fd, uint64_t at, uint64_t end, bool *ret_hole) {
        off_t data = lseek(fd, (off_t) at, SEEK_DATA), next;

        *ret_hole = false;
        if (data < 0)
                *ret_hole = errno == ENXIO;
        else if ((uint64_t) data > at) {
                *ret_hole = true;
                return MIN((uint64_t) data, end);
        } else {
                next = lseek(fd, (off_t) at, SEEK_HOLE);
                return next > 0 && (uint64_t) next > at ? MIN((uint64_t) next, end) : end;
        }
        return end;
}

static int skip(const Transfer *t, uint64_t n) {
        return lseek(t->other, (off_t) n, SEEK_CUR) < 0 ? -errno : 0;
}

static int get(const Transfer *t, char *buffer, uint64_t at, uint64_t end, Progress *p, Fault *f) {
        while (at < end) {
                ssize_t n = pread(t->volume, buffer, (size_t) MIN(end - at, (uint64_t) STEP), (off_t) at);
                int r;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return fault_set(f, FAULT_POOL, n < 0 ? errno : EIO, "at byte %" PRIu64 ": %s", at,
                                         n < 0 ? strerror(errno) : "the volume has become shorter");
                r = write_all(t->other, buffer, (size_t) n);
                if (r < 0)
                        return fault_set(f, FAULT_POOL, -r, "the receiver has closed after %" PRIu64 " bytes", p->done);
                at += (uint64_t) n;
                if (progress_add(p, (uint64_t) n) < 0)
                        return -EPIPE;
        }
        return 0;
}

int transfer_download(const Transfer *t, Fault *f) {
        _cleanup_free_ char *buffer = malloc(STEP);
        uint64_t size, at = t->offset, end;
        bool seekable = t->sparse && lseek(t->other, 0, SEEK_CUR) >= 0;
        Progress p = {};
        int r;

        if (!buffer)
                return fault_oom(f);
        r = volume_size(t->volume, &size);
        if (r < 0)
                return fault_set(f, FAULT_POOL, -r, "the size of the volume can't be read: %s", strerror(-r));
        if (t->offset > size)
                return fault_set(f, FAULT_INVALID_ARGS, ERANGE, "the volume has %" PRIu64 " bytes", size);
        end = t->length == 0 || t->length > size - t->offset ? size : t->offset + t->length;
        p.total = end - at;
        while (at < end && r >= 0) {
                bool hole = false;
                uint64_t next = seekable ? span(t->volume, at, end, &hole) : end;

                r = hole ? skip(t, next - at) : get(t, buffer, at, next, &p, f);
                if (hole)
                        p.done += next - at;
                at = next;
        }
        if (r >= 0 && seekable)
                (void) ftruncate(t->other, lseek(t->other, 0, SEEK_CUR));
        *t->ret_done = p.done;
        return r;
}

/* --- over it --- */

/* One pass: a pattern of three bytes, or chance. */
#define R UINT32_C(0x1000000)
#define B(byte) ((byte) * UINT32_C(0x010101))
static const uint32_t zero[] = { B(0x00) };
static const uint32_t nnsa[] = { R, R, B(0x00) };
static const uint32_t dod[] = { R, B(0x00), B(0xff) };
static const uint32_t bsi[] = { B(0xff), B(0xfe), B(0xfd), B(0xfb), B(0xf7), B(0xef), B(0xdf), B(0xbf), B(0x7f) };
static const uint32_t gutmann[] = {
        R, R, R, R, B(0x55), B(0xaa), 0x924924, 0x492492, 0x249249, B(0x00), B(0x11), B(0x22), B(0x33), B(0x44), B(0x55), B(0x66), B(0x77), B(0x88), B(0x99),
        B(0xaa), B(0xbb), B(0xcc), B(0xdd), B(0xee), B(0xff), 0x924924, 0x492492, 0x249249, 0x6db6db, 0xb6db6d, 0xdb6db6, R, R, R, R,
};
static const uint32_t schneier[] = { B(0x00), B(0xff), R, R, R, R, R };
static const uint32_t pfitzner[] = { R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R };

static const struct {
        const uint32_t *passes;
        size_t n;
} wipes[_WIPE_ALGORITHM_MAX] = {
        [WIPE_ZERO] = { zero, ARRAY_SIZE(zero) }, [WIPE_NNSA] = { nnsa, ARRAY_SIZE(nnsa) }, [WIPE_DOD] = { dod, ARRAY_SIZE(dod) },
        [WIPE_BSI] = { bsi, ARRAY_SIZE(bsi) }, [WIPE_GUTMANN] = { gutmann, ARRAY_SIZE(gutmann) }, [WIPE_SCHNEIER] = { schneier, ARRAY_SIZE(schneier) },
        [WIPE_PFITZNER7] = { pfitzner, 7 }, [WIPE_PFITZNER33] = { pfitzner, 33 }, [WIPE_RANDOM] = { pfitzner, 1 },
};

/* Good enough to overwrite with: xorshift, seeded for each pass. */
static void fill_random(char *buffer, size_t n, uint64_t *state) {
        for (size_t i = 0; i + 8 <= n; i += 8) {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                memcpy(buffer + i, state, 8);
        }
}

/* A multiple of three, so that each step goes on where the last one ended. */
#define WIPE_STEP ((size_t) 3 * 512 * 1024)

static int wipe_pass(int fd, uint64_t size, uint32_t pass, uint64_t seed, char *buffer, Progress *p) {
        for (size_t i = 0; i < WIPE_STEP; i++)
                buffer[i] = (char) (pass >> (16 - 8 * (i % 3)));
        for (uint64_t at = 0; at < size;) {
                size_t n = (size_t) MIN(size - at, (uint64_t) WIPE_STEP);
                int r;

                if (pass == R)
                        fill_random(buffer, WIPE_STEP, &seed);
                r = pwrite_all(fd, buffer, n, at);
                if (r >= 0)
                        r = progress_add(p, n) < 0 ? -EPIPE : 0;
                if (r < 0)
                        return r;
                at += n;
        }
        return fdatasync(fd) < 0 ? -errno : 0;
}

static int discard(int fd, uint64_t size) {
        uint64_t range[2] = { 0, size };
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISBLK(st.st_mode))
                return ioctl(fd, BLKDISCARD, range) < 0 ? -errno : 0;
        return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t) size) < 0 ? -errno : 0;
}

int wipe(int fd, WipeAlgorithm algorithm, Fault *f) {
        _cleanup_free_ char *buffer = malloc(WIPE_STEP);
        uint64_t size, seed;
        Progress p = {};
        int r;

        if (!buffer || getentropy(&seed, sizeof(seed)) < 0)
                return fault_oom(f);
        r = volume_size(fd, &size);
        if (r >= 0 && algorithm == WIPE_TRIM && size > 0)
                r = discard(fd, size);
        p.total = size * wipes[algorithm].n;
        for (size_t i = 0; i < wipes[algorithm].n && r >= 0; i++)
                r = wipe_pass(fd, size, wipes[algorithm].passes[i], (seed | 1) * (2 * i + 1), buffer, &p);
        return r < 0 && r != -EPIPE ? fault_set(f, r == -ENOSPC ? FAULT_NO_SPACE : FAULT_POOL, -r, "the volume can't be overwritten: %s", strerror(-r)) : r;
}
