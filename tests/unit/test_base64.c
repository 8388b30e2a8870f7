/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes as text and back: the vectors of RFC 4648, every length, and what is not base64. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lockboxd/proto/base64.h"
#include "policy/base.h"

static void test_vectors(void **state)
{
    static const struct { const char *bytes, *text; } vectors[] = {
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(vectors); i++) {
        LB_FREE char *text = lb_base64_encode(vectors[i].bytes, strlen(vectors[i].bytes));
        LB_FREE void *bytes = NULL;
        size_t n = 99;

        assert_string_equal(text, vectors[i].text);
        assert_int_equal(lb_base64_decode(text, &bytes, &n), 0);
        assert_int_equal(n, strlen(vectors[i].bytes));
        assert_string_equal(bytes, vectors[i].bytes);
    }
}

static void test_every_byte(void **state)
{
    uint8_t all[256 + 2];

    (void)state;
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)(255 - i);
    for (size_t size = 0; size <= sizeof(all); size++) {
        LB_FREE char *text = lb_base64_encode(all, size);
        LB_FREE void *bytes = NULL;
        size_t n = 0;

        assert_int_equal(lb_base64_decode(text, &bytes, &n), 0);
        assert_int_equal(n, size);
        assert_memory_equal(bytes, all, size);
    }
}

static void test_what_is_not_base64(void **state)
{
    static const char *const wrong[] = {
        "Z",    "Zg",   "Zg=",   "Zg==Zg==", "Zg=a",    "=g==", "Z===",
        "====", "Zm 8", "Zm8\n", "Zm-_",     "Zm9\xC3", "Zh==", "Zm9=",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++) {
        void *bytes = (void *)wrong;
        size_t n = 99;

        if (lb_base64_decode(wrong[i], &bytes, &n) != -EINVAL)
            fail_msg("%s", wrong[i]);
        assert_ptr_equal(bytes, wrong);
        assert_int_equal(n, 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_what_is_not_base64),
    };

    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
