/*
 * The C interface of Bitacora, an embedded event store for tills.
 *
 * Made from the sources by cbindgen; do not edit. `make header` makes it anew.
 *
 * Every function but the smallest answers with a code. What it gives back goes through out-parameters, which are set only where
 * it answers BITACORA_CODE_OK, unless it says otherwise. bitacora_error_text() says in words what went wrong. Texts are UTF-8, with
 * their lengths, and amounts are integers of minor units. What the library made is given back to it: stores to bitacora_close,
 * readers to bitacora_events_free, buffers to bitacora_buffer_free.
 */


#ifndef BITACORA_H
#define BITACORA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/**
 * An expected version: anything.
 */
#define BITACORA_ANY_VERSION 18446744073709551615ull

/**
 * An expected version: the stream has at least one event.
 */
#define BITACORA_STREAM_EXISTS 18446744073709551614ull

/**
 * An expected version: the stream has no event yet. Every other number is the version that the stream must be at.
 */
#define BITACORA_NO_STREAM 0

/**
 * A codec: bytes as they are.
 */
#define BITACORA_CODEC_RAW 0

/**
 * A codec: bincode, which the library's own events are in.
 */
#define BITACORA_CODEC_BINCODE 1

/**
 * A codec: JSON in UTF-8.
 */
#define BITACORA_CODEC_JSON 2

/**
 * When an append is acknowledged: when it is synced, so that it survives a power cut. The default.
 */
#define BITACORA_DURABILITY_SYNC 0

/**
 * When an append is acknowledged: when the operating system has it; synced `sync_interval_millis` later at most.
 */
#define BITACORA_DURABILITY_INTERVAL 1

/**
 * When an append is acknowledged: when the operating system has it; survives a kill, not a power cut.
 */
#define BITACORA_DURABILITY_BUFFERED 2

/**
 * How a segment's room is taken: zeros are written ahead. The default.
 */
#define BITACORA_PREALLOCATION_ZERO_FILL 0

/**
 * How a segment's room is taken: reserved at once.
 */
#define BITACORA_PREALLOCATION_RESERVE 1

/**
 * How a segment's room is taken: with each write.
 */
#define BITACORA_PREALLOCATION_GROW 2

/**
 * Where groups of commits start: right after the one before. The default.
 */
#define BITACORA_ALIGN_PACKED 0

/**
 * Where groups of commits start: on a fresh sector, for cards that damage neighbouring bytes when power fails.
 */
#define BITACORA_ALIGN_SECTOR 1

/**
 * What a function answers. The kinds of errors say what the caller must do.
 */
typedef enum bitacora_code {
  /**
   * Done.
   */
  BITACORA_CODE_OK = 0,
  /**
   * There is no next event. Not an error.
   */
  BITACORA_CODE_END = 1,
  /**
   * The arguments break a rule or a limit, or a pointer is null. Mend the call; nothing was written.
   */
  BITACORA_CODE_INVALID_INPUT = 2,
  /**
   * A stream is not where the caller expected it. Read it again and decide anew; nothing was written.
   */
  BITACORA_CODE_CONFLICT = 3,
  /**
   * The idempotency key was used before with other content. Use another key; nothing was written.
   */
  BITACORA_CODE_IDEMPOTENCY_CONFLICT = 4,
  /**
   * A rule of the business said no.
   */
  BITACORA_CODE_REFUSED = 5,
  /**
   * What was asked for does not exist.
   */
  BITACORA_CODE_NOT_FOUND = 6,
  /**
   * What was to be created exists.
   */
  BITACORA_CODE_ALREADY_EXISTS = 7,
  /**
   * Another process writes to this store. Wait for it, or open to read.
   */
  BITACORA_CODE_LOCKED = 8,
  /**
   * The folder is no store, or something else stands in its place. Nothing was changed.
   */
  BITACORA_CODE_NOT_A_STORE = 9,
  /**
   * The store was written by a newer version. Use that version; nothing was changed.
   */
  BITACORA_CODE_UNSUPPORTED_FORMAT = 10,
  /**
   * The store may not be written: it was opened to read, or its folder is read-only.
   */
  BITACORA_CODE_READ_ONLY = 11,
  /**
   * Bytes that had been durable are damaged or missing. Nothing was changed; see `bitacora verify`.
   */
  BITACORA_CODE_CORRUPT = 12,
  /**
   * There is no room. Nothing was written; the same call succeeds when there is.
   */
  BITACORA_CODE_STORAGE_FULL = 13,
  /**
   * The storage failed. If a write or a sync did, the store takes no more writes until it is opened again.
   */
  BITACORA_CODE_IO = 14,
  /**
   * The write or the sync of this commit failed: it may be there after the next open, or not. Open again and repeat it with
   * the same idempotency key.
   */
  BITACORA_CODE_COMMIT_UNKNOWN = 15,
  /**
   * An earlier failure stopped this store, and nothing of this commit was written. Open it again.
   */
  BITACORA_CODE_POISONED = 16,
  /**
   * The store was closed by this process.
   */
  BITACORA_CODE_CLOSED = 17,
  /**
   * The services are still recovering, or have quarantined what the command is for.
   */
  BITACORA_CODE_NOT_READY = 18,
  /**
   * A payload is of a type, schema or codec this library does not know.
   */
  BITACORA_CODE_UNKNOWN_PAYLOAD = 19,
  /**
   * A kind of error that this interface has no code for yet.
   */
  BITACORA_CODE_OTHER = 20,
  /**
   * A defect of this library: it panicked. Close the store and open it again; what was acknowledged is there.
   */
  BITACORA_CODE_PANIC = 21,
} bitacora_code;

/**
 * Events that are being read. One thread at a time may use it.
 */
typedef struct bitacora_events bitacora_events;

/**
 * An open store. Any thread may use it, several at once too; only closing it must be the last thing that is done with it.
 */
typedef struct bitacora_store bitacora_store;

/**
 * Bytes that the library made and the caller owns: given back with `bitacora_buffer_free`. A zero stands behind the last byte
 * and is not counted, so a text can be used as a C string.
 */
typedef struct bitacora_buffer {
  /**
   * The first byte; null where there is nothing.
   */
  uint8_t *data;
  /**
   * Bytes.
   */
  size_t length;
} bitacora_buffer;

/**
 * Bytes that somebody else owns. Texts are UTF-8 and need no zero at their end. Nothing is `{NULL, 0}`.
 */
typedef struct bitacora_slice {
  /**
   * The first byte; may be null where `length` is zero.
   */
  const uint8_t *data;
  /**
   * Bytes.
   */
  size_t length;
} bitacora_slice;

/**
 * How a store is opened. Zero everywhere is the defaults, which are the safe ones.
 */
typedef struct bitacora_options {
  /**
   * One of `BITACORA_DURABILITY_...`.
   */
  uint32_t durability;
  /**
   * With `BITACORA_DURABILITY_INTERVAL`, and never zero then.
   */
  uint32_t sync_interval_millis;
  /**
   * One of `BITACORA_PREALLOCATION_...`.
   */
  uint32_t preallocation;
  /**
   * One of `BITACORA_ALIGN_...`.
   */
  uint32_t align;
  /**
   * The size of a segment file, from 1 MiB to 2 GiB; zero for 64 MiB.
   */
  uint64_t segment_bytes;
  /**
   * Events in memory before they are moved into the index; zero for 1,000,000.
   */
  uint64_t tail_events_max;
  /**
   * The folder of the demonstration's card gateway; empty for none. Without one payments have no part by card.
   */
  struct bitacora_slice gateway_folder;
} bitacora_options;

/**
 * An event to append.
 */
typedef struct bitacora_draft {
  /**
   * Its type, such as "OrderPlaced".
   */
  struct bitacora_slice event_type;
  /**
   * Which shape of that type the payload has; from 1, and zero counts as 1.
   */
  uint16_t schema_version;
  /**
   * What the payload is in: one of `BITACORA_CODEC_...`, or a number of one's own from 128 on.
   */
  uint8_t codec;
  /**
   * The payload.
   */
  struct bitacora_slice payload;
  /**
   * What it belongs to; empty for nothing.
   */
  struct bitacora_slice correlation_id;
  /**
   * What caused it; empty for nothing.
   */
  struct bitacora_slice causation_id;
  /**
   * Who did it; empty for nobody.
   */
  struct bitacora_slice actor;
} bitacora_draft;

/**
 * What became of an append.
 */
typedef struct bitacora_receipt {
  /**
   * The first event's sequence.
   */
  uint64_t sequence_first;
  /**
   * The last event's sequence.
   */
  uint64_t sequence_last;
  /**
   * The last event's version, which the stream is at now.
   */
  uint64_t version_last;
  /**
   * When, in microseconds since 1970.
   */
  int64_t timestamp_micros;
  /**
   * Whether this is the receipt of an earlier call with the same key.
   */
  bool is_repeat;
} bitacora_receipt;

/**
 * An event as it lies in the log. What it points to is valid until the next call with the same reader.
 */
typedef struct bitacora_event {
  /**
   * Its place in the whole log, from 1.
   */
  uint64_t sequence;
  /**
   * Its place in its stream, from 1.
   */
  uint64_t version;
  /**
   * When it was committed, in microseconds since 1970.
   */
  int64_t timestamp_micros;
  /**
   * Its id, a UUID.
   */
  uint8_t id[16];
  /**
   * The stream's name.
   */
  struct bitacora_slice stream;
  /**
   * Its type.
   */
  struct bitacora_slice event_type;
  /**
   * The payload.
   */
  struct bitacora_slice payload;
  /**
   * What it belongs to; empty for nothing.
   */
  struct bitacora_slice correlation_id;
  /**
   * What caused it; empty for nothing.
   */
  struct bitacora_slice causation_id;
  /**
   * Who did it; empty for nobody.
   */
  struct bitacora_slice actor;
  /**
   * Which shape of its type the payload has.
   */
  uint16_t schema_version;
  /**
   * What the payload is in.
   */
  uint8_t codec;
} bitacora_event;

/**
 * A wallet's amounts, in minor units.
 */
typedef struct bitacora_balance {
  /**
   * What it holds.
   */
  int64_t balance;
  /**
   * What of that is locked by holds.
   */
  int64_t locked_balance;
  /**
   * What of that is not.
   */
  int64_t available_balance;
  /**
   * The wallet's version.
   */
  uint64_t version;
  /**
   * The currency's code in ISO 4217, with a zero behind it.
   */
  uint8_t currency[4];
} bitacora_balance;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * What the last function that did not answer `BITACORA_CODE_OK` on this thread has to say, in UTF-8; an empty text where there was
 * none. Valid until the next call of this library on this thread.
 */
const char *bitacora_error_text(void);

/**
 * Whether the same call, decided anew or made later, can succeed on this open store.
 */
bool bitacora_is_retryable(int32_t code);

/**
 * The version of this library, such as "0.1.0".
 */
const char *bitacora_version(void);

/**
 * Frees a buffer and makes it empty. Null and an empty buffer are no harm.
 *
 * # Safety
 * `buffer` is null, or points to a buffer that this library filled, or that is all zeros.
 */
void bitacora_buffer_free(struct bitacora_buffer *buffer);

/**
 * Opens the store in a folder, making it where there is none, and recovers it. `options` may be null for the defaults.
 *
 * `path` is UTF-8. Ends with `bitacora_close`.
 *
 * # Safety
 * Every pointer is null or valid.
 */
enum bitacora_code bitacora_open(struct bitacora_slice path,
                                 const struct bitacora_options *options,
                                 struct bitacora_store **store);

/**
 * Opens a store to read, whether another process writes to it or not; shows it as it is now. Nothing on disk is changed.
 *
 * # Safety
 * Every pointer is null or valid.
 */
enum bitacora_code bitacora_open_read_only(struct bitacora_slice path,
                                           struct bitacora_store **store);

/**
 * Makes everything durable and closes the store. Its handle is freed, whatever is answered; null is no harm. Handles of events
 * stay valid, and answer `BITACORA_CODE_CLOSED` or what they had read before.
 *
 * # Safety
 * `store` is null or was opened by this library, was not closed yet, and no other call uses it.
 */
enum bitacora_code bitacora_close(struct bitacora_store *store);

/**
 * Appends events to a stream, all or none, and waits until that is acknowledged.
 *
 * `expected_version` is `BITACORA_ANY_VERSION`, `BITACORA_NO_STREAM`, `BITACORA_STREAM_EXISTS` or the version that the stream
 * is at. A `key` makes the call safe to repeat: the same key with the same content is answered with the first receipt; empty
 * for none. `receipt` may be null.
 *
 * # Safety
 * Every pointer is null or valid; `events` has `event_count` of them.
 */
enum bitacora_code bitacora_append(const struct bitacora_store *store,
                                   struct bitacora_slice stream,
                                   uint64_t expected_version,
                                   const struct bitacora_draft *events,
                                   size_t event_count,
                                   struct bitacora_slice key,
                                   struct bitacora_receipt *receipt);

/**
 * Makes everything that was acknowledged durable. `sequence` gets the last sequence that is, and may be null.
 *
 * # Safety
 * Every pointer is null or valid.
 */
enum bitacora_code bitacora_sync(const struct bitacora_store *store,
                                 uint64_t *sequence);

/**
 * The last sequence that reads show; zero where there is none.
 *
 * # Safety
 * Every pointer is null or valid.
 */
enum bitacora_code bitacora_last_sequence(const struct bitacora_store *store, uint64_t *sequence);

/**
 * What opening found and did, as the JSON object that `bitacora recover --json` prints as "store".
 *
 * # Safety
 * Every pointer is null or valid.
 */
enum bitacora_code bitacora_recovery_report(const struct bitacora_store *store,
                                            struct bitacora_buffer *report);

/**
 * Events by sequence, from `first` to `last`, both included, as far as they are acknowledged now. 0 and `UINT64_MAX` for all.
 * Ends with `bitacora_events_free`.
 *
 * # Safety
 * Every pointer is null or valid.
 */
enum bitacora_code bitacora_read_all(const struct bitacora_store *store,
                                     uint64_t first,
                                     uint64_t last,
                                     struct bitacora_events **events);

/**
 * A stream's events by version, from `first` to `last`, both included, as far as they are acknowledged now; none where there is
 * no such stream. 0 and `UINT64_MAX` for all. Ends with `bitacora_events_free`.
 *
 * # Safety
 * Every pointer is null or valid.
 */
enum bitacora_code bitacora_read_stream(const struct bitacora_store *store,
                                        struct bitacora_slice stream,
                                        uint64_t first,
                                        uint64_t last,
                                        struct bitacora_events **events);

/**
 * The next event; `BITACORA_CODE_END` where there is none. What the event before pointed to is gone then. Ends at its first error.
 *
 * # Safety
 * Every pointer is null or valid, and no other call uses `events`.
 */
enum bitacora_code bitacora_events_next(struct bitacora_events *events,
                                        struct bitacora_event *event);

/**
 * Ends reading. Null is no harm.
 *
 * # Safety
 * `events` is null or was made by this library and not freed yet, and no other call uses it.
 */
void bitacora_events_free(struct bitacora_events *events);

/**
 * Carries out one command on a wallet or a payment, and waits until its outcome is durable.
 *
 * `command` is one JSON object, as a line of `bitacora command`; `answer` gets the JSON object that is printed there. Both are
 * described in `src/docs/command_line.md`. `BITACORA_CODE_OK`: it is done, now or by an earlier call with the same "command_id".
 * `BITACORA_CODE_REFUSED`: a rule said no, and `answer` says which; a payment that was not paid is one too.
 * `BITACORA_CODE_INVALID_INPUT`: it is no command. Any other code: the store failed, and the same command can be given again.
 *
 * The first command recovers wallets and payments to ready, and goes on with payments that were under way.
 *
 * # Safety
 * Every pointer is null or valid.
 */
enum bitacora_code bitacora_command(const struct bitacora_store *store,
                                    struct bitacora_slice command,
                                    struct bitacora_buffer *answer_json);

/**
 * A wallet's balance; `BITACORA_CODE_NOT_FOUND` where there is no such wallet. Works on a store that was opened to read, too.
 *
 * # Safety
 * Every pointer is null or valid.
 */
enum bitacora_code bitacora_wallet_balance(const struct bitacora_store *store,
                                           struct bitacora_slice user_id,
                                           struct bitacora_balance *balance);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BITACORA_H */
