/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "haven-file.h"

#define SIZE (8 * 1024 * 1024) /* more than sockets hold */

static void
a_range_is_what_the_rfc_says (void)
{
  static const struct
  {
    const char *header;
    HavenRangeKind kind;
    guint64 first, length;
  } cases[] = {
    { NULL, HAVEN_RANGE_NONE, 0, 100 },
    { "bytes=0-0", HAVEN_RANGE_PART, 0, 1 },
    { "bytes=10-", HAVEN_RANGE_PART, 10, 90 },
    { "bytes=-10", HAVEN_RANGE_PART, 90, 10 },
    { "bytes=-1000", HAVEN_RANGE_PART, 0, 100 },
    { "bytes=99-9999999999999999999", HAVEN_RANGE_PART, 99, 1 },
    { "bytes=100-", HAVEN_RANGE_UNSATISFIABLE, 0, 100 },
    { "bytes=-0", HAVEN_RANGE_UNSATISFIABLE, 0, 100 },
    { "bytes=5-3", HAVEN_RANGE_NONE, 0, 100 },
    { "bytes=0-1,5-6", HAVEN_RANGE_NONE, 0, 100 },
    { "bytes=a-b", HAVEN_RANGE_NONE, 0, 100 },
    { "bytes=-", HAVEN_RANGE_NONE, 0, 100 },
    { "lines=0-1", HAVEN_RANGE_NONE, 0, 100 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    guint64 first, length;

    g_test_message ("%s", cases[i].header);
    g_assert_cmpint (haven_range_parse (cases[i].header, 100, &first, &length), ==, cases[i].kind);
    g_assert_cmpuint (first, ==, cases[i].first);
    g_assert_cmpuint (length, ==, cases[i].length);
  }
}

static GSocket * /* (transfer full): where it arrives */
send_all (const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) input = g_file_read (file, NULL, NULL);
  g_autoptr (GSocket) server_end = NULL;
  g_autoptr (GSocketConnection) stream = NULL;
  GSocket *reader;
  int ends[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
  reader = g_socket_new_from_fd (ends[0], NULL);
  server_end = g_socket_new_from_fd (ends[1], NULL);
  g_socket_set_blocking (reader, FALSE);
  g_socket_set_blocking (server_end, FALSE);
  stream = g_socket_connection_factory_create_connection (server_end);
  haven_file_send (G_IO_STREAM (stream), server_end, "HEAD", input, SIZE);
  return reader;
}

static gsize
read_all (GSocket *reader)
{
  static char buffer[64 * 1024];
  gsize size = 0;

  for (;;) {
    g_autoptr (GError) error = NULL;
    gssize got = g_socket_receive (reader, buffer, sizeof buffer, NULL, &error);

    if (got > 0)
      size += (gsize)got;
    else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
      return size;
    else
      g_main_context_iteration (NULL, TRUE);
  }
}

static void
readers_that_do_not_read_are_limited (void)
{
  g_autofree char *path = NULL;
  g_autoptr (GPtrArray) readers = g_ptr_array_new_with_free_func (g_object_unref);
  int fd = g_file_open_tmp ("haven-file-XXXXXX", &path, NULL);

  g_assert_cmpint (ftruncate (fd, SIZE), ==, 0);
  close (fd);
  while (!haven_file_full ()) {
    g_assert_cmpuint (readers->len, <, 1000);
    g_ptr_array_add (readers, send_all (path));
  }
  g_assert_cmpuint (read_all (readers->pdata[0]), ==, SIZE + strlen ("HEAD"));
  g_assert_false (haven_file_full ());
  g_ptr_array_add (readers, send_all (path));
  g_assert_true (haven_file_full ());
  g_ptr_array_set_size (readers, 0); /* they leave */
  while (haven_file_full ())
    g_main_context_iteration (NULL, TRUE);
  g_unlink (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/file/a_range_is_what_the_rfc_says", a_range_is_what_the_rfc_says);
  g_test_add_func (
      "/file/readers_that_do_not_read_are_limited", readers_that_do_not_read_are_limited);
  return g_test_run ();
}
