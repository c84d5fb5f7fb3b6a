/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/admission.h"

#include <stdlib.h>

#define FIRST_CAPACITY 16u

struct wsw_client {
  struct wsw_address address;
  uint32_t connections; /* 0: a free place of the table */
};

void wsw_admission_init(struct wsw_admission *admission, uint32_t max_clients, uint32_t max_per_client,
                        const uint64_t hash_key[2]) {
  *admission = (struct wsw_admission){
      .max_clients = max_clients, .max_per_client = max_per_client, .hash_key = {hash_key[0], hash_key[1]}};
}

void wsw_admission_clear(struct wsw_admission *admission) {
  free(admission->table);
  admission->table = NULL;
  admission->clients = admission->capacity = 0;
}

static uint32_t home(const struct wsw_admission *admission, const struct wsw_address *address) {
  return (uint32_t)wsw_address_hash(address, admission->hash_key) & (admission->capacity - 1);
}

/* The client's place, or the free one where it would go. */
static struct wsw_client *find(const struct wsw_admission *admission, const struct wsw_address *address) {
  uint32_t place = home(admission, address);
  while (admission->table[place].connections && !wsw_address_same_host(&admission->table[place].address, address))
    place = (place + 1) & (admission->capacity - 1);
  return &admission->table[place];
}

static bool resize(struct wsw_admission *admission, uint32_t capacity) {
  struct wsw_admission larger = *admission;
  larger.table = calloc(capacity, sizeof *larger.table);
  if (!larger.table)
    return false;
  larger.capacity = capacity;
  for (uint32_t i = 0; i < admission->capacity; i++)
    if (admission->table[i].connections)
      *find(&larger, &admission->table[i].address) = admission->table[i];
  free(admission->table);
  *admission = larger;
  return true;
}

static bool make_room(struct wsw_admission *admission) {
  if (!admission->capacity)
    return resize(admission, FIRST_CAPACITY);
  if ((admission->clients + 1) * 4 <= admission->capacity * 3)
    return true;
  return resize(admission, admission->capacity * 2);
}

enum wsw_admission_result wsw_admission_enter(struct wsw_admission *admission, const struct wsw_address *address) {
  struct wsw_client *client = admission->capacity ? find(admission, address) : NULL;
  if (client && client->connections) {
    if (client->connections >= admission->max_per_client)
      return WSW_TOO_MANY_OF_CLIENT;
    client->connections++;
    return WSW_ADMITTED;
  }
  if (admission->clients >= admission->max_clients)
    return WSW_TOO_MANY_CLIENTS;
  if (!make_room(admission))
    return WSW_ADMISSION_NO_MEMORY;
  *find(admission, address) = (struct wsw_client){.address = *address, .connections = 1};
  admission->clients++;
  return WSW_ADMITTED;
}

/* Closes the gap that a removed client leaves: whoever was displaced past it moves up. */
static void close_gap(struct wsw_admission *admission, uint32_t gap) {
  uint32_t mask = admission->capacity - 1;
  for (uint32_t place = (gap + 1) & mask; admission->table[place].connections; place = (place + 1) & mask) {
    uint32_t distance = (place - home(admission, &admission->table[place].address)) & mask;
    if (distance < ((place - gap) & mask))
      continue;
    admission->table[gap] = admission->table[place];
    admission->table[place].connections = 0;
    gap = place;
  }
}

void wsw_admission_leave(struct wsw_admission *admission, const struct wsw_address *address) {
  struct wsw_client *client = admission->capacity ? find(admission, address) : NULL;
  if (!client || !client->connections || --client->connections)
    return;
  admission->clients--;
  close_gap(admission, (uint32_t)(client - admission->table));
  if (admission->capacity > FIRST_CAPACITY && admission->clients < admission->capacity / 8)
    (void)resize(admission, admission->capacity / 2); /* without memory it simply stays large */
}

uint32_t wsw_admission_count(const struct wsw_admission *admission, const struct wsw_address *address) {
  return admission->capacity ? find(admission, address)->connections : 0;
}
