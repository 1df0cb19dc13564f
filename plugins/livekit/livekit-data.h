/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "livekit-message.h"

G_BEGIN_DECLS

/* What participants say over the room's data channels, put together: packets in, whole messages
 * out. Pure. Lives in one thread. */

typedef struct
{
  char *participant; /* identity; "" for the server's own */
  char *topic;       /* "" where there is none */
  GBytes *payload;
} LiveKitData;

void livekit_data_free (LiveKitData *data);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitData, livekit_data_free)

#define LIVEKIT_DATA_MAX 65536 /* bytes of a message; longer ones are dropped */

/* The topic of chat; messages of an older kind, which have none, are given it. */
#define LIVEKIT_DATA_CHAT_TOPIC "lk.chat"

typedef struct _LiveKitDataReader LiveKitDataReader;

LiveKitDataReader *livekit_data_reader_new (void);
void livekit_data_reader_free (LiveKitDataReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitDataReader, livekit_data_reader_free)

/* Returns: (transfer full) (nullable): a message that is whole with this packet */
LiveKitData *livekit_data_reader_take (LiveKitDataReader *reader, const LiveKitPacket *packet);

G_END_DECLS
