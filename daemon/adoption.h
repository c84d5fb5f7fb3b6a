/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an earlier process of the service left with the service manager: checked piece by piece, matched with the state, and made into
 * servers again once the bus has confirmed who their owners are. Whatever does not fit is closed and kept no longer: a worker
 * whose control socket nobody holds closes its connections with 1001 and leaves.
 */
#pragma once

#include "daemon/service.h"

struct wsd_adoption;

/* Takes what the supervisor kept. */
struct wsd_adoption *wsd_adoption_new(struct wsd_service *service);
/* Gives up what was not adopted yet. */
void wsd_adoption_free(struct wsd_adoption *adoption);

/* The bus is lost meanwhile: the owners are gone. Run it again on the next connection. */
void wsd_adoption_interrupt(struct wsd_adoption *adoption);
/* Asks the bus, of the service's connection, about every owner, and adopts. `done` is called once, possibly before returning. */
void wsd_adoption_run(struct wsd_adoption *adoption, void (*done)(void *user), void *user);
