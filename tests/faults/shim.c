/* Stands between a process and the C library: writes down every call that changes files under one folder, and can make
   the n-th of them fail or kill the process. Loaded with LD_PRELOAD, so that SQLite's calls are seen like Python's.
   It can also take away all locks, or let the clock on the wall go back each time that somebody looks.

   The journal is a row of records: seven little-endian 64-bit numbers (kind, descriptor, offset, length, flags, size of
   the first text, size of the second), then the two texts. Each record is a call that was made and succeeded. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OPEN = 1, CLOSE, WRITE, TRUNCATE, RENAME, UNLINK, MKDIR, SYNC, MARK, UNSUPPORTED };
enum { PASS = 0, FAIL_ONCE, DISK_FULL, KILL };
enum { DESCRIPTORS = 65536 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[4096];
static int journal = -1;
static int mode = PASS;
static int failure = 0;
static int64_t fail_at = 0;
static int64_t calls = 0;
static char tracked[DESCRIPTORS];

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Begin to watch what lies under `folder`. `n` counts from 1; `what` is one of PASS to KILL. */
void faults_begin(const char *folder, const char *journal_path, int what, int64_t n, int error) {
    pthread_mutex_lock(&lock);
    snprintf(root, sizeof root, "%s", folder);
    journal = journal_path[0] ? (int)syscall(SYS_openat, AT_FDCWD, journal_path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    mode = what;
    fail_at = n;
    failure = error;
    calls = 0;
    memset(tracked, 0, sizeof tracked);
    pthread_mutex_unlock(&lock);
}

/* Stop watching; return how many calls could have failed. */
int64_t faults_end(void) {
    pthread_mutex_lock(&lock);
    if (journal >= 0) syscall(SYS_close, journal);
    journal = -1;
    root[0] = 0;
    mode = PASS;
    int64_t count = calls;
    pthread_mutex_unlock(&lock);
    return count;
}

static void put(const void *bytes, size_t size) {
    while (size > 0) {
        long done = syscall(SYS_write, journal, bytes, size);
        if (done <= 0) return;
        bytes = (const char *)bytes + done;
        size -= (size_t)done;
    }
}

static void note(int kind, int fd, int64_t offset, int64_t length, int64_t flags, const void *a, size_t a_size,
                 const void *b, size_t b_size) {
    if (journal < 0) return;
    int64_t head[7] = {kind, fd, offset, length, flags, (int64_t)a_size, (int64_t)b_size};
    put(head, sizeof head);
    put(a, a_size);
    put(b, b_size);
}

/* Put a mark of the test's own into the journal. */
void faults_mark(const char *text) {
    pthread_mutex_lock(&lock);
    note(MARK, -1, 0, 0, 0, text, strlen(text), "", 0);
    pthread_mutex_unlock(&lock);
}

/* Return a path from the root: what is named relative to an open folder lies in that folder. */
typedef struct { char text[8192]; } Place;
static const char *place_of(int folder, const char *path, Place *place) {
    if (path[0] == '/' || folder == AT_FDCWD) return path;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, place->text, 4096);
    if (size <= 0) return path;
    snprintf(place->text + size, sizeof place->text - (size_t)size, "/%s", path);
    return place->text;
}

static int is_watched(const char *path) {
    size_t size = strlen(root);
    if (!size || strncmp(path, root, size) || (path[size] && path[size] != '/')) return 0;
    size_t length = strlen(path);
    return length < 4 || strcmp(path + length - 4, "-shm"); /* shared memory of SQLite's: never meant to last */
}

static int is_tracked(int fd) { return root[0] && fd >= 0 && fd < DESCRIPTORS && tracked[fd]; }

/* Count a call; return whether it has to fail. `grows`: whether it needs room on the disk. */
static int fails(int grows) {
    calls += 1;
    if (mode == KILL && calls == fail_at) raise(SIGKILL);
    if ((mode == FAIL_ONCE && calls == fail_at) || (mode == DISK_FULL && calls >= fail_at && grows)) {
        errno = failure;
        return 1;
    }
    return 0;
}

static int open_file(int folder, const char *path, int flags, mode_t permissions) {
    Place place;
    const char *whole = root[0] ? place_of(folder, path, &place) : path;
    if (!is_watched(whole)) return (int)syscall(SYS_openat, folder, path, flags, permissions);
    pthread_mutex_lock(&lock);
    int existed = faccessat(folder, path, F_OK, 0) == 0;
    int created = (flags & O_CREAT) && !existed;
    int fd = -1;
    if (!((created || (flags & O_TRUNC)) && fails(created))) {
        fd = (int)syscall(SYS_openat, folder, path, flags, permissions);
        if (fd >= 0 && fd < DESCRIPTORS) {
            tracked[fd] = 1;
            note(OPEN, fd, 0, 0, created | ((flags & O_TRUNC) ? 2 : 0), whole, strlen(whole), "", 0);
        }
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define OPENING(name, parameters, folder)                                     \
    int name parameters {                                                     \
        mode_t permissions = 0;                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                                  \
            va_list rest;                                                     \
            va_start(rest, flags);                                            \
            permissions = va_arg(rest, mode_t);                               \
            va_end(rest);                                                     \
        }                                                                     \
        return open_file(folder, path, flags, permissions);                   \
    }
OPENING(open, (const char *path, int flags, ...), AT_FDCWD)
OPENING(open64, (const char *path, int flags, ...), AT_FDCWD)
OPENING(openat, (int at, const char *path, int flags, ...), at)
OPENING(openat64, (int at, const char *path, int flags, ...), at)

int close(int fd) {
    if (!is_tracked(fd)) return (int)syscall(SYS_close, fd);
    pthread_mutex_lock(&lock);
    tracked[fd] = 0;
    note(CLOSE, fd, 0, 0, 0, "", 0, "", 0);
    int result = (int)syscall(SYS_close, fd);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

/* The call on which a disk becomes full still writes half of its bytes. */
static ssize_t write_at(int fd, const void *bytes, size_t size, off_t offset, int seeks) {
    pthread_mutex_lock(&lock);
    ssize_t done = -1;
    int failing = fails(1);
    if (failing && mode == DISK_FULL && calls == fail_at && size > 1) {
        size /= 2;
        failing = 0;
    }
    if (!failing) {
        if (seeks) offset = lseek(fd, 0, SEEK_CUR);
        done = seeks ? syscall(SYS_write, fd, bytes, size) : syscall(SYS_pwrite64, fd, bytes, size, offset);
        if (done > 0) note(WRITE, fd, offset, done, 0, bytes, (size_t)done, "", 0);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    return is_tracked(fd) ? write_at(fd, bytes, size, 0, 1) : syscall(SYS_write, fd, bytes, size);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    return is_tracked(fd) ? write_at(fd, bytes, size, offset, 0) : syscall(SYS_pwrite64, fd, bytes, size, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) { return pwrite(fd, bytes, size, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!is_tracked(fd)) return syscall(SYS_writev, fd, parts, count);
    size_t size = 0;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    char *bytes = malloc(size ? size : 1), *end = bytes;
    for (int i = 0; i < count; i++) end = mempcpy(end, parts[i].iov_base, parts[i].iov_len);
    ssize_t done = write(fd, bytes, size);
    int error = errno;
    free(bytes);
    errno = error;
    return done;
}

#define GUARDED(watched, grows, call, record)                                 \
    if (!(watched)) return call;                                              \
    pthread_mutex_lock(&lock);                                                \
    int result = -1;                                                          \
    if (!fails(grows)) {                                                      \
        result = call;                                                        \
        if (result == 0) record;                                              \
    }                                                                         \
    int error = errno;                                                        \
    pthread_mutex_unlock(&lock);                                              \
    errno = error;                                                            \
    return result;

int ftruncate(int fd, off_t size) {
    GUARDED(is_tracked(fd), 0, (int)syscall(SYS_ftruncate, fd, size), note(TRUNCATE, fd, 0, size, 0, "", 0, "", 0))
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
int rename(const char *from, const char *to) {
    GUARDED(is_watched(to), 0, (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to),
            note(RENAME, -1, 0, 0, 0, from, strlen(from), to, strlen(to)))
}
int renameat(int a, const char *from, int b, const char *to) {
    Place first, second;
    const char *was = place_of(a, from, &first), *is = place_of(b, to, &second);
    GUARDED(is_watched(is), 0, (int)syscall(SYS_renameat, a, from, b, to),
            note(RENAME, -1, 0, 0, 0, was, strlen(was), is, strlen(is)))
}
int unlink(const char *path) {
    GUARDED(is_watched(path), 0, (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0),
            note(UNLINK, -1, 0, 0, 0, path, strlen(path), "", 0))
}
int unlinkat(int at, const char *path, int flags) {
    Place place;
    const char *whole = place_of(at, path, &place);
    GUARDED(is_watched(whole), 0, (int)syscall(SYS_unlinkat, at, path, flags),
            note(UNLINK, -1, 0, 0, 0, whole, strlen(whole), "", 0))
}
int mkdir(const char *path, mode_t permissions) {
    GUARDED(is_watched(path), 1, (int)syscall(SYS_mkdirat, AT_FDCWD, path, permissions),
            note(MKDIR, -1, 0, 0, 0, path, strlen(path), "", 0))
}
int mkdirat(int at, const char *path, mode_t permissions) {
    Place place;
    const char *whole = place_of(at, path, &place);
    GUARDED(is_watched(whole), 1, (int)syscall(SYS_mkdirat, at, path, permissions),
            note(MKDIR, -1, 0, 0, 0, whole, strlen(whole), "", 0))
}
int fsync(int fd) {
    GUARDED(is_tracked(fd), 0, (int)syscall(SYS_fsync, fd), note(SYNC, fd, 0, 0, 0, "", 0, "", 0))
}
int fdatasync(int fd) {
    GUARDED(is_tracked(fd), 0, (int)syscall(SYS_fdatasync, fd), note(SYNC, fd, 0, 0, 0, "", 0, "", 0))
}

/* Calls that the journal does not understand are at least not missed. */
static void refuse(const char *name) {
    pthread_mutex_lock(&lock);
    note(UNSUPPORTED, -1, 0, 0, 0, name, strlen(name), "", 0);
    pthread_mutex_unlock(&lock);
}
int fallocate(int fd, int how, off_t offset, off_t size) {
    if (is_tracked(fd)) refuse("fallocate");
    return (int)syscall(SYS_fallocate, fd, how, offset, size);
}
int posix_fallocate(int fd, off_t offset, off_t size) {
    if (is_tracked(fd)) refuse("posix_fallocate");
    return REAL(posix_fallocate)(fd, offset, size);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
    if (is_tracked(to)) refuse("sendfile");
    return syscall(SYS_sendfile, to, from, offset, size);
}
void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t offset) {
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && is_tracked(fd)) refuse("mmap");
    return (void *)syscall(SYS_mmap, where, size, protection, flags, fd, offset);
}
void *mmap64(void *where, size_t size, int protection, int flags, int fd, off64_t offset) {
    return mmap(where, size, protection, flags, fd, offset);
}

/* A file system without locks: every request for one fails with `error`, until it is 0 again. */
static int without_locks = 0;
void faults_without_locks(int error) { without_locks = error; }

int flock(int fd, int operation) {
    if (without_locks) {
        errno = without_locks;
        return -1;
    }
    return (int)syscall(SYS_flock, fd, operation);
}

static int control(int fd, int command, void *argument) {
    int locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK || command == F_OFD_SETLK ||
                command == F_OFD_SETLKW || command == F_OFD_GETLK;
    if (locks && without_locks) {
        errno = without_locks;
        return -1;
    }
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

#define CONTROLLING(name)                                                     \
    int name(int fd, int command, ...) {                                      \
        va_list rest;                                                         \
        va_start(rest, command);                                              \
        void *argument = va_arg(rest, void *);                                \
        va_end(rest);                                                         \
        return control(fd, command, argument);                                \
    }
CONTROLLING(fcntl)
CONTROLLING(fcntl64)

/* The clock on the wall is so many seconds further back each time that somebody looks; others are right. */
static int64_t back_by = 0, looks = 0;
void faults_clock(int64_t seconds) { back_by = seconds; }
int64_t faults_looks(void) { return looks; }

int clock_gettime(clockid_t which, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, which, now);
    if (result == 0 && which == CLOCK_REALTIME && back_by) now->tv_sec -= back_by * __sync_add_and_fetch(&looks, 1);
    return result;
}
