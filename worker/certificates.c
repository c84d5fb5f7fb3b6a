/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/certificates.h"

#include "worker/server.h"

/* Where the descriptors of PREPARE lie. */
enum { VAULT, CERTIFICATE, KEY, CLIENT_CA };

/* What the record says, in `files`; `former` holds the vault that the peers' CA is taken over from. */
static const char *read_request(const struct wsc_control_record *record, const int *fds, size_t count,
                                struct wsw_files *files, struct wsw_secrets *former) {
  struct wsc_control_field password;
  uint32_t client_ca = WSC_CLIENT_CA_NONE;
  (void)wsc_control_get_u32(record, WSC_FIELD_CLIENT_CA, &client_ca);
  bool has_password = wsc_control_find(record, WSC_FIELD_KEY_PASSWORD, &password);
  if (client_ca > WSC_CLIENT_CA_VAULT || count != (client_ca == WSC_CLIENT_CA_NONE ? CLIENT_CA : CLIENT_CA + 1))
    return "PREPARE: its descriptors are not those that it needs";
  *files = (struct wsw_files){
      .certificate = fds[CERTIFICATE],
      .key = fds[KEY],
      .client_ca = client_ca == WSC_CLIENT_CA_FILE ? fds[CLIENT_CA] : -1,
      .password = {has_password ? password.value : NULL, has_password ? password.length : 0},
  };
  if (client_ca != WSC_CLIENT_CA_VAULT)
    return NULL;
  const char *fault = wsw_vault_read(fds[CLIENT_CA], former);
  files->former_ca = former->client_ca;
  return fault;
}

static const char *gather(struct wsw_server *server, const struct wsc_control_record *record, const int *fds,
                          size_t count, struct wsw_secrets *secrets) {
  struct wsw_files files;
  struct wsw_secrets former = {0};
  const char *fault = read_request(record, fds, count, &files, &former);
  if (!fault)
    fault = wsw_secrets_gather(secrets, &files, server->tls.fault);
  wsw_secrets_clear(&former);
  return fault;
}

/* The key goes in without its password: to derive a key from a password may take long, and the process that serves has no time. */
static const char *keep(const struct wsw_server *server, const struct wsw_secrets *secrets, int vault) {
  struct wsw_secrets opened = {0}, kept = *secrets;
  if (secrets->password.length && !wsw_tls_open_key(&server->tls, &opened))
    return "the private key cannot be kept";
  if (secrets->password.length) {
    kept.key = opened.key;
    kept.password = (struct wsw_octets){0};
  }
  const char *fault = wsw_vault_write(vault, &kept);
  wsw_secrets_clear(&opened);
  return fault;
}

const char *wsw_certificates_prepare(struct wsw_server *server, const struct wsc_control_record *record, const int *fds,
                                     size_t count) {
  struct wsw_secrets secrets = {0};
  const char *fault = gather(server, record, fds, count, &secrets);
  if (!fault)
    fault = wsw_server_prepare_tls(server, WSW_TLS_1_2);
  if (!fault)
    fault = server->lock_in(server);
  if (!fault)
    fault = wsw_tls_load(&server->tls, &secrets, true);
  if (!fault)
    fault = keep(server, &secrets, fds[VAULT]);
  wsw_secrets_clear(&secrets);
  return fault;
}

const char *wsw_certificates_replace(struct wsw_server *server, int vault) {
  struct wsw_secrets secrets;
  if (!server->tls.context)
    return "this server speaks ws only";
  const char *fault = wsw_vault_read(vault, &secrets);
  if (!fault)
    fault = wsw_tls_load(&server->tls, &secrets, true);
  wsw_secrets_clear(&secrets);
  return fault;
}
