# SPDX-License-Identifier: Apache-2.0
"""What tools/with-daemon and tools/run share: a private bus, a wsserverd on it, and their orderly end."""
