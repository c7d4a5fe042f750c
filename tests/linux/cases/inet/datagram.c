/* UDP. */
#include "inet.h"

CASE(sendto_inet_datagram, NEEDS_SOCKETS)
{
    int one = bound(SOCK_DGRAM), two = bound(SOCK_DGRAM);
    struct sockaddr_in to = local(port_of(two)), from = {0};
    socklen_t length = sizeof from;
    char text[16] = "";
    CALL("send", sendto(one, "hello", 5, 0, (void *)&to, sizeof to));
    CALL("recv", recvfrom(two, text, 16, 0, (void *)&from, &length));
    observe_text("text", text);
    IS("from", from.sin_port == htons((uint16_t)port_of(one)));
    observe_number("length", length);
    CALL("no_destination", send(one, "x", 1, 0));
    to.sin_port = 0;
    CALL("port_0", sendto(one, "x", 1, 0, (void *)&to, sizeof to));
    to = local(port_of(two));
    CALL("short", sendto(one, "x", 1, 0, (void *)&to, 8));
    to.sin_family = AF_INET6;
    CALL("family", sendto(one, "x", 1, 0, (void *)&to, sizeof to));
}
ALSO(sendto_inet_datagram, "recvfrom send");

CASE(recvfrom_inet_cut, NEEDS_SOCKETS)
{
    int ends[2];
    char text[16] = "";
    struct iovec part = {text, 3};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    udp_pair(ends);
    for (int i = 0; i < 4; i++)
        NEED(send(ends[0], "abcdef", 6, 0));
    CALL("cut", recv(ends[1], text, 3, 0));
    CALL("real", recv(ends[1], text, 3, MSG_TRUNC));
    CALL("peek", recv(ends[1], text, 2, MSG_PEEK | MSG_TRUNC));
    CALL("message", recvmsg(ends[1], &message, 0));
    observe_hex("flags", (unsigned long)message.msg_flags);
    CALL("whole", recv(ends[1], text, 16, 0));
    CALL("none", recv(ends[1], text, 16, MSG_DONTWAIT));
}
ALSO(recvfrom_inet_cut, "recvmsg");

CASE(send_inet_empty_datagram, NEEDS_SOCKETS)
{
    int ends[2], count = -1;
    char byte;
    udp_pair(ends);
    CALL("send", send(ends[0], "", 0, 0));
    observe_hex("ready", (unsigned long)polled(ends[1], ALL_EVENTS, 5000));
    CALL("count", ioctl(ends[1], FIONREAD, &count));
    observe_number("is", count);
    CALL("recv", recv(ends[1], &byte, 1, 0));
    observe_hex("then", (unsigned long)polled(ends[1], ALL_EVENTS, 0));
}
ALSO(send_inet_empty_datagram, "poll recv");

CASE(send_inet_large_datagram, NEEDS_SOCKETS)
{
    int ends[2];
    static char out[65536], in[65536];
    udp_pair(ends);
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 7 + i / 256);
    CALL("largest", send(ends[0], out, 65507, 0));
    CALL("recv", recv(ends[1], in, sizeof in, 0));
    IS("same", memcmp(in, out, 65507) == 0);
    CALL("too_large", send(ends[0], out, 65508, 0));
    CALL("far_too_large", send(ends[0], out, 65536, 0));
}
ALSO(send_inet_large_datagram, "recv");

CASE(connect_inet_datagram, NEEDS_SOCKETS)
{
    int ends[2], third = bound(SOCK_DGRAM);
    struct sockaddr_in to, peer;
    socklen_t length = sizeof peer;
    char text[8];
    udp_pair(ends);
    to = local(port_of(ends[0]));
    CALL("peer", getpeername(ends[0], (void *)&peer, &length));
    IS("port", peer.sin_port == htons((uint16_t)port_of(ends[1])));
    NEED(sendto(third, "stranger", 8, 0, (void *)&to, sizeof to));
    CALL("stranger", recv(ends[0], text, 8, MSG_DONTWAIT));
    NEED(sendto(ends[1], "peer", 4, 0, (void *)&to, sizeof to));
    CALL("known", recv(ends[0], text, 8, 0));
}
ALSO(connect_inet_datagram, "getpeername sendto recv");

CASE(send_inet_datagram_refused, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    udp_pair(ends);
    NEED(close(ends[1]));
    CALL("send", send(ends[0], "x", 1, 0));
    observe_hex("ready", (unsigned long)polled(ends[0], ALL_EVENTS, 5000));
    CALL("recv", recv(ends[0], &byte, 1, MSG_DONTWAIT));
    CALL("then", recv(ends[0], &byte, 1, MSG_DONTWAIT));
    CALL("send", send(ends[0], "x", 1, 0));
    polled(ends[0], 0, 5000);
    observe_number("error", option(ends[0], SOL_SOCKET, SO_ERROR));
}
ALSO(send_inet_datagram_refused, "recv poll getsockopt");

CASE(sendmmsg_inet, NEEDS_SOCKETS)
{
    int ends[2];
    char in[3][4] = {"", "", ""};
    struct iovec out_parts[3] = {{"a", 1}, {"bc", 2}, {"def", 3}}, in_parts[3];
    struct mmsghdr messages[3];
    struct sockaddr_in from[3];
    udp_pair(ends);
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < 3; i++) {
        messages[i].msg_hdr.msg_iov = &out_parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    CALL("send", sendmmsg(ends[0], messages, 3, 0));
    for (int i = 0; i < 3; i++) {
        in_parts[i] = (struct iovec){in[i], 4};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &in_parts[i], .msg_iovlen = 1, .msg_name = &from[i], .msg_namelen = sizeof from[i]};
    }
    CALL("recv", recvmmsg(ends[1], messages, 3, MSG_WAITFORONE, NULL));
    observe_number("third", messages[2].msg_len);
    observe_bytes("text", in[2], 3);
    observe_number("name", messages[1].msg_hdr.msg_namelen);
}
ALSO(sendmmsg_inet, "recvmmsg");

CASE(recvmsg_inet_packet_info, NEEDS_SOCKETS)
{
    int ends[2], ttl = 0;
    char byte, control[128];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    udp_pair(ends);
    CALL("info", set_option(ends[1], IPPROTO_IP, IP_PKTINFO, 1));
    CALL("ttl", set_option(ends[1], IPPROTO_IP, IP_RECVTTL, 1));
    NEED(set_option(ends[0], IPPROTO_IP, IP_TTL, 33));
    NEED(send(ends[0], "x", 1, 0));
    NEED(recvmsg(ends[1], &message, 0));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
            observe_text("to", inet_ntoa(((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr));
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
            memcpy(&ttl, CMSG_DATA(c), sizeof ttl);
            observe_number("hops", ttl);
        }
    }
    observe_hex("flags", (unsigned long)message.msg_flags);
}
ALSO(recvmsg_inet_packet_info, "setsockopt");

CASE(shutdown_inet_datagram, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    signal(SIGPIPE, SIG_IGN);
    udp_pair(ends);
    CALL("unconnected", shutdown(ends[1], SHUT_RD));
    CALL("write", shutdown(ends[0], SHUT_WR));
    CALL("send", send(ends[0], "x", 1, MSG_NOSIGNAL));
    CALL("read", shutdown(ends[0], SHUT_RD));
    CALL("recv", recv(ends[0], &byte, 1, 0));
}
ALSO(shutdown_inet_datagram, "send recv");

CASE(sendto_inet6_datagram, NEEDS_SOCKETS)
{
    struct sockaddr_in6 address = local6(0), from;
    socklen_t length = sizeof from;
    char text[INET6_ADDRSTRLEN] = "";
    int one = (int)NEED(socket(AF_INET6, SOCK_DGRAM, 0)), two = (int)NEED(socket(AF_INET6, SOCK_DGRAM, 0));
    NEED(bind(two, (void *)&address, sizeof address));
    address = local6(port_of(two));
    CALL("send", sendto(one, "six", 3, 0, (void *)&address, sizeof address));
    CALL("recv", recvfrom(two, text, 8, 0, (void *)&from, &length));
    observe_number("length", length);
    observe_text("from", inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text));
}
ALSO(sendto_inet6_datagram, "recvfrom");

CASE(epoll_wait_inet_datagram, NEEDS_SOCKETS)
{
    int ends[2];
    char byte;
    struct epoll_event event = {EPOLLIN | EPOLLET, {0}}, got;
    int epoll = (int)NEED(epoll_create1(0));
    udp_pair(ends);
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[1], &event));
    NEED(send(ends[0], "a", 1, 0));
    CALL("first", epoll_wait(epoll, &got, 1, 5000));
    CALL("once", epoll_wait(epoll, &got, 1, 0));
    NEED(send(ends[0], "b", 1, 0));
    CALL("second", epoll_wait(epoll, &got, 1, 5000));
    CALL("recv", recv(ends[1], &byte, 1, 0));
    CALL("recv", recv(ends[1], &byte, 1, 0));
    CALL("nothing", epoll_wait(epoll, &got, 1, 0));
}

CASE(setsockopt_inet_multicast, NEEDS_SOCKETS)
{
    int fd = bound(SOCK_DGRAM);
    observe_number("ttl", option(fd, IPPROTO_IP, IP_MULTICAST_TTL));
    observe_number("loop", option(fd, IPPROTO_IP, IP_MULTICAST_LOOP));
    CALL("set", set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, 4));
    observe_number("ttl", option(fd, IPPROTO_IP, IP_MULTICAST_TTL));
    CALL("too_many", set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, 300));
    struct ip_mreq group = {{htonl(0xe0000105)}, {htonl(INADDR_LOOPBACK)}};
    CALL("join", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
    CALL("twice", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
    CALL("leave", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
    CALL("again", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
    group.imr_multiaddr.s_addr = htonl(INADDR_LOOPBACK);
    CALL("no_group", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
}
ALSO(setsockopt_inet_multicast, "getsockopt");
