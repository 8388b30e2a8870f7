/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may log in with a key: each key by its fingerprint and comment, wherever sshd is told to look for it. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>

#include "lockboxd/inspect/inspect.h"
#include "policy/base.h"

#define KIND "authorized-keys"
#define BLOB_MAX (16 * 1024) /* bytes of a key */
#define LINES_MAX 2000       /* of a file: anybody may fill his own */

/* The next word up to a blank outside of quotes; NULL at the end. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t"), *end = word;
    bool quoted = false;

    for (; *end && (quoted || (*end != ' ' && *end != '\t')); end++) {
        if (*end == '"')
            quoted = !quoted;
        else if (*end == '\\' && end[1] == '"')
            end++;
    }
    *at = end;
    if (*end)
        *(*at)++ = '\0';
    return *word ? word : NULL;
}

/* "SHA256:…" as ssh-keygen -l spells it, if `text` is a key whose own bytes say that it is of this type. */
static bool fingerprint(const char *type, const char *text, char ret[static 64])
{
    unsigned char blob[BLOB_MAX], hash[EVP_MAX_MD_SIZE], base64[64];
    size_t n = strlen(text), length = strlen(type);

    if (n == 0 || n > sizeof(blob) || n % 4 != 0 || EVP_DecodeBlock(blob, (const unsigned char *)text, (int)n) < 0)
        return false;
    n = n / 4 * 3 - (text[n - 1] == '=') - (text[n - 2] == '=');
    if (n < 4 + length || blob[0] || blob[1] || blob[2] != length >> 8 || blob[3] != (length & 0xff) ||
        memcmp(blob + 4, type, length) != 0 || EVP_Digest(blob, n, hash, NULL, EVP_sha256(), NULL) != 1)
        return false;
    EVP_EncodeBlock(base64, hash, 32);
    /* without its "=" */
    snprintf(ret, 64, "SHA256:%.43s", base64);
    return true;
}

struct file {
    struct lb_picture *picture;
    const char *path;
    size_t lines;
};

/* "[OPTIONS] TYPE BASE64 [COMMENT]": options are what stands before the first two words that are a key. */
static void on_line(void *userdata, char *line)
{
    struct file *f = userdata;
    LB_FREE char *name = NULL, *detail = NULL;
    char digest[LB_DIGEST_MAX], print[64] = "not a key";
    char *type, *key = NULL, *rest = line;
    bool options = false;

    if (++f->lines > LINES_MAX) {
        lb_picture_unknown(f->picture, KIND, "there are too many lines in a file");
        return;
    }
    lb_picture_digest(line, strlen(line), digest);
    type = next_word(&rest);
    key = type ? next_word(&rest) : NULL;
    if (key && !fingerprint(type, key, print)) {
        options = true;
        type = key;
        key = next_word(&rest);
        if (key && !fingerprint(type, key, print))
            key = NULL;
    }
    if (asprintf(&name, "/%s %s", f->path, print) < 0 ||
        asprintf(&detail, "%s%s%s%s", key ? type : "", key && *rest ? " " : "", key ? rest : "",
                 key && options ? ", with options" : "") < 0) {
        f->picture->error = -ENOMEM;
        return;
    }
    lb_picture_add(f->picture, KIND, name, detail, digest);
}

static void read_file(struct lb_picture *p, const char *path)
{
    struct file file = { .picture = p, .path = path + strspn(path, "/") };
    LB_FREE char *text = NULL;

    if (lb_picture_read(p, KIND, file.path, &text) == 0)
        lb_picture_lines(text, on_line, &file);
}

/* --- where keys are ----------------------------------------------------------------------------------------------- */

/* A path of AuthorizedKeysFile for one user: %h, %u and %%; owned. */
static char *expand(const char *pattern, const char *home, const char *user)
{
    char *path = NULL;
    size_t size;
    FILE *out = open_memstream(&path, &size);

    if (!out)
        return NULL;
    if (*pattern != '/' && strncmp(pattern, "%h", 2) != 0)
        fprintf(out, "%s/", home);
    for (; *pattern; pattern++)
        if (*pattern != '%' || !pattern[1])
            fputc(*pattern, out);
        else if (*++pattern == 'h' || *pattern == 'u')
            fputs(*pattern == 'h' ? home : user, out);
        else
            fputc(*pattern, out);
    return fclose(out) == 0 ? path : NULL;
}

/* Patterns that sshd's configuration names anywhere, whatever Match they stand under. */
static void on_setting(void *userdata, char *line)
{
    json_t *patterns = userdata;
    char *word = strsep(&line, " \t=");

    if (strcasecmp(word, "AuthorizedKeysFile") != 0)
        return;
    while (line && (word = strsep(&line, " \t=\"")))
        if (*word)
            json_object_set_new(patterns, word, json_true());
}

static json_t *patterns_of_sshd(struct lb_picture *p)
{
    json_t *patterns = json_pack("{sbsb}", ".ssh/authorized_keys", true, ".ssh/authorized_keys2", true);
    const json_t *files = json_object_get(p->kinds, "sshd");
    const char *path;
    json_t *value;

    json_object_foreach ((json_t *)files, path, value) {
        LB_FREE char *text = NULL;

        if (strstr(path, "sshd_config") && lb_picture_read(p, "sshd", path + 1, &text) == 0)
            lb_picture_lines(text, on_setting, patterns);
    }
    return patterns;
}

struct search {
    json_t *patterns;
    json_t *seen; /* paths; accounts may share one */
};

static void on_home(struct lb_picture *p, void *userdata, const char *home, const char *user)
{
    const struct search *s = userdata;
    const char *pattern;
    json_t *value;

    json_object_foreach (s->patterns, pattern, value) {
        LB_FREE char *path = expand(pattern, home, user);

        if (path && !json_object_get(s->seen, path))
            read_file(p, path);
        if (!path || json_object_set_new(s->seen, path, json_true()) < 0)
            p->error = -ENOMEM;
    }
}

void lb_read_keys(struct lb_picture *p)
{
    json_auto_t *patterns = patterns_of_sshd(p), *seen = json_object();
    struct search search = { patterns, seen };

    if (patterns && seen)
        lb_each_home(p, on_home, &search);
    else
        p->error = -ENOMEM;
}
