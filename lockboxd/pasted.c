/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/pasted.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/proto/base64.h"
#include "policy/base.h"
#include "policy/deadline.h"
#include "policy/span.h"
#include "policy/text.h"

#define LINE_MAX_BYTES 4096
#define ARMOUR_WIDTH 70 /* of a line, as ssh-keygen has it */
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789+/="
#define PIECE_MIN 20 /* characters of base64 that are no word of a person's */

#define AS_ONE_LINE "Paste it as one line: grep -v ^- FILE.sig | tr -d '\\n'"

/* --- the signature ------------------------------------------------------------------------------------------------ */

char *lb_pasted_armour(const char *base64)
{
    LB_FREE char *text = NULL;
    size_t size, n = strlen(base64);
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    fputs("-----BEGIN SSH SIGNATURE-----\n", f);
    for (size_t i = 0; i < n; i += ARMOUR_WIDTH)
        fprintf(f, "%.*s\n", ARMOUR_WIDTH, base64 + i);
    fputs("-----END SSH SIGNATURE-----\n", f);
    return fclose(f) == 0 ? LB_TAKE(text) : NULL;
}

/* The bytes of a string of SSH's at *at, which is moved behind it; NULL: it does not end where the bytes do. */
static const uint8_t *next_string(const uint8_t *bytes, size_t n, size_t *at, size_t *ret_size)
{
    const uint8_t *b = bytes + *at;
    size_t size;

    if (*at > n || n - *at < 4)
        return NULL;
    size = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    if (size > n - *at - 4)
        return NULL;
    *at += 4 + size;
    *ret_size = size;
    return b + 4;
}

#define HEAD 10 /* bytes: the magic, and a version */
#define STRINGS 5 /* key, namespace, reserved, hash, signature (PROTOCOL.sshsig) */

static bool is_whole(const uint8_t *bytes, size_t n)
{
    size_t at = HEAD, size;

    for (int i = 0; i < STRINGS; i++)
        if (!next_string(bytes, n, &at, &size))
            return false;
    return at == n;
}

/* Whether the key in it is of a kind whose signatures do not fit into a prompt. */
static bool is_long_kind(const uint8_t *bytes, size_t n)
{
    static const char *const kinds[] = { "ssh-rsa", "webauthn-", "-cert-v01@" };
    size_t at = HEAD + 4, size;
    const uint8_t *type = next_string(bytes, n, &at, &size);

    for (size_t i = 0; type && i < LB_ELEMENTS(kinds); i++)
        if (memmem(type, size, kinds[i], strlen(kinds[i])))
            return true;
    return false;
}

static void wrong(struct lb_pasted *p, bool piece, const char *problem)
{
    free(LB_TAKE(p->signature));
    p->kind = LB_PASTED_WRONG;
    p->piece = piece;
    p->problem = problem;
}

/* `text` begins with the magic; blanks in it say nothing. */
static int read_signature(const char *text, struct lb_pasted *ret)
{
    LB_FREE char *base64 = strdup(text), *whole = NULL;
    LB_FREE void *bytes = NULL;
    size_t n = 0, size = 0;

    if (!base64)
        return -ENOMEM;
    for (const char *c = text; *c; c++)
        if (*c != ' ')
            base64[n++] = *c;
    base64[n] = '\0';
    whole = strndup(base64, n - n % 4);
    if (!whole || lb_base64_decode(whole, &bytes, &size) == -ENOMEM)
        return -ENOMEM;
    if (bytes && n % 4 == 0 && is_whole(bytes, size)) {
        ret->kind = LB_PASTED_SIGNATURE;
        ret->signature = lb_pasted_armour(base64);
        return ret->signature ? 0 : -ENOMEM;
    }
    wrong(ret, true,
          bytes && is_long_kind(bytes, size)
              ? "Signatures by RSA keys, certificates and passkeys are too long for a prompt. Hand it in with "
                "lockboxctl submit, or sign with an ed25519 or ecdsa key."
              : "This is part of a signature. " AS_ONE_LINE);
    return 0;
}

/* A word that is a line of base64, and not one of a person's. `goes_on`: all but a plain word is. */
static bool is_piece(const char *line, bool goes_on)
{
    size_t n = strlen(line), plain = strspn(line, UPPER);

    if (n == 0 || line[strspn(line, LOWER UPPER DIGITS)])
        return false;
    if (goes_on)
        return plain > 1 || line[plain + strspn(line + plain, LOWER)];
    return n >= 2 * PIECE_MIN || (n >= PIECE_MIN && strpbrk(line, DIGITS));
}

/* --- the words before it ------------------------------------------------------------------------------------------ */

/* [NAME] [DURATION]. -EINVAL; -ENOMEM. */
static int read_words(const char *text, size_t n, struct lb_pasted *ret)
{
    LB_FREE char *words = strndup(text, n), *first = words ? strndup(words, strcspn(words, " ")) : NULL;
    const char *rest = words;
    int64_t duration = 0;

    if (!words || !first)
        return -ENOMEM;
    while (n > 0 && words[n - 1] == ' ')
        words[--n] = '\0';
    if (*first && lb_span_parse(first, &duration) < 0) {
        rest += strlen(first);
        rest += strspn(rest, " ");
        ret->name = LB_TAKE(first);
    }
    if (*rest && (lb_span_parse(rest, &duration) < 0 || duration < LB_USEC_PER_SEC))
        return -EINVAL;
    ret->duration = *rest ? duration : 0;
    return 0;
}

/* Where the word begins that may be a signature; NULL: there is none. */
static const char *find_signature(const char *line)
{
    const char *at = strstr(line, LB_PASTED_MAGIC);

    while (at && at != line && at[-1] != ' ')
        at = strstr(at + 1, LB_PASTED_MAGIC);
    return at;
}

static const struct {
    const char *word;
    int kind;
    const char *usage;
} commands[] = {
    { "!sign", LB_PASTED_SIGN, "Say who is to sign, and for how long: !sign [NAME] [DURATION], such as !sign bob 2h" },
    { "!qr", LB_PASTED_QR, "Say who is to sign, and for how long: !qr [NAME] [DURATION], such as !qr bob 2h" },
};

static int parse(const char *line, bool goes_on, struct lb_pasted *ret)
{
    const char *signature = find_signature(line);
    int r = 0;

    for (size_t i = 0; i < LB_ELEMENTS(commands); i++) {
        size_t n = strlen(commands[i].word);

        if (strncmp(line, commands[i].word, n) != 0 || (line[n] && line[n] != ' '))
            continue;
        ret->kind = commands[i].kind;
        line += n + strspn(line + n, " ");
        r = read_words(line, strlen(line), ret);
        if (r == -EINVAL)
            wrong(ret, false, commands[i].usage);
        return r == -ENOMEM ? r : 0;
    }
    if (strstr(line, "SSH SIGNATURE---"))
        wrong(ret, true, "This is part of a signature, with the lines around it. " AS_ONE_LINE);
    else if (signature)
        r = read_signature(signature, ret);
    else if (is_piece(line, goes_on))
        wrong(ret, true, "This is part of a signature. " AS_ONE_LINE);
    if (r == 0 && ret->kind == LB_PASTED_SIGNATURE)
        r = read_words(line, (size_t)(signature - line), ret);
    if (r == -EINVAL)
        wrong(ret, false, "Before a signature stand at most the name of who signed and the duration that was shown: "
                          "[NAME] [DURATION] SIGNATURE");
    return r == -ENOMEM ? r : 0;
}

int lb_pasted_parse(const char *line, bool goes_on, struct lb_pasted *ret)
{
    LB_CLEANUP(lb_pasted_clear) struct lb_pasted p = { 0 };
    LB_FREE char *clean = lb_text_clean(line, LINE_MAX_BYTES);
    int r = clean ? parse(clean, goes_on, &p) : -ENOMEM;

    if (r < 0)
        return r;
    *ret = p;
    p = (struct lb_pasted){ 0 };
    return 0;
}

void lb_pasted_clear(struct lb_pasted *p)
{
    free(p->name);
    free(p->signature);
    *p = (struct lb_pasted){ 0 };
}
