/* The floor: what delivering an event costs with nothing but send().
 *
 * Accepts streams, answers each request with an event stream's header, and on the line
 * "publish RATE SECONDS" from stdin sends RATE events a second (0: flat out) to every stream, one
 * blocking send() each. Then prints {"published": how many, "newest": the last one's number}.
 *
 * Arguments: the text of an event before and after its marker (see load_client.c).
 * Prints its port first.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int *streams, count;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void publish(const char *before, const char *after, double rate, double seconds) {
    static long seq;
    long published = 0;
    uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9);
    for (;;) {
        if (rate > 0) {
            uint64_t due = start + (uint64_t)((double)published * 1e9 / rate);
            struct timespec t = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
            if (due >= end) break;
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        }
        uint64_t at = now();
        if (at >= end) break;
        char event[4096];
        seq++;
        published++;
        int n = snprintf(event, sizeof event, "event: update\ndata: %s@%ld.%lu@%s\nid: 1795279177639-%ld\n\n",
                         before, seq, at, after, seq);
        for (int i = 0; i < count; i++)
            if (send(streams[i], event, (size_t)n, MSG_NOSIGNAL) < 0) perror("send");
    }
    printf("{\"published\": %ld, \"newest\": %ld}\n", published, seq);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    streams = calloc(files.rlim_max, sizeof *streams);

    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) {
        perror("listen");
        return 1;
    }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    e.data.fd = 0;
    epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &e);

    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
        "Cache-Control: no-store, no-transform\r\n\r\nretry: 2000\n\n";
    for (;;) {
        int n = epoll_wait(epoll, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            char buffer[4096];
            if (fd == listener) {
                e.data.fd = accept(listener, NULL, NULL);
                setsockopt(e.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e);
            } else if (fd == 0) {
                double rate, seconds;
                ssize_t got = read(0, buffer, sizeof buffer - 1);
                if (got <= 0) return 0;
                buffer[got] = 0;
                if (sscanf(buffer, "publish %lf %lf", &rate, &seconds) == 2)
                    publish(argv[1], argv[2], rate, seconds);
            } else if (read(fd, buffer, sizeof buffer) > 0) { /* the request, in one piece */
                send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
                streams[count++] = fd;
                epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
            } else {
                close(fd);
            }
        }
    }
}
