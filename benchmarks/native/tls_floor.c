/* The floor of streams over TLS: what an event costs with nothing but send(), and with nothing but
 * OpenSSL's SSL_write().
 *
 * Arguments: how many connections of each kind there will be, the bytes of an event, the PEM files
 * of a certificate and its key. Prints the port of the plain ones and that of TLS, accepts all of
 * them, and for each line of stdin sends an event to each, ten times for each kind. Then prints the
 * CPU time of an event in microseconds, plain and over TLS.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 10, PAUSE = 50000 };

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int listener(int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 4096)) exit(1);
    getsockname(fd, (struct sockaddr *)&address, &length);
    *port = ntohs(address.sin_port);
    return fd;
}

static int accepted(int fd) {
    int client = accept(fd, NULL, NULL), one = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return client;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int count = atoi(argv[1]), size = atoi(argv[2]), ports[2];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_num_tickets(context, 0);
    if (SSL_CTX_use_certificate_file(context, argv[3], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[4], SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        return 1;
    }
    int plain = listener(&ports[0]), secure = listener(&ports[1]);
    int *streams = calloc((size_t)count, sizeof *streams);
    SSL **sessions = calloc((size_t)count, sizeof *sessions);
    char *event = calloc(1, (size_t)size);
    printf("%d %d\n", ports[0], ports[1]);
    fflush(stdout);
    for (int i = 0; i < count; i++) streams[i] = accepted(plain);
    for (int i = 0; i < count; i++) {
        sessions[i] = SSL_new(context);
        SSL_set_fd(sessions[i], accepted(secure));
        if (SSL_accept(sessions[i]) != 1) {
            ERR_print_errors_fp(stderr);
            return 1;
        }
    }
    while (getchar() == '\n') {
        double start = cpu();
        for (int n = 0; n < EVENTS; n++, usleep(PAUSE))
            for (int i = 0; i < count; i++)
                if (send(streams[i], event, (size_t)size, 0) != size) return 1;
        double middle = cpu();
        for (int n = 0; n < EVENTS; n++, usleep(PAUSE))
            for (int i = 0; i < count; i++)
                if (SSL_write(sessions[i], event, size) != size) return 1;
        double all = (double)EVENTS * count;
        printf("%f %f\n", (middle - start) / all, (cpu() - middle) / all);
        fflush(stdout);
    }
    return 0;
}
