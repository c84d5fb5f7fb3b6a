/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/vault.h"

#include "channel/integer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The vault's layout:
 *    0  8 octets  MAGIC
 *    8  u32 each  lengths of certificate, key, client CA, password
 *   24            these, one behind the other
 */
static const uint8_t MAGIC[8] = "wsvault1";
enum { HEADER = 24, PARTS = 4 };

static_assert(HEADER + 3 * WSC_PEM_MAX + WSC_KEY_PASSWORD_MAX <= WSC_VAULT_SIZE, "everything has to fit");

void wsw_secrets_clear(struct wsw_secrets *secrets) {
  if (secrets->memory)
    OPENSSL_cleanse(secrets->memory, secrets->size);
  free(secrets->memory);
  *secrets = (struct wsw_secrets){0};
}

static struct wsw_octets *part(struct wsw_secrets *secrets, size_t index) {
  struct wsw_octets *parts[PARTS] = {&secrets->certificate, &secrets->key, &secrets->client_ca, &secrets->password};
  return parts[index];
}

/* ---- The vault ---- */

static bool make_room(struct wsw_secrets *secrets, size_t size) {
  *secrets = (struct wsw_secrets){.memory = malloc(size), .size = size};
  return secrets->memory != NULL;
}

/* What a system call left undone is done by the next one. False at the end of the file, too. */
static bool read_all(int fd, uint8_t *octets, size_t length, size_t offset) {
  for (size_t done = 0; done < length;) {
    ssize_t got = pread(fd, octets + done, length - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return false;
    done += (size_t)got;
  }
  return true;
}

/* The lengths that the header promises, and their sum; 0 when that cannot be. */
static size_t read_lengths(const uint8_t header[HEADER], size_t lengths[PARTS]) {
  size_t sum = 0;
  if (memcmp(header, MAGIC, sizeof MAGIC) != 0)
    return 0;
  for (size_t i = 0; i < PARTS; i++) {
    lengths[i] = wsc_get_u32(header + sizeof MAGIC + 4 * i);
    if (lengths[i] > (i < PARTS - 1 ? WSC_PEM_MAX : WSC_KEY_PASSWORD_MAX))
      return 0;
    sum += lengths[i];
  }
  return lengths[0] && lengths[1] ? sum : 0;
}

const char *wsw_vault_read(int vault, struct wsw_secrets *secrets) {
  uint8_t header[HEADER];
  size_t lengths[PARTS];
  *secrets = (struct wsw_secrets){0};
  size_t size = read_all(vault, header, HEADER, 0) ? read_lengths(header, lengths) : 0;
  if (!size)
    return "the certificate's vault is not filled";
  if (!make_room(secrets, size))
    return "no memory for the certificate";
  if (!read_all(vault, secrets->memory, size, HEADER)) {
    wsw_secrets_clear(secrets);
    return "the certificate's vault cannot be read";
  }
  size_t at = 0;
  for (size_t i = 0; i < PARTS; i++) {
    *part(secrets, i) = (struct wsw_octets){secrets->memory + at, lengths[i]};
    at += lengths[i];
  }
  return NULL;
}

/* Through a mapping: a process that is locked in may not make files grow, and this does not. */
const char *wsw_vault_write(int vault, const struct wsw_secrets *secrets) {
  uint8_t *map = mmap(NULL, WSC_VAULT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vault, 0);
  if (map == MAP_FAILED)
    return "the certificate's vault cannot be mapped";
  const struct wsw_octets *parts[PARTS] = {&secrets->certificate, &secrets->key, &secrets->client_ca,
                                           &secrets->password};
  size_t at = HEADER;
  for (size_t i = 0; i < PARTS; i++) {
    wsc_put_u32(map + sizeof MAGIC + 4 * i, (uint32_t)parts[i]->length);
    if (parts[i]->length)
      memcpy(map + at, parts[i]->at, parts[i]->length);
    at += parts[i]->length;
  }
  memcpy(map, MAGIC, sizeof MAGIC); /* last: what is half filled is not filled */
  return munmap(map, WSC_VAULT_SIZE) == 0 ? NULL : "the certificate's vault cannot be unmapped";
}

/* ---- The files ---- */

static const char *complain(char fault[WSW_VAULT_FAULT_MAX], const char *option, const char *what) {
  (void)snprintf(fault, WSW_VAULT_FAULT_MAX, "%s: %s", option, what);
  return fault;
}

/* Every memfd lives on the kernel's own mount, so one is known by another. */
static bool is_memfd(const struct stat *status) {
  int fd = memfd_create("wsserver-probe", MFD_CLOEXEC);
  struct stat other;
  bool same = fd >= 0 && fstat(fd, &other) == 0 && other.st_dev == status->st_dev;
  if (fd >= 0)
    close(fd);
  return same;
}

static const char *file_fault(int fd) {
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  struct stat status;
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY)
    return "the descriptor is not open for reading; open it with O_RDONLY";
  if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
    return "the descriptor is neither a regular file nor a sealed memfd; pass one of these";
  if (is_memfd(&status) && (fcntl(fd, F_GET_SEALS) & seals) != seals)
    return "the memfd is not sealed; add F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE first";
  return NULL;
}

/* Appends the file's octets to the secrets, whatever the file says its size is: it may grow meanwhile. */
static const char *gather(struct wsw_secrets *secrets, size_t *at, int fd, struct wsw_octets *part) {
  const char *fault = file_fault(fd);
  if (fault)
    return fault;
  uint8_t *room = secrets->memory + *at;
  size_t length = 0;
  while (length <= WSC_PEM_MAX) {
    ssize_t got = pread(fd, room + length, WSC_PEM_MAX + 1 - length, (off_t)length);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return "the file cannot be read";
    if (got == 0)
      break;
    length += (size_t)got;
  }
  if (length > WSC_PEM_MAX)
    return "the file is larger than 65536 octets";
  if (length == 0)
    return "the file is empty";
  *part = (struct wsw_octets){room, length};
  *at += length;
  return NULL;
}

static void copy(struct wsw_secrets *secrets, size_t *at, struct wsw_octets from, struct wsw_octets *part) {
  if (from.length)
    memcpy(secrets->memory + *at, from.at, from.length);
  *part = (struct wsw_octets){secrets->memory + *at, from.length};
  *at += from.length;
}

static const char *gather_files(struct wsw_secrets *secrets, const struct wsw_files *files,
                                char fault[WSW_VAULT_FAULT_MAX]) {
  size_t at = 0;
  const char *what = gather(secrets, &at, files->certificate, &secrets->certificate);
  if (what)
    return complain(fault, "certificate", what);
  what = gather(secrets, &at, files->key, &secrets->key);
  if (what)
    return complain(fault, "privateKey", what);
  if (files->client_ca >= 0)
    what = gather(secrets, &at, files->client_ca, &secrets->client_ca);
  else
    copy(secrets, &at, files->former_ca, &secrets->client_ca);
  if (what)
    return complain(fault, "clientCa", what);
  copy(secrets, &at, files->password, &secrets->password);
  return NULL;
}

const char *wsw_secrets_gather(struct wsw_secrets *secrets, const struct wsw_files *files,
                               char fault[WSW_VAULT_FAULT_MAX]) {
  if (files->password.length > WSC_KEY_PASSWORD_MAX)
    return complain(fault, "privateKeyPassword", "is too long");
  if (!make_room(secrets, WSC_VAULT_SIZE))
    return complain(fault, "certificate", "no memory for it at the moment; try again");
  const char *found = gather_files(secrets, files, fault);
  if (found)
    wsw_secrets_clear(secrets);
  return found;
}
