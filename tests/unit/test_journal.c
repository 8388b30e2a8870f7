/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What follows the log into the journal, with a journald of the test's own and a wall clock that is set back
 * meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include <cmocka.h>

#include "lockboxd/journal.h"
#include "lockboxd/store.h"
#include "tests/unit/directory.h"
#include "tests/unit/old_requests.h"
#include "tests/unit/samples.h"

#define PATIENCE 30 /* s: far from the second that is due, and from the day that the clock is set back */

/* Who asks gets a day that is not over yet: for whom the kernel counts by its own clock, that is as if it was set
 * back. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
    int r = (int)syscall(SYS_clock_gettime, id, ts);

    if (r == 0 && id == CLOCK_REALTIME)
        ts->tv_sec += 24 * 3600;
    return r;
}

int access(const char *path, int mode)
{
    return strcmp(path, "/run/systemd/journal/socket") == 0 ? 0 : (int)syscall(SYS_access, path, mode);
}

static struct {
    sem_t asked, taken, go;
    bool stuck;
    int refused; /* so many times, at first */
    char seqs[64]; /* what it took */
} journald;

static void note_seq(const struct iovec *item)
{
    static const char name[] = "LOCKBOX_SEQ=";
    size_t n = strlen(name), room = sizeof(journald.seqs) - strlen(journald.seqs) - 1;

    if (item->iov_len > n && memcmp(item->iov_base, name, n) == 0)
        snprintf(strchr(journald.seqs, '\0'), room, " %.*s", (int)(item->iov_len - n), (char *)item->iov_base + n);
}

int sd_journal_sendv(const struct iovec *items, int n)
{
    sem_post(&journald.asked);
    if (journald.stuck)
        sem_wait(&journald.go);
    if (journald.refused-- > 0)
        return -ECONNREFUSED;
    for (int i = 0; i < n; i++)
        note_seq(&items[i]);
    sem_post(&journald.taken);
    return 0;
}

static void await(sem_t *event)
{
    struct timespec until;

    assert_int_equal(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &until), 0);
    until.tv_sec += PATIENCE;
    assert_int_equal(sem_clockwait(event, CLOCK_MONOTONIC, &until), 0);
}

static char directory[64];

static int set_up(void **state)
{
    struct lb_store *store = NULL;
    struct lb_event e = sample_event(LB_EVENT_REQUESTED, 0);

    (void)state;
    memset(&journald, 0, sizeof(journald));
    sem_init(&journald.asked, 0, 0);
    sem_init(&journald.taken, 0, 0);
    sem_init(&journald.go, 0, 0);
    strcpy(directory, "/tmp/lockbox-journal-XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(lb_store_open(directory, false, 0, &store), 0);
    assert_int_equal(lb_store_append(store, &e, 1), 0);
    lb_store_close(store);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    directory_remove(directory);
    return 0;
}

/* What journald would not take is sent again a second later, whatever the wall clock says by then. */
static void test_again(void **state)
{
    struct lb_journal *j = NULL;

    (void)state;
    journald.refused = 1;
    assert_int_equal(lb_journal_start(directory, 0, &j), 0);
    lb_journal_notify(j, 1);
    await(&journald.taken);
    assert_int_equal(lb_journal_stop(j, PATIENCE * LB_USEC_PER_SEC), 1);
}

/* Nor does the daemon wait longer at its end for a journald that is stuck. */
static void test_stuck(void **state)
{
    struct lb_journal *j = NULL;

    (void)state;
    journald.stuck = true;
    assert_int_equal(lb_journal_start(directory, 0, &j), 0);
    lb_journal_notify(j, 1);
    await(&journald.asked);
    assert_int_equal(lb_journal_stop(j, LB_USEC_PER_SEC), 0);
    sem_post(&journald.go); /* the thread ends, and frees what is its own */
    await(&journald.taken);
}

/* Makes of the row what is no event. */
static void damage(int64_t seq)
{
    char path[96];
    sqlite3 *db = NULL;

    snprintf(path, sizeof(path), "%s/lockbox.db", directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(old_requests_run(db, "UPDATE events SET json = '{' || json WHERE seq = %" PRId64, seq), 0);
    sqlite3_close(db);
}

/* What the daemon says of itself goes there; back with what this returns. */
static int divert_words(int to)
{
    int before = dup(STDERR_FILENO);

    assert_true(before >= 0 && dup2(to, STDERR_FILENO) == STDERR_FILENO);
    close(to);
    return before;
}

/* An event that is damaged is told, once, and what follows is sent all the same. */
static void test_damaged(void **state)
{
    struct lb_event more[] = { sample_event(LB_EVENT_APPROVED, 1), sample_event(LB_EVENT_BEGUN, 2) };
    LB_FREE char *said = NULL;
    struct lb_store *store = NULL;
    struct lb_journal *j = NULL;
    char words[96];
    int before;

    (void)state;
    assert_int_equal(lb_store_open(directory, false, 0, &store), 0);
    assert_int_equal(lb_store_append(store, more, 2), 0);
    lb_store_close(store);
    damage(2);
    snprintf(words, sizeof(words), "%s/words", directory);
    before = divert_words(open(words, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(lb_journal_start(directory, 0, &j), 0);
    lb_journal_notify(j, 3);
    await(&journald.taken);
    await(&journald.taken);
    assert_int_equal(lb_journal_stop(j, PATIENCE * LB_USEC_PER_SEC), 3);
    close(divert_words(before));
    assert_string_equal(journald.seqs, " 1 3");
    said = read_text(words);
    assert_string_equal(said, "<1>Event 2 of the log is damaged and is not in the journal: lockboxctl audit verify\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stuck, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
