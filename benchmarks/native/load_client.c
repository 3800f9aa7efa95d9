/* The load client: opens many event streams, and counts and times the events that arrive.
 *
 * An event is known by a marker anywhere in its data, "@SEQ.NS@": its sequence number, and when it
 * was published in nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share. From the
 * first come losses and repetitions, from the second latency. Events without one (comments, a
 * board that was never published) are not counted. HTTP's chunks need not be told from the rest: each
 * server here sends an event in one chunk, so that none begins within a marker, and a chunk's size has
 * no "@". "bytes" are those on the wire.
 *
 * It is driven by lines on stdin, and answers with one line of JSON each on stdout:
 *   (start)     after every connection has its response header or has failed
 *   reset       zero the counters
 *   report      the counters since the last reset
 *   pause K     stop reading from the first K connections, which leave the figures for good
 *   resume SEQ  read from them again; answers when each has seen event SEQ, or after 10 s
 *   quit
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MARKER_MAX = 48, BUFFER = 1 << 18, BATCH = 1024, SUB_BUCKETS = 64, BUCKETS = 64 * SUB_BUCKETS };

enum state { CONNECTING, REQUESTED, STREAMING, FAILED, CLOSED };

struct connection {
    int fd;
    enum state state;
    bool paused, excluded, behind;
    uint8_t kept; /* bytes of an unfinished marker */
    char tail[MARKER_MAX];
    int64_t last_seq; /* -1: none yet */
    uint64_t began;   /* when connect() was called */
};

struct histogram {
    uint64_t count[BUCKETS], total, max;
};

static struct {
    uint64_t events, bytes, reads, lost, repeated, first, last;
    struct histogram latency;
    double cpu;
} seen;

static const char *host = "127.0.0.1", *path = "/", *header = "";
static int port, connections = 1, boards = 1, at_once = 256, sources = 16, receive_buffer;
static int64_t from_seq = -1, until_seq = -1;
static struct connection *all;
static int epoll, opened, settled, failed, closed_count, awaiting;
static int64_t newest = -1;
static char first_error[160];
static struct histogram arrival; /* from connect() to until_seq, or to the response header */
static int caught_up;
static uint64_t started, all_caught_up, resumed;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double cpu(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

/* Log-linear buckets, 32 to each power of two: within 3% of the value. */
static void record(struct histogram *h, uint64_t ns) {
    uint64_t v = ns / 1000;
    int shift = v < SUB_BUCKETS ? 0 : 63 - __builtin_clzll(v) - 5;
    uint64_t index = shift == 0 ? v : (uint64_t)shift * (SUB_BUCKETS / 2) + (v >> shift);
    h->count[index < BUCKETS ? index : BUCKETS - 1]++;
    h->total++;
    if (ns > h->max) h->max = ns;
}

static double quantile_us(const struct histogram *h, double q) {
    uint64_t rank = (uint64_t)(q * (double)h->total), sum = 0;
    for (int i = 0; i < BUCKETS; i++) {
        sum += h->count[i];
        if (sum > rank) {
            if (i < SUB_BUCKETS) return i;
            int shift = i / (SUB_BUCKETS / 2) - 1;
            return (double)((uint64_t)(i - shift * (SUB_BUCKETS / 2)) << shift);
        }
    }
    return (double)h->max / 1000;
}

static void print_histogram(const char *name, const struct histogram *h) {
    if (h->total == 0) {
        printf("\"%s\": null", name);
        return;
    }
    printf("\"%s\": {\"p50\": %.0f, \"p90\": %.0f, \"p99\": %.0f, \"p999\": %.0f, \"max\": %.0f}", name,
           quantile_us(h, .5), quantile_us(h, .9), quantile_us(h, .99), quantile_us(h, .999),
           (double)h->max / 1000);
}

static void report(void) {
    int behind = 0, streaming = 0;
    for (int i = 0; i < connections; i++) {
        if (all[i].state == STREAMING) streaming++;
        if (all[i].state == STREAMING && !all[i].excluded && all[i].last_seq < newest) behind++;
    }
    printf("{\"connections\": %d, \"streaming\": %d, \"failed\": %d, \"closed\": %d, ", connections,
           streaming, failed, closed_count);
    printf("\"events\": %lu, \"bytes\": %lu, \"reads\": %lu, \"lost\": %lu, \"repeated\": %lu, ",
           seen.events, seen.bytes, seen.reads, seen.lost, seen.repeated);
    printf("\"resumed_behind\": %d, ", awaiting);
    printf("\"newest\": %ld, \"behind\": %d, \"caught_up\": %d, \"seconds_to_all_caught_up\": %.6f, ",
           newest, behind, caught_up, all_caught_up ? 1e-9 * (double)(all_caught_up - started) : 0.0);
    printf("\"span\": %.6f, \"cpu\": %.6f, ", 1e-9 * (double)(seen.last - seen.first), cpu() - seen.cpu);
    print_histogram("latency_us", &seen.latency);
    printf(", ");
    print_histogram("arrival_us", &arrival);
    printf(", \"first_error\": \"%s\"}\n", first_error);
    fflush(stdout);
}

static void reset(void) {
    memset(&seen, 0, sizeof seen);
    seen.cpu = cpu();
}

static void check_settled(void) {
    if (opened == connections && settled == connections) {
        settled++; /* once */
        report();
    }
}

static void give_up(struct connection *c, const char *why) {
    if (c->state == STREAMING) {
        closed_count++;
        c->state = CLOSED;
    } else {
        failed++;
        settled++;
        c->state = FAILED;
    }
    if (c->behind) {
        c->behind = false;
        awaiting--;
    }
    if (first_error[0] == 0) {
        size_t n = 0;
        for (; why[n] && why[n] != '\r' && why[n] != '\n' && n < sizeof first_error - 1; n++)
            first_error[n] = why[n] == '"' || why[n] == '\\' ? '\'' : why[n];
        first_error[n] = 0;
    }
    close(c->fd);
}

static void open_one(void) {
    struct connection *c = &all[opened];
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        perror("socket");
        exit(1);
    }
    int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}, from = to;
    inet_pton(AF_INET, host, &to.sin_addr);
    if (sources > 0) { /* many source addresses: more connections than one has ports */
        from.sin_port = 0;
        from.sin_addr.s_addr = htonl(0x7f000100u + 1 + (uint32_t)(opened % sources));
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) perror("bind");
    }
    if (receive_buffer)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    c->last_seq = from_seq;
    c->began = now();
    opened++;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
        give_up(c, strerror(errno));
        return;
    }
    struct epoll_event e = {.events = EPOLLOUT, .data.u32 = (uint32_t)(c - all)};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e);
}

static void send_request(struct connection *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        give_up(c, strerror(error));
        return;
    }
    char request[4096], where[2048];
    const char *mark = strstr(path, "%d"); /* the board's number */
    int board = (int)(c - all) % boards;
    if (mark)
        snprintf(where, sizeof where, "%.*s%d%s", (int)(mark - path), path, board, mark + 2);
    else
        snprintf(where, sizeof where, "%s", path);
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: %s:%d\r\nAccept: text/event-stream\r\n%s%s\r\n", where,
                     host, port, header, header[0] ? "\r\n" : "");
    if (send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n) {
        give_up(c, "the request could not be sent");
        return;
    }
    c->state = REQUESTED;
    /* Edge-triggered: one wake-up and one recv() an event, no second look at a drained socket. */
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u32 = (uint32_t)(c - all)};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void arrived(struct connection *c, uint64_t at) {
    record(&arrival, at - c->began);
    if (++caught_up == connections - failed) all_caught_up = at;
}

static void event(struct connection *c, int64_t seq, uint64_t published, uint64_t at) {
    if (seq > newest) newest = seq;
    if (until_seq >= 0 && c->last_seq < until_seq && seq >= until_seq) arrived(c, at);
    if (!c->excluded) {
        if (c->last_seq >= 0 && seq > c->last_seq + 1) seen.lost += (uint64_t)(seq - c->last_seq - 1);
        if (c->last_seq >= 0 && seq <= c->last_seq) seen.repeated++;
        seen.events++;
        record(&seen.latency, at > published ? at - published : 0);
        if (!seen.first) seen.first = at;
        seen.last = at;
    }
    if (seq > c->last_seq) c->last_seq = seq;
    if (c->behind && seq >= newest) {
        c->behind = false;
        record(&arrival, at - resumed);
        awaiting--;
    }
}

/* Find the markers in what was read; keep an unfinished one for the next read. */
static void scan(struct connection *c, const char *p, const char *end, uint64_t at) {
    c->kept = 0;
    while ((p = memchr(p, '@', (size_t)(end - p)))) {
        const char *q = p + 1;
        uint64_t seq = 0, published = 0;
        while (q < end && *q >= '0' && *q <= '9') seq = seq * 10 + (uint64_t)(*q++ - '0');
        if (q < end && q > p + 1 && *q == '.') {
            q++;
            while (q < end && *q >= '0' && *q <= '9') published = published * 10 + (uint64_t)(*q++ - '0');
        }
        if (q == end) {
            if (end - p < MARKER_MAX) {
                c->kept = (uint8_t)(end - p);
                memcpy(c->tail, p, c->kept);
            }
            return;
        }
        if (*q == '@') {
            event(c, (int64_t)seq, published, at);
            q++;
        }
        p = q;
    }
}

/* Returns whether there may be more. */
static bool read_some(struct connection *c) {
    static char buffer[MARKER_MAX + BUFFER];
    char *start = buffer + MARKER_MAX;
    ssize_t n = recv(c->fd, start, BUFFER, 0);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) return false;
        give_up(c, n ? strerror(errno) : "the server closed the connection");
        return false;
    }
    uint64_t at = now();
    if (c->state == REQUESTED) {
        if (n < 12 || memcmp(start, "HTTP/1.", 7) || memcmp(start + 8, " 200", 4)) {
            start[n < BUFFER ? n : BUFFER - 1] = 0;
            give_up(c, start);
            return false;
        }
        c->state = STREAMING;
        settled++;
        if (until_seq < 0) arrived(c, at);
    }
    seen.reads++;
    seen.bytes += (uint64_t)n;
    memcpy(start - c->kept, c->tail, c->kept);
    scan(c, start - c->kept, start + n, at);
    return n == BUFFER;
}

static void pause_first(int count) {
    for (int i = 0; i < count && i < connections; i++)
        if (all[i].state == STREAMING) {
            all[i].paused = all[i].excluded = true;
            epoll_ctl(epoll, EPOLL_CTL_DEL, all[i].fd, NULL);
        }
    report();
}

static void resume_all(int64_t seq) {
    if (seq > newest) newest = seq;
    memset(&arrival, 0, sizeof arrival);
    resumed = now();
    awaiting = 0;
    for (int i = 0; i < connections; i++)
        if (all[i].paused && all[i].state == STREAMING) {
            all[i].paused = false;
            if (all[i].last_seq < newest) {
                all[i].behind = true;
                awaiting++;
            }
            struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u32 = (uint32_t)i};
            epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e);
        }
}

/* Returns whether to go on. */
static bool command(void) {
    static char line[256];
    static size_t used;
    ssize_t n = read(0, line + used, sizeof line - used - 1);
    if (n <= 0) return false;
    used += (size_t)n;
    line[used] = 0;
    char *at = line, *end;
    while ((end = strchr(at, '\n'))) {
        *end = 0;
        if (!strcmp(at, "reset"))
            reset(), puts("{}"), fflush(stdout);
        else if (!strcmp(at, "report"))
            report();
        else if (!strncmp(at, "pause ", 6))
            pause_first(atoi(at + 6));
        else if (!strncmp(at, "resume ", 7))
            resume_all(atol(at + 7));
        else if (!strcmp(at, "quit"))
            return false;
        at = end + 1;
    }
    used = strlen(at);
    memmove(line, at, used);
    return true;
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"host", 1, 0, 'h'},       {"port", 1, 0, 'p'},      {"path", 1, 0, 'u'},
        {"connections", 1, 0, 'n'}, {"boards", 1, 0, 'b'},   {"header", 1, 0, 'H'},
        {"at-once", 1, 0, 'a'},    {"sources", 1, 0, 's'},   {"receive-buffer", 1, 0, 'r'},
        {"from-seq", 1, 0, 'f'},   {"until-seq", 1, 0, 't'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (o) {
            case 'h': host = optarg; break;
            case 'p': port = atoi(optarg); break;
            case 'u': path = optarg; break;
            case 'n': connections = atoi(optarg); break;
            case 'b': boards = atoi(optarg); break;
            case 'H': header = optarg; break;
            case 'a': at_once = atoi(optarg); break;
            case 's': sources = atoi(optarg); break;
            case 'r': receive_buffer = atoi(optarg); break;
            case 'f': from_seq = atol(optarg); break;
            case 't': until_seq = atol(optarg); break;
            default: return 2;
        }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    all = calloc((size_t)connections, sizeof *all);
    epoll = epoll_create1(0);
    const uint32_t control = UINT32_MAX;
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = control}, ready[BATCH];
    epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &e);
    reset();
    started = now();
    bool resuming = false;
    for (;;) {
        while (opened < connections && opened - settled < at_once) open_one();
        check_settled();
        int n = epoll_wait(epoll, ready, BATCH, resuming ? 100 : -1);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.u32 == control) {
                bool was_paused = connections && all[0].paused;
                if (!command()) return 0;
                if (was_paused && !all[0].paused) resuming = true;
                continue;
            }
            struct connection *c = &all[ready[i].data.u32];
            if (c->state == CONNECTING)
                send_request(c);
            else if (c->state < FAILED)
                while (read_some(c)) continue;
        }
        if (resuming && (awaiting == 0 || now() - resumed > 10000000000u)) {
            resuming = false;
            report();
        }
    }
}
