/* Options of internet sockets, and what they tell about interfaces. */
#include "inet.h"

#include <net/if.h>

CASE(getsockopt_inet_tcp_defaults, NEEDS_SOCKETS)
{
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    observe_number("nodelay", option(fd, IPPROTO_TCP, TCP_NODELAY));
    observe_number("cork", option(fd, IPPROTO_TCP, TCP_CORK));
    observe_number("keepidle", option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
    observe_number("keepintvl", option(fd, IPPROTO_TCP, TCP_KEEPINTVL));
    observe_number("keepcnt", option(fd, IPPROTO_TCP, TCP_KEEPCNT));
    observe_number("syncnt", option(fd, IPPROTO_TCP, TCP_SYNCNT));
    observe_number("linger2", option(fd, IPPROTO_TCP, TCP_LINGER2));
    observe_number("timeout", option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
    observe_number("defer", option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT));
    observe_number("maxseg", option(fd, IPPROTO_TCP, TCP_MAXSEG));
    observe_number("unknown", option(fd, IPPROTO_TCP, 9999));
    observe_number("level", option(fd, 250, 1));
}

CASE(setsockopt_inet_tcp, NEEDS_SOCKETS)
{
    static const struct { int name, value; } settings[] = {
        {TCP_NODELAY, 7}, {TCP_CORK, 1}, {TCP_KEEPIDLE, 5}, {TCP_KEEPINTVL, 2}, {TCP_KEEPCNT, 3},
        {TCP_SYNCNT, 2}, {TCP_USER_TIMEOUT, 1500}, {TCP_LINGER2, 10},
    };
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    for (size_t i = 0; i < COUNT(settings); i++) {
        CALL("set", set_option(fd, IPPROTO_TCP, settings[i].name, settings[i].value));
        observe_number("is", option(fd, IPPROTO_TCP, settings[i].name));
    }
    CALL("keepidle_0", set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0));
    CALL("keepcnt_200", set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 200));
    CALL("syncnt_0", set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 0));
    CALL("negative", set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1));
    CALL("short", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, "", 1));
    CALL("unknown", set_option(fd, IPPROTO_TCP, 9999, 1));
}
ALSO(setsockopt_inet_tcp, "getsockopt");

CASE(setsockopt_inet_inherited, NEEDS_SOCKETS)
{
    int listener = listening();
    NEED(set_option(listener, IPPROTO_TCP, TCP_NODELAY, 1));
    NEED(set_option(listener, SOL_SOCKET, SO_KEEPALIVE, 1));
    NEED(set_option(listener, IPPROTO_TCP, TCP_KEEPIDLE, 77));
    connected_to(listener);
    int server = (int)NEED(accept(listener, NULL, NULL));
    observe_number("nodelay", option(server, IPPROTO_TCP, TCP_NODELAY));
    observe_number("keepalive", option(server, SOL_SOCKET, SO_KEEPALIVE));
    observe_number("keepidle", option(server, IPPROTO_TCP, TCP_KEEPIDLE));
    observe_number("reuse", option(server, SOL_SOCKET, SO_REUSEADDR));
}
ALSO(setsockopt_inet_inherited, "getsockopt accept");

CASE(getsockopt_inet_congestion, NEEDS_SOCKETS)
{
    char name[16] = "";
    socklen_t length = sizeof name;
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    CALL("reno", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    CALL("get", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length));
    observe_text("name", name);
    observe_number("length", length);
    CALL("none", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
}
ALSO(getsockopt_inet_congestion, "setsockopt");

CASE(getsockopt_inet_tcp_info, NEEDS_SOCKETS)
{
    int ends[2];
    struct tcp_info info;
    socklen_t length = sizeof info;
    tcp_pair(ends);
    CALL("info", getsockopt(ends[0], IPPROTO_TCP, TCP_INFO, &info, &length));
    observe_number("state", info.tcpi_state);
    NEED(shutdown(ends[1], SHUT_WR));
    polled(ends[0], POLLRDHUP, 5000);
    length = sizeof info;
    NEED(getsockopt(ends[0], IPPROTO_TCP, TCP_INFO, &info, &length));
    observe_number("peer_closed", info.tcpi_state);
    length = sizeof info;
    NEED(getsockopt(listening(), IPPROTO_TCP, TCP_INFO, &info, &length));
    observe_number("listener", info.tcpi_state);
    length = 2;
    CALL("cut", getsockopt(ends[0], IPPROTO_TCP, TCP_INFO, &info, &length));
    observe_number("length", length);
}

CASE(getsockopt_inet_buffers, NEEDS_SOCKETS)
{
    int tcp = (int)NEED(socket(AF_INET, SOCK_STREAM, 0)), udp = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    CALL("set", set_option(tcp, SOL_SOCKET, SO_RCVBUF, 20000));
    observe_number("is", option(tcp, SOL_SOCKET, SO_RCVBUF));
    CALL("set", set_option(udp, SOL_SOCKET, SO_SNDBUF, 30000));
    observe_number("is", option(udp, SOL_SOCKET, SO_SNDBUF));
    CALL("least", set_option(udp, SOL_SOCKET, SO_RCVBUF, 1));
    observe_number("is", option(udp, SOL_SOCKET, SO_RCVBUF));
}
ALSO(getsockopt_inet_buffers, "setsockopt");

CASE(getsockopt_inet_ip, NEEDS_SOCKETS)
{
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    observe_number("tos", option(fd, IPPROTO_IP, IP_TOS));
    observe_number("ttl", option(fd, IPPROTO_IP, IP_TTL));
    CALL("set_tos", set_option(fd, IPPROTO_IP, IP_TOS, 0x10));
    observe_number("tos", option(fd, IPPROTO_IP, IP_TOS));
    CALL("set_ttl", set_option(fd, IPPROTO_IP, IP_TTL, 7));
    observe_number("ttl", option(fd, IPPROTO_IP, IP_TTL));
    CALL("ttl_0", set_option(fd, IPPROTO_IP, IP_TTL, 0));
    CALL("ttl_256", set_option(fd, IPPROTO_IP, IP_TTL, 256));
    CALL("default", set_option(fd, IPPROTO_IP, IP_TTL, -1));
    observe_number("ttl", option(fd, IPPROTO_IP, IP_TTL));
    observe_number("six", option(fd, IPPROTO_IPV6, IPV6_V6ONLY));
    CALL("byte", setsockopt(fd, IPPROTO_IP, IP_TOS, "\x20", 1));
    observe_number("tos", option(fd, IPPROTO_IP, IP_TOS));
}
ALSO(getsockopt_inet_ip, "setsockopt");

CASE(setsockopt_inet_linger, NEEDS_SOCKETS)
{
    struct linger linger = {0, 0};
    socklen_t length = sizeof linger;
    int fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    CALL("get", getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
    observe_number("off", linger.l_onoff);
    linger = (struct linger){1, 5};
    CALL("set", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    linger = (struct linger){0, 0};
    CALL("get", getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
    observe_number("on", linger.l_onoff);
    observe_number("time", linger.l_linger);
}
ALSO(setsockopt_inet_linger, "getsockopt");

CASE(close_inet_linger, NEEDS_SOCKETS)
{
    int ends[2];
    char text[8] = "";
    struct linger linger = {1, 5};
    tcp_pair(ends);
    NEED(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    NEED(write(ends[0], "last", 4));
    CALL("close", close(ends[0]));
    CALL("read", read(ends[1], text, 8));
    CALL("end", read(ends[1], text, 8));
}
ALSO(close_inet_linger, "read");

CASE(setsockopt_inet_device, NEEDS_SOCKETS)
{
    char name[IFNAMSIZ] = "";
    socklen_t length = sizeof name;
    int fd = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    CALL("none", getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length));
    observe_number("length", length);
    CALL("no_such", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nosuch0", 8));
    CALL("loopback", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    length = sizeof name;
    CALL("get", getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length));
    observe_text("name", name);
}
ALSO(setsockopt_inet_device, "getsockopt");

CASE(ioctl_inet_interface, NEEDS_SOCKETS)
{
    struct ifreq request;
    int fd = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    CALL("index", ioctl(fd, SIOCGIFINDEX, &request));
    observe_number("is", request.ifr_ifindex);
    CALL("flags", ioctl(fd, SIOCGIFFLAGS, &request));
    observe_hex("are", (unsigned short)request.ifr_flags);
    CALL("address", ioctl(fd, SIOCGIFADDR, &request));
    observe_text("is", inet_ntoa(((struct sockaddr_in *)&request.ifr_addr)->sin_addr));
    CALL("mask", ioctl(fd, SIOCGIFNETMASK, &request));
    observe_text("is", inet_ntoa(((struct sockaddr_in *)&request.ifr_netmask)->sin_addr));
    CALL("mtu", ioctl(fd, SIOCGIFMTU, &request));
    observe_number("is", request.ifr_mtu);
    CALL("hardware", ioctl(fd, SIOCGIFHWADDR, &request));
    observe_number("is", request.ifr_hwaddr.sa_family);
    request.ifr_ifindex = 1;
    CALL("name", ioctl(fd, SIOCGIFNAME, &request));
    observe_text("is", request.ifr_name);
    strcpy(request.ifr_name, "nosuch0");
    CALL("none", ioctl(fd, SIOCGIFFLAGS, &request));
}

CASE(ioctl_inet_list, NEEDS_SOCKETS)
{
    struct ifreq requests[16];
    struct ifconf list = {.ifc_len = sizeof requests, .ifc_req = requests};
    int fd = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0)), found = 0;
    CALL("list", ioctl(fd, SIOCGIFCONF, &list));
    for (int i = 0; i < list.ifc_len / (int)sizeof *requests; i++)
        found += strcmp(requests[i].ifr_name, "lo") == 0;
    observe_number("loopback", found);
    list = (struct ifconf){.ifc_len = 0, .ifc_req = NULL};
    CALL("size", ioctl(fd, SIOCGIFCONF, &list));
    IS("some", list.ifc_len >= (int)sizeof *requests);
}

CASE(getsockopt_inet_low_water, NEEDS_SOCKETS)
{
    int ends[2];
    tcp_pair(ends);
    observe_number("at_first", option(ends[0], SOL_SOCKET, SO_RCVLOWAT));
    CALL("set", set_option(ends[0], SOL_SOCKET, SO_RCVLOWAT, 4));
    observe_number("is", option(ends[0], SOL_SOCKET, SO_RCVLOWAT));
    NEED(write(ends[1], "abc", 3));
    wait_for_bytes(ends[0], 3);
    IS("too_few", polled(ends[0], POLLIN, 0) & POLLIN);
    NEED(write(ends[1], "d", 1));
    IS("enough", polled(ends[0], POLLIN, 5000) & POLLIN);
}
ALSO(getsockopt_inet_low_water, "setsockopt poll");
