/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../virtlockd/lockfile.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

static char folder_path[] = "/tmp/test-lockfile-XXXXXX";
static LockFolder folder;

static int make_folder(void **state) {
        return mkdtemp(folder_path) ? lock_folder_open(folder_path, false, &folder) : -1;
}

static int remove_folder(void **state) {
        lock_folder_close(&folder);
        return rmdir(folder_path);
}

/* A lease of "r", or the negative errno. */
static int take(LeaseMode mode, const char *name, int *anchor, Owners *owners) {
        const Lease lease = { .mode = mode, .name = (char *) name, .pid = 1, .since_usec = 2 };
        _cleanup_fault_ Fault f = FAULT_INIT;
        Owners ignored = {};
        int fd = -1, fresh = -1, r;

        r = lockfile_acquire(&folder, "r", &lease, anchor ? *anchor : -1, &fd, &fresh, owners ?: &ignored, &f);
        owners_clear(&ignored);
        if (r >= 0 && anchor) {
                fd_close(*anchor);
                *anchor = TAKE_FD(fresh);
        }
        fd_close(fresh);
        return r < 0 ? r : fd;
}

/* Removes the file, too, when nobody has it. */
static size_t count(int anchor, bool *misplaced) {
        _cleanup_owners_ Owners o = {};
        _cleanup_fault_ Fault f = FAULT_INIT;

        assert_int_equal(lockfile_look(&folder, "r", anchor, &o, &f), 0);
        if (misplaced)
                *misplaced = o.misplaced;
        return o.n;
}

static bool is_there(void) {
        return faccessat(folder.fd, "r", F_OK, 0) == 0;
}

TEST(exclusive) {
        _cleanup_owners_ Owners o = {};
        int anchor = -1, fd = take(LEASE_EXCLUSIVE, "web", &anchor, NULL);

        assert_true(fd >= 0);
        assert_int_equal(take(LEASE_EXCLUSIVE, "db", NULL, &o), -EBUSY);
        assert_int_equal(o.n, 1);
        assert_string_equal(o.leases[0].name, "web");
        assert_string_equal(o.leases[0].host, folder.host);
        assert_false(o.misplaced);
        assert_int_equal(take(LEASE_SHARED, "db", NULL, NULL), -EBUSY);
        assert_int_equal(count(anchor, NULL), 1);
        fd_close(fd);
        assert_true(is_there());
        assert_int_equal(count(anchor, NULL), 0);
        assert_false(is_there());
        fd_close(anchor);
}

TEST(slots_are_used_again) {
        int fds[40], anchor = -1;
        struct stat st;

        for (size_t round = 0; round < 20; round++) {
                for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                        fds[i] = take(LEASE_SHARED, "vm", &anchor, NULL);
                        assert_true(fds[i] >= 0);
                }
                assert_int_equal(count(anchor, NULL), ARRAY_SIZE(fds));
                assert_int_equal(take(LEASE_EXCLUSIVE, "vm", NULL, NULL), -EBUSY);
                assert_int_equal(fstat(fds[0], &st), 0);
                assert_true(st.st_size <= 8 * (off_t) ARRAY_SIZE(fds) * (off_t) LEASE_RECORD_SIZE);
                for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                        fd_close(fds[i]);
        }
        assert_int_equal(count(anchor, NULL), 0);
        fd_close(anchor);
}

/* The only owner of a shared resource always gets the first slot. */
TEST(a_file_of_one_stays_small) {
        struct stat st;

        for (size_t i = 0; i < 100; i++) {
                int fd = take(LEASE_SHARED, "vm", NULL, NULL);

                assert_int_equal(fstat(fd, &st), 0);
                assert_int_equal(st.st_size, LEASE_RECORD_SIZE);
                fd_close(fd);
        }
        assert_int_equal(unlinkat(folder.fd, "r", 0), 0);
}

TEST(removed_while_it_is_held) {
        _cleanup_owners_ Owners o = {};
        int anchor = -1, fd = take(LEASE_EXCLUSIVE, "web", &anchor, NULL);
        bool misplaced = false;

        assert_int_equal(unlinkat(folder.fd, "r", 0), 0);
        assert_int_equal(take(LEASE_SHARED, "db", &anchor, &o), -EBUSY);
        assert_true(o.misplaced);
        assert_string_equal(o.leases[0].name, "web");
        assert_int_equal(count(anchor, &misplaced), 1);
        assert_true(misplaced);
        assert_false(is_there());
        fd_close(fd);
        fd = take(LEASE_EXCLUSIVE, "db", &anchor, NULL);
        assert_true(fd >= 0);
        assert_int_equal(count(anchor, &misplaced), 1);
        assert_false(misplaced);
        fd_close(fd);
        assert_int_equal(count(anchor, NULL), 0);
        fd_close(anchor);
}

static int transfer(int fd, LeaseMode mode, const char *name) {
        const Lease lease = { .mode = mode, .name = (char *) name };
        _cleanup_owners_ Owners o = {};
        _cleanup_fault_ Fault f = FAULT_INIT;

        return lockfile_transfer(&folder, "r", &lease, fd, &o, &f);
}

TEST(handing_over) {
        _cleanup_owners_ Owners o = {};
        int anchor = -1, fd = take(LEASE_EXCLUSIVE, "web", &anchor, NULL), other;

        assert_int_equal(transfer(fd, LEASE_EXCLUSIVE, "db"), 0);
        assert_int_equal(take(LEASE_SHARED, "x", NULL, &o), -EBUSY);
        assert_string_equal(o.leases[0].name, "db");
        assert_int_equal(transfer(fd, LEASE_SHARED, "db"), 0);
        other = take(LEASE_SHARED, "x", NULL, NULL);
        assert_true(other >= 0);
        assert_int_equal(transfer(fd, LEASE_EXCLUSIVE, "db"), -EBUSY);
        assert_int_equal(transfer(other, LEASE_SHARED, "y"), 0);
        assert_int_equal(count(anchor, NULL), 2);
        fd_close(other);
        assert_int_equal(transfer(fd, LEASE_EXCLUSIVE, "db"), 0);
        assert_int_equal(take(LEASE_SHARED, "x", NULL, NULL), -EBUSY);
        fd_close(fd);
        assert_int_equal(count(anchor, NULL), 0);
        fd_close(anchor);
}

TEST(what_is_no_lease) {
        int fd = take(LEASE_EXCLUSIVE, "web", NULL, NULL), no[3];

        no[0] = openat(folder.fd, "r", O_RDWR | O_CLOEXEC);
        no[1] = openat(folder.fd, "r", O_PATH | O_CLOEXEC);
        no[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
                assert_int_equal(transfer(no[i], LEASE_EXCLUSIVE, "db"), -EINVAL);
                fd_close(no[i]);
        }
        fd_close(fd);
        assert_int_equal(unlinkat(folder.fd, "r", 0), 0);
}

/* --- records and names --- */

TEST(records) {
        _cleanup_free_ char *long_text = malloc(2000), *owner = NULL;
        Lease lease = { .mode = LEASE_SHARED, .name = (char *) "wëb \"1\"", .unit = (char *) "u.service", .host = (char *) "h", .pid = 7 }, read;
        char record[LEASE_RECORD_SIZE];

        memset(long_text, 'x', 1999);
        long_text[1999] = '\0';
        memcpy(long_text + LEASE_DESCRIPTION_MAX - 1, "ä", 2);
        lease.description = long_text;
        assert_int_equal(lease_check(&lease, NULL), 0);
        assert_int_equal(strlen(lease.description), LEASE_DESCRIPTION_MAX - 1);
        assert_int_equal(lease_format_record(&lease, record), 0);
        assert_int_equal(lease_parse_record(record, sizeof(record), &read), 0);
        assert_string_equal(read.name, lease.name);
        assert_string_equal(read.description, lease.description);
        assert_int_equal(read.mode, LEASE_SHARED);
        owner = lease_owner_text(&read);
        assert_string_equal(owner, "wëb \"1\" (unit u.service, process 7 on host h)");
        lease_clear(&read);
        assert_int_equal(lease_parse_record(record, 20, &read), -EUCLEAN);
        assert_int_equal(lease_parse_record("", 0, &read), -EUCLEAN);
}

TEST(names) {
        static const char *const good[][2] = { { "a", "a" }, { "a/b", "a%2fb" }, { "..", "%2e." }, { "8:1", "8%3a1" } };
        static const char *const bad[] = { "", "a b", "ä", "a\n" };

        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                _cleanup_free_ char *file = NULL;

                assert_int_equal(resource_file_name(good[i][0], &file, NULL), 0);
                if (strcasecmp(file, good[i][1]) != 0)
                        fail_msg("%s became %s", good[i][0], file);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                char *file = NULL;

                assert_int_equal(resource_file_name(bad[i], &file, NULL), -EINVAL);
        }
        assert_int_equal(lockspace_name_check("a-b_c.d", NULL), 0);
        assert_int_equal(lockspace_name_check(".a", NULL), -EINVAL);
        assert_int_equal(lockspace_name_check("a/b", NULL), -EINVAL);
        assert_int_equal(lockspace_name_check("", NULL), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(exclusive), cmocka_unit_test(slots_are_used_again), cmocka_unit_test(a_file_of_one_stays_small),
                cmocka_unit_test(removed_while_it_is_held), cmocka_unit_test(handing_over), cmocka_unit_test(what_is_no_lease),
                cmocka_unit_test(records), cmocka_unit_test(names),
        };

        cmocka_set_message_output(CM_OUTPUT_TAP);
        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
