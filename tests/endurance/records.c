/* Notes what a process asks of the disk below one folder: for LD_PRELOAD, built by tests/endurance/shims.py.

   RECORD_ROOT is the folder, RECORD_LOG the file that the notes are appended to. Everything is carried out as it was asked; a note is
   written before a change is made and after a sync has returned, so that a process that is killed in between has promised nothing.

   One note is a head of 40 bytes (kind, two lengths, offset, inode) and then the path, and the bytes or the second path. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct head { char kind[8]; uint64_t path_size, size, offset, inode; };

static char root[PATH_MAX];
static size_t root_size;
static int notes = -1;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t), (*real_fsync)(int), (*real_fdatasync)(int);
static int (*real_open)(const char *, int, ...), (*real_openat)(int, const char *, int, ...);
static int (*real_rename)(const char *, const char *), (*real_unlink)(const char *), (*real_mkdir)(const char *, mode_t);

__attribute__((constructor)) static void begin(void) {
  const char *asked = getenv("RECORD_ROOT"), *log = getenv("RECORD_LOG");
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_open = dlsym(RTLD_NEXT, "open64");
  real_openat = dlsym(RTLD_NEXT, "openat64");
  real_rename = dlsym(RTLD_NEXT, "rename");
  real_unlink = dlsym(RTLD_NEXT, "unlink");
  real_mkdir = dlsym(RTLD_NEXT, "mkdir");
  if (asked == NULL || log == NULL || realpath(asked, root) == NULL) return;
  root_size = strlen(root);
  notes = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The path below the root, or NULL. */
static const char *below(const char *path) {
  if (notes < 0 || strncmp(path, root, root_size) != 0) return NULL;
  return path[root_size] == '/' ? path + root_size + 1 : path[root_size] == 0 ? "" : NULL;
}

static const char *of_path(const char *path, char *room) {
  char folder[PATH_MAX], whole[PATH_MAX];
  if (notes < 0 || strlen(path) >= PATH_MAX) return NULL;
  strcpy(folder, path);
  char *slash = strrchr(folder, '/');
  const char *name = slash == NULL ? path : path + (slash - folder) + 1;
  if (slash != NULL) *(slash == folder ? slash + 1 : slash) = 0;
  if (realpath(slash == NULL ? "." : folder, whole) == NULL) return NULL;
  if (snprintf(room, PATH_MAX, "%s/%s", whole, name) >= PATH_MAX) return NULL;
  return below(room);
}

static const char *of_file(int file, char *room, struct stat *found) {
  char link[64];
  if (notes < 0 || file == notes || fstat(file, found) != 0) return NULL;
  if (!S_ISREG(found->st_mode) && !S_ISDIR(found->st_mode)) return NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, room, PATH_MAX - 1);
  if (size < 0) return NULL;
  room[size] = 0;
  return below(room);
}

static void note(const char *kind, const char *path, const void *data, size_t size, off_t offset, ino_t inode) {
  int error = errno;
  struct head head = {{0}, strlen(path), size, (uint64_t)offset, (uint64_t)inode};
  strncpy(head.kind, kind, sizeof head.kind);
  struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, head.path_size}, {(void *)data, size}};
  if (writev(notes, parts, 3) != (ssize_t)(sizeof head + head.path_size + size)) abort();
  errno = error;
}

ssize_t write(int file, const void *data, size_t size) {
  char room[PATH_MAX]; struct stat found;
  const char *path = of_file(file, room, &found);
  if (path != NULL) {
    int is_append = fcntl(file, F_GETFL) & O_APPEND;
    note("write", path, data, size, is_append ? found.st_size : lseek(file, 0, SEEK_CUR), found.st_ino);
  }
  return real_write(file, data, size);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) {
  char room[PATH_MAX]; struct stat found;
  const char *path = of_file(file, room, &found);
  if (path != NULL) note("write", path, data, size, offset, found.st_ino);
  return real_pwrite(file, data, size, offset);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t offset) { return pwrite64(file, data, size, offset); }

int ftruncate64(int file, off64_t size) {
  char room[PATH_MAX]; struct stat found;
  const char *path = of_file(file, room, &found);
  if (path != NULL) note("cut", path, "", 0, size, found.st_ino);
  return real_ftruncate(file, size);
}
int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

static int synced(int file, int done) {
  char room[PATH_MAX]; struct stat found;
  const char *path = done == 0 ? of_file(file, room, &found) : NULL;
  if (path != NULL) note(S_ISDIR(found.st_mode) ? "syncdir" : "sync", path, "", 0, 0, found.st_ino);
  return done;
}
int fsync(int file) { return synced(file, real_fsync(file)); }
int fdatasync(int file) { return synced(file, real_fdatasync(file)); }

/* A file that came to be, or was emptied, by being opened. */
static int opened(const char *asked, int flags, int was_there, int file) {
  char room[PATH_MAX]; struct stat found;
  const char *path = file >= 0 && (flags & (O_CREAT | O_TRUNC)) ? of_file(file, room, &found) : NULL;
  (void)asked;
  if (path != NULL && !was_there) note("create", path, "", 0, 0, found.st_ino);
  else if (path != NULL && (flags & O_TRUNC)) note("cut", path, "", 0, 0, found.st_ino);
  return file;
}

int open64(const char *path, int flags, ...) {
  va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
  int was_there = access(path, F_OK) == 0;
  return opened(path, flags, was_there, real_open(path, flags, mode));
}
int open(const char *path, int flags, ...) {
  va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
  int was_there = access(path, F_OK) == 0;
  return opened(path, flags, was_there, real_open(path, flags, mode));
}
int openat64(int folder, const char *path, int flags, ...) {
  va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
  int was_there = faccessat(folder, path, F_OK, 0) == 0;
  return opened(path, flags, was_there, real_openat(folder, path, flags, mode));
}

int rename(const char *from, const char *to) {
  char one[PATH_MAX], two[PATH_MAX];
  const char *begin = of_path(from, one), *end = of_path(to, two);
  if (begin != NULL && end != NULL) note("rename", begin, end, strlen(end), 0, 0);
  return real_rename(from, to);
}
int unlink(const char *path) {
  char room[PATH_MAX];
  const char *found = of_path(path, room);
  if (found != NULL && access(path, F_OK) == 0) note("unlink", found, "", 0, 0, 0);
  return real_unlink(path);
}
int mkdir(const char *path, mode_t mode) {
  char room[PATH_MAX];
  const char *found = of_path(path, room);
  int done = real_mkdir(path, mode);
  if (found != NULL && done == 0) note("mkdir", found, "", 0, 0, 0);
  return done;
}
