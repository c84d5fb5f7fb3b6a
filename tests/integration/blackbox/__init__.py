# SPDX-License-Identifier: Apache-2.0
"""What the black-box tests stand on: a private bus, a wsserverd on it, apps that speak D-Bus, and WebSocket peers."""
