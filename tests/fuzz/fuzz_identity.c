/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as SSH_AUTH_INFO_0; and as the blob of a key, which random base64 would seldom reach. See fuzz_policy.c. */
#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/identity.h"
#include "policy/text.h"

#include "tests/fuzz/fuzz_main.h"

static void check(const char *auth_info)
{
    struct lb_identity id = {};
    int r = lb_identity_parse(auth_info, &id);

    if (r == 0) {
        assert(lb_text_is_clean(id.engineer, LB_NAME_MAX) && *id.engineer && (*id.key != '\0') == (id.proof != 0));
        lb_identity_clear(&id);
    }
    assert(r == 0 || r == -EINVAL);
    assert(!id.engineer && !id.key && !id.proof);
}

/* The type that the blob names itself, then its base64. */
static void check_blob(const uint8_t *data, size_t size)
{
    LB_FREE char *base64 = malloc(size * 2 + 4);
    LB_FREE char *line = NULL;
    size_t type = size > 4 && data[3] <= size - 4 ? data[3] : 0;

    assert(base64);
    EVP_EncodeBlock((unsigned char *)base64, data, (int)size);
    assert(asprintf(&line, "publickey %.*s %s", (int)type, type ? (const char *)data + 4 : "", base64) > 0);
    check(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    LB_FREE char *text = calloc(1, size + 1);

    assert(text);
    if (size > 0)
        memcpy(text, data, size);
    check(text);
    if (size < 64 * 1024)
        check_blob(data, size);
    return 0;
}
