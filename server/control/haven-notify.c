/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-notify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* @state: as sd_notify(3) has it; nothing happens where nobody listens */
void
haven_notify (const char *state)
{
  const char *path = g_getenv ("NOTIFY_SOCKET");
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  gsize size = path ? strlen (path) : 0;
  int fd;

  if (size < 2 || size >= sizeof address.sun_path || (*path != '/' && *path != '@'))
    return;
  memcpy (address.sun_path, path, size);
  if (*path == '@') /* abstract */
    address.sun_path[0] = '\0';
  fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  if (sendto (fd, state, strlen (state), MSG_NOSIGNAL, (struct sockaddr *)&address,
          (socklen_t)(G_STRUCT_OFFSET (struct sockaddr_un, sun_path) + size))
      < 0) {
    /* It does not want to know. */
  }
  close (fd);
}

/* Returns: ms between two signs of life; 0 for none */
guint
haven_notify_watchdog_interval (void)
{
  const char *usec = g_getenv ("WATCHDOG_USEC"), *pid = g_getenv ("WATCHDOG_PID");

  if (!usec || (pid && strtol (pid, NULL, 10) != getpid ()))
    return 0;
  return (guint)(g_ascii_strtoull (usec, NULL, 10) / 1000 / 2);
}
