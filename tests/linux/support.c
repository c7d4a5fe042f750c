/* Helpers that cases share. */
#include "suite.h"

#include <sched.h>
#include <sys/time.h>

int await(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

void *pages(size_t count)
{
    return (void *)NEED(
        mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

void *shared_pages(size_t count)
{
    return (void *)NEED(
        mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

void *page_before_hole(void)
{
    char *both = pages(2);
    NEED(munmap(both + PAGE, PAGE));
    return both;
}

void put_file(const char *path, const char *text)
{
    int fd = (int)NEED(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    size_t length = strlen(text);
    if (length > 0)
        NEED(write(fd, text, length));
    NEED(close(fd));
}

void observe_file(const char *key, const char *path)
{
    char content[512];
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        observe_call(key, -1, errno);
        return;
    }
    long length = read(fd, content, sizeof content);
    close(fd);
    observe_bytes(key, content, length < 0 ? 0 : (size_t)length);
}

long long now_ns(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

long long elapsed_ms(long long since_ns)
{
    return (now_ns() - since_ns) / MILLISECOND;
}

void sleep_ms(long milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * MILLISECOND};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

void handle(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {0};
    action.sa_handler = handler;
    action.sa_flags = flags;
    NEED(sigaction(signal, &action, NULL));
}

void handle_info(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {0};
    action.sa_sigaction = handler;
    action.sa_flags = flags | SA_SIGINFO;
    NEED(sigaction(signal, &action, NULL));
}

static int often_signal;
static timer_t often_timer;

void interrupt_often(int signal)
{
    struct itimerval every = {{0, 5000}, {0, 5000}};
    often_signal = signal;
    if (signal == SIGALRM) {
        NEED(setitimer(ITIMER_REAL, &every, NULL));
        return;
    }
    struct sigevent event = {0};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = signal;
    struct itimerspec period = {{0, 5 * MILLISECOND}, {0, 5 * MILLISECOND}};
    NEED(timer_create(CLOCK_MONOTONIC, &event, &often_timer));
    NEED(timer_settime(often_timer, 0, &period, NULL));
}

void interrupt_never(void)
{
    struct itimerval never = {{0, 0}, {0, 0}};
    if (often_signal == SIGALRM)
        setitimer(ITIMER_REAL, &never, NULL);
    else
        timer_delete(often_timer);
}

void wait_until(volatile int *counter, int value)
{
    while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < value)
        sched_yield();
}
