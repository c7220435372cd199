/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* cmocka wants these before its own header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "macro.h"

/* Tests print TAP, so that meson counts every case. A test file ends in: TEST_MAIN(test_a, test_b) */
#define TEST(name) static void name(_unused_ void **state)
#define TEST_ROW(name) cmocka_unit_test(name)
#define TEST_MAIN(...)                                                                                  \
        int main(void) {                                                                                \
                const struct CMUnitTest tests[] = { __VA_ARGS__ };                                      \
                cmocka_set_message_output(CM_OUTPUT_TAP);                                               \
                return cmocka_run_group_tests(tests, NULL, NULL);                                       \
        }

#define assert_ok(expression)                                                                           \
        do {                                                                                            \
                int _r = (expression);                                                                  \
                if (_r < 0)                                                                             \
                        fail_msg("%s = %d (%s)", #expression, _r, strerror(-_r));                       \
        } while (false)

#define assert_error(expression, error)                                                                 \
        do {                                                                                            \
                int _r = (expression);                                                                  \
                if (_r != -(error))                                                                     \
                        fail_msg("%s = %d, not -%s", #expression, _r, #error);                          \
        } while (false)
