// SPDX-License-Identifier: Apache-2.0
/* Calls of the library, whose errors become those of the guide. */
import { hold, release } from './alive.js';
import { BusinessError } from './errors.js';

/* A Promise of an asynchronous call: begin(callback), then finish(result). */
export function call(begin, finish) {
  const token = {};
  hold(token);
  return new Promise((resolve, reject) => {
    begin((_source, result) => {
      release(token);
      try {
        resolve(finish(result));
      } catch (error) {
        reject(BusinessError.from(error));
      }
    });
  });
}

export function run(step) {
  try {
    return step();
  } catch (error) {
    throw BusinessError.from(error);
  }
}
