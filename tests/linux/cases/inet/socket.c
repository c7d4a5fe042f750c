/* Internet sockets: making, naming, connecting. */
#include "inet.h"

CASE(socket_inet_kinds, NEEDS_SOCKETS)
{
    CALL("tcp", socket(AF_INET, SOCK_STREAM, 0) >= 0);
    CALL("tcp6", socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) >= 0);
    CALL("udp", socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) >= 0);
    CALL("udp_stream", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    CALL("tcp_datagram", socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    CALL("no_protocol", socket(AF_INET, SOCK_RAW, 0));
    CALL("high_protocol", socket(AF_INET, SOCK_STREAM, 300));
    CALL("packets", socket(AF_INET, SOCK_SEQPACKET, 0));
    CALL("kind", socket(AF_INET, 9, 0));
    CALL("pair", socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0, 0}));
}
ALSO(socket_inet_kinds, "socketpair");

CASE(socket_inet_identity, NEEDS_SOCKETS)
{
    int tcp = (int)NEED(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
    int udp = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    observe_number("tcp_type", option(tcp, SOL_SOCKET, SO_TYPE));
    observe_number("tcp_domain", option(tcp, SOL_SOCKET, SO_DOMAIN));
    observe_number("tcp_protocol", option(tcp, SOL_SOCKET, SO_PROTOCOL));
    observe_number("udp_type", option(udp, SOL_SOCKET, SO_TYPE));
    observe_number("udp_protocol", option(udp, SOL_SOCKET, SO_PROTOCOL));
    IS("nonblock", fcntl(tcp, F_GETFL) & O_NONBLOCK);
}
ALSO(socket_inet_identity, "getsockopt");

CASE(bind_inet_addresses, NEEDS_SOCKETS)
{
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in address = local(0), other = local(0);
    CALL("short", bind(fd, (void *)&address, 15));
    address.sin_family = AF_INET6;
    CALL("family", bind(fd, (void *)&address, sizeof address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(0xc0000201);
    CALL("foreign", bind(fd, (void *)&address, sizeof address));
    address = local(0);
    CALL("first", bind(fd, (void *)&address, sizeof address));
    CALL("second", bind(fd, (void *)&other, sizeof other));
    IS("port", port_of(fd) >= 1024);
}

CASE(bind_inet_unspecified_family, NEEDS_SOCKETS)
{
    int fd = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in address = {.sin_family = AF_UNSPEC};
    CALL("any", bind(fd, (void *)&address, sizeof address));
    fd = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CALL("loopback", bind(fd, (void *)&address, sizeof address));
}

CASE(bind_inet_in_use, NEEDS_SOCKETS)
{
    int first = bound(SOCK_STREAM);
    struct sockaddr_in address = local(port_of(first));
    int second = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    CALL("taken", bind(second, (void *)&address, sizeof address));
    set_option(first, SOL_SOCKET, SO_REUSEADDR, 1);
    CALL("one_allows", bind(second, (void *)&address, sizeof address));
    set_option(second, SOL_SOCKET, SO_REUSEADDR, 1);
    CALL("both_allow", bind(second, (void *)&address, sizeof address));
    CALL("listen", listen(first, 1));
    CALL("listen_too", listen(second, 1));
}
ALSO(bind_inet_in_use, "listen");

CASE(bind_inet_reuse_port, NEEDS_SOCKETS)
{
    int first = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    int second = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in address = local(0);
    set_option(first, SOL_SOCKET, SO_REUSEPORT, 1);
    set_option(second, SOL_SOCKET, SO_REUSEPORT, 1);
    NEED(bind(first, (void *)&address, sizeof address));
    address = local(port_of(first));
    CALL("second", bind(second, (void *)&address, sizeof address));
    CALL("listen", listen(first, 1));
    CALL("listen_too", listen(second, 1));
}
ALSO(bind_inet_reuse_port, "listen");

CASE(bind_inet6_only, NEEDS_SOCKETS)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    int six = (int)NEED(socket(AF_INET6, SOCK_STREAM, 0));
    int four = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    observe_number("at_first", option(six, IPPROTO_IPV6, IPV6_V6ONLY));
    NEED(set_option(six, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    NEED(bind(six, (void *)&any, sizeof any));
    CALL("late", set_option(six, IPPROTO_IPV6, IPV6_V6ONLY, 0));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(six))};
    CALL("beside", bind(four, (void *)&address, sizeof address));
}

CASE(connect_inet_refused, NEEDS_SOCKETS)
{
    int once = bound(SOCK_STREAM);
    struct sockaddr_in address = local(port_of(once));
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    CALL("connect", connect(fd, (void *)&address, sizeof address));
    observe_number("error", option(fd, SOL_SOCKET, SO_ERROR));
    CALL("again", connect(fd, (void *)&address, sizeof address));
    NEED(listen(once, 1));
    CALL("then", connect(fd, (void *)&address, sizeof address));
}

CASE(connect_inet_nonblocking, NEEDS_SOCKETS)
{
    int listener = listening();
    struct sockaddr_in address = local(port_of(listener));
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CALL("connect", connect(fd, (void *)&address, sizeof address));
    observe_hex("ready", (unsigned long)polled(fd, POLLOUT, 5000));
    observe_number("error", option(fd, SOL_SOCKET, SO_ERROR));
    CALL("done", connect(fd, (void *)&address, sizeof address));
    CALL("connected", connect(fd, (void *)&address, sizeof address));
}
ALSO(connect_inet_nonblocking, "poll getsockopt");

CASE(connect_inet_nonblocking_refused, NEEDS_SOCKETS)
{
    int once = bound(SOCK_STREAM);
    struct sockaddr_in address = local(port_of(once));
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CALL("connect", connect(fd, (void *)&address, sizeof address));
    observe_hex("ready", (unsigned long)polled(fd, ALL_EVENTS, 5000));
    observe_number("error", option(fd, SOL_SOCKET, SO_ERROR));
    observe_number("told", option(fd, SOL_SOCKET, SO_ERROR));
}
ALSO(connect_inet_nonblocking_refused, "poll getsockopt");

CASE(connect_inet_addresses, NEEDS_SOCKETS)
{
    int listener = listening();
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in address = local(port_of(listener));
    CALL("short", connect(fd, (void *)&address, 8));
    address.sin_family = AF_INET6;
    CALL("family", connect(fd, (void *)&address, sizeof address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    CALL("any", connect(fd, (void *)&address, sizeof address));
    CALL("listener", connect(listener, (void *)&address, sizeof address));
    CALL("bad", RAW(SYS_connect, fd, BAD_POINTER, 16));
}

CASE(connect_inet_dissolve, NEEDS_SOCKETS)
{
    int ends[2];
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    char byte;
    tcp_pair(ends);
    CALL("dissolve", connect(ends[0], &none, sizeof none));
    CALL("peer", getpeername(ends[0], &none, &(socklen_t){sizeof none}));
    CALL("other", read(ends[1], &byte, 1));
    udp_pair(ends);
    CALL("udp", connect(ends[0], &none, sizeof none));
    CALL("send", send(ends[0], "x", 1, 0));
}
ALSO(connect_inet_dissolve, "getpeername read send");

CASE(accept_inet_names, NEEDS_SOCKETS)
{
    int listener = listening();
    int client = connected_to(listener);
    struct sockaddr_in peer = {0}, own = {0};
    socklen_t length = sizeof peer;
    int server = (int)NEED(accept(listener, (void *)&peer, &length));
    observe_number("length", length);
    IS("peer", peer.sin_port == htons((uint16_t)port_of(client)));
    observe_text("address", inet_ntoa(peer.sin_addr));
    length = sizeof own;
    NEED(getsockname(server, (void *)&own, &length));
    IS("own", own.sin_port == htons((uint16_t)port_of(listener)));
    length = 4;
    CALL("cut", getpeername(client, (void *)&own, &length));
    observe_number("full", length);
    CALL("negative", getpeername(client, (void *)&own, &(socklen_t){(socklen_t)-1}));
}
ALSO(accept_inet_names, "getpeername getsockname");

CASE(accept_inet_mapped, NEEDS_SOCKETS)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6}, peer;
    socklen_t length = sizeof peer;
    char text[INET6_ADDRSTRLEN];
    int listener = (int)NEED(socket(AF_INET6, SOCK_STREAM, 0));
    NEED(bind(listener, (void *)&any, sizeof any));
    NEED(listen(listener, 1));
    int client = connected_to(listener);
    int server = (int)NEED(accept(listener, (void *)&peer, &length));
    observe_number("length", length);
    observe_text("peer", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    length = sizeof peer;
    NEED(getsockname(server, (void *)&peer, &length));
    observe_text("own", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    CALL("pass", write(client, "hi", 2));
    CALL("read", read(server, text, 8));
}

CASE(accept_inet6, NEEDS_SOCKETS)
{
    struct sockaddr_in6 address = local6(0), peer;
    socklen_t length = sizeof peer;
    char text[INET6_ADDRSTRLEN];
    int listener = (int)NEED(socket(AF_INET6, SOCK_STREAM, 0));
    NEED(bind(listener, (void *)&address, sizeof address));
    NEED(listen(listener, 1));
    address = local6(port_of(listener));
    int client = (int)NEED(socket(AF_INET6, SOCK_STREAM, 0));
    CALL("connect", connect(client, (void *)&address, sizeof address));
    int server = (int)NEED(accept(listener, (void *)&peer, &length));
    observe_text("peer", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    CALL("pass", write(server, "hello", 5));
    CALL("read", read(client, text, 8));
}

CASE(accept_inet_flags, NEEDS_SOCKETS)
{
    int listener = listening();
    connected_to(listener);
    connected_to(listener);
    CALL("bad", accept4(listener, NULL, NULL, 1));
    int one = (int)NEED(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    int two = (int)NEED(accept(listener, NULL, NULL));
    IS("nonblock", fcntl(one, F_GETFL) & O_NONBLOCK);
    IS("cloexec", fcntl(one, F_GETFD) & FD_CLOEXEC);
    IS("plain", fcntl(two, F_GETFL) & O_NONBLOCK);
    NEED(fcntl(listener, F_SETFL, O_NONBLOCK));
    CALL("empty", accept(listener, NULL, NULL));
}
ALSO(accept_inet_flags, "accept4");

CASE(accept_inet_not_listening, NEEDS_SOCKETS)
{
    int ends[2];
    CALL("fresh", accept((int)NEED(socket(AF_INET, SOCK_STREAM, 0)), NULL, NULL));
    CALL("udp", accept(bound(SOCK_DGRAM), NULL, NULL));
    tcp_pair(ends);
    CALL("connected", accept(ends[0], NULL, NULL));
    CALL("listen", listen(ends[0], 1));
    CALL("listen_udp", listen(bound(SOCK_DGRAM), 1));
}
ALSO(accept_inet_not_listening, "listen");

CASE(listen_inet_unbound, NEEDS_SOCKETS)
{
    int listener = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    CALL("listen", listen(listener, 0));
    CALL("again", listen(listener, 5));
    IS("port", port_of(listener) != 0);
    observe_number("accepts", option(listener, SOL_SOCKET, SO_ACCEPTCONN));
    int client = connected_to(listener);
    CALL("accept", accept(listener, NULL, NULL) >= 0);
    observe_number("client", option(client, SOL_SOCKET, SO_ACCEPTCONN));
}

CASE(listen_inet_closed, NEEDS_SOCKETS)
{
    int listener = listening();
    int client = connected_to(listener);
    char byte;
    NEED(close(listener));
    observe_hex("ready", (unsigned long)polled(client, POLLIN, 5000));
    CALL("read", read(client, &byte, 1));
    CALL("again", read(client, &byte, 1));
}
ALSO(listen_inet_closed, "close poll read");

CASE(shutdown_inet_listener, NEEDS_SOCKETS)
{
    int listener = listening();
    CALL("shutdown", shutdown(listener, SHUT_RD));
    CALL("accept", accept(listener, NULL, NULL));
    observe_hex("ready", (unsigned long)polled(listener, ALL_EVENTS, 0));
}
ALSO(shutdown_inet_listener, "accept poll");

CASE(getsockname_inet_fresh, NEEDS_SOCKETS)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    CALL("own", getsockname(fd, (void *)&address, &length));
    observe_number("length", length);
    observe_number("port", address.sin_port);
    observe_text("address", inet_ntoa(address.sin_addr));
    CALL("peer", getpeername(fd, (void *)&address, &length));
    int udp = bound(SOCK_DGRAM);
    CALL("udp_peer", getpeername(udp, (void *)&address, &length));
}
ALSO(getsockname_inet_fresh, "getpeername");
