/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Varlink framing: JSON objects ended by NUL, and the two shapes that an object may have. */
#include "lockboxd/proto/varlink.h"

#include <errno.h>

#include "lockboxd/proto/json.h"
#include "policy/base.h"

#define FIRST_SIZE 1024

static int reserve(struct lb_varlink_reader *reader, size_t n)
{
    size_t size = reader->size ? reader->size : FIRST_SIZE;
    char *buffer;

    if (reader->start > 0) {
        memmove(reader->buffer, reader->buffer + reader->start, reader->used - reader->start);
        reader->used -= reader->start;
        reader->partial -= reader->start;
        reader->start = 0;
    }
    while (size - reader->used < n)
        if (__builtin_mul_overflow(size, 2, &size))
            return -ENOMEM;
    if (size == reader->size)
        return 0;
    buffer = realloc(reader->buffer, size);
    if (!buffer)
        return -ENOMEM;
    reader->buffer = buffer;
    reader->size = size;
    return 0;
}

int lb_varlink_feed(struct lb_varlink_reader *reader, const void *bytes, size_t n)
{
    const char *scan, *end, *nul;

    if (n == 0)
        return 0;
    if (reserve(reader, n) < 0)
        return -ENOMEM;
    scan = memcpy(reader->buffer + reader->used, bytes, n);
    end = scan + n;
    reader->used += n;
    /* what was there before has been scanned: a message that comes byte by byte costs no more than one in one piece */
    for (; (nul = memchr(scan, '\0', end - scan)); scan = nul + 1) {
        if ((size_t)(nul - reader->buffer) - reader->partial > reader->max)
            return -EMSGSIZE;
        reader->partial = nul + 1 - reader->buffer;
    }
    return reader->used - reader->partial > reader->max ? -EMSGSIZE : 0;
}

int lb_varlink_next(struct lb_varlink_reader *reader, json_t **ret)
{
    json_t *message;
    size_t n;

    if (reader->start == reader->partial)
        return 0;
    n = strlen(reader->buffer + reader->start);
    message = lb_json_load(reader->buffer + reader->start, n);
    reader->start += n + 1;
    if (reader->start == reader->used)
        lb_varlink_reader_clear(reader);
    if (!message)
        return -EBADMSG;
    *ret = message;
    return 1;
}

void lb_varlink_reader_clear(struct lb_varlink_reader *reader)
{
    free(reader->buffer);
    *reader = (struct lb_varlink_reader){ .max = reader->max };
}

/* --- the two shapes --- */

struct shape {
    char *name; /* the method, or the error */
    json_t *parameters;
    bool flags[3];
};

/* A name, parameters and flags, all of the right type, and nothing else. */
static int shape_parse(const json_t *message, const char *name, const char *const flags[3], struct shape *ret)
{
    const json_t *text = json_object_get(message, name);
    json_t *parameters = json_object_get(message, "parameters");
    size_t known = !!text + !!parameters;

    if (!json_is_object(message) || (text && !json_string_length(text)) ||
        (parameters && !json_is_object(parameters) && !json_is_null(parameters)))
        return -EBADMSG;
    for (int i = 0; i < 3 && flags[i]; i++) {
        const json_t *flag = json_object_get(message, flags[i]);

        if (flag && !json_is_boolean(flag))
            return -EBADMSG;
        ret->flags[i] = json_is_true(flag);
        known += !!flag;
    }
    if (known != json_object_size(message))
        return -EBADMSG;
    ret->name = text ? strdup(json_string_value(text)) : NULL;
    ret->parameters = json_is_object(parameters) ? json_incref(parameters) : json_object();
    if ((!text || ret->name) && ret->parameters)
        return 0;
    free(ret->name);
    json_decref(ret->parameters);
    return -ENOMEM;
}

int lb_varlink_call_parse(const json_t *message, struct lb_varlink_call *ret)
{
    static const char *const flags[3] = { "more", "oneway", "upgrade" };
    struct shape shape = {};
    int r = shape_parse(message, "method", flags, &shape);

    if (r < 0)
        return r;
    if (!shape.name || shape.flags[2] || (shape.flags[0] && shape.flags[1])) {
        free(shape.name);
        json_decref(shape.parameters);
        return -EBADMSG;
    }
    *ret = (struct lb_varlink_call){
        .method = shape.name, .parameters = shape.parameters, .more = shape.flags[0], .oneway = shape.flags[1]
    };
    return 0;
}

void lb_varlink_call_clear(struct lb_varlink_call *call)
{
    free(call->method);
    json_decref(call->parameters);
    *call = (struct lb_varlink_call){};
}

int lb_varlink_reply_parse(const json_t *message, struct lb_varlink_reply *ret)
{
    static const char *const flags[3] = { "continues" };
    struct shape shape = {};
    int r = shape_parse(message, "error", flags, &shape);

    if (r < 0)
        return r;
    if (shape.name && shape.flags[0]) {
        free(shape.name);
        json_decref(shape.parameters);
        return -EBADMSG;
    }
    *ret =
        (struct lb_varlink_reply){ .error = shape.name, .parameters = shape.parameters, .continues = shape.flags[0] };
    return 0;
}

void lb_varlink_reply_clear(struct lb_varlink_reply *reply)
{
    free(reply->error);
    json_decref(reply->parameters);
    *reply = (struct lb_varlink_reply){};
}

static char *format(const char *kind, const char *name, const json_t *parameters, const char *flag, size_t *ret_size)
{
    json_t *message = json_object();
    json_t *body = parameters ? json_incref((json_t *)parameters) : json_object();
    char *text = NULL;

    /* set_new takes the body also when it fails, and fails for NULL */
    if (json_object_set_new(message, "parameters", body) == 0 &&
        (!name || json_object_set_new(message, kind, json_string(name)) == 0) &&
        (!flag || json_object_set_new(message, flag, json_true()) == 0))
        text = lb_json_canonical(message);
    json_decref(message);
    if (text)
        *ret_size = strlen(text) + 1;
    return text;
}

char *lb_varlink_format_call(const char *method, const json_t *parameters, bool more, size_t *ret_size)
{
    return format("method", method, parameters, more ? "more" : NULL, ret_size);
}

char *lb_varlink_format_reply(const json_t *parameters, bool continues, size_t *ret_size)
{
    return format("error", NULL, parameters, continues ? "continues" : NULL, ret_size);
}

char *lb_varlink_format_error(const char *error, const json_t *parameters, size_t *ret_size)
{
    return format("error", error, parameters, NULL, ret_size);
}
