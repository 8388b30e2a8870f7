/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words that look like others: mixed scripts, and scripts that pass for Latin. */
#include "policy/base.h"
#include "policy/text.h"
#include "policy/utf8.h"

enum script {
    LATIN = 1 << 0,
    CYRILLIC = 1 << 1,
    GREEK = 1 << 2,
    ARMENIAN = 1 << 3,
    CHEROKEE = 1 << 4,
    PHONETIC = 1 << 5, /* letters for pronunciation and single signs: rarely beside plain Latin in good faith */
    DISGUISE = 1 << 6, /* Latin letters in costume */
};

static const struct {
    struct lb_utf8_range range;
    unsigned script;
} scripts[] = {
    { { 'A', 'Z' }, LATIN }, { { 'a', 'z' }, LATIN }, { { 0x00C0, 0x00D6 }, LATIN }, { { 0x00D8, 0x00F6 }, LATIN },
    { { 0x00F8, 0x024F }, LATIN }, { { 0x1E00, 0x1EFF }, LATIN },
    { { 0x0400, 0x052F }, CYRILLIC }, { { 0x1C80, 0x1C8F }, CYRILLIC }, { { 0x2DE0, 0x2DFF }, CYRILLIC },
    { { 0xA640, 0xA69F }, CYRILLIC },
    { { 0x0370, 0x03FF }, GREEK }, { { 0x1F00, 0x1FFF }, GREEK }, { { 0x2C80, 0x2CFF }, GREEK }, /* and Coptic */
    { { 0x0531, 0x0587 }, ARMENIAN },
    { { 0x13A0, 0x13FF }, CHEROKEE }, { { 0xAB70, 0xABBF }, CHEROKEE },
    { { 0x0250, 0x02AF }, PHONETIC }, { { 0x1D00, 0x1DBF }, PHONETIC }, { { 0x2100, 0x214F }, PHONETIC },
    { { 0x2160, 0x2188 }, PHONETIC }, { { 0xA720, 0xA7FF }, PHONETIC },
    { { 0x24B6, 0x24E9 }, DISGUISE }, { { 0xA4D0, 0xA4FF }, DISGUISE }, /* circled; Lisu */
    { { 0xFF21, 0xFF3A }, DISGUISE }, { { 0xFF41, 0xFF5A }, DISGUISE }, { { 0x1D400, 0x1D7FF }, DISGUISE },
    { { 0x1F110, 0x1F189 }, DISGUISE },
};

/* Cyrillic and Greek letters whose everyday shape is a Latin one. */
static const uint32_t lookalikes[] = {
    /* АВЕКМНОРСТУХЅІЈҮӀԚԜ */
    0x410, 0x412, 0x415, 0x41A, 0x41C, 0x41D, 0x41E, 0x420, 0x421, 0x422, 0x423, 0x425, 0x405, 0x406, 0x408, 0x4AE,
    0x4C0, 0x51A, 0x51C,
    /* аеорсухѕіјһӏԁԛԝ */
    0x430, 0x435, 0x43E, 0x440, 0x441, 0x443, 0x445, 0x455, 0x456, 0x458, 0x4BB, 0x4CF, 0x501, 0x51B, 0x51D,
    /* ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ ανορυ ϲϳ */
    0x391, 0x392, 0x395, 0x396, 0x397, 0x399, 0x39A, 0x39C, 0x39D, 0x39F, 0x3A1, 0x3A4, 0x3A5, 0x3A7, 0x3B1, 0x3BD,
    0x3BF, 0x3C1, 0x3C5, 0x3F2, 0x3F3,
};

/* Beyond ASCII: punctuation and spaces. All else there belongs to words. */
static const struct lb_utf8_range separators[] = {
    { 0x0080, 0x00A9 }, { 0x00AB, 0x00B4 }, { 0x00B6, 0x00B9 }, { 0x00BB, 0x00BF }, { 0x2000, 0x206F },
    { 0x3000, 0x303F }, { 0xFFFD, 0xFFFF }, { LB_UTF8_INVALID, LB_UTF8_INVALID },
};

/* What is known of the word that is being read. */
struct word {
    unsigned scripts;
    size_t characters; /* hyphens and dots do not count */
    bool plain;        /* a letter was there that looks like itself */
};

static unsigned script_of(uint32_t code)
{
    for (size_t i = 0; i < LB_ELEMENTS(scripts); i++)
        if (code >= scripts[i].range.first && code <= scripts[i].range.last)
            return scripts[i].script;
    return 0;
}

static bool is_lookalike(uint32_t code)
{
    for (size_t i = 0; i < LB_ELEMENTS(lookalikes); i++)
        if (lookalikes[i] == code)
            return true;
    return false;
}

static bool is_digit(uint32_t code)
{
    return code >= '0' && code <= '9';
}

static bool in_word(uint32_t code)
{
    if (code < 0x80)
        return script_of(code) || is_digit(code) || code == '-' || code == '_' || code == '.';
    return !LB_UTF8_IN(separators, code);
}

static void word_add(struct word *word, uint32_t code)
{
    unsigned script = script_of(code);

    word->scripts |= script;
    word->characters += code >= 0x80 || script || is_digit(code);
    word->plain |= !is_digit(code) && code != '-' && code != '_' && code != '.' && !is_lookalike(code);
}

static bool word_is_confusable(const struct word *word)
{
    bool mixed = (word->scripts & (word->scripts - 1)) != 0;

    /* A single letter is more often a word of its language ("с", "о") than a disguise. */
    return mixed || (word->scripts & DISGUISE) || (word->scripts && !word->plain && word->characters > 1);
}

bool lb_text_is_confusable(const char *text)
{
    size_t size = text ? strlen(text) : 0;
    struct word word = {};

    for (size_t i = 0, n; i < size; i += n) {
        uint32_t code;

        n = lb_utf8_decode(text + i, size - i, &code);
        if (in_word(code)) {
            word_add(&word, code);
            continue;
        }
        if (word_is_confusable(&word))
            return true;
        word = (struct word){};
    }
    return word_is_confusable(&word);
}
