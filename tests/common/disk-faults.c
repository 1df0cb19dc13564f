/* A disk that fails or hangs. Loaded before a program (LD_PRELOAD), it lets calls fail for what is
 * below a directory, as long as the file that HAVEN_DISK_FAULTS names says so: a line
 *
 *     read|write|sync|name ERRNO DIRECTORY
 *
 * as of "write 5 /srv/recordings" (EIO). Where ERRNO is 0 they do not fail, but are not done until
 * the file says otherwise. Without that file nothing fails.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define HANGS 0

typedef struct
{
  char call[16];
  int number;
  char directory[PATH_MAX];
} Fault;

static int
read_fault (Fault *fault)
{
  const char *name = getenv ("HAVEN_DISK_FAULTS");
  FILE *file = name ? fopen (name, "re") : NULL;
  int n = file ? fscanf (file, "%15s %d %4095s", fault->call, &fault->number, fault->directory) : 0;

  if (file)
    fclose (file);
  return n == 3;
}

static int
is_meant (const Fault *fault, const char *call, const char *path)
{
  size_t size = strlen (fault->directory);

  return strcmp (fault->call, call) == 0 && strncmp (path, fault->directory, size) == 0
         && (path[size] == '/' || path[size] == '\0');
}

/* Sets errno where it does. */
static int
fails_at (const char *call, const char *path)
{
  const struct timespec pause = { .tv_nsec = 10000000 };
  int before = errno;
  Fault fault;

  while (read_fault (&fault) && is_meant (&fault, call, path)) {
    if (fault.number != HANGS) {
      errno = fault.number;
      return 1;
    }
    nanosleep (&pause, NULL);
  }
  errno = before;
  return 0;
}

static int
fails (const char *call, int fd)
{
  char link[32], path[PATH_MAX];
  ssize_t n;

  snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
  n = readlink (link, path, sizeof path - 1);
  if (n < 0)
    return 0;
  path[n] = '\0';
  return fails_at (call, path);
}

/* The function that this one stands before. */
#define REAL(name)                \
  static __typeof__ (&name) real; \
  if (!real)                      \
  *(void **)&real = dlsym (RTLD_NEXT, #name)

ssize_t
pread64 (int fd, void *data, size_t size, off64_t at)
{
  REAL (pread64);
  return fails ("read", fd) ? -1 : real (fd, data, size, at);
}

ssize_t
write (int fd, const void *data, size_t size)
{
  REAL (write);
  return fails ("write", fd) ? -1 : real (fd, data, size);
}

ssize_t
writev (int fd, const struct iovec *parts, int n)
{
  REAL (writev);
  return fails ("write", fd) ? -1 : real (fd, parts, n);
}

ssize_t
pwrite (int fd, const void *data, size_t size, off_t at)
{
  REAL (pwrite);
  return fails ("write", fd) ? -1 : real (fd, data, size, at);
}

ssize_t
pwrite64 (int fd, const void *data, size_t size, off64_t at)
{
  REAL (pwrite64);
  return fails ("write", fd) ? -1 : real (fd, data, size, at);
}

int
fsync (int fd)
{
  REAL (fsync);
  return fails ("sync", fd) ? -1 : real (fd);
}

int
fdatasync (int fd)
{
  REAL (fdatasync);
  return fails ("sync", fd) ? -1 : real (fd);
}

int
ftruncate64 (int fd, off64_t size)
{
  REAL (ftruncate64);
  return fails ("write", fd) ? -1 : real (fd, size);
}

int
renameat2 (int from_directory, const char *from, int to_directory, const char *to, unsigned flags)
{
  REAL (renameat2);
  return fails_at ("name", to) ? -1 : real (from_directory, from, to_directory, to, flags);
}
