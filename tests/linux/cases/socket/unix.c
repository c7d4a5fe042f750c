/* Unix sockets: streams, datagrams, sequenced packets, names, descriptors in messages. */
#include "suite.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static struct sockaddr_un named(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, name, sizeof address.sun_path - 1);
    return address;
}

static void pair(int type, int *ends)
{
    NEED(socketpair(AF_UNIX, type, 0, ends));
}

static int bound(int type, const char *name)
{
    struct sockaddr_un address = named(name);
    int fd = (int)NEED(socket(AF_UNIX, type, 0));
    NEED(bind(fd, (void *)&address, sizeof address));
    return fd;
}

static int connect_to(int type, const char *name)
{
    struct sockaddr_un address = named(name);
    int fd = (int)NEED(socket(AF_UNIX, type, 0));
    if (connect(fd, (void *)&address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

CASE(socket_arguments, NEEDS_SOCKETS)
{
    int fd = (int)CALL("stream", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    CALL("getfd", fcntl(fd, F_GETFD));
    observe_hex("getfl", (unsigned long)fcntl(fd, F_GETFL));
    OK("datagram", socket(AF_UNIX, SOCK_DGRAM, 0));
    OK("packets", socket(AF_UNIX, SOCK_SEQPACKET, 0));
    CALL("unknown_family", socket(99, SOCK_STREAM, 0));
    CALL("unknown_type", socket(AF_UNIX, 15, 0));
    CALL("unknown_protocol", socket(AF_UNIX, SOCK_STREAM, 77));
    CALL("unknown_flags", socket(AF_UNIX, SOCK_STREAM | 0x100000, 0));
}

CASE(socketpair_stream, NEEDS_SOCKETS)
{
    int ends[2];
    char text[16] = "";
    CALL("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    CALL("write", write(ends[0], "one", 3));
    CALL("write", write(ends[0], "two", 3));
    CALL("read", read(ends[1], text, 16));
    observe_text("text", text);
    CALL("other_way", write(ends[1], "back", 4));
    CALL("read", read(ends[0], text, 2));
    CALL("rest", read(ends[0], text, 16));
    NEED(close(ends[0]));
    CALL("end", read(ends[1], text, 16));
}

CASE(socketpair_datagram, NEEDS_SOCKETS)
{
    int ends[2];
    char text[16] = "";
    pair(SOCK_DGRAM, ends);
    NEED(write(ends[0], "first", 5));
    CALL("empty", write(ends[0], "", 0));
    NEED(write(ends[0], "third", 5));
    /* Boundaries stay, and what does not fit is lost. */
    CALL("part", read(ends[1], text, 3));
    CALL("empty", read(ends[1], text, 16));
    CALL("third", read(ends[1], text, 16));
    observe_bytes("text", text, 5);
    NEED(fcntl(ends[1], F_SETFL, O_NONBLOCK));
    CALL("none", read(ends[1], text, 16));
}

CASE(socketpair_packets, NEEDS_SOCKETS)
{
    int ends[2];
    char text[16] = "";
    pair(SOCK_SEQPACKET, ends);
    NEED(write(ends[0], "first", 5));
    NEED(write(ends[0], "second", 6));
    struct iovec part = {text, 3};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    CALL("truncated", recvmsg(ends[1], &message, 0));
    observe_hex("flags", (unsigned long)message.msg_flags);
    CALL("real_length", recv(ends[1], text, 2, MSG_TRUNC));
    NEED(close(ends[0]));
    CALL("end", read(ends[1], text, 16));
}
ALSO(socketpair_packets, "recvmsg recvfrom");

CASE(socketpair_errors, NEEDS_SOCKETS)
{
    int ends[2];
    CALL("family", socketpair(AF_INET, SOCK_STREAM, 0, ends));
    CALL("type", socketpair(AF_UNIX, 15, 0, ends));
    CALL("bad", RAW(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, BAD_POINTER));
    CALL("no_leak", dup(0));
}

CASE(bind_names, NEEDS_SOCKETS)
{
    struct stat status;
    struct sockaddr_un address = named("s");
    int fd = bound(SOCK_STREAM, "s"), other = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(stat("s", &status));
    observe_hex("mode", status.st_mode);
    CALL("taken", bind(other, (void *)&address, sizeof address));
    CALL("twice", bind(fd, (void *)&(struct sockaddr_un){AF_UNIX, "t"}, sizeof address));
    address = named("no/such/directory");
    CALL("missing_directory", bind(other, (void *)&address, sizeof address));
    CALL("short", bind(other, (void *)&address, 1));
    CALL("long", bind(other, (void *)&address, sizeof address + 1));
    address.sun_family = AF_INET;
    CALL("other_family", bind(other, (void *)&address, sizeof address));
    CALL("bad", RAW(SYS_bind, other, BAD_POINTER, sizeof address));
    CALL("no_socket", RAW(SYS_bind, 0, &address, sizeof address));
    NEED(close(fd));
    CALL("name_stays", access("s", F_OK));
}

CASE(bind_abstract, NEEDS_SOCKETS)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX}, seen;
    char name[32] = "";
    socklen_t length = sizeof seen;
    /* Other suites may run on this machine: the name carries the process id. */
    memcpy(address.sun_path + 1, "suite-", 6);
    for (int i = 0, pid = getpid(); i < 8; i++, pid /= 10)
        address.sun_path[7 + i] = (char)('0' + pid % 10);
    socklen_t used = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 15;
    int fd = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    CALL("bind", bind(fd, (void *)&address, used));
    CALL("listen", listen(fd, 1));
    CALL("name", getsockname(fd, (void *)&seen, &length));
    IS("length", length == used);
    IS("same", memcmp(&seen, &address, used) == 0);
    int client = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    CALL("connect", connect(client, (void *)&address, used));
    CALL("other_length", connect((int)NEED(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address,
                                 used - 1));
    NEED(close(fd));
    fd = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    CALL("free_again", bind(fd, (void *)&address, used));
    (void)name;
}
ALSO(bind_abstract, "getsockname connect listen");

CASE(bind_automatic, NEEDS_SOCKETS)
{
    struct sockaddr_un seen = {0};
    socklen_t length = sizeof seen;
    sa_family_t family = AF_UNIX;
    int fd = (int)NEED(socket(AF_UNIX, SOCK_DGRAM, 0));
    CALL("bind", bind(fd, (void *)&family, sizeof family));
    NEED(getsockname(fd, (void *)&seen, &length));
    observe_number("length", length);
    IS("abstract", seen.sun_path[0] == '\0');
}
ALSO(bind_automatic, "getsockname");

CASE(connect_errors, NEEDS_SOCKETS)
{
    put_file("f", "");
    bound(SOCK_STREAM, "deaf");
    CALL("missing", connect_to(SOCK_STREAM, "none"));
    CALL("plain_file", connect_to(SOCK_STREAM, "f"));
    CALL("not_listening", connect_to(SOCK_STREAM, "deaf"));
    CALL("other_type", connect_to(SOCK_DGRAM, "deaf"));
    int listener = bound(SOCK_STREAM, "s");
    NEED(listen(listener, 5));
    int client = connect_to(SOCK_STREAM, "s");
    struct sockaddr_un address = named("s");
    CALL("twice", connect(client, (void *)&address, sizeof address));
    CALL("listener", connect(listener, (void *)&address, sizeof address));
    NEED(close(listener));
    CALL("after_close", connect_to(SOCK_STREAM, "s"));
}

CASE(accept_connection, NEEDS_SOCKETS)
{
    struct sockaddr_un peer;
    socklen_t length = sizeof peer;
    char text[16] = "";
    int listener = bound(SOCK_STREAM, "s");
    NEED(listen(listener, 5));
    int client = connect_to(SOCK_STREAM, "s");
    CALL("write_before_accept", write(client, "early", 5));
    int server = (int)CALL("accept", accept(listener, (void *)&peer, &length));
    observe_number("peer_length", length);
    CALL("read", read(server, text, sizeof text));
    observe_text("text", text);
    length = sizeof peer;
    NEED(getpeername(client, (void *)&peer, &length));
    observe_text("peer", peer.sun_path);
    CALL("on_client", accept(client, NULL, NULL));
    CALL("on_file", accept((int)NEED(open(".", O_RDONLY)), NULL, NULL));
}
ALSO(accept_connection, "getpeername recvfrom");

CASE(accept4_flags, NEEDS_SOCKETS)
{
    int listener = bound(SOCK_STREAM, "s");
    NEED(listen(listener, 5));
    NEED(fcntl(listener, F_SETFL, O_NONBLOCK));
    CALL("none", accept4(listener, NULL, NULL, 0));
    connect_to(SOCK_STREAM, "s");
    connect_to(SOCK_STREAM, "s");
    CALL("unknown", RAW(SYS_accept4, listener, 0, 0, 1));
    int server = (int)OK("accept", accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    CALL("getfd", fcntl(server, F_GETFD));
    observe_hex("getfl", (unsigned long)fcntl(server, F_GETFL));
    /* Flags of the listener are not handed down. */
    server = (int)NEED(accept(listener, NULL, NULL));
    observe_hex("getfl", (unsigned long)fcntl(server, F_GETFL));
}
ALSO(accept4_flags, "accept");

CASE(listen_backlog, NEEDS_SOCKETS)
{
    struct sockaddr_un address = named("s");
    int listener = bound(SOCK_STREAM, "s"), accepted = 0;
    CALL("listen", listen(listener, 2));
    for (int i = 0; i < 6; i++) {
        int fd = (int)NEED(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
        if (connect(fd, (void *)&address, sizeof address) == 0)
            accepted++;
        else
            observe_error("full", errno);
    }
    observe_number("accepted", accepted);
    CALL("datagram", listen(bound(SOCK_DGRAM, "d"), 2));
    CALL("unbound", listen((int)NEED(socket(AF_UNIX, SOCK_STREAM, 0)), 2));
    CALL("no_socket", listen(0, 2));
}

CASE(listen_refuses_data, NEEDS_SOCKETS)
{
    char byte;
    int listener = bound(SOCK_STREAM, "s");
    NEED(listen(listener, 2));
    CALL("read", read(listener, &byte, 1));
    signal(SIGPIPE, SIG_IGN);
    CALL("write", write(listener, "x", 1));
    struct pollfd one = {listener, POLLIN | POLLOUT, 0};
    CALL("poll", poll(&one, 1, 0));
    observe_hex("events", (unsigned short)one.revents);
    connect_to(SOCK_STREAM, "s");
    CALL("poll", poll(&one, 1, 0));
    observe_hex("events", (unsigned short)one.revents);
}

/* The waiting connections of a closed listener are broken. */
CASE(listen_closed_with_waiting, NEEDS_SOCKETS)
{
    char byte;
    int listener = bound(SOCK_STREAM, "s");
    NEED(listen(listener, 2));
    int client = connect_to(SOCK_STREAM, "s");
    NEED(close(listener));
    CALL("read", read(client, &byte, 1));
    signal(SIGPIPE, SIG_IGN);
    CALL("write", write(client, "x", 1));
}
ALSO(listen_closed_with_waiting, "accept");

CASE(shutdown_halves, NEEDS_SOCKETS | NEEDS_SIGNALS)
{
    int ends[2];
    char text[8];
    pair(SOCK_STREAM, ends);
    NEED(write(ends[0], "last", 4));
    CALL("write_half", shutdown(ends[0], SHUT_WR));
    CALL("read", read(ends[1], text, 8));
    CALL("end", read(ends[1], text, 8));
    signal(SIGPIPE, SIG_IGN);
    CALL("write", write(ends[0], "x", 1));
    CALL("other_way", write(ends[1], "back", 4));
    CALL("read_half", shutdown(ends[0], SHUT_RD));
    CALL("rest", read(ends[0], text, 8));
    CALL("end", read(ends[0], text, 8));
    CALL("peer_writes", write(ends[1], "x", 1));
    CALL("unknown", shutdown(ends[0], 77));
    CALL("unconnected", shutdown((int)NEED(socket(AF_UNIX, SOCK_STREAM, 0)), SHUT_WR));
    CALL("no_socket", shutdown(0, SHUT_WR));
}

CASE(shutdown_poll, NEEDS_SOCKETS)
{
    int ends[2];
    pair(SOCK_STREAM, ends);
    struct pollfd one = {ends[1], POLLIN | POLLOUT | POLLRDHUP, 0};
    CALL("open", poll(&one, 1, 0));
    observe_hex("events", (unsigned short)one.revents);
    NEED(shutdown(ends[0], SHUT_WR));
    CALL("half", poll(&one, 1, 0));
    observe_hex("events", (unsigned short)one.revents);
    NEED(close(ends[0]));
    CALL("closed", poll(&one, 1, 0));
    observe_hex("events", (unsigned short)one.revents);
}
ALSO(shutdown_poll, "poll");

/* Closing with unread data breaks the connection instead of ending it. */
CASE(close_unread_socket, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    pair(SOCK_STREAM, ends);
    NEED(write(ends[0], "unread", 6));
    NEED(close(ends[1]));
    CALL("read", read(ends[0], &byte, 1));
    CALL("again", read(ends[0], &byte, 1));
}

CASE(recvfrom_flags, NEEDS_SOCKETS)
{
    int ends[2];
    char text[16] = "";
    pair(SOCK_STREAM, ends);
    NEED(write(ends[0], "abcdef", 6));
    CALL("peek", recv(ends[1], text, 3, MSG_PEEK));
    observe_text("text", text);
    CALL("peek", recv(ends[1], text, 16, MSG_PEEK));
    CALL("waitall", recv(ends[1], text, 6, MSG_WAITALL));
    CALL("dontwait", recv(ends[1], text, 1, MSG_DONTWAIT));
    CALL("out_of_band", recv(ends[1], text, 1, MSG_OOB | MSG_DONTWAIT) == -1);
    CALL("no_socket", recv(0, text, 1, 0));
    CALL("bad", (write(ends[0], "x", 1), RAW(SYS_recvfrom, ends[1], BAD_POINTER, 1, 0, 0, 0)));
    CALL("bad_length", RAW(SYS_recvfrom, ends[1], text, 1, 0, text, BAD_POINTER));
}

CASE(sendto_flags, NEEDS_SOCKETS)
{
    int ends[2];
    pair(SOCK_STREAM, ends);
    NEED(close(ends[1]));
    /* Without MSG_NOSIGNAL this would kill. */
    CALL("nosignal", send(ends[0], "x", 1, MSG_NOSIGNAL));
    CALL("unconnected", send((int)NEED(socket(AF_UNIX, SOCK_STREAM, 0)), "x", 1, MSG_NOSIGNAL));
    CALL("datagram", send((int)NEED(socket(AF_UNIX, SOCK_DGRAM, 0)), "x", 1, 0));
    CALL("no_socket", send(0, "x", 1, 0));
    CALL("bad", RAW(SYS_sendto, ends[0], BAD_POINTER, 1, MSG_NOSIGNAL, 0, 0));
}

CASE(sendto_datagrams, NEEDS_SOCKETS)
{
    struct sockaddr_un address = named("a"), from = {0};
    socklen_t length = sizeof from;
    char text[16] = "";
    int a = bound(SOCK_DGRAM, "a"), b = bound(SOCK_DGRAM, "b");
    CALL("send", sendto(b, "hello", 5, 0, (void *)&address, sizeof address));
    CALL("receive", recvfrom(a, text, sizeof text, 0, (void *)&from, &length));
    observe_text("from", from.sun_path);
    int nameless = (int)NEED(socket(AF_UNIX, SOCK_DGRAM, 0));
    CALL("nameless", sendto(nameless, "x", 1, 0, (void *)&address, sizeof address));
    length = sizeof from;
    NEED(recvfrom(a, text, sizeof text, 0, (void *)&from, &length));
    observe_number("no_name", length);
    address = named("none");
    CALL("missing", sendto(b, "x", 1, 0, (void *)&address, sizeof address));
    NEED(close(a));
    address = named("a");
    CALL("closed", sendto(b, "x", 1, 0, (void *)&address, sizeof address));
}
ALSO(sendto_datagrams, "recvfrom");

CASE(sendto_full_queue, NEEDS_SOCKETS)
{
    int ends[2], sent = 0;
    char byte;
    static char large[1 << 20];
    pair(SOCK_DGRAM, ends);
    NEED(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    while (send(ends[0], "x", 1, 0) == 1)
        sent++;
    observe_error("full", errno);
    IS("some", sent >= 1);
    NEED(read(ends[1], &byte, 1));
    CALL("room_again", send(ends[0], "x", 1, 0));
    CALL("too_large", send(ends[0], large, sizeof large, 0));
}

CASE(write_socket_blocks_until_read, NEEDS_SOCKETS | NEEDS_FORK)
{
    static char bytes[1 << 20];
    int ends[2];
    pair(SOCK_STREAM, ends);
    CHILD(child)
    {
        NEED(close(ends[0]));
        memset(bytes, 'x', sizeof bytes);
        CALL("write", write(ends[1], bytes, sizeof bytes));
    }
    NEED(close(ends[1]));
    long total = 0, length;
    while ((length = read(ends[0], bytes, 10000)) > 0)
        total += length;
    await(child);
    observe_number("total", total);
}

CASE(write_socket_nonblocking, NEEDS_SOCKETS)
{
    static char bytes[1 << 22];
    int ends[2];
    pair(SOCK_STREAM, ends);
    NEED(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    long sent = write(ends[0], bytes, sizeof bytes);
    IS("partial", sent > 0 && sent < (long)sizeof bytes);
    CALL("full", write(ends[0], bytes, 1));
    struct pollfd one = {ends[0], POLLOUT, 0};
    CALL("poll", poll(&one, 1, 0));
    while (sent > 0)
        sent -= read(ends[1], bytes, sizeof bytes);
    CALL("poll", poll(&one, 1, 0));
}

/* --- messages with descriptors and credentials --- */

static long send_message(int fd, const char *text, int type, const void *data, size_t length)
{
    union {
        struct cmsghdr header;
        char space[256];
    } control;
    struct iovec part = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (length > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(length);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = type;
        control.header.cmsg_len = CMSG_LEN(length);
        memcpy(CMSG_DATA(&control.header), data, length);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* Returns the length of the control data of `type`, copied to `data`. */
static size_t receive_message(int fd, char *text, size_t room, int flags, int type, void *data,
                              size_t control_room, int *out_flags)
{
    union {
        struct cmsghdr header;
        char space[256];
    } control;
    struct iovec part = {text, room};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    message.msg_control = control_room ? &control : NULL;
    message.msg_controllen = control_room;
    CALL("recvmsg", recvmsg(fd, &message, flags));
    *out_flags = message.msg_flags;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at))
        if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == type) {
            memcpy(data, CMSG_DATA(at), at->cmsg_len - CMSG_LEN(0));
            return at->cmsg_len - CMSG_LEN(0);
        }
    return 0;
}

CASE(sendmsg_descriptor, NEEDS_SOCKETS)
{
    int ends[2], received[4] = {-1, -1, -1, -1}, flags;
    char text[16] = "";
    pair(SOCK_STREAM, ends);
    put_file("f", "0123456789");
    int fd = (int)NEED(open("f", O_RDONLY));
    NEED(lseek(fd, 3, SEEK_SET));
    CALL("send", send_message(ends[0], "x", SCM_RIGHTS, &fd, sizeof fd));
    NEED(close(fd));
    observe_number("length", (long)receive_message(ends[1], text, 16, 0, SCM_RIGHTS, received,
                                                   256, &flags));
    observe_hex("flags", (unsigned long)flags);
    CALL("read", read(received[0], text, 3));
    observe_bytes("text", text, 3);
    CALL("getfd", fcntl(received[0], F_GETFD));
}
ALSO(sendmsg_descriptor, "recvmsg");

CASE(sendmsg_descriptor_cloexec, NEEDS_SOCKETS)
{
    int ends[2], received[4] = {-1, -1, -1, -1}, flags, several[3] = {0, 1, 2};
    char text[16];
    pair(SOCK_DGRAM, ends);
    CALL("send", send_message(ends[0], "x", SCM_RIGHTS, several, sizeof several));
    observe_number("length", (long)receive_message(ends[1], text, 16, MSG_CMSG_CLOEXEC,
                                                   SCM_RIGHTS, received, 256, &flags));
    for (int i = 0; i < 3; i++)
        CALL("getfd", fcntl(received[i], F_GETFD));
}

CASE(sendmsg_descriptor_errors, NEEDS_SOCKETS)
{
    int ends[2], bad = 999;
    int many[60];
    pair(SOCK_STREAM, ends);
    CALL("closed", send_message(ends[0], "x", SCM_RIGHTS, &bad, sizeof bad));
    for (unsigned i = 0; i < COUNT(many); i++)
        many[i] = 0;
    CALL("sixty", send_message(ends[0], "x", SCM_RIGHTS, many, 200));
    CALL("unknown_type", send_message(ends[0], "x", 77, many, 4));
    CALL("bad_vector", RAW(SYS_sendmsg, ends[0], BAD_POINTER, 0));
    struct msghdr message = {.msg_iovlen = 2000};
    CALL("too_many_parts", RAW(SYS_sendmsg, ends[0], &message, 0));
}

/* Two messages with descriptors do not run together, though the stream has no boundaries. */
CASE(recvmsg_stops_at_descriptors, NEEDS_SOCKETS)
{
    int ends[2], fd = 0, received[4], flags;
    char text[16] = "";
    pair(SOCK_STREAM, ends);
    NEED(send_message(ends[0], "one", SCM_RIGHTS, &fd, sizeof fd));
    NEED(send_message(ends[0], "two", SCM_RIGHTS, &fd, sizeof fd));
    NEED(send_message(ends[0], "three", 0, NULL, 0));
    observe_number("first", (long)receive_message(ends[1], text, 16, 0, SCM_RIGHTS, received,
                                                  256, &flags));
    observe_number("second", (long)receive_message(ends[1], text, 16, 0, SCM_RIGHTS, received,
                                                   256, &flags));
    observe_number("third", (long)receive_message(ends[1], text, 16, MSG_DONTWAIT, SCM_RIGHTS,
                                                  received, 256, &flags));
}

CASE(recvmsg_truncated_control, NEEDS_SOCKETS)
{
    int ends[2], several[2] = {0, 1}, received[4], flags;
    char text[16];
    pair(SOCK_STREAM, ends);
    NEED(send_message(ends[0], "x", SCM_RIGHTS, several, sizeof several));
    observe_number("none", (long)receive_message(ends[1], text, 16, 0, SCM_RIGHTS, received, 0,
                                                 &flags));
    observe_hex("flags", (unsigned long)flags);
    NEED(send_message(ends[0], "x", SCM_RIGHTS, several, sizeof several));
    observe_number("one", (long)receive_message(ends[1], text, 16, 0, SCM_RIGHTS, received,
                                                CMSG_LEN(4), &flags));
    observe_hex("flags", (unsigned long)flags);
    /* Reading without control data drops the descriptors. */
    NEED(send_message(ends[0], "x", SCM_RIGHTS, several, sizeof several));
    CALL("read", read(ends[1], text, 16));
    CALL("next_descriptor", dup(0));
}

CASE(recvmsg_credentials, NEEDS_SOCKETS)
{
    int ends[2], on = 1, flags;
    char text[16];
    struct ucred who = {0};
    pair(SOCK_STREAM, ends);
    CALL("passcred", setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    NEED(write(ends[0], "x", 1));
    observe_number("length", (long)receive_message(ends[1], text, 16, 0, SCM_CREDENTIALS, &who,
                                                   256, &flags));
    IS("pid", who.pid == getpid());
    IS("uid", who.uid == getuid());
}
ALSO(recvmsg_credentials, "setsockopt");

CASE(recvmmsg_several, NEEDS_SOCKETS)
{
    int ends[2];
    char text[3][8] = {"", "", ""};
    struct iovec parts[3] = {{text[0], 8}, {text[1], 8}, {text[2], 8}};
    struct mmsghdr messages[3];
    struct timespec nothing = {0, 0};
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < 3; i++) {
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    pair(SOCK_DGRAM, ends);
    NEED(write(ends[0], "a", 1));
    NEED(write(ends[0], "bc", 2));
    CALL("receive", recvmmsg(ends[1], messages, 3, MSG_DONTWAIT, NULL));
    observe_number("lengths", messages[0].msg_len * 10 + messages[1].msg_len);
    CALL("none", recvmmsg(ends[1], messages, 3, MSG_DONTWAIT, &nothing));
    CALL("zero", recvmmsg(ends[1], messages, 0, 0, NULL));
}

CASE(sendmmsg_several, NEEDS_SOCKETS)
{
    int ends[2];
    char text[8];
    struct iovec parts[2] = {{"one", 3}, {"three", 5}};
    struct mmsghdr messages[2];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < 2; i++) {
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    pair(SOCK_DGRAM, ends);
    CALL("send", sendmmsg(ends[0], messages, 2, 0));
    observe_number("lengths", messages[0].msg_len * 10 + messages[1].msg_len);
    CALL("first", read(ends[1], text, 8));
    CALL("second", read(ends[1], text, 8));
    CALL("no_socket", sendmmsg(0, messages, 2, 0));
}

CASE(getsockopt_values, NEEDS_SOCKETS)
{
    int ends[2], value = 77;
    socklen_t length = sizeof value;
    pair(SOCK_STREAM, ends);
    CALL("type", getsockopt(ends[0], SOL_SOCKET, SO_TYPE, &value, &length));
    observe_number("value", value);
    CALL("domain", getsockopt(ends[0], SOL_SOCKET, SO_DOMAIN, &value, &length));
    observe_number("value", value);
    CALL("protocol", getsockopt(ends[0], SOL_SOCKET, SO_PROTOCOL, &value, &length));
    observe_number("value", value);
    CALL("listening", getsockopt(ends[0], SOL_SOCKET, SO_ACCEPTCONN, &value, &length));
    observe_number("value", value);
    CALL("error", getsockopt(ends[0], SOL_SOCKET, SO_ERROR, &value, &length));
    observe_number("value", value);
    struct ucred who = {0};
    length = sizeof who;
    CALL("peer", getsockopt(ends[0], SOL_SOCKET, SO_PEERCRED, &who, &length));
    IS("pid", who.pid == getpid());
    length = 2;
    value = 0;
    CALL("short", getsockopt(ends[0], SOL_SOCKET, SO_TYPE, &value, &length));
    observe_number("length", length);
}

CASE(getsockopt_errors, NEEDS_SOCKETS)
{
    int ends[2], value;
    socklen_t length = sizeof value;
    pair(SOCK_STREAM, ends);
    CALL("unknown_option", getsockopt(ends[0], SOL_SOCKET, 9999, &value, &length));
    CALL("unknown_level", getsockopt(ends[0], 9999, 1, &value, &length));
    CALL("bad_length", RAW(SYS_getsockopt, ends[0], SOL_SOCKET, SO_TYPE, &value, BAD_POINTER));
    CALL("bad_value", RAW(SYS_getsockopt, ends[0], SOL_SOCKET, SO_TYPE, BAD_POINTER, &length));
    CALL("no_socket", getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &length));
    length = (socklen_t)-1;
    CALL("negative_length", getsockopt(ends[0], SOL_SOCKET, SO_TYPE, &value, &length));
}

CASE(setsockopt_buffers, NEEDS_SOCKETS)
{
    int ends[2], value = 10000;
    socklen_t length = sizeof value;
    pair(SOCK_STREAM, ends);
    CALL("set", setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    NEED(getsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &value, &length));
    observe_number("doubled", value);
    CALL("short", setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &value, 2));
    CALL("unknown", setsockopt(ends[0], SOL_SOCKET, 9999, &value, sizeof value));
    CALL("read_only", setsockopt(ends[0], SOL_SOCKET, SO_TYPE, &value, sizeof value));
    CALL("bad", RAW(SYS_setsockopt, ends[0], SOL_SOCKET, SO_SNDBUF, BAD_POINTER, 4));
}

CASE(setsockopt_timeouts, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    struct {
        long seconds, microseconds;
    } time = {0, 20000}, bad = {0, 2000000};
    pair(SOCK_STREAM, ends);
    CALL("set", setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    long long begin = now_ns();
    CALL("read", read(ends[0], &byte, 1));
    IS("about_20ms", elapsed_ms(begin) >= 15);
    CALL("bad", setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof bad));
}

CASE(getsockname_unnamed, NEEDS_SOCKETS)
{
    struct sockaddr_un address;
    socklen_t length = sizeof address;
    int ends[2];
    pair(SOCK_STREAM, ends);
    CALL("own", getsockname(ends[0], (void *)&address, &length));
    observe_number("length", length);
    length = sizeof address;
    CALL("peer", getpeername(ends[0], (void *)&address, &length));
    observe_number("length", length);
    CALL("unconnected",
         getpeername((int)NEED(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, &length));
    CALL("no_socket", getsockname(0, (void *)&address, &length));
    length = (socklen_t)-1;
    CALL("negative", getsockname(ends[0], (void *)&address, &length));
}
ALSO(getsockname_unnamed, "getpeername");

CASE(getsockname_truncated, NEEDS_SOCKETS)
{
    struct sockaddr_un address;
    int fd = bound(SOCK_STREAM, "a-name");
    socklen_t length = 5;
    memset(&address, '.', sizeof address);
    CALL("short", getsockname(fd, (void *)&address, &length));
    observe_number("real_length", length);
    observe_bytes("path", address.sun_path, 4);
    CALL("bad", RAW(SYS_getsockname, fd, BAD_POINTER, &length));
}

CASE(ioctl_socket, NEEDS_SOCKETS)
{
    int ends[2], count = -1;
    pair(SOCK_STREAM, ends);
    NEED(write(ends[0], "12345", 5));
    CALL("available", ioctl(ends[1], FIONREAD, &count));
    observe_number("count", count);
    CALL("lseek", lseek(ends[0], 0, SEEK_SET));
    CALL("truncate", ftruncate(ends[0], 0));
    CALL("splice_like_read", pread(ends[1], &count, 4, 0));
    struct stat status;
    NEED(fstat(ends[0], &status));
    observe_hex("mode", status.st_mode);
}

/* A datagram socket that is connected takes only its peer's messages. */
CASE(connect_datagram, NEEDS_SOCKETS)
{
    struct sockaddr_un a_name = named("a"), b_name = named("b");
    sa_family_t none = AF_UNSPEC;
    char text[8];
    int a = bound(SOCK_DGRAM, "a"), b = bound(SOCK_DGRAM, "b"), c = bound(SOCK_DGRAM, "c");
    CALL("connect", connect(a, (void *)&b_name, sizeof b_name));
    CALL("from_peer", sendto(b, "peer", 4, 0, (void *)&a_name, sizeof a_name));
    CALL("from_other", sendto(c, "other", 5, 0, (void *)&a_name, sizeof a_name));
    CALL("send", send(a, "x", 1, 0));
    CALL("receive", recv(a, text, 8, MSG_DONTWAIT));
    CALL("only_one", recv(a, text, 8, MSG_DONTWAIT));
    CALL("disconnect", connect(a, (void *)&none, sizeof none));
    CALL("send", send(a, "x", 1, 0));
    CALL("from_other", sendto(c, "other", 5, 0, (void *)&a_name, sizeof a_name));
}
ALSO(connect_datagram, "sendto recvfrom connect");
