/* SPDX-License-Identifier: Apache-2.0 */
/* What is agreed about compression: RFC 7692 sections 5 and 7.1, each parameter in each form, in both roles. */
#include "tests/websocket/pieces.h"
#include "websocket/client-handshake.h"
#include "websocket/deflate-terms.h"

#include <glib.h>
#include <string.h>

static struct wsp_server_handshake *feed_request(const char *extension_lines, enum wsp_handshake_result expected) {
  g_autofree char *request =
      g_strdup_printf("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                      "Sec-WebSocket-Version: 13\r\n%s\r\n",
                      extension_lines);
  struct wsp_server_handshake *handshake = wsp_server_handshake_new();
  size_t consumed;
  g_assert_cmpint(wsp_server_handshake_feed(handshake, (const uint8_t *)request, strlen(request), &consumed), ==,
                  expected);
  return handshake;
}

/* The value of the answer's Sec-WebSocket-Extensions, or NULL. */
static char *answer_to_lines(const char *extension_lines, bool keep_context, struct wsp_deflate_terms *terms) {
  struct wsp_server_handshake *handshake = feed_request(extension_lines, WSP_HANDSHAKE_DONE);
  *terms = wsp_server_handshake_choose_deflate(handshake, keep_context);
  struct wsp_buffer out = {0};
  g_assert_true(wsp_server_handshake_accept(handshake, (struct wsp_slice){0}, &out));
  g_autofree char *response = g_strndup((const char *)wsp_buffer_front(&out), wsp_buffer_length(&out));
  wsp_buffer_clear(&out);
  wsp_server_handshake_free(handshake);
  g_assert_true(g_str_has_suffix(response, "\r\n\r\n"));
  const char *name = "\r\nSec-WebSocket-Extensions: ";
  const char *at = strstr(response, name);
  g_assert_true((at != NULL) == terms->agreed);
  if (!at)
    return NULL;
  at += strlen(name);
  g_assert_null(strstr(at, name));
  return g_strndup(at, (gsize)(strstr(at, "\r\n") - at));
}

static void check_answer(const char *offers, bool keep_context, const char *expected, unsigned server_bits,
                         unsigned client_bits) {
  struct wsp_deflate_terms terms;
  g_autofree char *lines = g_strdup_printf("Sec-WebSocket-Extensions: %s\r\n", offers);
  g_autofree char *answer = answer_to_lines(lines, keep_context, &terms);
  if (g_strcmp0(answer, expected) != 0)
    g_test_message("%s", offers);
  g_assert_cmpstr(answer, ==, expected);
  if (!expected)
    return;
  g_assert_cmpuint(terms.server_bits, ==, server_bits);
  g_assert_cmpuint(terms.client_bits, ==, client_bits);
  g_assert_true(terms.server_no_takeover == (strstr(expected, "server_no_context_takeover") != NULL));
  g_assert_true(terms.client_no_takeover == (strstr(expected, "client_no_context_takeover") != NULL));
}

#define PMD "permessage-deflate"

static const struct {
  const char *offers;
  const char *answer; /* NULL: none is taken */
  unsigned server_bits, client_bits;
} offers[] = {
    /* what clients really offer */
    {PMD, PMD, 15, 15},                                                          /* Firefox, Safari */
    {PMD "; client_max_window_bits", PMD "; client_max_window_bits=12", 15, 12}, /* Chromium, ws, websockets */
    {PMD "; client_no_context_takeover; client_max_window_bits",
     PMD "; client_no_context_takeover; client_max_window_bits=12", 15, 12},
    {PMD
     "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=10",
     PMD "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; "
         "client_max_window_bits=10",
     10, 10},
    /* each parameter */
    {PMD "; server_no_context_takeover", PMD "; server_no_context_takeover", 15, 15},
    {PMD "; client_no_context_takeover", PMD "; client_no_context_takeover", 15, 15},
    {PMD "; server_max_window_bits=8", PMD "; server_max_window_bits=8", 8, 15},
    {PMD "; server_max_window_bits=9", PMD "; server_max_window_bits=9", 9, 15},
    {PMD "; server_max_window_bits=15", PMD "; server_max_window_bits=15", 15, 15},
    {PMD "; client_max_window_bits=8", PMD "; client_max_window_bits=8", 15, 8},
    {PMD "; client_max_window_bits=12", PMD "; client_max_window_bits=12", 15, 12},
    {PMD "; client_max_window_bits=15", PMD "; client_max_window_bits=12", 15, 12},
    /* quoted, and with white space wherever it may be (RFC 6455 section 9.1) */
    {PMD "; server_max_window_bits=\"10\"", PMD "; server_max_window_bits=10", 10, 15},
    {PMD "; server_max_window_bits=\"\\1\\0\"", PMD "; server_max_window_bits=10", 10, 15},
    {PMD " ;\t server_max_window_bits = 10 ;client_max_window_bits",
     PMD "; server_max_window_bits=10; client_max_window_bits=12", 10, 12},
    /* illegal values */
    {PMD "; server_no_context_takeover=1", NULL, 0, 0},
    {PMD "; server_no_context_takeover=\"true\"", NULL, 0, 0},
    {PMD "; client_no_context_takeover=1", NULL, 0, 0},
    {PMD "; server_max_window_bits", NULL, 0, 0},
    {PMD "; server_max_window_bits=7", NULL, 0, 0},
    {PMD "; server_max_window_bits=16", NULL, 0, 0},
    {PMD "; server_max_window_bits=08", NULL, 0, 0},
    {PMD "; server_max_window_bits=010", NULL, 0, 0},
    {PMD "; server_max_window_bits=0", NULL, 0, 0},
    {PMD "; server_max_window_bits=1", NULL, 0, 0},
    {PMD "; server_max_window_bits=100", NULL, 0, 0},
    {PMD "; server_max_window_bits=4294967306", NULL, 0, 0},
    {PMD "; server_max_window_bits=+10", NULL, 0, 0},
    {PMD "; server_max_window_bits=1x", NULL, 0, 0},
    {PMD "; server_max_window_bits=\"\\1\\6\"", NULL, 0, 0},
    {PMD "; client_max_window_bits=7", NULL, 0, 0},
    {PMD "; client_max_window_bits=16", NULL, 0, 0},
    {PMD "; client_max_window_bits=\"07\"", NULL, 0, 0},
    /* unknown and repeated */
    {PMD "; window=10", NULL, 0, 0},
    {PMD "; Server_no_context_takeover", NULL, 0, 0},
    {PMD "; server_no_context_takeover; server_no_context_takeover", NULL, 0, 0},
    {PMD "; client_no_context_takeover; client_no_context_takeover", NULL, 0, 0},
    {PMD "; server_max_window_bits=10; server_max_window_bits=10", NULL, 0, 0},
    {PMD "; client_max_window_bits; client_max_window_bits=10", NULL, 0, 0},
    /* other extensions */
    {"x-webkit-deflate-frame", NULL, 0, 0},
    {"permessage-deflat, permessage-deflate2; server_max_window_bits=10", NULL, 0, 0},
    {"permessage-bzip2; a=\"b\"; c, " PMD, PMD, 15, 15},
    /* several offers: the first acceptable one, and one only */
    {PMD "; server_max_window_bits=10, " PMD, PMD "; server_max_window_bits=10", 10, 15},
    {PMD ", " PMD "; server_max_window_bits=10", PMD, 15, 15},
    {PMD "; mode=best, " PMD "; server_max_window_bits=7, " PMD "; client_max_window_bits=9",
     PMD "; client_max_window_bits=9", 15, 9},
};

static void test_the_first_acceptable_offer_is_answered_to_the_letter(void) {
  for (size_t i = 0; i < G_N_ELEMENTS(offers); i++)
    check_answer(offers[i].offers, true, offers[i].answer, offers[i].server_bits, offers[i].client_bits);
}

static void test_offers_may_stand_in_several_headers(void) {
  struct wsp_deflate_terms terms;
  g_autofree char *answer =
      answer_to_lines("Sec-WebSocket-Extensions: permessage-bzip2\r\n"
                      "sec-websocket-extensions: " PMD "; bad, " PMD "; server_max_window_bits=11\r\n"
                      "Sec-WebSocket-Extensions: " PMD "\r\n",
                      true, &terms);
  g_assert_cmpstr(answer, ==, PMD "; server_max_window_bits=11");
  g_autofree char *none = answer_to_lines("X: y\r\n", true, &terms);
  g_assert_null(none);
}

static void test_without_room_for_histories_context_is_given_up(void) {
  check_answer(PMD, false, PMD "; server_no_context_takeover; client_no_context_takeover", 15, 15);
  check_answer(PMD "; server_no_context_takeover; client_max_window_bits", false,
               PMD "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12", 15, 12);
}

static void test_a_malformed_offer_is_refused(void) {
  static const char *const malformed[] = {PMD ";",
                                          PMD "; server_max_window_bits=",
                                          PMD "; a=\"",
                                          PMD ",",
                                          ", " PMD,
                                          PMD "; a b",
                                          PMD "; server_max_window_bits=\"1 0\"",
                                          ""};
  for (size_t i = 0; i < G_N_ELEMENTS(malformed); i++) {
    g_autofree char *lines =
        g_strdup_printf("Sec-WebSocket-Extensions: " PMD "\r\nSec-WebSocket-Extensions: %s\r\n", malformed[i]);
    struct wsp_server_handshake *handshake = feed_request(lines, WSP_HANDSHAKE_REFUSED);
    g_assert_cmpuint(wsp_server_handshake_status(handshake), ==, 400);
    wsp_server_handshake_free(handshake);
  }
}

/* ---- The client ---- */

static struct wsp_client_handshake *ask(bool compression, struct wsp_buffer *out) {
  static const uint8_t key[16] = {'t', 'h', 'e', ' ', 's', 'a', 'm', 'p', 'l', 'e', ' ', 'n', 'o', 'n', 'c', 'e'};
  const struct wsp_client_request request = {.host = "a", .target = "/", .compression = compression};
  const char *fault = NULL;
  struct wsp_client_handshake *handshake = wsp_client_handshake_new(&request, key, out, &fault);
  g_assert_nonnull(handshake);
  return handshake;
}

static enum wsp_handshake_result take_answer(struct wsp_client_handshake *handshake, const char *extension_lines) {
  g_autofree char *response = g_strdup_printf("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n%s\r\n",
                                              extension_lines);
  size_t consumed;
  return wsp_client_handshake_feed(handshake, (const uint8_t *)response, strlen(response), &consumed);
}

static void test_the_client_offers_only_when_asked_to(void) {
  for (unsigned compression = 0; compression < 2; compression++) {
    struct wsp_buffer out = {0};
    struct wsp_client_handshake *handshake = ask(compression, &out);
    g_autofree char *request = g_strndup((const char *)wsp_buffer_front(&out), wsp_buffer_length(&out));
    g_assert_true((strstr(request, "\r\nSec-WebSocket-Extensions: " PMD "; client_max_window_bits\r\n") != NULL) ==
                  compression);
    g_assert_cmpint(take_answer(handshake, ""), ==, WSP_HANDSHAKE_DONE);
    g_assert_false(wsp_client_handshake_deflate(handshake).agreed);
    wsp_client_handshake_free(handshake);
    wsp_buffer_clear(&out);
  }
}

static const struct {
  const char *answer;
  struct wsp_deflate_terms terms; /* not agreed: refused */
} answers[] = {
    {PMD, {.agreed = true, .server_bits = 15, .client_bits = 15}},
    {PMD "; server_no_context_takeover",
     {.agreed = true, .server_no_takeover = true, .server_bits = 15, .client_bits = 15}},
    {PMD "; client_no_context_takeover",
     {.agreed = true, .client_no_takeover = true, .server_bits = 15, .client_bits = 15}},
    {PMD "; server_max_window_bits=9; client_max_window_bits=\"8\"",
     {.agreed = true, .server_bits = 9, .client_bits = 8}},
    {PMD "; client_max_window_bits=15; server_max_window_bits=15",
     {.agreed = true, .server_bits = 15, .client_bits = 15}},
    {PMD "; client_max_window_bits", {0}},
    {PMD "; client_max_window_bits=7", {0}},
    {PMD "; client_max_window_bits=16", {0}},
    {PMD "; server_max_window_bits", {0}},
    {PMD "; server_max_window_bits=7", {0}},
    {PMD "; server_max_window_bits=16", {0}},
    {PMD "; server_max_window_bits=08", {0}},
    {PMD "; server_no_context_takeover=0", {0}},
    {PMD "; client_no_context_takeover=1", {0}},
    {PMD "; other", {0}},
    {PMD "; server_no_context_takeover; server_no_context_takeover", {0}},
    {PMD "; server_max_window_bits=9; server_max_window_bits=9", {0}},
    {PMD ", " PMD, {0}},
    {PMD ", other", {0}},
    {"other, " PMD, {0}},
    {"other", {0}},
    {"Permessage-Deflate", {0}},
    {PMD ";", {0}},
    {"", {0}},
    {PMD "\r\nSec-WebSocket-Extensions: " PMD, {0}},
};

static void test_the_client_holds_the_answer_to_the_letter(void) {
  for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
    for (unsigned compression = 0; compression < 2; compression++) {
      struct wsp_buffer out = {0};
      struct wsp_client_handshake *handshake = ask(compression, &out);
      const struct wsp_deflate_terms *expected = &answers[i].terms;
      g_autofree char *lines = g_strdup_printf("Sec-WebSocket-Extensions: %s\r\n", answers[i].answer);
      bool good = take_answer(handshake, lines) == WSP_HANDSHAKE_DONE;
      if (good != (compression && expected->agreed))
        g_error("%s", answers[i].answer);
      g_assert_true(good || wsp_client_handshake_fault(handshake));
      const struct wsp_deflate_terms terms = wsp_client_handshake_deflate(handshake);
      if (good) {
        g_assert_true(terms.agreed);
        g_assert_true(terms.server_no_takeover == expected->server_no_takeover);
        g_assert_true(terms.client_no_takeover == expected->client_no_takeover);
        g_assert_cmpuint(terms.server_bits, ==, expected->server_bits);
        g_assert_cmpuint(terms.client_bits, ==, expected->client_bits);
      }
      wsp_client_handshake_free(handshake);
      wsp_buffer_clear(&out);
    }
  }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/deflate-terms/the-first-acceptable-offer-is-answered-to-the-letter",
                  test_the_first_acceptable_offer_is_answered_to_the_letter);
  g_test_add_func("/deflate-terms/offers-may-stand-in-several-headers", test_offers_may_stand_in_several_headers);
  g_test_add_func("/deflate-terms/without-room-for-histories-context-is-given-up",
                  test_without_room_for_histories_context_is_given_up);
  g_test_add_func("/deflate-terms/a-malformed-offer-is-refused", test_a_malformed_offer_is_refused);
  g_test_add_func("/deflate-terms/the-client-offers-only-when-asked-to", test_the_client_offers_only_when_asked_to);
  g_test_add_func("/deflate-terms/the-client-holds-the-answer-to-the-letter",
                  test_the_client_holds_the_answer_to_the_letter);
  return g_test_run();
}
