/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/http-refusal.h"

#include <glib.h>
#include <string.h>

static char *refusal(unsigned status, const char *sentence, unsigned retry_after) {
  struct wsp_buffer out = {0};
  g_assert_true(wsp_http_refusal(&out, status, sentence, retry_after));
  char *text = g_strndup((const char *)wsp_buffer_front(&out), wsp_buffer_length(&out));
  g_assert_cmpuint(strlen(text), ==, wsp_buffer_length(&out));
  g_assert_cmpuint(strlen(text), <=, WSP_RESPONSE_MAX);
  wsp_buffer_clear(&out);
  return text;
}

static void test_refusal_is_a_whole_response(void) {
  g_autofree char *text = refusal(400, "Host is missing.", 0);
  g_assert_cmpstr(text, ==,
                  "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
                  "Content-Length: 17\r\n\r\nHost is missing.\n");
}

static void test_statuses_carry_what_http_asks(void) {
  static const struct {
    unsigned status, retry_after;
    const char *part;
  } cases[] = {
      {403, 0, "HTTP/1.1 403 Forbidden\r\n"},
      {405, 0, "\r\nAllow: GET\r\n"},
      {408, 0, "HTTP/1.1 408 Request Timeout\r\n"},
      {426, 0, "\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
      {426, 0, "\r\nConnection: close, Upgrade\r\n"},
      {429, 60, "\r\nRetry-After: 60\r\n"},
      {431, 0, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
      {503, 4294967295u, "\r\nRetry-After: 4294967295\r\n"},
      {505, 0, "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
      {599, 0, "HTTP/1.1 599 Refused\r\n"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *text = refusal(cases[i].status, "No.", cases[i].retry_after);
    g_assert_nonnull(strstr(text, cases[i].part));
    g_assert_true(g_str_has_suffix(text, "\r\nContent-Length: 4\r\n\r\nNo.\n"));
  }
  g_autofree char *without = refusal(429, "No.", 0);
  g_assert_null(strstr(without, "Retry-After"));
  g_autofree char *other = refusal(400, "No.", 60);
  g_assert_null(strstr(other, "Retry-After"));
}

static void test_long_sentences_are_cut_between_code_points(void) {
  for (size_t shift = 0; shift < 4; shift++) {
    GString *sentence = g_string_new(NULL);
    for (size_t i = 0; i < shift; i++)
      g_string_append_c(sentence, 'x');
    while (sentence->len < 2 * WSP_RESPONSE_MAX)
      g_string_append(sentence, "\xF0\x9F\x98\x80");
    g_autofree char *text = refusal(426, sentence->str, 0);
    const char *body = strstr(text, "\r\n\r\n") + 4;
    g_autofree char *length = g_strdup_printf("Content-Length: %zu\r\n", strlen(body));
    g_assert_nonnull(strstr(text, length));
    g_assert_true(g_utf8_validate(body, -1, NULL));
    g_assert_cmpuint(strlen(body), >, 500);
    g_string_free(sentence, TRUE);
  }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/refusal/is-a-whole-response", test_refusal_is_a_whole_response);
  g_test_add_func("/refusal/statuses-carry-what-http-asks", test_statuses_carry_what_http_asks);
  g_test_add_func("/refusal/long-sentences-are-cut-between-code-points",
                  test_long_sentences_are_cut_between_code_points);
  return g_test_run();
}
