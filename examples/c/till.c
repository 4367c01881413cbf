/*
 * A till in C: an order, a wallet, and what errors say. Works as often as it is called on the same folder.
 *
 *     make capi
 *     cc -Icapi/include examples/c/till.c -Ltarget/release -lbitacora_capi -Wl,-rpath,target/release -o till
 *     ./till till-data
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitacora.h"

static bitacora_slice slice(const char *text) {
    bitacora_slice slice = {(const uint8_t *)text, strlen(text)};
    return slice;
}

/* Ends the program where something is not as it should be. */
static void check(bitacora_code code, bitacora_code expected, const char *what) {
    if (code != expected) {
        fprintf(stderr, "%s: code %d, expected %d: %s\n", what, (int)code, (int)expected, bitacora_error_text());
        exit(1);
    }
}

/* Gives one command on a wallet and shows its answer. */
static bitacora_code command(bitacora_store *store, const char *json) {
    bitacora_buffer answer = {NULL, 0};
    bitacora_code code = bitacora_command(store, slice(json), &answer);
    if (answer.data != NULL) {
        printf("%s\n", (const char *)answer.data);
    }
    bitacora_buffer_free(&answer);
    return code;
}

/* Appends an order in two events; the key makes that safe to repeat. */
static void append_order(bitacora_store *store) {
    bitacora_draft events[2];
    memset(events, 0, sizeof events);
    events[0].event_type = slice("OrderPlaced");
    events[0].codec = BITACORA_CODEC_JSON;
    events[0].payload = slice("{\"items\":3}");
    events[0].actor = slice("ana");
    events[1].event_type = slice("OrderPaid");
    events[1].codec = BITACORA_CODEC_RAW;
    events[1].payload.data = (const uint8_t *)"\0\1\2";
    events[1].payload.length = 3;
    bitacora_receipt receipt;
    bitacora_code code = bitacora_append(
        store, slice("order-1"), BITACORA_NO_STREAM, events, 2, slice("order-1"), &receipt);
    check(code, BITACORA_CODE_OK, "append");
    printf("order-1 is at version %" PRIu64 "%s\n", receipt.version_last, receipt.is_repeat ? ", as before" : "");
}

static void read_order(bitacora_store *store) {
    bitacora_events *events = NULL;
    check(bitacora_read_stream(store, slice("order-1"), 0, UINT64_MAX, &events), BITACORA_CODE_OK, "read");
    bitacora_event event;
    bitacora_code code;
    uint64_t count = 0;
    while ((code = bitacora_events_next(events, &event)) == BITACORA_CODE_OK) {
        count++;
        printf("%.*s version %" PRIu64 ": %.*s, %zu bytes\n", (int)event.stream.length, (const char *)event.stream.data,
            event.version, (int)event.event_type.length, (const char *)event.event_type.data, event.payload.length);
        if (event.version != count) {
            fprintf(stderr, "versions have a gap\n");
            exit(1);
        }
    }
    check(code, BITACORA_CODE_END, "the end of the stream");
    bitacora_events_free(events);
    if (count != 2) {
        fprintf(stderr, "%" PRIu64 " events\n", count);
        exit(1);
    }
}

static void use_wallet(bitacora_store *store) {
    check(command(store, "{\"command\":\"open\",\"command_id\":\"1\",\"user_id\":\"ana\",\"currency\":\"EUR\"}"),
        BITACORA_CODE_OK, "open a wallet");
    check(command(store,
        "{\"command\":\"deposit\",\"command_id\":\"2\",\"user_id\":\"ana\",\"amount\":1250,\"currency\":\"EUR\"}"),
        BITACORA_CODE_OK, "deposit");
    check(command(store,
        "{\"command\":\"withdraw\",\"command_id\":\"3\",\"user_id\":\"ana\",\"amount\":9999,\"currency\":\"EUR\"}"),
        BITACORA_CODE_REFUSED, "withdraw too much");
    check(command(store,
        "{\"command\":\"pay\",\"command_id\":\"4\",\"payment_id\":\"sale-1\",\"user_id\":\"ana\",\"currency\":\"EUR\","
        "\"wallet_amount\":250}"),
        BITACORA_CODE_OK, "pay");
    bitacora_balance balance;
    check(bitacora_wallet_balance(store, slice("ana"), &balance), BITACORA_CODE_OK, "balance");
    printf("ana has %" PRId64 " %s\n", balance.balance, (const char *)balance.currency);
    if (balance.balance != 1000 || strcmp((const char *)balance.currency, "EUR") != 0) {
        exit(1);
    }
    check(bitacora_wallet_balance(store, slice("ben"), &balance), BITACORA_CODE_NOT_FOUND, "no wallet");
}

/* What goes wrong is a code and a text, and never a crash. */
static void meet_errors(bitacora_store *store, const char *folder) {
    bitacora_draft event;
    memset(&event, 0, sizeof event);
    event.event_type = slice("OrderPlaced");
    check(bitacora_append(store, slice("order-1"), 7, &event, 1, slice(""), NULL), BITACORA_CODE_CONFLICT, "conflict");
    printf("error: %s\n", bitacora_error_text());
    if (strstr(bitacora_error_text(), "order-1") == NULL || !bitacora_is_retryable(BITACORA_CODE_CONFLICT)) {
        exit(1);
    }
    bitacora_store *second = NULL;
    check(bitacora_open(slice(folder), NULL, &second), BITACORA_CODE_LOCKED, "a second writer");
    check(bitacora_open(slice(folder), NULL, NULL), BITACORA_CODE_INVALID_INPUT, "no place for the store");
    bitacora_slice none = {NULL, 3};
    check(bitacora_open(none, NULL, &second), BITACORA_CODE_INVALID_INPUT, "no path");
    check(bitacora_append(NULL, slice("a"), 0, &event, 1, slice(""), NULL), BITACORA_CODE_INVALID_INPUT, "no store");
    check(bitacora_append(store, slice("a"), 0, NULL, 1, slice(""), NULL), BITACORA_CODE_INVALID_INPUT, "no events");
    check(bitacora_append(store, slice("a\xff"), 0, &event, 1, slice(""), NULL), BITACORA_CODE_INVALID_INPUT, "not UTF-8");
    check(bitacora_events_next(NULL, NULL), BITACORA_CODE_INVALID_INPUT, "no reader");
    check(command(store, "{\"command\":\"dance\",\"command_id\":\"9\",\"user_id\":\"ana\"}"), BITACORA_CODE_INVALID_INPUT,
        "no command");
    bitacora_options options;
    memset(&options, 0, sizeof options);
    options.durability = 9;
    check(bitacora_open(slice(folder), &options, &second), BITACORA_CODE_INVALID_INPUT, "an unknown option");
    bitacora_events_free(NULL);
    bitacora_buffer_free(NULL);
    check(bitacora_close(NULL), BITACORA_CODE_OK, "close nothing");
    if (second != NULL) {
        exit(1);
    }
}

/* A store that is open can be looked at, here as by another process. */
static void look_at(const char *folder) {
    bitacora_store *reader = NULL;
    check(bitacora_open_read_only(slice(folder), &reader), BITACORA_CODE_OK, "open to read");
    bitacora_events *events = NULL;
    check(bitacora_read_all(reader, 0, UINT64_MAX, &events), BITACORA_CODE_OK, "read all");
    bitacora_event event;
    uint64_t last = 0;
    while (bitacora_events_next(events, &event) == BITACORA_CODE_OK) {
        last = event.sequence;
    }
    bitacora_events_free(events);
    uint64_t sequence = 0;
    check(bitacora_last_sequence(reader, &sequence), BITACORA_CODE_OK, "last sequence");
    bitacora_balance balance;
    check(bitacora_wallet_balance(reader, slice("ana"), &balance), BITACORA_CODE_OK, "balance");
    check(bitacora_sync(reader, NULL), BITACORA_CODE_READ_ONLY, "sync to read");
    check(bitacora_close(reader), BITACORA_CODE_OK, "close");
    if (last == 0 || last != sequence || balance.balance != 1000) {
        fprintf(stderr, "%" PRIu64 " events of %" PRIu64 "\n", last, sequence);
        exit(1);
    }
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
        return 2;
    }
    bitacora_options options;
    memset(&options, 0, sizeof options);
    options.segment_bytes = 1024 * 1024;
    bitacora_store *store = NULL;
    check(bitacora_open(slice(arguments[1]), &options, &store), BITACORA_CODE_OK, "open");
    bitacora_buffer report = {NULL, 0};
    check(bitacora_recovery_report(store, &report), BITACORA_CODE_OK, "report");
    printf("%s\n", (const char *)report.data);
    bitacora_buffer_free(&report);
    append_order(store);
    read_order(store);
    use_wallet(store);
    meet_errors(store, arguments[1]);
    uint64_t synced = 0;
    check(bitacora_sync(store, &synced), BITACORA_CODE_OK, "sync");
    look_at(arguments[1]);
    check(bitacora_close(store), BITACORA_CODE_OK, "close");
    return 0;
}
