/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * courier.conf: same grammar, same strictness as policy and lockboxd.conf. Secrets are not in it: a value that names
 * one is the path of a file that others cannot read, or the name of a systemd credential.
 */
#pragma once

#include "lockboxd/courier/handle.h"
#include "policy/fields.h"

struct lb_mail_templates;

/* [Mail] */
struct lb_mail_config {
    char *server;     /* Server=smtp://host:587 (STARTTLS, always) or smtps://host:465; NULL: no mail */
    char *from;       /* From= */
    char **to;        /* To=: addresses that get every letter, besides the approvers' own (approvers.conf, Mail=) */
    char *user;       /* User=, Password= (a secret); NULL: no authentication */
    char *password;
    int64_t remind;   /* Remind=1h: µs before a request expires; 0: no reminder */
    char *templates;  /* Templates=DIR: replaces the texts that are built in; NULL … */
    struct lb_mail_templates *texts; /* … and what was read there */
    char *link;       /* Link=https://portal.example/%i : shown in the letter; NULL: none */
    struct lb_tls tls; /* CAFile= Pin= Certificate= Key= */
};

/* [Webhook NAME] */
struct lb_webhook_config {
    char *name;
    char *url;        /* URL=https://… */
    char *secret;     /* Secret=: whsec_… in it, signs by Standard Webhooks; NULL: unsigned (chat services) */
    char *token;      /* Token=: sent as Authorization: Bearer; NULL */
    int format;       /* Format=event slack teams ntfy, or template with Template=FILE */
    char *template;   /* its path … */
    char *text;       /* … and what stood in it when the settings were read, checked (template.h) */
    char **events;    /* Events=: kinds and globs of event names; NULL: all */
    struct lb_tls tls;
};
enum lb_webhook_format {
    LB_FORMAT_EVENT, LB_FORMAT_SLACK, LB_FORMAT_TEAMS, LB_FORMAT_NTFY, LB_FORMAT_TEMPLATE, LB_FORMAT_MAX_,
};
extern const char *const lb_webhook_format_names[]; /* ended by NULL */

/* Whether people read it as it comes; what a program gets is a record, in which nothing is missing. */
bool lb_webhook_is_chat(const struct lb_webhook_config *w);

/* [Remote]: the customer's own approval service. */
struct lb_remote_config {
    char *url;        /* URL=https://…: where requests are posted; NULL: none */
    char *approver;   /* Approver=: the name that its signatures have in allowed_signers */
    char *token;      /* Token= (a secret), Secret= (signs what is posted, by Standard Webhooks) */
    char *secret;
    int64_t poll;     /* Poll=: µs that one long poll may last */
    struct lb_tls tls;
};

/* [Export] */
struct lb_export_config {
    char *url;        /* URL=https://host/path/ or s3://bucket/prefix/; NULL: none */
    char *endpoint;   /* Endpoint=https://…: of an S3-compatible store */
    char *region;     /* Region=us-east-1 */
    char *access_key; /* AccessKey=, SecretKey= (a secret) for S3; Token= for HTTPS */
    char *secret_key;
    char *token;
    int64_t every;    /* Every=1h: µs between two batches of events */
    bool packs;       /* Packs=yes: an evidence pack at each end of an access */
    struct lb_tls tls;
};

struct lb_courier_config {
    char *host;          /* [Courier] Host=; default the host's name */
    char *proxy;         /* Proxy=: for HTTPS alone */
    int64_t give_up;     /* GiveUp=4d: for what does not expire by itself */
    struct lb_mail_config mail;
    struct lb_list webhooks; /* struct lb_webhook_config */
    struct lb_remote_config remote;
    struct lb_export_config export;
};

/* Reads `path` and the *.conf of `path`.d in name order. -EINVAL with *ret_error, an owned text with a line
 * "path:line: …" for each mistake; -ENOMEM. Files that are not there say nothing: no channel is configured. */
int lb_courier_config_load(const char *path, struct lb_courier_config *ret, char **ret_error);
void lb_courier_config_clear(struct lb_courier_config *c);

/* The webhook of this name, or NULL. */
const struct lb_webhook_config *lb_courier_config_webhook(const struct lb_courier_config *c, const char *name);

/* Whether anything is configured for the channel. */
bool lb_courier_config_has(const struct lb_courier_config *c, const char *channel);

/* What `name` (as a key has it) stands for, without a newline at its end: owned, to be wiped by the caller. -EACCES
 * where others could read the file, -ENOENT; *ret_error is an owned text for a person that does not contain the
 * secret. */
int lb_secret_read(const char *name, char **ret, char **ret_error);
