/* Sockets: the calls seen once more from other sides. */
#include "suite.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

CASE(socket_inherited, NEEDS_SOCKETS | NEEDS_FORK)
{
    int ends[2];
    char text[8] = "";
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    CHILD(child)
    {
        NEED(close(ends[0]));
        NEED(write(ends[1], "child", 5));
    }
    NEED(close(ends[1]));
    CALL("read", read(ends[0], text, 8));
    CALL("end", read(ends[0], text, 8));
    observe_text("text", text);
    await(child);
}

CASE(socket_fresh_state, NEEDS_SOCKETS)
{
    char byte;
    int fd = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    CALL("read", read(fd, &byte, 1));
    CALL("recv", recv(fd, &byte, 1, 0));
    CALL("accept", accept(fd, NULL, NULL));
}
ALSO(socket_fresh_state, "recvfrom accept");

CASE(getpeername_after_connect, NEEDS_SOCKETS)
{
    struct sockaddr_un address = {AF_UNIX, "server"}, seen = {0};
    socklen_t length = sizeof seen;
    int listener = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(bind(listener, (void *)&address, sizeof address));
    NEED(listen(listener, 1));
    int client = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(connect(client, (void *)&address, sizeof address));
    int server = (int)NEED(accept(listener, NULL, NULL));
    CALL("client", getpeername(client, (void *)&seen, &length));
    observe_text("name", seen.sun_path);
    length = sizeof seen;
    CALL("server", getpeername(server, (void *)&seen, &length));
    observe_number("nameless", length);
    length = sizeof seen;
    CALL("own", getsockname(server, (void *)&seen, &length));
    observe_text("name", seen.sun_path);
    CALL("bad", RAW(SYS_getpeername, client, BAD_POINTER, &length));
    CALL("listener", getpeername(listener, (void *)&seen, &length));
}

CASE(recvmmsg_errors, NEEDS_SOCKETS)
{
    struct mmsghdr message;
    struct timespec bad = {0, 1000000000};
    int ends[2];
    memset(&message, 0, sizeof message);
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    CALL("closed", RAW(SYS_recvmmsg, 999, &message, 1, 0, 0));
    CALL("no_socket", RAW(SYS_recvmmsg, 0, &message, 1, 0, 0));
    CALL("bad_time", RAW(SYS_recvmmsg, ends[0], &message, 1, MSG_DONTWAIT, &bad));
    CALL("bad", RAW(SYS_recvmmsg, ends[0], BAD_POINTER, 1, MSG_DONTWAIT, 0));
}

CASE(recvmmsg_wait_for_one, NEEDS_SOCKETS)
{
    char text[2][4] = {"", ""};
    struct iovec parts[2] = {{text[0], 4}, {text[1], 4}};
    struct mmsghdr messages[2];
    int ends[2];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < 2; i++) {
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    NEED(write(ends[0], "one", 3));
    CALL("receive", recvmmsg(ends[1], messages, 2, MSG_WAITFORONE, NULL));
    observe_number("length", messages[0].msg_len);
}

CASE(sendmmsg_errors, NEEDS_SOCKETS)
{
    struct iovec good = {"x", 1}, bad = {BAD_POINTER, 1};
    struct mmsghdr messages[2];
    int ends[2];
    memset(messages, 0, sizeof messages);
    messages[0].msg_hdr.msg_iov = &good;
    messages[0].msg_hdr.msg_iovlen = 1;
    messages[1].msg_hdr.msg_iov = &bad;
    messages[1].msg_hdr.msg_iovlen = 1;
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    /* The first went out: that is what counts. */
    CALL("second_bad", sendmmsg(ends[0], messages, 2, 0));
    CALL("first_bad", sendmmsg(ends[0], messages + 1, 1, 0));
    CALL("none", sendmmsg(ends[0], messages, 0, 0));
    CALL("closed", sendmmsg(999, messages, 1, 0));
}

CASE(accept_errors, NEEDS_SOCKETS)
{
    struct sockaddr_un address = {AF_UNIX, "s"};
    int listener = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(bind(listener, (void *)&address, sizeof address));
    NEED(listen(listener, 3));
    CALL("closed", RAW(SYS_accept, 999, 0, 0));
    CALL("flags", RAW(SYS_accept4, listener, 0, 0, 0x100));
    int client = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(connect(client, (void *)&address, sizeof address));
    CALL("bad_length", RAW(SYS_accept4, listener, &address, BAD_POINTER, 0));
    int dgram = (int)NEED(socket(AF_UNIX, SOCK_DGRAM, 0));
    CALL("datagram", RAW(SYS_accept, dgram, 0, 0));
}
ALSO(accept_errors, "accept4");

CASE(accept_blocks_until_connect, NEEDS_SOCKETS | NEEDS_FORK)
{
    struct sockaddr_un address = {AF_UNIX, "s"};
    char text[8] = "";
    int listener = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(bind(listener, (void *)&address, sizeof address));
    NEED(listen(listener, 3));
    CHILD(child)
    {
        sleep_ms(10);
        int client = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
        NEED(connect(client, (void *)&address, sizeof address));
        NEED(write(client, "late", 4));
    }
    int server = (int)OK("accept", accept(listener, NULL, NULL));
    CALL("read", read(server, text, 8));
    observe_text("text", text);
    await(child);
}

CASE(shutdown_wakes_reader, NEEDS_SOCKETS | NEEDS_FORK)
{
    int ends[2];
    char byte;
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    CHILD(child)
    {
        CALL("read", read(ends[0], &byte, 1));
    }
    sleep_ms(10);
    long result = shutdown(ends[0], SHUT_RDWR);
    observe_status("child", await(child));
    observe_number("shutdown", result);
}

CASE(setsockopt_switches, NEEDS_SOCKETS)
{
    int ends[2], value = 7;
    socklen_t length = sizeof value;
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    CALL("reuse", setsockopt(ends[0], SOL_SOCKET, SO_REUSEADDR, &value, sizeof value));
    NEED(getsockopt(ends[0], SOL_SOCKET, SO_REUSEADDR, &value, &length));
    observe_number("value", value);
    CALL("keepalive", setsockopt(ends[0], SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
    CALL("closed", setsockopt(999, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value));
    CALL("unknown_level", setsockopt(ends[0], 9999, 1, &value, sizeof value));
}
ALSO(setsockopt_switches, "getsockopt");

CASE(accept4_errors, NEEDS_SOCKETS)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "s"};
    int listener = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(bind(listener, (void *)&name, sizeof name));
    CALL("not_listening", RAW(SYS_accept4, listener, 0, 0, 0));
    NEED(listen(listener, 4));
    CALL("unknown_flag", RAW(SYS_accept4, listener, 0, 0, 1));
    int client = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(connect(client, (void *)&name, sizeof name));
    int fd = (int)NEED(RAW(SYS_accept4, listener, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK));
    CALL("getfd", fcntl(fd, F_GETFD));
    IS("nonblocking", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CALL("no_socket", RAW(SYS_accept4, NEED(open("/dev/null", O_RDWR)), 0, 0, 0));
    CALL("closed", RAW(SYS_accept4, 999, 0, 0, 0));
}

CASE(sendmmsg_counts, NEEDS_SOCKETS)
{
    int pair[2];
    struct iovec parts[3] = {{"a", 1}, {"bc", 2}, {BAD_POINTER, 3}};
    struct mmsghdr messages[3] = {{.msg_hdr = {.msg_iov = &parts[0], .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = &parts[1], .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = &parts[2], .msg_iovlen = 1}}};
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    CALL("send", RAW(SYS_sendmmsg, pair[0], messages, 3, 0));
    observe_number("first", messages[0].msg_len);
    observe_number("second", messages[1].msg_len);
    CALL("only_bad", RAW(SYS_sendmmsg, pair[0], messages + 2, 1, 0));
    CALL("none", RAW(SYS_sendmmsg, pair[0], messages, 0, 0));
    CALL("closed", RAW(SYS_sendmmsg, 999, messages, 1, 0));
}
