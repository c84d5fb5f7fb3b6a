// SPDX-License-Identifier: Apache-2.0
/* What went wrong, as the guide has it: a number and a sentence. */
import GLib from 'gi://GLib';
import Ws from 'gi://Ws?version=0';

export const PERMISSION_DENIED = 201;
export const INVALID_ARGUMENT = 401;
export const NOT_SUPPORTED = 801;
export const INVALID_URL = 2302001;
export const CONNECTION_NOT_FOUND = 2302006;
export const OTHER = 2302999;

export class BusinessError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }

  get name() {
    return 'BusinessError';
  }

  /* An Error has nothing else that JSON.stringify() would show. */
  toJSON() {
    return { code: this.code, message: this.message };
  }

  /* Whatever the library or GIO has thrown. */
  static from(error) {
    if (!(error instanceof GLib.Error))
      return error;
    return new BusinessError(Ws.error_get_number(error), error.message);
  }
}

export function invalid(message) {
  return new BusinessError(INVALID_ARGUMENT, message);
}
