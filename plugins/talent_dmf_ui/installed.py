"""The plugin where this package is installed and not mounted as a plugins folder.

Airflow scans the plugins folder first. It would report a plugin that it meets a second time as an import error.
"""

from __future__ import annotations

import sys
from typing import Any

plugin: Any = None
if "talent_dmf_ui_plugin" not in sys.modules:
    from talent_dmf_ui.talent_dmf_ui_plugin import TalentDmfUiPlugin

    plugin = TalentDmfUiPlugin
