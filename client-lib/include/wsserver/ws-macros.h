/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#ifndef WS_API
#define WS_API __attribute__((visibility("default")))
#endif
