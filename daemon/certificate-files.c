/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/certificate-files.h"

#include "daemon/error.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Neither call of fcntl(2) touches the file itself. */
static bool is_readable(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY;
}

int wsd_certificate_file(const char *option, gint32 index, GUnixFDList *fds, GError **error) {
  if (!fds || index < 0 || index >= g_unix_fd_list_get_length(fds)) {
    g_set_error(error, WSD_ERROR, WSD_ERROR_INVALID_ARGUMENT,
                "%s: the call carries no such file descriptor; pass the open file itself with it", option);
    return -1;
  }
  int fd = g_unix_fd_list_get(fds, index, NULL);
  if (fd >= 0 && is_readable(fd))
    return fd;
  if (fd >= 0)
    close(fd);
  g_set_error(error, WSD_ERROR, WSD_ERROR_CERTIFICATE_NOT_FOUND,
              "%s: the file descriptor is not open for reading; open it with O_RDONLY", option);
  return -1;
}

struct wsd_certificate_files *wsd_certificate_files_new(void) {
  struct wsd_certificate_files *files = g_new0(struct wsd_certificate_files, 1);
  files->certificate = files->private_key = files->client_ca = -1;
  return files;
}

static void close_file(int fd) {
  if (fd >= 0)
    close(fd);
}

void wsd_certificate_files_free(struct wsd_certificate_files *files) {
  if (!files)
    return;
  close_file(files->certificate);
  close_file(files->private_key);
  close_file(files->client_ca);
  if (files->password)
    explicit_bzero(files->password, strlen(files->password));
  g_free(files->password);
  g_free(files);
}
