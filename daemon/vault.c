/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/vault.h"

#include "channel/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif
#define VAULT_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int wsd_vault_new(void) {
  int fd = memfd_create("wsserverd-vault", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) /* an older kernel */
    fd = memfd_create("wsserverd-vault", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd >= 0 && ftruncate(fd, WSC_VAULT_SIZE) < 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

bool wsd_vault_seal(int vault) {
  return fcntl(vault, F_ADD_SEALS, VAULT_SEALS) == 0;
}

const char *wsd_vault_fault(int fd) {
  struct stat status;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & VAULT_SEALS) != VAULT_SEALS)
    return "it is not a sealed vault";
  return fstat(fd, &status) == 0 && status.st_size == WSC_VAULT_SIZE ? NULL : "it has not the size of a vault";
}
