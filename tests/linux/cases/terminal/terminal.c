/* Pseudo-terminals: settings and the line discipline. */
#include "suite.h"

#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>

static volatile int signals[65];

static void count_signal(int signal)
{
    signals[signal]++;
}

/* Opens a pair; the slave becomes nobody's controlling terminal. */
static void open_pair(int *master, int *slave)
{
    char path[64];
    int number = -1, unlock = 0;
    *master = (int)NEED(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    NEED(ioctl(*master, TIOCSPTLCK, &unlock));
    NEED(ioctl(*master, TIOCGPTN, &number));
    snprintf(path, sizeof path, "/dev/pts/%d", number);
    *slave = (int)NEED(open(path, O_RDWR | O_NOCTTY));
}

/* Linux hands bytes over in the background. Reads until `expected` bytes are there, and looks
 * for more that should not be. */
static void observe_output(const char *key, int fd, size_t expected)
{
    char text[512];
    size_t length = 0;
    struct pollfd one = {fd, POLLIN, 0};
    while (length < sizeof text && poll(&one, 1, length < expected ? 3000 : 5) > 0) {
        long got = read(fd, text + length, sizeof text - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    observe_bytes(key, text, length);
}

/* One read, when there is something to read. */
static void observe_line(const char *key, int fd)
{
    char text[512];
    struct pollfd one = {fd, POLLIN, 0};
    long length = poll(&one, 1, 3000) > 0 ? read(fd, text, sizeof text) : 0;
    observe_bytes(key, text, length < 0 ? 0 : (size_t)length);
}

static void observe_nothing(const char *key, int fd)
{
    struct pollfd one = {fd, POLLIN, 0};
    CALL(key, poll(&one, 1, 20));
}

static void change(int fd, tcflag_t clear_local, tcflag_t clear_input, tcflag_t clear_output)
{
    struct termios settings;
    NEED(tcgetattr(fd, &settings));
    settings.c_lflag &= ~clear_local;
    settings.c_iflag &= ~clear_input;
    settings.c_oflag &= ~clear_output;
    NEED(tcsetattr(fd, TCSANOW, &settings));
}

static void type(int master, const char *text)
{
    NEED(write(master, text, strlen(text)));
}

CASE(ioctl_terminal_pair, NEEDS_TERMINAL)
{
    int number = -1, lock = -1;
    char path[64];
    int master = (int)CALL("ptmx", open("/dev/ptmx", O_RDWR | O_NOCTTY));
    CALL("number", ioctl(master, TIOCGPTN, &number));
    IS("not_negative", number >= 0);
    CALL("get_lock", ioctl(master, TIOCGPTLCK, &lock));
    observe_number("locked", lock);
    snprintf(path, sizeof path, "/dev/pts/%d", number);
    CALL("open_locked", open(path, O_RDWR | O_NOCTTY));
    lock = 0;
    CALL("unlock", ioctl(master, TIOCSPTLCK, &lock));
    int slave = (int)CALL("open", open(path, O_RDWR | O_NOCTTY));
    observe_number("terminals", isatty(master) * 2 + isatty(slave));
    CALL("number_of_slave", ioctl(slave, TIOCGPTN, &number));
}

CASE(ioctl_terminal_defaults, NEEDS_TERMINAL)
{
    struct termios settings;
    int master, slave;
    open_pair(&master, &slave);
    CALL("get", tcgetattr(slave, &settings));
    observe_hex("input", settings.c_iflag);
    observe_hex("output", settings.c_oflag);
    observe_hex("control", settings.c_cflag & ~(tcflag_t)CBAUD);
    observe_hex("local", settings.c_lflag);
    observe_hex("interrupt", settings.c_cc[VINTR]);
    observe_hex("erase", settings.c_cc[VERASE]);
    observe_hex("end_of_file", settings.c_cc[VEOF]);
    observe_hex("suspend", settings.c_cc[VSUSP]);
    observe_hex("minimum", settings.c_cc[VMIN]);
    observe_number("speed", (long)cfgetospeed(&settings) == B38400);
}

CASE(ioctl_terminal_settings_shared, NEEDS_TERMINAL)
{
    struct termios settings;
    int master, slave;
    open_pair(&master, &slave);
    change(slave, ECHO | ICANON, 0, 0);
    CALL("through_master", tcgetattr(master, &settings));
    observe_hex("local", settings.c_lflag & (ECHO | ICANON | ISIG));
    CALL("bad", RAW(SYS_ioctl, slave, TCGETS, BAD_POINTER));
    CALL("drain", tcsetattr(slave, TCSADRAIN, &settings));
    CALL("flush", tcsetattr(slave, TCSAFLUSH, &settings));
}

CASE(ioctl_terminal_window_size, NEEDS_TERMINAL)
{
    struct winsize size = {9, 9, 9, 9}, set = {24, 80, 640, 480};
    int master, slave;
    open_pair(&master, &slave);
    CALL("initially", ioctl(slave, TIOCGWINSZ, &size));
    observe_number("rows", size.ws_row);
    CALL("set", ioctl(master, TIOCSWINSZ, &set));
    NEED(ioctl(slave, TIOCGWINSZ, &size));
    observe_number("rows", size.ws_row);
    observe_number("columns", size.ws_col);
    observe_number("width", size.ws_xpixel);
}

CASE(read_terminal_lines, NEEDS_TERMINAL)
{
    int master, slave;
    open_pair(&master, &slave);
    type(master, "incomp");
    observe_nothing("not_yet", slave);
    type(master, "lete\nsecond\nthird");
    /* One line per read, whatever fits. */
    observe_line("first", slave);
    observe_line("second", slave);
    observe_nothing("third", slave);
    char part[3];
    type(master, "\n");
    CALL("part", read(slave, part, 3));
    observe_bytes("part", part, 3);
    observe_line("rest", slave);
}

CASE(write_terminal_echo, NEEDS_TERMINAL)
{
    int master, slave;
    open_pair(&master, &slave);
    type(master, "ab\n");
    observe_output("echo", master, 4);
    type(master, "\x01\x1b[A\n");
    observe_output("control_echo", master, 8);
    NEED(write(slave, "out\n", 4));
    observe_output("newline_mapped", master, 5);
    change(slave, ECHO, 0, OPOST);
    type(master, "silent\n");
    NEED(write(slave, "raw\n", 4));
    observe_output("raw_output", master, 4);
}

CASE(read_terminal_editing, NEEDS_TERMINAL)
{
    int master, slave;
    open_pair(&master, &slave);
    type(master, "abx\x7f" "c\n");
    observe_line("erase", slave);
    observe_output("erase_echo", master, 9);
    type(master, "gone\x15kept\n");
    observe_line("kill_line", slave);
    type(master, "one two\x17three\n");
    observe_line("erase_word", slave);
    type(master, "\x16\x03\n");
    observe_line("literal_next", slave);
    type(master, "\x7f\x7fz\n");
    observe_line("nothing_to_erase", slave);
}

CASE(read_terminal_end_of_file, NEEDS_TERMINAL)
{
    char text[8];
    int master, slave;
    open_pair(&master, &slave);
    type(master, "ab\x04");
    CALL("without_newline", read(slave, text, 8));
    type(master, "\x04");
    CALL("end", read(slave, text, 8));
    type(master, "c\n");
    CALL("goes_on", read(slave, text, 8));
}

CASE(read_terminal_carriage_return, NEEDS_TERMINAL)
{
    int master, slave;
    open_pair(&master, &slave);
    type(master, "a\r");
    observe_line("mapped", slave);
    change(slave, 0, ICRNL, 0);
    type(master, "b\rc\n");
    observe_line("unmapped", slave);
}

CASE(read_terminal_raw, NEEDS_TERMINAL)
{
    struct termios settings;
    int master, slave;
    char byte;
    open_pair(&master, &slave);
    NEED(tcgetattr(slave, &settings));
    cfmakeraw(&settings);
    NEED(tcsetattr(slave, TCSANOW, &settings));
    type(master, "a\x03\x04\r\n");
    observe_output("raw", slave, 5);
    observe_nothing("no_echo", master);
    settings.c_cc[VMIN] = 0;
    settings.c_cc[VTIME] = 0;
    NEED(tcsetattr(slave, TCSANOW, &settings));
    CALL("empty", read(slave, &byte, 1));
    settings.c_cc[VTIME] = 1;
    NEED(tcsetattr(slave, TCSANOW, &settings));
    long long begin = now_ns();
    CALL("timed", read(slave, &byte, 1));
    IS("tenth_of_a_second", elapsed_ms(begin) >= 80);
}

CASE(read_terminal_nonblocking, NEEDS_TERMINAL)
{
    char byte;
    int master, slave;
    open_pair(&master, &slave);
    NEED(fcntl(slave, F_SETFL, O_NONBLOCK));
    CALL("slave", read(slave, &byte, 1));
    NEED(fcntl(master, F_SETFL, O_NONBLOCK));
    CALL("master", read(master, &byte, 1));
}

CASE(read_terminal_hang_up, NEEDS_TERMINAL)
{
    char text[8];
    int master, slave;
    open_pair(&master, &slave);
    NEED(write(slave, "last", 4));
    NEED(close(slave));
    observe_line("rest", master);
    CALL("then", read(master, text, 8));
    struct pollfd one = {master, POLLIN, 0};
    CALL("poll", poll(&one, 1, 0));
    observe_hex("events", (unsigned short)one.revents);
    open_pair(&master, &slave);
    NEED(close(master));
    CALL("slave_read", read(slave, text, 8));
    CALL("slave_write", write(slave, "x", 1));
    one.fd = slave;
    CALL("poll", poll(&one, 1, 0));
    observe_hex("events", (unsigned short)one.revents);
}

CASE(ioctl_terminal_queues, NEEDS_TERMINAL)
{
    int master, slave, count = -1;
    open_pair(&master, &slave);
    type(master, "abc\n");
    CALL("poll", poll(&(struct pollfd){slave, POLLIN, 0}, 1, 3000));
    CALL("available", ioctl(slave, FIONREAD, &count));
    observe_number("count", count);
    CALL("flush_input", ioctl(slave, TCFLSH, TCIFLUSH));
    NEED(ioctl(slave, FIONREAD, &count));
    observe_number("count", count);
    CALL("unknown_flush", ioctl(slave, TCFLSH, 77));
    CALL("break", tcsendbreak(slave, 0));
    CALL("drain", tcdrain(slave));
}

/* --- job control --- */

/* Makes this process a session leader whose terminal is the pair's slave. */
static void take_terminal(int slave)
{
    NEED(setsid());
    NEED(ioctl(slave, TIOCSCTTY, 0));
}

CASE(ioctl_terminal_controlling, NEEDS_TERMINAL | NEEDS_FORK)
{
    int master, slave;
    open_pair(&master, &slave);
    CALL("no_session", ioctl(slave, TIOCGSID, &(pid_t){0}));
    CHILD(child)
    {
        pid_t group = 0, session = 0;
        NEED(setsid());
        CALL("take", ioctl(slave, TIOCSCTTY, 0));
        CALL("group", ioctl(slave, TIOCGPGRP, &group));
        IS("own_group", group == getpid());
        CALL("session", ioctl(slave, TIOCGSID, &session));
        IS("own_session", session == getpid());
        OK("dev_tty", open("/dev/tty", O_RDWR));
        handle(SIGHUP, count_signal, 0);
        handle(SIGCONT, count_signal, 0);
        CALL("give_up", ioctl(slave, TIOCNOTTY, 0));
        observe_number("signals", signals[SIGHUP] * 10 + signals[SIGCONT]);
        CALL("dev_tty", open("/dev/tty", O_RDWR));
    }
    observe_status("child", await(child));
}

CASE(ioctl_terminal_steal, NEEDS_TERMINAL | NEEDS_FORK)
{
    volatile int *step = shared_pages(1);
    int master, slave;
    open_pair(&master, &slave);
    CHILD(holder)
    {
        take_terminal(slave);
        step[0] = 1;
        wait_until(step + 1, 1);
    }
    wait_until(step, 1);
    CHILD(other)
    {
        NEED(setsid());
        CALL("taken", ioctl(slave, TIOCSCTTY, 0));
        CALL("foreign_group", ioctl(slave, TIOCGPGRP, &(pid_t){0}));
    }
    await(other);
    step[1] = 1;
    observe_status("holder", await(holder));
}

/* Opening a terminal without O_NOCTTY as a session leader takes it. */
CASE(open_terminal_takes_it, NEEDS_TERMINAL | NEEDS_FORK)
{
    int master, slave, number;
    open_pair(&master, &slave);
    NEED(ioctl(master, TIOCGPTN, &number));
    CHILD(child)
    {
        char path[64];
        snprintf(path, sizeof path, "/dev/pts/%d", number);
        NEED(setsid());
        CALL("none", open("/dev/tty", O_RDWR));
        NEED(open(path, O_RDWR));
        OK("taken", open("/dev/tty", O_RDWR));
    }
    observe_status("child", await(child));
}

CASE(kill_terminal_keys, NEEDS_TERMINAL | NEEDS_FORK | NEEDS_SIGNALS)
{
    int master, slave;
    open_pair(&master, &slave);
    CHILD(child)
    {
        static const struct {
            const char *key;
            int signal;
        } KEYS[] = {{"\x03", SIGINT}, {"\x1c", SIGQUIT}, {"\x1a", SIGTSTP}};
        take_terminal(slave);
        for (unsigned i = 0; i < COUNT(KEYS); i++) {
            handle(KEYS[i].signal, count_signal, 0);
            type(master, KEYS[i].key);
            while (!signals[KEYS[i].signal])
                sleep_ms(1);
            observe_number("signals", signals[KEYS[i].signal]);
        }
        observe_output("echo", master, 6);
        /* The line so far is thrown away. */
        type(master, "lost\x03" "kept\n");
        observe_line("line", slave);
        change(slave, ISIG, 0, 0);
        type(master, "\x03\n");
        observe_line("no_signal", slave);
    }
    observe_status("child", await(child));
}

CASE(kill_terminal_window_change, NEEDS_TERMINAL | NEEDS_FORK | NEEDS_SIGNALS)
{
    struct winsize size = {30, 90, 0, 0};
    int master, slave;
    open_pair(&master, &slave);
    CHILD(child)
    {
        handle(SIGWINCH, count_signal, 0);
        take_terminal(slave);
        NEED(ioctl(master, TIOCSWINSZ, &size));
        while (!signals[SIGWINCH])
            sleep_ms(1);
        /* The same size again is no change. */
        NEED(ioctl(master, TIOCSWINSZ, &size));
        sleep_ms(5);
        observe_number("signals", signals[SIGWINCH]);
    }
    observe_status("child", await(child));
}

CASE(kill_terminal_hang_up, NEEDS_TERMINAL | NEEDS_FORK | NEEDS_SIGNALS)
{
    int ready[2], master, slave;
    char byte;
    NEED(pipe(ready));
    open_pair(&master, &slave);
    CHILD(child)
    {
        NEED(close(master));
        take_terminal(slave);
        NEED(write(ready[1], "x", 1));
        for (;;)
            pause();
    }
    NEED(read(ready[0], &byte, 1));
    NEED(close(master));
    observe_status("leader", await(child));
}

CASE(read_terminal_background, NEEDS_TERMINAL | NEEDS_FORK | NEEDS_SIGNALS)
{
    int master, slave;
    open_pair(&master, &slave);
    CHILD(leader)
    {
        int status;
        take_terminal(slave);
        CHILD(background)
        {
            char byte;
            NEED(setpgid(0, 0));
            CALL("read", read(slave, &byte, 1));
            _exit(byte);
        }
        setpgid(background, background);
        NEED(waitpid(background, &status, WUNTRACED));
        observe_status("background", status);
        CALL("foreground", ioctl(slave, TIOCSPGRP, &background));
        type(master, "\x07\n");
        NEED(kill(background, SIGCONT));
        NEED(waitpid(background, &status, 0));
        observe_status("resumed", status);
    }
    observe_status("leader", await(leader));
}

CASE(write_terminal_background, NEEDS_TERMINAL | NEEDS_FORK | NEEDS_SIGNALS)
{
    int master, slave;
    open_pair(&master, &slave);
    CHILD(leader)
    {
        int status;
        struct termios settings;
        take_terminal(slave);
        NEED(tcgetattr(slave, &settings));
        settings.c_lflag |= TOSTOP;
        NEED(tcsetattr(slave, TCSANOW, &settings));
        CHILD(background)
        {
            NEED(setpgid(0, 0));
            signal(SIGTTOU, SIG_IGN);
            CALL("ignored", write(slave, "x", 1));
            signal(SIGTTOU, SIG_DFL);
            write(slave, "y", 1);
        }
        setpgid(background, background);
        NEED(waitpid(background, &status, WUNTRACED));
        observe_status("background", status);
        NEED(kill(background, SIGKILL));
        NEED(waitpid(background, &status, 0));
        observe_output("output", master, 1);
    }
    observe_status("leader", await(leader));
}

/* Nobody could continue an orphaned group: it is not stopped, the read fails. */
CASE(read_terminal_orphaned_group, NEEDS_TERMINAL | NEEDS_FORK | NEEDS_SIGNALS)
{
    int master, slave, out[2];
    char text[16] = "";
    open_pair(&master, &slave);
    NEED(pipe(out));
    CHILD(leader)
    {
        signal(SIGHUP, SIG_IGN);
        take_terminal(slave);
        CHILD(middle)
        {
            CHILD(orphan)
            {
                NEED(setpgid(0, 0));
                int before = getppid();
                NEED(write(out[1], "r", 1));
                while (getppid() == before)
                    sleep_ms(1);
                char byte;
                long result = read(slave, &byte, 1);
                const char *error = result == 0 ? "end" : errno == EIO ? "EIO" : "???";
                NEED(write(out[1], error, 3));
            }
            char byte;
            NEED(read(out[0], &byte, 1));
        }
        await(middle);
        CALL("read", read(out[0], text, sizeof text));
        observe_text("orphan", text);
    }
    observe_status("leader", await(leader));
}

CASE(ioctl_terminal_foreground_errors, NEEDS_TERMINAL | NEEDS_FORK)
{
    int master, slave;
    open_pair(&master, &slave);
    CHILD(leader)
    {
        take_terminal(slave);
        CALL("negative", ioctl(slave, TIOCSPGRP, &(pid_t){-1}));
        CALL("nobody", ioctl(slave, TIOCSPGRP, &(pid_t){0x7ffffff0}));
        CALL("other_session", ioctl(slave, TIOCSPGRP, &(pid_t){1}));
        CALL("bad", RAW(SYS_ioctl, slave, TIOCSPGRP, BAD_POINTER));
    }
    observe_status("leader", await(leader));
}

/* The leader's end hangs up the foreground group. */
CASE(exit_session_leader_hangs_up, NEEDS_TERMINAL | NEEDS_FORK | NEEDS_SIGNALS)
{
    int master, slave, out[2];
    char text[16] = "";
    open_pair(&master, &slave);
    NEED(pipe(out));
    CHILD(leader)
    {
        take_terminal(slave);
        CHILD(member)
        {
            handle(SIGHUP, count_signal, 0);
            NEED(write(out[1], "r", 1));
            while (!signals[SIGHUP])
                sleep_ms(1);
            NEED(write(out[1], "hup", 3));
        }
        char byte;
        NEED(read(out[0], &byte, 1));
    }
    observe_status("leader", await(leader));
    CALL("read", read(out[0], text, sizeof text));
    observe_text("member", text);
    CALL("slave_after", write(slave, "x", 1));
}
