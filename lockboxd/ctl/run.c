/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A reviewed script: its bytes go to the daemon, which runs them if a rule names them, and what they write comes
 * back. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/proto/base64.h"
#include "policy/script.h"

#define CALL_MS 30000

/* One more byte than may be, so that too much is seen to be too much. -errno, or how many. */
static ssize_t read_script(const char *path, char buf[static LB_SCRIPT_MAX + 1])
{
    LB_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t n = 1;

    if (fd < 0)
        return -errno;
    while (n > 0 && size <= LB_SCRIPT_MAX) {
        n = read(fd, buf + size, LB_SCRIPT_MAX + 1 - size);
        if (n < 0)
            return -errno;
        size += (size_t)n;
    }
    return (ssize_t)size;
}

static json_t *pack_arguments(const char *const *arguments)
{
    json_t *array = json_array();

    for (; *arguments; arguments++)
        if (json_array_append_new(array, json_string(*arguments)) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

/* What the daemon would refuse is told before it is asked. */
static int pack_call(const struct lb_ctl *ctl, json_t **ret)
{
    LB_FREE char *bytes = malloc(LB_SCRIPT_MAX + 1), *text = NULL, *name = lb_script_name(ctl->args[0]);
    ssize_t n = bytes ? read_script(ctl->args[0], bytes) : -ENOMEM;
    const char *problem = n < 0 ? strerror((int)-n) : lb_script_problem(bytes, (size_t)n);

    if (!problem)
        problem = lb_script_arguments_problem((char *const *)ctl->args + 1);
    if (problem)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s: %s", ctl->args[0], problem);
    text = lb_base64_encode(bytes, (size_t)n);
    *ret = text && name ? json_pack("{s:s, s:s, s:o}", "script", text, "name", name, "arguments",
                                    pack_arguments(ctl->args + 1))
                        : NULL;
    return *ret ? LB_EXIT_DONE : lb_ctl_fail(ctl, LB_EXIT_FAILED, "out of memory, or an argument is not valid UTF-8");
}

static bool put(FILE *out, const json_t *reply, const char *stream)
{
    const char *text = json_string_value(json_object_get(reply, stream));
    LB_FREE void *bytes = NULL;
    size_t n = 0;

    if (!text)
        return true;
    return lb_base64_decode(text, &bytes, &n) == 0 && fwrite(bytes, 1, n, out) == n && fflush(out) == 0;
}

/* A piece of output, as the script wrote it; or the ID, at the begin. */
static int show(struct lb_ctl *ctl, const json_t *reply)
{
    const char *id = lb_ctl_string(reply, "request");

    if (*id)
        lb_id_format(id, ctl->id);
    if (*id && ctl->err.width)
        lb_ctl_fail(ctl, 0, "%s runs as access %s; Ctrl-C ends the watching, not the script", ctl->args[0], ctl->id);
    if (put(ctl->out.out, reply, "stdout") && put(ctl->err.out, reply, "stderr"))
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "its output cannot be written here; the script goes on: lockboxctl show %s",
                       ctl->id);
}

/* The script's own status is told in words: this program's says whether all is well. */
static int end(const struct lb_ctl *ctl, const json_t *reply)
{
    const char *message = lb_ctl_string(reply, "message");
    int64_t status = lb_ctl_int(reply, "exit_status");

    if (json_is_true(json_object_get(reply, "behind")))
        lb_ctl_fail(ctl, 0, "this was too slow to show all of the output; it is recorded all the same: "
                            "lockboxctl show %s", ctl->id);
    if (status)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s ended with exit status %" PRId64 "%s%s", ctl->args[0], status,
                           *message ? ": " : "", message);
    return *message ? lb_ctl_fail(ctl, LB_EXIT_DONE, "%s", message) : LB_EXIT_DONE;
}

static int watch(struct lb_ctl *ctl, struct lb_client *client)
{
    int status = LB_EXIT_DONE;

    while (status == LB_EXIT_DONE) {
        LB_CLEANUP(lb_varlink_reply_clear) struct lb_varlink_reply reply = { 0 };
        int r = lb_client_receive(client, -1, &reply);

        if (r < 0 && *ctl->id)
            return lb_ctl_fail(ctl, LB_EXIT_NO_DAEMON, "the connection to lockboxd broke; what became of the script: "
                                                       "lockboxctl show %s", ctl->id);
        if (r < 0)
            return lb_ctl_lost(ctl, r);
        if (reply.error)
            return lb_ctl_refused(ctl, reply.error, reply.parameters);
        if (!reply.continues)
            return end(ctl, reply.parameters);
        status = show(ctl, reply.parameters);
    }
    return status;
}

int verb_run(struct lb_ctl *ctl)
{
    LB_CLIENT struct lb_client *client = NULL;
    LB_JSON json_t *call = NULL;
    int r;

    if (!ctl->args[0])
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "run what? lockboxctl run SCRIPT [ARGUMENT...]");
    r = pack_call(ctl, &call);
    if (r != LB_EXIT_DONE)
        return r;
    r = lb_client_open(ctl->options[LB_OPTION_SOCKET], LB_CTL_CONNECT_MS, &client);
    if (r >= 0)
        r = lb_client_send(client, LB_ACCESS "Run", call, true, CALL_MS);
    return r < 0 ? lb_ctl_lost(ctl, r) : watch(ctl, client);
}
