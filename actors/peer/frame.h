/* frame.h - asks and answers as bytes, as one peer actor sends them to another. Pure.
 *
 * Layout: README.md. Everything of an ask travels that its receiver needs to judge it, everything
 * of an answer that its asker may look at. Decoding is strict: one encoding for each value, nothing
 * behind the end, every length bounded; what an actor would CHECK is refused here. Bytes of any
 * origin may be decoded.
 * Errors: a getter returns false and leaves nothing allocated. */
#ifndef HOLDFAST_FRAME_H
#define HOLDFAST_FRAME_H

#include "actors/peer/peer.h"
#include "holdfast/bytes.h"

/* X(NAME, number, reply, changes): the asks that travel. Numbers are in the bytes. changes: lost on
 * the way back its outcome is unknown; else it only reads and was in vain. */
#define FRAME_OPS(X)                                                                               \
  X(SUBMIT, 1, DONE, true)                                                                         \
  X(BALANCES, 2, BALANCES_DONE, false)                                                             \
  X(PEEK, 3, PEEK_DONE, false)                                                                     \
  X(SET_STATUS, 4, PEEK_DONE, true)                                                                \
  X(CREATE, 5, CREATE_DONE, true)                                                                  \
  X(RESERVE, 6, RESERVE_DONE, true)                                                                \
  X(ASSET, 7, ASSET_DONE, true)                                                                    \
  X(LEARN, 8, LEARN_DONE, false)
#define FRAME_OPS_MAX 8u

enum frame_kind { FRAME_ASK = 1, FRAME_ANSWER = 2 };

struct frame_op {
  uint16_t op, reply; /* enum hf_message */
  bool changes;
};
/* By number, 1 .. FRAME_OPS_MAX; NULL for any other. */
const struct frame_op *frame_op(unsigned number);
/* 0 when the message is none that travels. */
unsigned frame_number_of(uint64_t op);

struct frame_ask {
  uint64_t number;    /* of the asker's; the answer has it too */
  unsigned op;        /* its number */
  uint64_t left_us;   /* until its deadline, when it was sent */
  unsigned partition; /* of the actor that is asked; 0 for the catalog */
  void *payload;      /* struct hf_op * (a group's head), hf_view *, hf_peek *, hf_create *,
                         hf_catalog_change *. A decoded one is the caller's: frame_payload_free */
};

/* What the frame is and which ask it belongs to; false when it is neither. */
MUST_CHECK bool frame_peek(const void *bytes, size_t size, enum frame_kind *ret_kind,
                           uint64_t *ret_number);

/* Appends the frame. */
void frame_put_ask(const struct frame_ask *ask, struct hf_bytes *bytes);
MUST_CHECK bool frame_get_ask(const void *bytes, size_t size, unsigned partition_bits,
                              struct frame_ask *ret_ask);

/* Appends the answer that the payload holds now. */
void frame_put_answer(uint64_t number, unsigned op, const void *payload, struct hf_bytes *bytes);
/* Appends the answer that an ask has failed with this error, whatever its payload was. */
void frame_put_error(uint64_t number, enum hf_error error, struct hf_bytes *bytes);
/* Fills the answer's fields of what was asked, and only those. An applied op's entries come as
 * `replay`; `replayed` says whether the journal knew the key before. LEARN: the payload is only
 * read. False: the answer is not one to this ask; nothing was changed. */
MUST_CHECK bool frame_get_answer(const void *bytes, size_t size, unsigned op,
                                 unsigned partition_bits, void *payload, enum hf_error *ret_error);

/* Sets the error of what was asked: of an op and its group, a view, a peek, a create, a change. Not
 * of LEARN's, which others may be looking at. */
void frame_fail(unsigned op, void *payload, enum hf_error error);
/* Frees what frame_get_ask allocated. */
void frame_payload_free(unsigned op, void *payload);

#endif
