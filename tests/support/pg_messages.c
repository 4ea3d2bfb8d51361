/* pg_messages.c - see pg_messages.h. */
#include "tests/support/pg_messages.h"

#include "holdfast/check.h"

enum {
  TYPE_SIZE = 1,
  LENGTH_SIZE = 4, /* counts itself */
  CODE_SIZE = 4,   /* of the messages without a type */
  WANTS_TLS = 80877103,
  WANTS_GSS = 80877104,
};

static uint32_t number_at(const unsigned char *at)
{
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* True: the message whose head has `size` bytes, the length behind `skip` of them, has ended. */
static bool take(struct pg_side *side, unsigned char byte, unsigned skip, unsigned size)
{
  if (side->head_count < size) {
    side->head[side->head_count++] = byte;
    if (side->head_count < size)
      return false;
    const uint32_t length = number_at(side->head + skip), seen = size - skip;
    CHECK(length >= seen);
    side->rest = length - seen;
  } else {
    side->rest--;
  }
  if (side->rest > 0)
    return false;
  side->head_count = 0;
  return true;
}

bool pg_messages_from_client(struct pg_messages *messages, unsigned char byte)
{
  struct pg_side *side = &messages->client;
  if (side->typed)
    return take(side, byte, TYPE_SIZE, TYPE_SIZE + LENGTH_SIZE);
  if (!take(side, byte, 0, LENGTH_SIZE + CODE_SIZE))
    return false;
  const uint32_t code = number_at(side->head + LENGTH_SIZE);
  if (code == WANTS_TLS || code == WANTS_GSS)
    messages->server.single++;
  else
    side->typed = true;
  return true;
}

bool pg_messages_from_server(struct pg_messages *messages, unsigned char byte)
{
  struct pg_side *side = &messages->server;
  if (side->single > 0) {
    side->single--;
    return true;
  }
  return take(side, byte, TYPE_SIZE, TYPE_SIZE + LENGTH_SIZE);
}
