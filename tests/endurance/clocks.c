/* Gives a process clocks of its own, which may be changed while it runs: for LD_PRELOAD, built by tests/endurance/shims.py.

   CLOCKS names a file of six doubles that is mapped: since when (the machine's monotonic seconds), how fast (1 = as the machine), what
   the wall, the monotonic and the boot clock are ahead of the machine's, in seconds, beyond that, and by which share the wall runs too fast. At a speed of N a second of the
   machine is N of the process: its clocks run faster, and what it waits for is waited for as much shorter. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct clocks { volatile double since, speed, wall, monotonic, boot, drift; };
static struct clocks plain = {0, 1, 0, 0, 0, 0}, *set = &plain;

static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_epoll)(int, struct epoll_event *, int, int), (*real_poll)(struct pollfd *, nfds_t, int);
static int (*real_nanosleep)(clockid_t, int, const struct timespec *, struct timespec *);

__attribute__((constructor)) static void begin(void) {
  real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  real_epoll = dlsym(RTLD_NEXT, "epoll_wait");
  real_poll = dlsym(RTLD_NEXT, "poll");
  real_nanosleep = dlsym(RTLD_NEXT, "clock_nanosleep");
  const char *name = getenv("CLOCKS");
  int file = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *found = mmap(NULL, sizeof *set, PROT_READ, MAP_SHARED, file, 0);
  if (found != MAP_FAILED) set = found;
  close(file);
}

static double seconds(clockid_t name) {
  struct timespec now;
  real_gettime(name, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

int clock_gettime(clockid_t name, struct timespec *found) {
  int done = real_gettime(name, found);
  int is_wall = name == CLOCK_REALTIME || name == CLOCK_REALTIME_COARSE;
  int is_monotonic = name == CLOCK_MONOTONIC || name == CLOCK_MONOTONIC_RAW || name == CLOCK_MONOTONIC_COARSE;
  if (done != 0 || !(is_wall || is_monotonic || name == CLOCK_BOOTTIME)) return done;
  double passed = seconds(CLOCK_MONOTONIC) - set->since, ahead = passed * (set->speed - 1);
  ahead += is_wall ? set->wall + passed * set->drift : is_monotonic ? set->monotonic : set->boot;
  long long nanos = found->tv_sec * 1000000000LL + found->tv_nsec + (long long)(ahead * 1e9);
  found->tv_sec = nanos / 1000000000LL;
  found->tv_nsec = nanos % 1000000000LL;
  return 0;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  found->tv_sec = now.tv_sec;
  found->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *found) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (found != NULL) *found = now.tv_sec;
  return now.tv_sec;
}

/* Never no wait at all where one was asked for: that would spin. */
static int shorter(int milliseconds) {
  if (milliseconds <= 0 || set->speed == 1) return milliseconds;
  int found = (int)(milliseconds / set->speed);
  return found > 0 ? found : 1;
}

int epoll_wait(int file, struct epoll_event *events, int most, int milliseconds) {
  return real_epoll(file, events, most, shorter(milliseconds));
}
int poll(struct pollfd *files, nfds_t count, int milliseconds) { return real_poll(files, count, shorter(milliseconds)); }

int clock_nanosleep(clockid_t name, int flags, const struct timespec *asked, struct timespec *left) {
  if (set->speed == 1) return real_nanosleep(name, flags, asked, left);
  double wanted = asked->tv_sec + asked->tv_nsec / 1e9;
  if (flags & TIMER_ABSTIME) {
    struct timespec now;
    clock_gettime(name, &now);
    wanted -= now.tv_sec + now.tv_nsec / 1e9;
  }
  wanted = wanted > 0 ? wanted / set->speed : 0;
  struct timespec shorter = {(time_t)wanted, (long)((wanted - (time_t)wanted) * 1e9)};
  return real_nanosleep(CLOCK_MONOTONIC, 0, &shorter, left);
}
