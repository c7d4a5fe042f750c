/* TCP: bytes, ends and readiness. */
#include "inet.h"

CASE(send_inet_stream, NEEDS_SOCKETS)
{
    int ends[2];
    char text[16] = "";
    tcp_pair(ends);
    CALL("send", send(ends[0], "hello", 5, 0));
    CALL("write", write(ends[0], " world", 6));
    wait_for_bytes(ends[1], 11);
    CALL("recv", recv(ends[1], text, 4, 0));
    CALL("rest", read(ends[1], text + 4, 12));
    observe_text("text", text);
    CALL("empty", recv(ends[1], text, 1, MSG_DONTWAIT));
    CALL("nothing", send(ends[0], "", 0, 0));
    CALL("bad", RAW(SYS_sendto, ends[0], BAD_POINTER, 5, 0, 0, 0));
    CALL("bad_read", (NEED(write(ends[0], "x", 1)), wait_for_bytes(ends[1], 1), RAW(SYS_recvfrom, ends[1], BAD_POINTER, 1, 0, 0, 0)));
    CALL("kept", read(ends[1], text, 1));
}
ALSO(send_inet_stream, "write recv read sendto recvfrom");

CASE(recv_inet_peek, NEEDS_SOCKETS)
{
    int ends[2];
    char text[16] = "";
    tcp_pair(ends);
    NEED(write(ends[0], "abcdef", 6));
    wait_for_bytes(ends[1], 6);
    CALL("peek", recv(ends[1], text, 3, MSG_PEEK));
    CALL("again", recv(ends[1], text, 8, MSG_PEEK));
    observe_text("text", text);
    CALL("gone", recv(ends[1], text, 2, MSG_TRUNC));
    CALL("read", read(ends[1], text, 8));
    observe_bytes("rest", text, 4);
}

CASE(recv_inet_wait_all, NEEDS_SOCKETS | NEEDS_FORK)
{
    int ends[2];
    char text[16] = "";
    tcp_pair(ends);
    CHILD(child)
    {
        write(ends[0], "abc", 3);
        sleep_ms(20);
        write(ends[0], "def", 3);
        shutdown(ends[0], SHUT_WR);
    }
    CALL("all", recv(ends[1], text, 5, MSG_WAITALL));
    observe_text("text", text);
    CALL("end", recv(ends[1], text, 5, MSG_WAITALL));
    await(child);
}

CASE(shutdown_inet_halves, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    signal(SIGPIPE, SIG_IGN);
    tcp_pair(ends);
    CALL("send_end", shutdown(ends[0], SHUT_WR));
    CALL("no_more", write(ends[0], "x", 1));
    observe_hex("peer", (unsigned long)polled(ends[1], POLLRDHUP, 5000));
    CALL("end", read(ends[1], &byte, 1));
    CALL("still", write(ends[1], "y", 1));
    CALL("comes", read(ends[0], &byte, 1));
    CALL("other_half", shutdown(ends[1], SHUT_WR));
    observe_hex("both", (unsigned long)(polled(ends[0], POLLHUP, 5000) & POLLHUP));
    CALL("bad", shutdown(ends[0], 3));
    CALL("fresh", shutdown((int)NEED(socket(AF_INET, SOCK_STREAM, 0)), SHUT_WR));
}
ALSO(shutdown_inet_halves, "write read poll");

CASE(shutdown_inet_read, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    tcp_pair(ends);
    CALL("shutdown", shutdown(ends[0], SHUT_RD));
    CALL("end", read(ends[0], &byte, 1));
    IS("ready", polled(ends[0], POLLIN, 0) & POLLIN);
    CALL("write", write(ends[0], "x", 1));
    CALL("peer", read(ends[1], &byte, 1));
}

CASE(close_inet_reset, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    tcp_pair(ends);
    struct linger now = {1, 0};
    NEED(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    NEED(close(ends[0]));
    observe_hex("ready", (unsigned long)polled(ends[1], ALL_EVENTS, 5000));
    CALL("read", read(ends[1], &byte, 1));
    CALL("again", read(ends[1], &byte, 1));
}
ALSO(close_inet_reset, "setsockopt poll read");

CASE(close_inet_unread, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    tcp_pair(ends);
    NEED(write(ends[0], "lost", 4));
    wait_for_bytes(ends[1], 4);
    NEED(close(ends[1]));
    polled(ends[0], POLLHUP, 5000);
    CALL("read", read(ends[0], &byte, 1));
}

CASE(write_inet_broken_pipe, NEEDS_SOCKETS | NEEDS_SIGNALS | NEEDS_FORK)
{
    int ends[2];
    tcp_pair(ends);
    NEED(shutdown(ends[0], SHUT_WR));
    CHILD(child)
    {
        signal(SIGPIPE, SIG_DFL);
        write(ends[0], "x", 1);
    }
    observe_status("child", await(child));
    CALL("nosignal", send(ends[0], "x", 1, MSG_NOSIGNAL));
    CALL("fresh", send((int)NEED(socket(AF_INET, SOCK_STREAM, 0)), "x", 1, MSG_NOSIGNAL));
}
ALSO(write_inet_broken_pipe, "send");

CASE(read_inet_fresh, NEEDS_SOCKETS)
{
    char byte;
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    CALL("read", read(fd, &byte, 1));
    observe_hex("ready", (unsigned long)polled(fd, ALL_EVENTS, 0));
    int listener = listening();
    CALL("listener", read(listener, &byte, 1));
    observe_hex("listener_ready", (unsigned long)polled(listener, ALL_EVENTS, 0));
}
ALSO(read_inet_fresh, "poll");

CASE(poll_inet_stream, NEEDS_SOCKETS)
{
    int ends[2];
    tcp_pair(ends);
    observe_hex("idle", (unsigned long)polled(ends[0], ALL_EVENTS, 0));
    NEED(write(ends[1], "x", 1));
    observe_hex("data", (unsigned long)polled(ends[0], POLLIN, 5000));
    NEED(close(ends[1]));
    polled(ends[0], POLLRDHUP, 5000);
    observe_hex("ended", (unsigned long)polled(ends[0], ALL_EVENTS, 0));
    int listener = listening();
    connected_to(listener);
    observe_hex("listener", (unsigned long)polled(listener, ALL_EVENTS, 5000));
}

CASE(write_inet_full, NEEDS_SOCKETS)
{
    int ends[2];
    static char block[65536];
    tcp_pair(ends);
    NEED(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    long total = 0, count;
    while ((count = write(ends[0], block, sizeof block)) > 0)
        total += count;
    CALL("full", write(ends[0], block, sizeof block));
    IS("much", total >= 65536);
    IS("no_room", polled(ends[0], POLLOUT, 0) == 0);
    long back = 0;
    while (back < total) {
        count = NEED(read(ends[1], block, sizeof block));
        back += count;
    }
    IS("same", back == total);
    observe_hex("room", (unsigned long)polled(ends[0], POLLOUT, 5000));
}
ALSO(write_inet_full, "poll read");

CASE(epoll_wait_inet_edge, NEEDS_SOCKETS)
{
    int ends[2];
    char text[8];
    struct epoll_event event = {EPOLLIN | EPOLLET, {0}}, got;
    int epoll = (int)NEED(epoll_create1(0));
    tcp_pair(ends);
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    CALL("nothing", epoll_wait(epoll, &got, 1, 0));
    NEED(write(ends[1], "ab", 2));
    CALL("data", epoll_wait(epoll, &got, 1, 5000));
    CALL("once", epoll_wait(epoll, &got, 1, 0));
    NEED(read(ends[0], text, 1));
    CALL("rest_is_no_edge", epoll_wait(epoll, &got, 1, 0));
    NEED(write(ends[1], "c", 1));
    CALL("more", epoll_wait(epoll, &got, 1, 5000));
    NEED(shutdown(ends[1], SHUT_WR));
    CALL("end", epoll_wait(epoll, &got, 1, 5000));
    observe_hex("events", got.events);
}
ALSO(epoll_wait_inet_edge, "epoll_ctl epoll_create1");

CASE(epoll_wait_inet_listener, NEEDS_SOCKETS)
{
    struct epoll_event event = {EPOLLIN | EPOLLET, {0}}, got;
    int epoll = (int)NEED(epoll_create1(0)), listener = listening();
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event));
    connected_to(listener);
    CALL("first", epoll_wait(epoll, &got, 1, 5000));
    CALL("once", epoll_wait(epoll, &got, 1, 0));
    connected_to(listener);
    CALL("second", epoll_wait(epoll, &got, 1, 5000));
    CALL("accept", accept(listener, NULL, NULL) >= 0);
    CALL("accept", accept(listener, NULL, NULL) >= 0);
}

CASE(epoll_wait_inet_output_edge, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    struct epoll_event event = {EPOLLOUT | EPOLLET, {0}}, got;
    int epoll = (int)NEED(epoll_create1(0));
    tcp_pair(ends);
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    CALL("at_once", epoll_wait(epoll, &got, 1, 0));
    CALL("once", epoll_wait(epoll, &got, 1, 0));
    NEED(write(ends[0], "x", 1));
    NEED(read(ends[1], &byte, 1));
    sleep_ms(60);
    CALL("no_edge", epoll_wait(epoll, &got, 1, 0));
}

CASE(ioctl_inet_counts, NEEDS_SOCKETS)
{
    int ends[2], count = -1;
    tcp_pair(ends);
    NEED(write(ends[0], "12345", 5));
    wait_for_bytes(ends[1], 5);
    CALL("readable", ioctl(ends[1], FIONREAD, &count));
    observe_number("count", count);
    CALL("none", ioctl(ends[0], FIONREAD, &count));
    observe_number("count", count);
    count = 1;
    CALL("nonblock", ioctl(ends[0], FIONBIO, &count));
    IS("is", fcntl(ends[0], F_GETFL) & O_NONBLOCK);
}
ALSO(ioctl_inet_counts, "fcntl");

CASE(recvmsg_inet_stream, NEEDS_SOCKETS)
{
    int ends[2];
    char one[4] = "", two[8] = "";
    struct iovec out[2] = {{"abc", 3}, {"defgh", 5}}, in[2] = {{one, 3}, {two, 8}};
    struct sockaddr_in from;
    struct msghdr message = {.msg_iov = out, .msg_iovlen = 2};
    tcp_pair(ends);
    CALL("sendmsg", sendmsg(ends[0], &message, 0));
    wait_for_bytes(ends[1], 8);
    message = (struct msghdr){.msg_iov = in, .msg_iovlen = 2, .msg_name = &from, .msg_namelen = sizeof from};
    CALL("recvmsg", recvmsg(ends[1], &message, 0));
    observe_text("one", one);
    observe_text("two", two);
    observe_number("name", message.msg_namelen);
    observe_hex("flags", (unsigned long)message.msg_flags);
}
ALSO(recvmsg_inet_stream, "sendmsg");

CASE(sendfile_inet, NEEDS_SOCKETS)
{
    int ends[2];
    char text[32] = "";
    off_t offset = 2;
    tcp_pair(ends);
    put_file("file", "0123456789");
    int file = (int)NEED(open("file", O_RDONLY));
    CALL("sendfile", sendfile(ends[0], file, &offset, 5));
    observe_number("offset", offset);
    CALL("rest", sendfile(ends[0], file, NULL, 100));
    wait_for_bytes(ends[1], 15);
    CALL("read", read(ends[1], text, 32));
    observe_text("text", text);
}

CASE(splice_inet, NEEDS_SOCKETS)
{
    int ends[2], pipes[2];
    char text[16] = "";
    tcp_pair(ends);
    NEED(pipe(pipes));
    NEED(write(pipes[1], "through", 7));
    CALL("in", splice(pipes[0], NULL, ends[0], NULL, 7, 0));
    wait_for_bytes(ends[1], 7);
    CALL("out", splice(ends[1], NULL, pipes[1], NULL, 16, 0));
    CALL("read", read(pipes[0], text, 16));
    observe_text("text", text);
}

CASE(recv_inet_timeout, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    struct timeval time = {0, 30000};
    tcp_pair(ends);
    NEED(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    long long start = now_ns();
    CALL("recv", recv(ends[0], &byte, 1, 0));
    IS("waited", elapsed_ms(start) >= 25);
}
ALSO(recv_inet_timeout, "setsockopt");

static void ignore(int signal)
{
    (void)signal;
}

CASE(read_inet_interrupted, NEEDS_SOCKETS | NEEDS_SIGNALS)
{
    int ends[2];
    char byte;
    tcp_pair(ends);
    handle(SIGUSR1, ignore, 0);
    interrupt_often(SIGUSR1);
    CALL("read", read(ends[0], &byte, 1));
    interrupt_never();
}

CASE(fork_inet_shared, NEEDS_SOCKETS | NEEDS_FORK)
{
    int ends[2];
    char text[8] = "";
    tcp_pair(ends);
    CHILD(child)
    {
        close(ends[0]);
        write(ends[1], "child", 5);
    }
    NEED(close(ends[1]));
    wait_for_bytes(ends[0], 5);
    CALL("read", read(ends[0], text, 8));
    observe_text("text", text);
    CALL("end", read(ends[0], text, 8));
    await(child);
}
ALSO(fork_inet_shared, "close read");

CASE(send_inet_urgent, NEEDS_SOCKETS)
{
    int ends[2];
    char text[8] = "";
    tcp_pair(ends);
    CALL("send", send(ends[0], "abX", 3, MSG_OOB));
    IS("priority", polled(ends[1], POLLPRI, 5000) & POLLPRI);
    CALL("urgent", recv(ends[1], text, 1, MSG_OOB));
    observe_bytes("is", text, 1);
    CALL("twice", recv(ends[1], text, 1, MSG_OOB));
    CALL("rest", recv(ends[1], text, 8, 0));
    CALL("none", recv(ends[0], text, 1, MSG_OOB));
}
ALSO(send_inet_urgent, "recv poll");
