/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A checkpoint is fetched, kept in files that ssh-keygen takes, and signed by who keeps it. */
#include "lockboxd/ctl/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

/* --- the host's key ----------------------------------------------------------------------------------------------- */

/* A public key alone says nothing of whose it is: then it is the host's. */
static int signers_of(const struct lb_ctl *ctl, const char *file, const char *principal, char **ret)
{
    static const char *const types[] = { "ssh-", "ecdsa-", "sk-" };
    LB_FREE char *text = NULL;
    int r = lb_signed_read_file(ctl, file, &text);

    for (size_t i = 0; r == LB_EXIT_DONE && i < LB_ELEMENTS(types); i++)
        if (strncmp(text, types[i], strlen(types[i])) == 0)
            return asprintf(ret, "%s namespaces=\"" LB_CHECKPOINT_NAMESPACE "\" %s", principal, text) < 0
                       ? lb_ctl_lost(ctl, -ENOMEM)
                       : LB_EXIT_DONE;
    if (r == LB_EXIT_DONE)
        *ret = LB_TAKE(text);
    return r;
}

int lb_checkpoint_check(const struct lb_ctl *ctl, const struct lb_verify_checkpoint *c, const char *directory, int *ret,
                        char **ret_problem)
{
    LB_FREE char *beside = NULL, *signers = NULL;
    const char *file = ctl->options[LB_OPTION_KEY];
    char principal[LB_CHECKPOINT_PRINCIPAL_MAX];
    struct lb_signed what = { LB_CHECKPOINT_NAMESPACE, principal, c->statement, c->signature };
    int r;

    *ret = LB_CHECKED_NOT;
    if (!file && directory && asprintf(&beside, "%s/checkpoint_key.pub", directory) < 0) {
        beside = NULL;
        return lb_ctl_lost(ctl, -ENOMEM);
    }
    if (!c->signature || (!file && (!beside || access(beside, R_OK) < 0)))
        return LB_EXIT_DONE;
    lb_checkpoint_principal(c->host, principal);
    r = signers_of(ctl, file ? file : beside, principal, &signers);
    if (r != LB_EXIT_DONE)
        return r;
    r = lb_signed_verify(&what, signers, ret_problem);
    if (r < 0)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "ssh-keygen cannot be run (%s): is openssh-client installed?",
                           strerrordesc_np(-r));
    *ret = r > 0 ? LB_CHECKED_GOOD : LB_CHECKED_BAD;
    return LB_EXIT_DONE;
}

int verb_audit_key(struct lb_ctl *ctl)
{
    LB_JSON json_t *reply = NULL;
    int r = lb_ctl_call(ctl, LB_AUDIT "Key", json_object(), &reply);

    if (r != LB_EXIT_DONE)
        return r;
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, reply);
    else
        fprintf(ctl->out.out, "%s\n", lb_ctl_string(reply, "line"));
    return LB_EXIT_DONE;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

/* Behind the text, or else in FILE.sig; without either there is none. */
static int read_signature(const struct lb_ctl *ctl, const char *path, char *text, char **ret)
{
    LB_FREE char *beside = NULL, *signature = lb_signed_split(text);
    int r = LB_EXIT_DONE;

    if (!signature && asprintf(&beside, "%s.sig", path) < 0) {
        beside = NULL;
        return lb_ctl_lost(ctl, -ENOMEM);
    }
    if (beside && access(beside, F_OK) == 0)
        r = lb_signed_read_file(ctl, beside, &signature);
    if (r == LB_EXIT_DONE && signature && lb_signed_armour(&signature) < 0)
        r = lb_ctl_lost(ctl, -ENOMEM);
    if (r == LB_EXIT_DONE)
        *ret = LB_TAKE(signature);
    return r;
}

int lb_checkpoint_read(const struct lb_ctl *ctl, const char *path, struct lb_checkpoint *ret, char **ret_statement,
                       char **ret_signature)
{
    LB_FREE char *text = NULL;
    int r = lb_signed_read_file(ctl, path, &text);

    if (r == LB_EXIT_DONE)
        r = read_signature(ctl, path, text, ret_signature);
    if (r != LB_EXIT_DONE)
        return r;
    if (lb_checkpoint_parse(text, ret) < 0) {
        free(LB_TAKE(*ret_signature));
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s is no checkpoint as lockboxctl audit checkpoint writes it", path);
    }
    *ret_statement = LB_TAKE(text);
    return LB_EXIT_DONE;
}

/* What is kept is not written over; what cannot be written as a whole is not there. */
static int write_file(const struct lb_ctl *ctl, const char *path, const char *text)
{
    LB_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    size_t n = strlen(text);
    ssize_t r = fd < 0 ? -1 : write(fd, text, n);
    int error = r < 0 || (r == (ssize_t)n && fsync(fd) < 0) ? errno : r < (ssize_t)n ? ENOSPC : 0;

    if (!error)
        return LB_EXIT_DONE;
    if (fd >= 0)
        unlink(path);
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s: %s", path, strerrordesc_np(error));
}

static int write_beside(const struct lb_ctl *ctl, const char *file, const char *more, const char *text)
{
    LB_FREE char *path = NULL;

    if (asprintf(&path, "%s%s", file, more) < 0) {
        path = NULL;
        return lb_ctl_lost(ctl, -ENOMEM);
    }
    return write_file(ctl, path, text);
}

/* --- the daemon --------------------------------------------------------------------------------------------------- */

int lb_checkpoint_fetch(const struct lb_ctl *ctl, char **ret_statement, char **ret_signature)
{
    LB_JSON json_t *reply = NULL;
    LB_FREE char *statement = NULL, *signature = NULL;
    int r = lb_ctl_call(ctl, LB_AUDIT "Checkpoint", json_object(), &reply);

    if (r != LB_EXIT_DONE)
        return r;
    statement = strdup(lb_ctl_string(reply, "statement"));
    signature = strdup(lb_ctl_string(reply, "signature"));
    if (!statement || !signature)
        return lb_ctl_lost(ctl, -ENOMEM);
    *ret_statement = LB_TAKE(statement);
    *ret_signature = LB_TAKE(signature);
    return LB_EXIT_DONE;
}

/* In whose name; one's own without it. */
static int hand_in(struct lb_ctl *ctl, const char *statement, const char *signature)
{
    const char *by = ctl->options[LB_OPTION_APPROVER];
    LB_JSON json_t *reply = NULL;
    int r =
        lb_ctl_call(ctl, LB_AUDIT "Countersign",
                    json_pack("{s:s, s:s, s:s*}", "statement", statement, "signature", signature, "by", by), &reply);

    if (r != LB_EXIT_DONE)
        return r;
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, reply);
    else /* the text may be on standard output */
        lb_ctl_fail(ctl, 0, "countersigned with %s: event %" PRId64, lb_ctl_string(reply, "signer"),
                    lb_ctl_int(reply, "seq"));
    return LB_EXIT_DONE;
}

int verb_audit_countersign(struct lb_ctl *ctl)
{
    LB_FREE char *text = NULL, *signature = NULL;
    int r = lb_signed_read(ctl, ctl->args[0], ctl->args[0] ? ctl->args[1] : NULL, &text, &signature);

    return r == LB_EXIT_DONE ? hand_in(ctl, text, signature) : r;
}

/* On standard output the signature stands behind the text; in files beside it, as ssh-keygen takes them. */
static int put(const struct lb_ctl *ctl, const char *statement, const char *signature)
{
    const char *file = ctl->options[LB_OPTION_OUTPUT];
    int r;

    if (!file || strcmp(file, "-") == 0) {
        if (ctl->out.width)
            lb_terminal_write_lines(&ctl->out, "", "", statement);
        else
            fputs(statement, ctl->out.out);
        fputs(signature, ctl->out.out);
        return LB_EXIT_DONE;
    }
    r = write_file(ctl, file, statement);
    if (r != LB_EXIT_DONE)
        return r;
    r = write_beside(ctl, file, ".sig", signature);
    if (r == LB_EXIT_DONE)
        lb_act_say(ctl, "Written: %s and %s.sig. Keep both elsewhere.", file, file);
    else /* without it it proves nothing */
        unlink(file);
    return r;
}

/* He signs what he keeps. */
static int countersign(struct lb_ctl *ctl, const char *statement)
{
    const char *file = ctl->options[LB_OPTION_OUTPUT];
    LB_FREE char *signature = NULL;
    int r = lb_signed_sign(ctl, LB_CHECKPOINT_NAMESPACE, ctl->options[LB_OPTION_SIGN], statement, &signature);

    if (r == LB_EXIT_DONE && file && strcmp(file, "-") != 0)
        r = write_beside(ctl, file, ".countersig", signature);
    return r == LB_EXIT_DONE ? hand_in(ctl, statement, signature) : r;
}

int verb_audit_checkpoint(struct lb_ctl *ctl)
{
    LB_FREE char *statement = NULL, *signature = NULL;
    int r = lb_checkpoint_fetch(ctl, &statement, &signature);

    if (r == LB_EXIT_DONE)
        r = put(ctl, statement, signature);
    if (r == LB_EXIT_DONE && ctl->options[LB_OPTION_SIGN])
        r = countersign(ctl, statement);
    return r;
}
