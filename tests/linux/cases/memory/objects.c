/* Locking, residency and System V objects, continued. */
#include "suite.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

CASE(mlock_keeps_contents)
{
    char *memory = pages(2);
    memset(memory, 7, 2 * PAGE);
    CALL("lock", mlock(memory + 10, PAGE));
    IS("kept", memory[0] == 7 && memory[2 * PAGE - 1] == 7);
    CALL("dontneed_locked", madvise(memory, PAGE, MADV_DONTNEED));
    CALL("unlock", munlock(memory, 2 * PAGE));
    CALL("dontneed", madvise(memory, PAGE, MADV_DONTNEED));
    observe_number("cleared", memory[0]);
}
ALSO(mlock_keeps_contents, "munlock madvise");

CASE(munlock_errors)
{
    char *memory = pages(1);
    NEED(munmap(memory, PAGE));
    CALL("unmapped", munlock(memory, PAGE));
    CALL("unmapped_lock", mlock(memory, PAGE));
    CALL("two_unmapped", RAW(SYS_mlock2, memory, PAGE, 0));
    CALL("zero", munlock(memory, 0));
}
ALSO(munlock_errors, "mlock mlock2");

CASE(mlock2_plain_and_on_fault)
{
    unsigned char state[2] = {0};
    char *memory = pages(2);
    CALL("on_fault", RAW(SYS_mlock2, memory, PAGE, 1));
    NEED(mincore(memory, PAGE, state));
    observe_number("not_yet", state[0] & 1);
    CALL("plain", RAW(SYS_mlock2, memory + PAGE, PAGE, 0));
    NEED(mincore(memory + PAGE, PAGE, state));
    observe_number("at_once", state[0] & 1);
}
ALSO(mlock2_plain_and_on_fault, "mincore");

CASE(munlockall_after_lock)
{
    char *memory = pages(1);
    NEED(mlock(memory, PAGE));
    CALL("munlockall", RAW(SYS_munlockall));
    CALL("dontneed", madvise(memory, PAGE, MADV_DONTNEED));
}
ALSO(munlockall_after_lock, "mlock");

CASE(msync_private_and_read_only)
{
    char *memory = pages(1);
    CALL("private", msync(memory, PAGE, MS_SYNC));
    NEED(mprotect(memory, PAGE, PROT_READ));
    CALL("read_only", msync(memory, PAGE, MS_SYNC));
    CALL("none", RAW(SYS_msync, memory, PAGE, 0));
    CALL("invalidate_locked", (mlock(memory, PAGE), msync(memory, PAGE, MS_INVALIDATE)));
    CALL("wraps", RAW(SYS_msync, memory, -(long)PAGE, MS_SYNC));
}

CASE(mincore_file)
{
    unsigned char state[4] = {0};
    put_file("f", "x");
    NEED(truncate("f", 4 * PAGE));
    int fd = (int)NEED(open("f", O_RDWR));
    char *map = (char *)NEED(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    map[0] = map[PAGE] = 1;
    CALL("mincore", mincore(map, 2 * PAGE, state));
    observe_number("resident", (state[0] & 1) + (state[1] & 1));
    CALL("bad_wraps", RAW(SYS_mincore, map, -1L, state));
}

CASE(brk_fork_independent, NEEDS_FORK)
{
    char *begin = (char *)RAW(SYS_brk, 0);
    NEED(RAW(SYS_brk, begin + 2 * PAGE));
    strcpy(begin + PAGE, "parent");
    CHILD(child)
    {
        observe_text("copied", begin + PAGE);
        IS("shrink", RAW(SYS_brk, begin) == (long)begin);
    }
    observe_status("child", await(child));
    observe_text("kept", begin + PAGE);
    RAW(SYS_brk, begin);
}

CASE(shmat_flags)
{
    int id = (int)NEED(shmget(IPC_PRIVATE, 2 * PAGE, IPC_CREAT | 0600));
    char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
    strcpy(a, "both");
    observe_text("second", b);
    CALL("write_read_only", RAW(SYS_clock_gettime, CLOCK_MONOTONIC, b));
    CALL("odd_address", shmat(id, a + 1, 0));
    char *hole = pages(2);
    NEED(munmap(hole, 2 * PAGE));
    IS("rounded", shmat(id, hole + 5, SHM_RND) == (void *)hole);
    CALL("occupied", shmat(id, a, 0));
    CALL("detach", shmdt(a));
    CALL("detach_inside", shmdt(b + PAGE));
    CALL("remove", shmctl(id, IPC_RMID, NULL));
}
ALSO(shmat_flags, "shmget shmctl shmdt");

CASE(shmctl_errors)
{
    struct shmid_ds data;
    int id = (int)NEED(shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0640));
    CALL("unknown", RAW(SYS_shmctl, id, 9999, 0));
    CALL("bad", RAW(SYS_shmctl, id, IPC_STAT, BAD_POINTER));
    NEED(shmctl(id, IPC_STAT, &data));
    observe_hex("mode", data.shm_perm.mode);
    data.shm_perm.mode = 0600;
    CALL("set", shmctl(id, IPC_SET, &data));
    NEED(shmctl(id, IPC_STAT, &data));
    observe_hex("mode", data.shm_perm.mode);
    CALL("detach_nothing", shmdt(pages(1)));
    CALL("remove", shmctl(id, IPC_RMID, NULL));
}
ALSO(shmctl_errors, "shmdt shmget");

CASE(shmget_keys, NEEDS_FORK)
{
    /* Other suites may run on this machine: the key carries the process id. */
    key_t key = 0x53000000 + (getpid() & 0xffffff);
    int id = (int)NEED(shmget(key, PAGE, IPC_CREAT | IPC_EXCL | 0600));
    CALL("exclusive", shmget(key, PAGE, IPC_CREAT | IPC_EXCL | 0600));
    IS("same", shmget(key, PAGE, 0600) == id);
    CALL("larger", shmget(key, 2 * PAGE, 0600));
    CHILD(child)
    {
        IS("child", shmget(key, 0, 0) == id);
    }
    await(child);
    CALL("remove", shmctl(id, IPC_RMID, NULL));
    CALL("gone", shmget(key, PAGE, 0600));
}

CASE(semget_errors)
{
    CALL("zero", semget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
    CALL("negative", semget(IPC_PRIVATE, -1, IPC_CREAT | 0600));
    CALL("missing", semget(0x7eadbee1, 1, 0));
    CALL("operate_unknown", semop(0x7ffffff0, &(struct sembuf){0, 1, 0}, 1));
    CALL("control_unknown", semctl(0x7ffffff0, 0, GETVAL));
}
ALSO(semget_errors, "semop semctl");

CASE(semctl_values)
{
    int id = (int)NEED(semget(IPC_PRIVATE, 3, IPC_CREAT | 0600));
    unsigned short all[3] = {1, 2, 3}, seen[3] = {0};
    CALL("set_all", RAW(SYS_semctl, id, 0, SETALL, all));
    CALL("get_all", RAW(SYS_semctl, id, 0, GETALL, seen));
    observe_number("values", seen[0] * 100 + seen[1] * 10 + seen[2]);
    CALL("set_one", RAW(SYS_semctl, id, 1, SETVAL, 9));
    CALL("get_one", RAW(SYS_semctl, id, 1, GETVAL, 0));
    IS("last", RAW(SYS_semctl, id, 1, GETPID, 0) == getpid());
    CALL("too_large", RAW(SYS_semctl, id, 1, SETVAL, 32768));
    CALL("bad_number", RAW(SYS_semctl, id, 3, GETVAL, 0));
    struct sembuf both[2] = {{0, -1, IPC_NOWAIT}, {1, -10, IPC_NOWAIT}};
    /* All or nothing. */
    CALL("together", semop(id, both, 2));
    CALL("untouched", RAW(SYS_semctl, id, 0, GETVAL, 0));
    CALL("remove", semctl(id, 0, IPC_RMID));
}
ALSO(semctl_values, "semop");

CASE(semtimedop_timeout)
{
    int id = (int)NEED(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
    struct sembuf down = {0, -1, 0}, zero = {0, 0, 0};
    struct timespec ten = {0, 10 * MILLISECOND};
    long long begin = now_ns();
    CALL("down", semtimedop(id, &down, 1, &ten));
    IS("at_least_10ms", now_ns() - begin >= 10 * MILLISECOND);
    CALL("wait_for_zero", semtimedop(id, &zero, 1, &ten));
    CALL("too_many", semtimedop(id, &zero, 100000, &ten));
    CALL("none", semtimedop(id, &zero, 0, &ten));
    NEED(semctl(id, 0, IPC_RMID));
}

CASE(msgget_errors)
{
    struct {
        long type;
        char text[8];
    } message = {1, "x"};
    CALL("missing", msgget(0x7eadbee2, 0));
    CALL("send_unknown", msgsnd(0x7ffffff0, &message, 1, 0));
    CALL("receive_unknown", msgrcv(0x7ffffff0, &message, 1, 0, IPC_NOWAIT));
    CALL("control_unknown", msgctl(0x7ffffff0, IPC_RMID, NULL));
    int id = (int)NEED(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
    CALL("negative_length", RAW(SYS_msgsnd, id, &message, -1L, 0));
    CALL("bad", RAW(SYS_msgsnd, id, BAD_POINTER, 1, 0));
    NEED(msgctl(id, IPC_RMID, NULL));
}
ALSO(msgget_errors, "msgsnd msgrcv msgctl");

CASE(msgrcv_lowest_type)
{
    struct {
        long type;
        char text[8];
    } message = {9, "nine"}, received = {0, ""};
    struct msqid_ds data;
    int id = (int)NEED(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
    NEED(msgsnd(id, &message, 5, 0));
    message.type = 4;
    strcpy(message.text, "four");
    NEED(msgsnd(id, &message, 5, 0));
    NEED(msgctl(id, IPC_STAT, &data));
    observe_number("queued", (long)data.msg_qnum);
    CALL("at_most_five", msgrcv(id, &received, 8, -5, IPC_NOWAIT));
    observe_text("text", received.text);
    CALL("not_nine", msgrcv(id, &received, 8, 9, IPC_NOWAIT | MSG_EXCEPT));
    CALL("first", msgrcv(id, &received, 8, 0, IPC_NOWAIT));
    observe_number("type", received.type);
    NEED(msgctl(id, IPC_RMID, NULL));
}
ALSO(msgrcv_lowest_type, "msgget msgsnd msgctl");
