/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each reader against a made-up root directory, the same before and after a change; and what a report makes of it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "lockboxd/inspect/inspect.h"
#include "policy/base.h"
#include "policy/text.h"
#include "tests/unit/directory.h"

static char root[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(root, "/tmp/lockbox-inspect-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    directory_remove(root);
    return 0;
}

static char *below(const char *path)
{
    char *whole = NULL;

    assert_true(asprintf(&whole, "%s/%s", root, path) > 0);
    return whole;
}

/* Writes a file, with its directories. */
static void put(const char *path, const char *text)
{
    char whole[512];

    snprintf(whole, sizeof(whole), "%s/%s", root, path);
    for (size_t i = strlen(root) + 1; whole[i]; i++)
        if (whole[i] == '/') {
            whole[i] = '\0';
            mkdir(whole, 0755);
            whole[i] = '/';
        }
    write_text(whole, text);
}

static void put_mode(const char *path, mode_t mode)
{
    LB_FREE char *whole = below(path);

    assert_int_equal(chmod(whole, mode), 0);
}

static void take_away(const char *path)
{
    LB_FREE char *whole = below(path);

    assert_int_equal(remove(whole), 0);
}

static json_t *look(void)
{
    struct lb_picture p;
    json_t *json;

    assert_int_equal(lb_picture_open(&p, root), 0);
    lb_picture_take(&p);
    json = lb_picture_json(&p);
    lb_picture_clear(&p);
    assert_non_null(json);
    return json;
}

/* "kind change name: detail" lines of what is different between the two; takes them. */
static char *difference(json_t *before, json_t *after)
{
    json_auto_t *report = lb_inspect_changes(before, after);
    const json_t *entry;
    char *text = NULL;
    size_t size, i;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(report);
    json_array_foreach (json_object_get(report, "changes"), i, entry)
        fprintf(out, "%s %s %s: %s\n", json_string_value(json_object_get(entry, "kind")),
                json_string_value(json_object_get(entry, "change")), json_string_value(json_object_get(entry, "name")),
                json_string_value(json_object_get(entry, "detail")));
    fclose(out);
    json_decref(before);
    json_decref(after);
    return text;
}

/* What is reported when a file gets another text (NULL: is not there). */
static void assert_change(const char *path, const char *before, const char *after, const char *reported)
{
    LB_FREE char *text = NULL;
    json_t *old;

    if (before)
        put(path, before);
    old = look();
    if (after)
        put(path, after);
    else
        take_away(path);
    text = difference(old, look());
    assert_string_equal(text, reported);
}

#define LINE "bob:x:1001:1001:Bob:/home/bob:/bin/bash\n"

static void test_accounts(void **state)
{
    (void)state;
    assert_change("etc/passwd", LINE, LINE "eve::0:0::/root:/bin/sh\n",
                  "account added eve: uid 0, group 0, home /root, shell /bin/sh, no password needed\n");
    assert_change("etc/passwd", LINE, "bob:x:0:1001:Bob:/home/bob:/bin/bash\n",
                  "account changed bob: uid 0, group 1001, home /home/bob, shell /bin/bash, was: uid 1001, group 1001, "
                  "home /home/bob, shell /bin/bash\n");
    assert_change("etc/passwd", LINE, "",
                  "account removed bob: uid 1001, group 1001, home /home/bob, shell /bin/bash\n");
    /* the second line of a name is no line less */
    assert_change("etc/passwd", LINE, LINE "bob:x:0:0::/:/bin/sh\n",
                  "account changed bob: uid 1001, group 1001, home /home/bob, shell /bin/bash; uid 0, group 0, home /, "
                  "shell /bin/sh, was: uid 1001, group 1001, home /home/bob, shell /bin/bash\n");
}

static void test_groups(void **state)
{
    (void)state;
    assert_change("etc/group", "sudo:x:27:\n", "sudo:x:27:eve\n",
                  "group changed sudo: gid 27, members: eve, was: gid 27, members: none\n");
    assert_change("etc/group", "", "broken\n", "group added broken: not of the right form\n");
}

/* That it changed, and never what it is. */
static void test_passwords(void **state)
{
    json_t *picture;
    LB_FREE char *text = NULL;

    (void)state;
    assert_change("etc/shadow", "bob:$y$secret:1::::::\n", "bob:$y$other:1::::::\n", "shadow changed bob: contents\n");
    assert_change("etc/shadow", "bob:!:1::::::\n", "bob::1::::::\n",
                  "shadow changed bob: no password needed, was: locked\n");
    assert_change("etc/gshadow", "sudo:*::\n", "sudo:$6$secret::eve\n",
                  "shadow changed group sudo: password set, was: locked\n");
    put("etc/shadow", "bob:$y$secret:1::::::\n");
    picture = look();
    text = json_dumps(picture, 0);
    assert_null(strstr(text, "secret"));
    json_decref(picture);
}

static void test_files_of_each_kind(void **state)
{
    static const struct { const char *path, *kind; } files[] = {
        { "etc/sudoers", "sudoers" },
        { "etc/sudoers.d/deep/er", "sudoers" },
        { "etc/pam.d/sshd", "pam" },
        { "etc/security/access.conf", "pam" },
        { "etc/ssh/sshd_config.d/x.conf", "sshd" },
        { "etc/systemd/system/x.service", "unit" },
        { "etc/systemd/system/x.service.d/y.conf", "unit" },
        { "usr/lib/systemd/system-generators/x", "unit" },
        { "run/systemd/system/x.service", "unit" },
        { "run/systemd/transient/run-r1.service", "unit" },
        { "etc/systemd/system/x.timer", "timer" },
        { "home/bob/.config/systemd/user/x.service", "user-unit" },
        { "home/bob/.config/systemd/user/x.timer", "timer" },
        { "home/bob/.ssh/rc", "sshd" },
        { "etc/crontab", "cron" },
        { "etc/cron.daily/x", "cron" },
        { "var/spool/cron/crontabs/bob", "cron" },
        { "var/spool/cron/atjobs/a0001", "at" },
        { "var/lib/systemd/linger/bob", "linger" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(files); i++) {
        LB_FREE char *added = NULL, *changed = NULL;

        assert_true(asprintf(&added, "%s added /%s: mode 0644, uid %u, gid %u\n", files[i].kind, files[i].path,
                             geteuid(), getegid()) > 0);
        assert_true(asprintf(&changed, "%s changed /%s: contents\n", files[i].kind, files[i].path) > 0);
        assert_change(files[i].path, NULL, "one", added);
        assert_change(files[i].path, "one", "two", changed);
    }
}

/* A link is what it names and what is behind it; a mode is a change; who may write a directory is one as well. */
static void test_links_and_modes(void **state)
{
    LB_FREE char *path = below("etc/systemd/system/x.service"), *text = NULL, *mode = NULL, *directory = NULL;
    json_t *before;

    (void)state;
    put("opt/x", "one");
    put("etc/systemd/system/y", "");
    before = look();
    assert_int_equal(symlink("/opt/x", path), 0);
    text = difference(before, look());
    assert_string_equal(text, "unit added /etc/systemd/system/x.service: link to /opt/x\n");
    assert_change("opt/x", "one", "two", "unit changed /etc/systemd/system/x.service: contents\n");
    before = look();
    put_mode("etc/systemd/system/y", 0666);
    mode = difference(before, look());
    assert_non_null(strstr(mode, "unit changed /etc/systemd/system/y: mode 0666, "));
    before = look();
    put_mode("etc/systemd", 0777);
    directory = difference(before, look());
    assert_non_null(strstr(directory, "unit added /etc/systemd: directory, mode 0777, "));
}

/* What stands in the way of reading is neither followed out of the root nor waited for. */
static void test_what_is_no_file(void **state)
{
    LB_FREE char *fifo = below("etc/cron.d/fifo"), *loop = below("etc/cron.d/loop"), *out = below("etc/crontab");
    json_auto_t *picture = NULL;

    (void)state;
    put("etc/cron.d/x", "");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("loop", loop), 0);
    assert_int_equal(symlink("../../../../../../etc/passwd", out), 0);
    picture = look();
    assert_int_equal(json_object_size(json_object_get(json_object_get(picture, "kinds"), "cron")), 3);
    assert_int_equal(json_object_size(json_object_get(picture, "unknown")), 0);
}

#define OURS                                                                                              \
    "# This is a transient unit file\n[Unit]\nDescription=End an access whose time is over\n\n[Service]\n" \
    "Type=oneshot\nExecStart=\nExecStart=\"" LB_SBINDIR "/lockboxd\" \"--reap\" \"7F3K-9QXM\"\nNoNewPrivileges=yes\n"
#define TRANSIENT "run/systemd/transient/lockbox-end-7F3K-9QXM.service"

/* What lockbox itself starts for accesses is left out; what only calls itself so is not. */
static void test_our_own_units(void **state)
{
    static const char *const foreign[] = { "Environment=LD_PRELOAD=/tmp/x.so\n", "ExecStart=/tmp/x\n",
                                           "Unit=x.service\n", "ExecStartPost=/bin/sh\n",
                                           "ExecStart=" LB_SBINDIR "/lockboxd-not\n" };

    (void)state;
    assert_change("run/systemd/transient/session-3.scope", NULL, "", "");
    assert_change(TRANSIENT, NULL, OURS, "");
    for (size_t i = 0; i < LB_ELEMENTS(foreign); i++) {
        LB_FREE char *text = NULL, *reported = NULL;
        json_t *before = look();

        assert_true(asprintf(&text, "%s%s", OURS, foreign[i]) > 0);
        put(TRANSIENT, text);
        reported = difference(before, look());
        assert_non_null(strstr(reported, "unit added /" TRANSIENT));
        take_away(TRANSIENT);
    }
}

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define PRINT "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"

static void test_keys(void **state)
{
    LB_FREE char *text = NULL, *found = NULL;
    json_t *before;

    (void)state;
    put("etc/passwd", LINE "svc:x:999:999::/srv/svc:/bin/sh\n");
    before = look();
    put("home/bob/.ssh/authorized_keys", "# mine\n" KEY " eve@host\n");
    put("srv/svc/.ssh/authorized_keys2", "from=\"192.0.2.0/24\",command=\"a b\" " KEY "\nnonsense\n");
    found = difference(before, look());
    assert_non_null(strstr(found, "authorized-keys added /home/bob/.ssh/authorized_keys SHA256:"));
    assert_non_null(strstr(found, ": ssh-ed25519 eve@host\n"));
    assert_non_null(strstr(found, ": ssh-ed25519, with options\n"));
    assert_non_null(strstr(found, "authorized_keys2 not a key: \n"));
    put("etc/ssh/sshd_config.d/keys.conf", "Match User bob\n  AuthorizedKeysFile /etc/keys/%u .alt/%%\n");
    before = look();
    put("etc/keys/bob", KEY "\n");
    put("home/bob/.alt/%", KEY "\n");
    text = difference(before, look());
    assert_non_null(strstr(text, "/etc/keys/bob SHA256:"));
    assert_non_null(strstr(text, "/home/bob/.alt/% SHA256:"));
    assert_change("home/bob/.ssh/authorized_keys", KEY "\n", "restrict " KEY "\n",
                  "authorized-keys changed /home/bob/.ssh/authorized_keys " PRINT ": ssh-ed25519, with options, was: "
                  "ssh-ed25519\n");
}

static void test_setuid(void **state)
{
    LB_FREE char *text = NULL;
    json_t *before;

    (void)state;
    put("usr/bin/x", "program");
    before = look();
    put_mode("usr/bin/x", 06755);
    text = difference(before, look());
    assert_non_null(strstr(text, "setuid added /usr/bin/x: setuid and setgid, mode 6755, uid "));
    free(text);
    before = look();
    put("usr/bin/x", "another"); /* by its owner: the kernel takes the bits away */
    put_mode("usr/bin/x", 06755);
    text = difference(before, look());
    assert_string_equal(text, "setuid changed /usr/bin/x: contents\n");
}

/* Needs the right to set them. */
static void test_capabilities(void **state)
{
    static const unsigned char raw[] = { 1, 0, 0, 2, 0, 0x24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    LB_FREE char *path = below("opt/x"), *text = NULL;
    json_t *before;

    (void)state;
    put("opt/x", "");
    before = look();
    if (setxattr(path, "security.capability", raw, sizeof(raw), 0) < 0) {
        json_decref(before);
        skip();
    }
    text = difference(before, look());
    assert_string_equal(text, "capability added /opt/x: cap_net_bind_service, cap_net_raw\n");
}

#define TCP "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

static void test_listeners(void **state)
{
    (void)state;
    assert_change("proc/net/tcp", TCP,
                  TCP
                  "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 1 1\n"
                  "   1: 0100007F:0016 0100007F:CBF0 01 00000000:00000000 00:00000000 00000000     0        0 1 1\n",
                  "listener added tcp 127.0.0.1:22: uid 1001\n");
    assert_change("proc/net/udp6", TCP,
                  TCP " 101: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 "
                      "00000000:00000000 00:00000000 00000000     0        0 1 2 0 0\n",
                  "listener added udp [::1]:53: uid 0\n");
}

static void test_modules(void **state)
{
    (void)state;
    assert_change("proc/modules", "ext4 1 2 - Live 0x0\n", "ext4 3 4 - Live 0x1\nrootkit 1 0 - Live 0x0\n",
                  "module added rootkit: \n");
    assert_change("proc/modules", "ext4 3 4 - Live 0x1\nrootkit 1 0 - Live 0x0\n", "ext4 1 2 - Live 0x0\n",
                  "module removed rootkit: \n");
}

/* Whatever a name is made of, what is shown is safe, and two names stay two. */
static void test_hostile_names(void **state)
{
    json_auto_t *report = NULL, *before = NULL, *after = NULL;
    const json_t *entry;
    size_t i;

    (void)state;
    put("etc/cron.d/x", "");
    before = look();
    put("etc/cron.d/a\033[31m", "");
    put("etc/cron.d/a\033]31m\n", "");
    put("etc/cron.d/a\xff", "");
    put("etc/cron.d/a\xfe", "");
    after = look();
    report = lb_inspect_changes(before, after);
    assert_int_equal(json_integer_value(json_object_get(report, "count")), 4);
    json_array_foreach (json_object_get(report, "changes"), i, entry)
        assert_true(lb_text_is_clean(json_string_value(json_object_get(entry, "name")), 1024));
}

/* Many changes of one kind leave the others their place, and the report stays small. */
static void test_floods(void **state)
{
    json_auto_t *report = NULL, *before = NULL, *after = NULL;
    LB_FREE char *long_name = calloc(1, 256), *text = NULL;
    char path[400];

    (void)state;
    put("etc/cron.d/x", "");
    before = look();
    memset(long_name, '"', 200);
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "etc/cron.d/%d%s", i, long_name);
        put(path, "");
    }
    put("proc/modules", "rootkit 1 2\n");
    after = look();
    report = lb_inspect_changes(before, after);
    text = json_dumps(report, JSON_COMPACT);
    assert_int_equal(json_integer_value(json_object_get(report, "count")), 301);
    assert_non_null(strstr(text, "rootkit"));
    assert_non_null(strstr(text, "\"change\":\"more\""));
    assert_true(strlen(text) < 4000);
}

/* One who fills his own files keeps nobody from looking at those of others. */
static void test_somebody_fills_his_home(void **state)
{
    LB_FREE char *text = NULL, *keys = NULL;
    size_t size;
    FILE *out = open_memstream(&keys, &size);
    json_t *before;

    (void)state;
    for (int i = 0; i < 5000; i++)
        fprintf(out, "line %d\n", i);
    fclose(out);
    put("etc/passwd", LINE "eve:x:1002:1002::/home/eve:/bin/sh\n");
    put("home/eve/.ssh/authorized_keys", keys);
    before = look();
    put("home/bob/.ssh/authorized_keys", KEY "\n");
    text = difference(before, look());
    assert_string_equal(text, "authorized-keys unknown : there are too many lines in a file\n"
                              "authorized-keys added /home/bob/.ssh/authorized_keys " PRINT ": ssh-ed25519\n");
}

/* What could not be looked at is no nothing. */
static void test_unknown(void **state)
{
    LB_FREE char *path = below("etc/shadow"), *text = NULL;
    json_t *before;

    (void)state;
    put("etc/shadow", "bob:!:1::::::\n");
    before = look();
    take_away("etc/shadow");
    assert_int_equal(mkdir(path, 0700), 0);
    text = difference(before, look());
    assert_string_equal(text, "shadow unknown : /etc/shadow: Invalid argument\n");
}

static void test_no_picture(void **state)
{
    json_auto_t *picture = look(), *other = json_pack("{siss}", "version", 1, "kinds", "none");

    (void)state;
    assert_null(lb_inspect_changes(picture, other));
    assert_null(lb_inspect_changes(other, picture));
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_accounts),
        WITH_ROOT(test_groups),
        WITH_ROOT(test_passwords),
        WITH_ROOT(test_files_of_each_kind),
        WITH_ROOT(test_links_and_modes),
        WITH_ROOT(test_what_is_no_file),
        WITH_ROOT(test_our_own_units),
        WITH_ROOT(test_keys),
        WITH_ROOT(test_setuid),
        WITH_ROOT(test_capabilities),
        WITH_ROOT(test_listeners),
        WITH_ROOT(test_modules),
        WITH_ROOT(test_hostile_names),
        WITH_ROOT(test_floods),
        WITH_ROOT(test_somebody_fills_his_home),
        WITH_ROOT(test_unknown),
        WITH_ROOT(test_no_picture),
    };

    umask(022);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
