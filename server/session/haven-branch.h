/* haven-branch: what the branches of a session's pipeline are made of: elements, bins with an
 * entry, and feeds, which link an entry to a tee.
 *
 * Main context, except where another thread is named.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef enum
{
  HAVEN_VIDEO,
  HAVEN_AUDIO,
  HAVEN_N_KINDS
} HavenKind;
extern const char *const haven_kind_names[];

/* -- elements */

/* (nullable): with a critical message: a broken installation, see haven_graph_setup() */
GstElement *haven_branch_make (GstBin *bin, const char *factory);
/* One that drops the oldest where it is full; 0: no limit of that kind. */
GstElement *haven_branch_make_queue (GstBin *bin, guint buffers, guint megabytes, guint seconds);
GstElement *haven_branch_make_filter (GstBin *bin, GstCaps *caps /* (transfer full) */);
gboolean haven_branch_is_there (const char *factory_name /* (nullable) */);
void haven_branch_set_if_there (GstElement *element, const char *property, const char *value);
/* (nullable): where none is needed */
const char *haven_branch_parser_for (const char *codec_name);

void haven_branch_add_probe (GstElement *element, const char *pad_name, GstPadProbeType mask,
    GstPadProbeCallback callback, gpointer user_data);
/* A probe that counts buffers. user_data: a gint, atomic */
GstPadProbeReturn haven_branch_on_count (GstPad *pad, GstPadProbeInfo *info, gpointer user_data);

/* What a queue drops is known of one that is counted. */
void haven_branch_count_passage (GstElement *queue);
guint haven_branch_count_lost (GstElement *queue);
guint haven_branch_count_waiting (GstElement *queue); /* 0: it keeps up */
/* From now on it drops all that it holds or gets, and counts it as lost. */
void haven_branch_shed (GstElement *queue);

/* -- bins */

/* The queue that a bin begins with takes whatever codec comes. */
void haven_branch_accept_any_codec (GstElement *queue);
/* What goes wrong behind an entry is no concern of the tee before it. */
void haven_branch_add_entry (GstElement *bin, GstElement *first, const char *name);
void haven_branch_add_exit (GstElement *bin, GstElement *last);

/* -- feeds */

typedef struct /* a tee's branch, seen from the tee */
{
  GstElement *tee;         /* (owned) (nullable) not linked */
  GstPad *tee_pad, *entry; /* (owned) */
} HavenFeed;

void haven_feed_open (HavenFeed *feed, GstElement *tee, GstElement *bin, const char *entry);
/* A push that is under way ends where it was going; the next finds no one. With @eos, what is in
 * the branch comes to its end behind that push. */
void haven_feed_close (HavenFeed *feed, gboolean eos);

G_END_DECLS
