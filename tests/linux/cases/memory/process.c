/* Memory that processes share by name, and the limits of memory. */
#include "suite.h"

#include <setjmp.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/msg.h>
#include <sys/shm.h>

static sigjmp_buf back;

static void leave(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

CASE(shmget_segments, NEEDS_FORK)
{
    int id = (int)OK("get", shmget(IPC_PRIVATE, 5000, IPC_CREAT | 0600));
    if (id < 0)
        return;
    char *memory = shmat(id, NULL, 0);
    IS("attached", memory != (void *)-1);
    struct shmid_ds data;
    CALL("stat", shmctl(id, IPC_STAT, &data));
    observe_number("size", (long)data.shm_segsz);
    observe_number("attached", (long)data.shm_nattch);
    CHILD(child)
    {
        strcpy(memory, "child");
    }
    await(child);
    observe_text("memory", memory);
    CALL("remove", shmctl(id, IPC_RMID, NULL));
    observe_text("still_there", memory);
    CALL("detach", shmdt(memory));
    CALL("gone", shmctl(id, IPC_STAT, &data));
    CALL("detach_again", shmdt(memory));
}
ALSO(shmget_segments, "shmat shmctl shmdt");

CASE(shmget_errors)
{
    CALL("zero_size", shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
    CALL("missing_key", shmget(0x7eadbee0, 100, 0));
    CALL("attach_unknown", shmat(0x7ffffff0, NULL, 0));
    CALL("control_unknown", shmctl(0x7ffffff0, IPC_RMID, NULL));
}
ALSO(shmget_errors, "shmat shmctl");

CASE(semget_operations, NEEDS_FORK)
{
    int id = (int)OK("get", semget(IPC_PRIVATE, 2, IPC_CREAT | 0600));
    if (id < 0)
        return;
    struct sembuf up = {0, 3, 0}, down = {0, -1, IPC_NOWAIT}, more = {0, -5, IPC_NOWAIT};
    CALL("up", semop(id, &up, 1));
    CALL("value", semctl(id, 0, GETVAL));
    CALL("down", semop(id, &down, 1));
    CALL("value", semctl(id, 0, GETVAL));
    CALL("not_enough", semop(id, &more, 1));
    CALL("bad_number", semop(id, &(struct sembuf){7, 1, 0}, 1));
    CHILD(child)
    {
        struct sembuf wait = {1, -1, 0};
        CALL("wait", semop(id, &wait, 1));
    }
    struct sembuf release = {1, 1, 0};
    NEED(semop(id, &release, 1));
    await(child);
    CALL("remove", semctl(id, 0, IPC_RMID));
    CALL("gone", semop(id, &up, 1));
}
ALSO(semget_operations, "semop semctl");

CASE(semop_undo, NEEDS_FORK)
{
    int id = (int)NEED(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
    CHILD(child)
    {
        struct sembuf up = {0, 4, SEM_UNDO};
        NEED(semop(id, &up, 1));
        CALL("inside", semctl(id, 0, GETVAL));
    }
    await(child);
    CALL("undone", semctl(id, 0, GETVAL));
    NEED(semctl(id, 0, IPC_RMID));
}
ALSO(semop_undo, "semget semctl");

CASE(msgget_queues)
{
    struct {
        long type;
        char text[16];
    } message = {5, "five"}, received = {0, ""};
    int id = (int)OK("get", msgget(IPC_PRIVATE, IPC_CREAT | 0600));
    if (id < 0)
        return;
    CALL("send", msgsnd(id, &message, 5, 0));
    message.type = 3;
    strcpy(message.text, "three");
    CALL("send", msgsnd(id, &message, 6, 0));
    CALL("by_type", msgrcv(id, &received, 16, 3, 0));
    observe_text("text", received.text);
    CALL("too_big", msgrcv(id, &received, 2, 0, 0));
    CALL("truncated", msgrcv(id, &received, 2, 0, MSG_NOERROR));
    CALL("none", msgrcv(id, &received, 16, 0, IPC_NOWAIT));
    message.type = 0;
    CALL("bad_type", msgsnd(id, &message, 5, 0));
    CALL("remove", msgctl(id, IPC_RMID, NULL));
    CALL("gone", msgsnd(id, &message, 5, 0));
}
ALSO(msgget_queues, "msgsnd msgrcv msgctl");

/* The stack grows by itself, down to its limit. */
static int use_stack(int depth)
{
    volatile char space[4096];
    space[0] = (char)depth;
    return depth == 0 ? 0 : use_stack(depth - 1) + (space[0] != (char)depth);
}

CASE(mmap_stack_grows)
{
    observe_number("wrong", use_stack(1000));
}

CASE(mmap_grows_down, NEEDS_SIGNALS)
{
    char *memory = pages(64);
    NEED(munmap(memory, 64 * PAGE));
    char *stack = mmap(memory + 60 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
    IS("mapped", stack == memory + 60 * PAGE);
    handle(SIGSEGV, leave, 0);
    volatile int reached = 0;
    if (sigsetjmp(back, 1) == 0) {
        *(volatile char *)(stack - 8) = 1;
        reached = 1;
    }
    observe_number("grown", reached);
}

CASE(setrlimit_address_space, NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned long limit[2] = {64 << 20, 64 << 20};
        NEED(RAW(SYS_prlimit64, 0, 9 /* RLIMIT_AS */, limit, 0));
        OK("small", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        CALL("large", mmap(NULL, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        unsigned char *begin = (unsigned char *)RAW(SYS_brk, 0);
        IS("brk", RAW(SYS_brk, begin + (64 << 20)) == (long)begin);
    }
    observe_status("child", await(child));
}
ALSO(setrlimit_address_space, "mmap brk");

CASE(setrlimit_data, NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned long limit[2] = {0, 0};
        NEED(RAW(SYS_prlimit64, 0, 2 /* RLIMIT_DATA */, limit, 0));
        unsigned char *begin = (unsigned char *)RAW(SYS_brk, 0);
        IS("brk", RAW(SYS_brk, begin + (16 << 20)) == (long)begin);
    }
    observe_status("child", await(child));
}

/* Pages are executable only where that was asked for. */
CASE(mprotect_execute_removed, NEEDS_SIGNALS)
{
    unsigned char *memory = (void *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    volatile int ran = 0;
    memory[0] = 0xc3;
    ((void (*)(void))(uintptr_t)memory)();
    NEED(mprotect(memory, PAGE, PROT_READ | PROT_WRITE));
    handle(SIGSEGV, leave, 0);
    if (sigsetjmp(back, 1) == 0) {
        ((void (*)(void))(uintptr_t)memory)();
        ran = 1;
    }
    observe_number("ran", ran);
    unsigned char stack[16] = {0xc3};
    if (sigsetjmp(back, 1) == 0) {
        ((void (*)(void))(uintptr_t)stack)();
        ran = 1;
    }
    observe_number("on_stack", ran);
}

CASE(process_madvise_self)
{
    char *memory = pages(2);
    struct {
        void *base;
        size_t length;
    } range = {memory, PAGE};
    int fd = (int)NEED(RAW(434, getpid(), 0));
    CALL("cold", RAW(440, fd, &range, 1, 20, 0));
    CALL("flags", RAW(440, fd, &range, 1, 20, 1));
    CALL("closed", RAW(440, 999, &range, 1, 20, 0));
    CALL("unknown", RAW(440, fd, &range, 1, 9999, 0));
}

CASE(mlock_limit, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned long limit[2] = {2 * PAGE, 2 * PAGE};
        char *memory = pages(8);
        NEED(RAW(SYS_prlimit64, 0, 8 /* RLIMIT_MEMLOCK */, limit, 0));
        NEED(setresuid(65534, 65534, 65534));
        CALL("within", mlock(memory, 2 * PAGE));
        CALL("beyond", mlock(memory + 4 * PAGE, PAGE));
        CALL("same_again", mlock(memory, PAGE));
        CALL("map_locked", RAW(SYS_mmap, 0, 4 * PAGE, PROT_READ,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    }
    observe_status("child", await(child));
}
