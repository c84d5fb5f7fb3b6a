# SPDX-License-Identifier: Apache-2.0
"""tools/wsbench behind its options: servers, scenarios, interleaved rounds, ratios and their report."""
