/* For `./rpt bench disks`: loaded before the C library, it lets one write or sync below a folder fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static long left = -1, happened;
static int code;
static char place[4096];

void arm(long number, int error, const char *folder) {
    strncpy(place, folder, sizeof place - 1);
    code = error;
    happened = 0;
    left = number;
}

long disarm(void) {
    left = -1;
    return happened;
}

static int fails(int file) {
    char name[64], path[4096];
    if (left < 0) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t size = readlink(name, path, sizeof path - 1);
    if (size <= 0 || (path[size] = 0, strncmp(path, place, strlen(place)))) return 0;
    if (__sync_fetch_and_sub(&left, 1) != 0) return 0;
    happened = 1;
    errno = code;
    return 1;
}

#define REAL(type, name) \
    static __typeof__(type) real; \
    if (!real) real = (__typeof__(type))dlsym(RTLD_NEXT, name)

ssize_t write(int file, const void *data, size_t size) {
    REAL(ssize_t (*)(int, const void *, size_t), "write");
    return fails(file) ? -1 : real(file, data, size);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    REAL(ssize_t (*)(int, const void *, size_t, off_t), "pwrite");
    return fails(file) ? -1 : real(file, data, size, at);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    REAL(ssize_t (*)(int, const void *, size_t, off64_t), "pwrite64");
    return fails(file) ? -1 : real(file, data, size, at);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(ssize_t (*)(int, const struct iovec *, int), "writev");
    return fails(file) ? -1 : real(file, parts, count);
}

int fsync(int file) {
    REAL(int (*)(int), "fsync");
    return fails(file) ? -1 : real(file);
}

int fdatasync(int file) {
    REAL(int (*)(int), "fdatasync");
    return fails(file) ? -1 : real(file);
}
