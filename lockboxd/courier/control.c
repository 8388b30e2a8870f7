/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/control.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/reading.h"
#include "lockboxd/log.h"
#include "lockboxd/proto/json.h"
#include "lockboxd/proto/varlink.h"
#include "policy/base.h"
#include "policy/text.h"

#define ERROR(name) "org.lockbox.Courier." name
#define CONNECTIONS 32
#define IDLE (30 * LB_USEC_PER_SEC)
#define TEST_USEC (30 * LB_USEC_PER_SEC)
#define GROUPS_MAX 1024

struct conn {
    struct conn *next;
    struct lb_control *control;
    int fd;
    bool may_read, root, more, busy, dead;
    sd_event_source *io, *idle, *bury;
    struct lb_varlink_reader reader;
    char *out;
    size_t out_size, out_sent;
    struct lb_letter letter; /* the test that is on its way */
    struct lb_transfer *transfer;
};

struct lb_control {
    struct lb_courier *courier;
    sd_event_source *listener;
    struct conn *conns;
    size_t n;
};

/* --- connections ----------------------------------------------------------------------------------------------------- */

static void conn_free(struct conn *c)
{
    struct conn **at = &c->control->conns;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->control->n--;
    lb_transfer_free(c->transfer);
    lb_letter_clear(&c->letter);
    sd_event_source_disable_unref(c->io);
    sd_event_source_disable_unref(c->idle);
    sd_event_source_disable_unref(c->bury);
    close(c->fd);
    lb_varlink_reader_clear(&c->reader);
    free(c->out);
    free(c);
}

/* Freed by the loop, and not under curl's feet, or a verb's. */
static void conn_kill(struct conn *c)
{
    c->dead = true;
    sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
    sd_event_source_set_enabled(c->bury, SD_EVENT_ONESHOT);
}

static int on_bury(sd_event_source *source, void *userdata)
{
    (void)source;
    conn_free(userdata);
    return 0;
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    conn_kill(userdata);
    return 0;
}

static void watch(struct conn *c)
{
    if (!c->dead)
        sd_event_source_set_io_events(c->io, EPOLLRDHUP | (c->busy ? 0 : EPOLLIN) | (c->out ? EPOLLOUT : 0));
}

static void flush(struct conn *c)
{
    while (c->out && !c->dead) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_size - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0) {
            conn_kill(c);
            return;
        }
        c->out_sent += (size_t)n;
        if (c->out_sent == c->out_size) {
            free(LB_TAKE(c->out));
            c->out_size = c->out_sent = 0;
        }
    }
    watch(c);
}

static void put(struct conn *c, char *bytes, size_t size)
{
    char *joined = bytes ? realloc(c->out, c->out_size + size) : NULL;

    if (joined) {
        memcpy(joined + c->out_size, bytes, size);
        c->out = joined;
        c->out_size += size;
    }
    free(bytes);
    if (joined)
        flush(c);
    else
        conn_kill(c);
}

/* Both take the parameters. */
static void reply(struct conn *c, json_t *parameters, bool continues)
{
    size_t size = 0;
    char *bytes = parameters ? lb_varlink_format_reply(parameters, continues, &size) : NULL;

    json_decref(parameters);
    c->busy = continues;
    put(c, bytes, size);
}

static void refuse(struct conn *c, const char *error, json_t *parameters)
{
    size_t size = 0;
    char *bytes = lb_varlink_format_error(error, parameters, &size);

    json_decref(parameters);
    c->busy = false;
    put(c, bytes, size);
}

/* --- verbs ----------------------------------------------------------------------------------------------------------- */

struct parameters {
    char *channel, *target, *id, *interface;
};

static const char *time_text(int64_t wall, char text[static 40])
{
    time_t seconds = (time_t)(wall / LB_USEC_PER_SEC);
    struct tm tm;

    strftime(text, 40, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    return text;
}

static json_t *pack_parts(const struct lb_courier *co)
{
    json_t *parts = json_object();

    for (size_t i = 0; lb_parts[i]; i++)
        if (co->parts[i] && lb_parts[i]->status)
            json_object_set_new(parts, lb_parts[i]->name, lb_parts[i]->status(co->parts[i]));
    return parts;
}

static void verb_status(struct conn *c, const struct parameters *p)
{
    static const char *const channels[] = { "mail", "webhook", "remote", "export" };
    struct lb_courier *co = c->control->courier;
    int64_t position = lb_outbox_position(co->outbox, NULL), last = co->follow ? lb_follow_last(co->follow) : 0;
    const char *problem = lb_reading_problem(co->reading);
    char started[40];
    json_t *has = json_object(), *targets = lb_post_status(co->post);

    (void)p;
    problem = problem || !co->follow ? problem : lb_follow_problem(co->follow);
    for (size_t i = 0; i < LB_ELEMENTS(channels); i++)
        json_object_set_new(has, channels[i], json_boolean(lb_courier_config_has(&co->config, channels[i])));
    reply(c, json_pack("{ss ss ss sI sI ss* ss* so so so}", "version", LB_VERSION, "host",
                       co->config.host ? co->config.host : "", "started_at", time_text(co->started_at, started),
                       "position", (json_int_t)position, "behind",
                       (json_int_t)(position >= 0 && last > position ? last - position : 0), "problem", problem,
                       "config_error", co->config_error, "channels", has, "targets", targets ? targets : json_array(),
                       "parts", pack_parts(co)), false);
}

static int on_dead(void *userdata, const struct lb_letter *l)
{
    return json_array_append_new(userdata, json_pack("{ss ss ss ss* ss sI ss*}", "id", l->id, "channel", l->channel,
                                                     "target", l->target, "request", l->request, "notice",
                                                     l->notice > 0 && l->notice < LB_NOTICE_MAX_
                                                         ? lb_notice_names[l->notice] : "",
                                                     "attempts", (json_int_t)l->attempts, "error", l->error));
}

static void verb_dead(struct conn *c, const struct parameters *p)
{
    json_t *letters = json_array();

    (void)p;
    if (lb_outbox_dead(c->control->courier->outbox, 1000, on_dead, letters) < 0) {
        json_decref(letters);
        refuse(c, ERROR("Unavailable"), json_pack("{ss}", "reason", "the outbox cannot be read"));
        return;
    }
    reply(c, json_pack("{so}", "letters", letters), false);
}

static int on_revived(void *userdata, const struct lb_outbox_target *t)
{
    if (t->waiting)
        lb_post_expect(userdata, t->channel, t->target);
    return 0;
}

static void verb_retry(struct conn *c, const struct parameters *p)
{
    struct lb_courier *co = c->control->courier;
    int64_t n = lb_outbox_revive(co->outbox, p->id, lb_clock_now().wall + co->config.give_up);

    if (n >= 0)
        lb_outbox_targets(co->outbox, on_revived, co->post);
    if (n < 0)
        refuse(c, ERROR("Unavailable"), json_pack("{ss}", "reason", "the outbox cannot be written"));
    else if (n == 0 && p->id)
        refuse(c, ERROR("InvalidParameter"),
               json_pack("{ss ss}", "field", "id", "reason", "there is no such letter that was given up"));
    else
        reply(c, json_pack("{sI}", "count", (json_int_t)n), false);
}

static void verb_get_info(struct conn *c, const struct parameters *p)
{
    (void)p;
    reply(c, json_pack("{ss ss ss ss s[ss]}", "vendor", "lockbox", "product", "lockbox-courier", "version", LB_VERSION,
                       "url", "https://varlink.org", "interfaces", "org.lockbox.Courier", "org.varlink.service"), false);
}

static void verb_get_description(struct conn *c, const struct parameters *p)
{
    if (lb_streq(p->interface, "org.lockbox.Courier"))
        reply(c, json_pack("{ss}", "description", lb_courier_interface), false);
    else
        refuse(c, "org.varlink.service.InterfaceNotFound", json_pack("{ss*}", "interface", p->interface));
}

/* --- a test ---------------------------------------------------------------------------------------------------------- */

static void test_over(struct conn *c, bool delivered, const char *problem)
{
    LB_FREE char *clean = problem ? lb_text_clean(problem, 512) : NULL;

    c->transfer = NULL;
    lb_letter_clear(&c->letter);
    reply(c, json_pack("{sb ss*}", "delivered", delivered, "problem", clean), false);
}

static void run_calls(struct conn *c);

static void on_tested(void *userdata, const struct lb_transfer_result *r)
{
    struct conn *c = userdata;

    test_over(c, r->sent, r->problem);
    run_calls(c); /* those that came meanwhile */
}

/* What curl says of what it does, and what the other end answers; never what we send, in which there are secrets. */
static int on_step(CURL *easy, curl_infotype type, char *text, size_t size, void *userdata)
{
    bool shown = type == CURLINFO_TEXT || type == CURLINFO_HEADER_IN;
    LB_FREE char *line = shown ? strndup(text, size) : NULL, *clean = line ? lb_text_clean(line, 512) : NULL;
    struct conn *c = userdata;

    (void)easy;
    if (clean && *clean && c->more && !c->dead)
        reply(c, json_pack("{ss}", "step", clean), true);
    return 0;
}

/* Whom it goes to where nobody is named. */
static const char *only_target(const struct lb_courier_config *config, const char *channel)
{
    const struct lb_webhook_config *w = config->webhooks.items;

    if (strcmp(channel, "webhook") == 0)
        return config->webhooks.n == 1 ? w[0].name : NULL;
    if (strcmp(channel, "mail") == 0)
        return config->mail.to ? config->mail.to[0] : NULL;
    return channel;
}

static int make_test(struct conn *c, const struct lb_channel *channel, const char *target)
{
    struct lb_courier *co = c->control->courier;
    const struct lb_matter m = { .notice = LB_NOTICE_TEST, .host = co->config.host, .now = lb_clock_now().wall };
    struct lb_letter *l = &c->letter;
    uint64_t random = 0;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random) ||
        asprintf(&l->id, "test.%016llx@%s", (unsigned long long)random, "lockbox") < 0)
        return -ENOMEM;
    l->channel = strdup(channel->name);
    l->target = strdup(target);
    l->notice = LB_NOTICE_TEST;
    return l->channel && l->target ? channel->compose(&co->config, target, &m, &l->body) : -ENOMEM;
}

static void verb_test(struct conn *c, const struct parameters *p)
{
    struct lb_courier *co = c->control->courier;
    const struct lb_channel *channel = lb_channel_find(p->channel ? p->channel : "");
    const char *target = p->target || !channel ? p->target : only_target(&co->config, channel->name);
    struct curl_slist *headers = NULL, *recipients = NULL;
    LB_FREE char *error = NULL;
    CURL *easy = NULL;
    int r = 0;

    if (!channel || !lb_courier_config_has(&co->config, channel->name) || !co->transfers) {
        refuse(c, ERROR("InvalidParameter"), json_pack("{ss ss}", "field", "channel", "reason", "it is not configured"));
        return;
    }
    if (!target) {
        refuse(c, ERROR("InvalidParameter"), json_pack("{ss ss}", "field", "target", "reason", "to which of them?"));
        return;
    }
    r = make_test(c, channel, target);
    if (r == 0)
        r = channel->open(&co->config, co->transfers, &c->letter, &easy, &headers, &recipients, &error);
    if (r == 0) {
        curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
        curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_step);
        curl_easy_setopt(easy, CURLOPT_DEBUGDATA, c);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        r = lb_transfer_start(co->transfers, easy, headers, recipients, TEST_USEC, on_tested, c, &c->transfer);
    }
    if (r < 0)
        test_over(c, false, error ? error : r == -EINVAL ? "there is no such target" : strerrordesc_np(-r));
}

void lb_control_break_off(struct lb_control *control)
{
    for (struct conn *c = control->conns; c; c = c->next)
        if (c->transfer) {
            lb_transfer_free(c->transfer);
            test_over(c, false, "the settings were read anew meanwhile; try again");
        }
}

/* --- calls ----------------------------------------------------------------------------------------------------------- */

#define FIELD(member) { #member, LB_FIELD_STRING, offsetof(struct parameters, member) }
static const struct lb_field none[] = { { 0 } }, test_fields[] = { FIELD(channel), FIELD(target), { 0 } },
                             retry_fields[] = { FIELD(id), { 0 } }, description_fields[] = { FIELD(interface), { 0 } };

enum who { ANYBODY, READERS, ROOT };

static const struct {
    const char *method;
    enum who who;
    const struct lb_field *fields;
    void (*run)(struct conn *c, const struct parameters *p);
} verbs[] = {
    { ERROR("Status"), READERS, none, verb_status },
    { ERROR("Dead"), READERS, none, verb_dead },
    { ERROR("Test"), ROOT, test_fields, verb_test },
    { ERROR("Retry"), ROOT, retry_fields, verb_retry },
    { "org.varlink.service.GetInfo", ANYBODY, none, verb_get_info },
    { "org.varlink.service.GetInterfaceDescription", ANYBODY, description_fields, verb_get_description },
};

static void dispatch(struct conn *c, const struct lb_varlink_call *call)
{
    struct parameters p = { 0 };
    const char *wrong = "";
    size_t i = 0;

    while (i < LB_ELEMENTS(verbs) && strcmp(verbs[i].method, call->method) != 0)
        i++;
    if (i == LB_ELEMENTS(verbs) || call->oneway) {
        refuse(c, "org.varlink.service.MethodNotFound", json_pack("{ss}", "method", call->method));
        return;
    }
    if (verbs[i].who > ANYBODY && !(verbs[i].who == ROOT ? c->root : c->may_read)) {
        refuse(c, ERROR("NotPermitted"), json_pack("{ss}", "reason", verbs[i].who == ROOT
                   ? "that is root's" : "that is for root, lockbox-auditors and lockbox-approvers"));
        return;
    }
    if (lb_json_unpack(verbs[i].fields, call->parameters, &p, LB_JSON_PUBLIC, &wrong) < 0) {
        refuse(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", wrong ? wrong : ""));
        return;
    }
    verbs[i].run(c, &p);
    lb_fields_clear(verbs[i].fields, &p);
}

static void run_calls(struct conn *c)
{
    while (!c->busy && !c->dead) {
        struct lb_varlink_call call;
        json_auto_t *message = NULL;
        int r = lb_varlink_next(&c->reader, &message);

        if (r == 0)
            return;
        if (r < 0 || lb_varlink_call_parse(message, &call) < 0) {
            conn_kill(c);
            return;
        }
        c->busy = true;
        c->more = call.more;
        sd_event_source_set_time_relative(c->idle, IDLE + TEST_USEC);
        dispatch(c, &call);
        lb_varlink_call_clear(&call);
    }
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct conn *c = userdata;
    char bytes[4096];
    ssize_t n = 0;

    (void)source;
    if (revents & EPOLLOUT)
        flush(c);
    if ((revents & EPOLLIN) && !c->busy) {
        n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n <= 0 || lb_varlink_feed(&c->reader, bytes, (size_t)n) < 0)
            conn_kill(c);
        else
            run_calls(c);
    } else if (revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        conn_kill(c);
    }
    return 0;
}

/* --- who calls ------------------------------------------------------------------------------------------------------- */

static bool is_in(const gid_t *groups, size_t n, const char *name)
{
    const struct group *gr = getgrnam(name);

    for (size_t i = 0; gr && i < n; i++)
        if (groups[i] == gr->gr_gid)
            return true;
    return false;
}

/* By the groups that the kernel knew when he connected. */
static int read_peer(struct conn *c)
{
    gid_t groups[GROUPS_MAX + 1];
    socklen_t size = GROUPS_MAX * sizeof(*groups);
    struct ucred peer;
    socklen_t peer_size = sizeof(peer);
    size_t n;

    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) < 0 ||
        getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return -errno;
    n = size / sizeof(*groups);
    groups[n++] = peer.gid;
    c->root = peer.uid == 0 || peer.uid == geteuid();
    c->may_read = c->root || is_in(groups, n, "lockbox-auditors") || is_in(groups, n, "lockbox-approvers");
    return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_control *control = userdata;
    int r, taken = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct conn *c = taken >= 0 && control->n < CONNECTIONS ? calloc(1, sizeof(*c)) : NULL;

    (void)source;
    (void)revents;
    if (!c) {
        if (taken >= 0)
            close(taken);
        return 0;
    }
    *c = (struct conn){ .next = control->conns, .control = control, .fd = taken, .reader.max = LB_VARLINK_MESSAGE_MAX };
    control->conns = c;
    control->n++;
    r = read_peer(c);
    if (r >= 0)
        r = sd_event_add_io(control->courier->event, &c->io, taken, EPOLLIN | EPOLLRDHUP, on_io, c);
    if (r >= 0)
        r = sd_event_add_time_relative(control->courier->event, &c->idle, CLOCK_MONOTONIC, IDLE, 1, on_idle, c);
    if (r >= 0)
        r = sd_event_add_defer(control->courier->event, &c->bury, on_bury, c);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->bury, SD_EVENT_OFF);
    if (r < 0)
        conn_free(c);
    return 0;
}

int lb_control_new(struct lb_courier *courier, struct lb_control **ret)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    LB_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct lb_control *c = calloc(1, sizeof(*c));
    mode_t mask = umask(0111);
    int r = c ? 0 : -ENOMEM;

    if (r == 0 && fd < 0)
        r = -errno;
    if (r == 0 && snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.socket",
                           courier->options->runtime_directory) >= (int)sizeof(address.sun_path))
        r = -ENAMETOOLONG;
    if (r == 0) {
        unlink(address.sun_path);
        r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0 ? -errno : 0;
    }
    umask(mask);
    if (r == 0) {
        c->courier = courier;
        r = sd_event_add_io(courier->event, &c->listener, fd, EPOLLIN, on_accept, c);
    }
    if (r < 0) {
        lb_control_free(c);
        return r;
    }
    sd_event_source_set_io_fd_own(c->listener, 1);
    fd = -1;
    *ret = c;
    return 0;
}

struct lb_control *lb_control_free(struct lb_control *c)
{
    if (!c)
        return NULL;
    while (c->conns)
        conn_free(c->conns);
    sd_event_source_disable_unref(c->listener);
    free(c);
    return NULL;
}
