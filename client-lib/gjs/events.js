// SPDX-License-Identifier: Apache-2.0
/*
 * Who listens to what. Listeners are called in the order in which they came, each once however often it was added; one
 * that was removed is not called any more, not even for the event that is under way, and one that throws does not keep
 * the others from hearing.
 */
import { invalid } from './errors.js';

export class Listeners {
  #lists = new Map();

  constructor(types) {
    for (const type of types)
      this.#lists.set(type, new Set());
  }

  #list(type) {
    const list = this.#lists.get(type);
    if (list === undefined)
      throw invalid(`type: there is no event ${String(type)}, but ${[...this.#lists.keys()].join(', ')}`);
    return list;
  }

  on(type, callback) {
    const list = this.#list(type);
    if (typeof callback !== 'function')
      throw invalid('callback: give a function');
    list.add(callback);
  }

  /* Without a callback: all of that type. */
  off(type, callback) {
    const list = this.#list(type);
    if (callback === undefined || callback === null)
      list.clear();
    else if (typeof callback === 'function')
      list.delete(callback);
    else
      throw invalid('callback: give the function that was given to on(), or nothing');
  }

  has(type) {
    return this.#list(type).size > 0;
  }

  emit(type, ...values) {
    const list = this.#list(type);
    for (const callback of [...list]) {
      if (!list.has(callback))
        continue;
      try {
        callback(...values);
      } catch (error) {
        logError(error, `a listener for ${type}`);
      }
    }
  }
}
