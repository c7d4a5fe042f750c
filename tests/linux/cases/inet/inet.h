/* What the cases of this family share: addresses of the loopback interface, connected pairs. */
#pragma once
#include "suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The loopback address with a port in host order. */
static inline struct sockaddr_in local(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline struct sockaddr_in6 local6(int port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    address.sin6_addr = in6addr_loopback;
    return address;
}

static inline int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    NEED(getsockname(fd, (void *)&address, &length));
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

/* A bound socket of this kind on any port of the loopback interface. */
static inline int bound(int kind)
{
    struct sockaddr_in address = local(0);
    int fd = (int)NEED(socket(AF_INET, kind, 0));
    NEED(bind(fd, (void *)&address, sizeof address));
    return fd;
}

static inline int listening(void)
{
    int fd = bound(SOCK_STREAM);
    NEED(listen(fd, 8));
    return fd;
}

static inline int connected_to(int listener)
{
    struct sockaddr_in address = local(port_of(listener));
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    NEED(connect(fd, (void *)&address, sizeof address));
    return fd;
}

/* Both ends of a TCP connection: the client's, the server's. */
static inline void tcp_pair(int ends[2])
{
    int listener = listening();
    ends[0] = connected_to(listener);
    ends[1] = (int)NEED(accept(listener, NULL, NULL));
    NEED(close(listener));
}

/* Two UDP sockets, the first one connected to the second. */
static inline void udp_pair(int ends[2])
{
    ends[0] = bound(SOCK_DGRAM);
    ends[1] = bound(SOCK_DGRAM);
    struct sockaddr_in address = local(port_of(ends[1]));
    NEED(connect(ends[0], (void *)&address, sizeof address));
}

/* What poll says now, or at the latest when one of `wanted` is there. */
static inline int polled(int fd, int wanted, int timeout)
{
    struct pollfd entry = {fd, (short)wanted, 0};
    NEED(poll(&entry, 1, timeout));
    return entry.revents;
}

#define ALL_EVENTS (POLLIN | POLLPRI | POLLOUT | POLLRDHUP)

static inline int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    if (getsockopt(fd, level, name, &value, &length))
        return -errno;
    return value;
}

static inline int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* Waits until this many bytes can be read. */
static inline void wait_for_bytes(int fd, int count)
{
    int there = 0;
    for (;;) {
        NEED(ioctl(fd, FIONREAD, &there));
        if (there >= count)
            return;
        sleep_ms(1);
    }
}
