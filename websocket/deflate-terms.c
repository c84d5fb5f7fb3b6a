/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/deflate-terms.h"

#include "websocket/http-list.h"

#include <stdio.h>

enum parameter {
  SERVER_NO_TAKEOVER,
  CLIENT_NO_TAKEOVER,
  SERVER_BITS,
  CLIENT_BITS,
  PARAMETERS,
};

static const char *const parameter_names[PARAMETERS] = {
    [SERVER_NO_TAKEOVER] = "server_no_context_takeover",
    [CLIENT_NO_TAKEOVER] = "client_no_context_takeover",
    [SERVER_BITS] = "server_max_window_bits",
    [CLIENT_BITS] = "client_max_window_bits",
};

struct parameters {
  bool given[PARAMETERS];
  uint8_t bits[PARAMETERS]; /* 0: without a value */
};

/* Decimal without leading zeros, 8 to 15 (sections 7.1.2.1 and 7.1.2.2). A quoted value may be full of backslashes. */
static bool read_bits(struct wsp_slice value, uint8_t *bits) {
  unsigned number = 0;
  for (size_t i = 0; i < value.length; i++) {
    const char octet = value.text[i];
    if (octet == '\\')
      continue;
    if (octet < '0' || octet > '9' || (number == 0 && octet == '0'))
      return false;
    number = number * 10 + (unsigned)(octet - '0');
    if (number > WSP_WINDOW_BITS_MAX)
      return false;
  }
  *bits = (uint8_t)number;
  return number >= WSP_WINDOW_BITS_MIN;
}

static enum parameter find_parameter(struct wsp_slice name) {
  enum parameter parameter = SERVER_NO_TAKEOVER;
  while (parameter < PARAMETERS && !wsp_slice_is(name, parameter_names[parameter]))
    parameter++;
  return parameter;
}

/* NULL or what is wrong. Only in an offer may client_max_window_bits be without a value. */
static const char *read_parameters(struct wsp_slice text, bool is_offer, struct parameters *parameters) {
  struct wsp_slice name, value;
  *parameters = (struct parameters){0};
  while (wsp_extension_parameter_next(&text, &name, &value)) {
    const enum parameter parameter = find_parameter(name);
    if (parameter == PARAMETERS)
      return "The answer's permessage-deflate has an unknown parameter.";
    if (parameters->given[parameter])
      return "The answer's permessage-deflate has a parameter twice.";
    parameters->given[parameter] = true;
    const bool takes_value = parameter == SERVER_BITS || parameter == CLIENT_BITS;
    if (!value.text && (!takes_value || (parameter == CLIENT_BITS && is_offer)))
      continue;
    if (!value.text || !takes_value || !read_bits(value, &parameters->bits[parameter]))
      return "The answer's permessage-deflate has a parameter with an illegal value.";
  }
  return NULL;
}

static uint8_t bits_or(uint8_t bits, uint8_t otherwise) {
  return bits ? bits : otherwise;
}

/* A client that lets us choose its window gets one that costs us little (section 7.1.2.2). */
static void answer(const struct parameters *offer, bool keep_context, struct wsp_deflate_terms *terms) {
  const uint8_t client_bits = bits_or(offer->bits[CLIENT_BITS], WSP_WINDOW_BITS_MAX);
  *terms = (struct wsp_deflate_terms){
      .agreed = true,
      .server_no_takeover = offer->given[SERVER_NO_TAKEOVER] || !keep_context,
      .client_no_takeover = offer->given[CLIENT_NO_TAKEOVER] || !keep_context,
      .names_server_bits = offer->given[SERVER_BITS],
      .names_client_bits = offer->given[CLIENT_BITS],
      .server_bits = bits_or(offer->bits[SERVER_BITS], WSP_WINDOW_BITS_MAX),
      .client_bits = WSP_WINDOW_BITS_MAX,
  };
  if (offer->given[CLIENT_BITS])
    terms->client_bits = client_bits < WSP_DEFLATE_CLIENT_BITS ? client_bits : WSP_DEFLATE_CLIENT_BITS;
}

bool wsp_deflate_terms_choose(struct wsp_slice line, bool keep_context, struct wsp_deflate_terms *terms) {
  struct wsp_slice name, text;
  struct parameters parameters;
  while (wsp_extension_next(&line, &name, &text)) {
    if (!wsp_slice_is(name, "permessage-deflate") || read_parameters(text, true, &parameters))
      continue;
    answer(&parameters, keep_context, terms);
    return true;
  }
  return false;
}

void wsp_deflate_terms_write(const struct wsp_deflate_terms *terms, char text[WSP_DEFLATE_TERMS_MAX]) {
  char server_bits[32] = "", client_bits[32] = "";
  if (terms->names_server_bits)
    (void)snprintf(server_bits, sizeof server_bits, "; server_max_window_bits=%u", terms->server_bits);
  if (terms->names_client_bits)
    (void)snprintf(client_bits, sizeof client_bits, "; client_max_window_bits=%u", terms->client_bits);
  (void)snprintf(text, WSP_DEFLATE_TERMS_MAX, "permessage-deflate%s%s%s%s",
                 terms->server_no_takeover ? "; server_no_context_takeover" : "",
                 terms->client_no_takeover ? "; client_no_context_takeover" : "", server_bits, client_bits);
}

const char *wsp_deflate_terms_read_answer(struct wsp_slice value, struct wsp_deflate_terms *terms) {
  struct wsp_slice name, text;
  struct parameters parameters;
  if (!wsp_extension_next(&value, &name, &text) || !wsp_slice_is(name, "permessage-deflate"))
    return "The answer names an extension that was not offered.";
  if (value.text)
    return "The answer names more than one extension.";
  const char *fault = read_parameters(text, false, &parameters);
  if (fault)
    return fault;
  *terms = (struct wsp_deflate_terms){
      .agreed = true,
      .server_no_takeover = parameters.given[SERVER_NO_TAKEOVER],
      .client_no_takeover = parameters.given[CLIENT_NO_TAKEOVER],
      .names_server_bits = parameters.given[SERVER_BITS],
      .names_client_bits = parameters.given[CLIENT_BITS],
      .server_bits = bits_or(parameters.bits[SERVER_BITS], WSP_WINDOW_BITS_MAX),
      .client_bits = bits_or(parameters.bits[CLIENT_BITS], WSP_WINDOW_BITS_MAX),
  };
  return NULL;
}
