/* haven-exit: exit codes of haven-live and haven-session.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

typedef enum
{
  HAVEN_EXIT_OK = 0,
  HAVEN_EXIT_FAILED = 1,       /* something else; doctor: something is wrong */
  HAVEN_EXIT_USAGE = 2,        /* wrong arguments or settings */
  HAVEN_EXIT_ROOM = 3,         /* the room could not be joined, or nobody streams in it */
  HAVEN_EXIT_UNAUTHORIZED = 4, /* LiveKit refused the token */
  HAVEN_EXIT_UNAVAILABLE = 5,  /* LiveKit cannot be reached */
  HAVEN_EXIT_DISK = 6,         /* the disk is full */
  HAVEN_EXIT_CUT_SHORT = 7, /* the recording ended by an error; what came before is in the file */
  HAVEN_EXIT_IN_USE = 8,    /* another haven-live has the state directory, or writes the file */
  HAVEN_EXIT_ADDRESS = 9,   /* somebody else listens at the address: later it may be free */
} HavenExit;
