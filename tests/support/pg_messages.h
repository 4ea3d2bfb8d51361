/* pg_messages.h - where the messages of PostgreSQL's protocol end in the bytes of a connection.
 *
 * PostgreSQL manual, "Message Flow" and "Message Formats", protocol 3.0, without encryption: a byte
 * of type and a length; the client's first messages have no type, and a request for encryption is
 * answered by a single byte.
 * Owner: who reads the connection; one thread. */
#ifndef HOLDFAST_TESTS_PG_MESSAGES_H
#define HOLDFAST_TESTS_PG_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: a connection of which nothing was seen. */
struct pg_messages {
  struct pg_side {
    unsigned char head[8];
    unsigned head_count;
    uint32_t rest;   /* bytes until the message ends, once its head is whole */
    unsigned single; /* server: replies of one byte that are next */
    bool typed;      /* client: the connection has started */
  } client, server;
};

/* The next byte of a direction; true: a message ends with it. */
bool pg_messages_from_client(struct pg_messages *messages, unsigned char byte);
bool pg_messages_from_server(struct pg_messages *messages, unsigned char byte);

#endif
