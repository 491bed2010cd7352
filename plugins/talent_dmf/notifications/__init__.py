"""What is said, and to whom, when an export fails, is late, holds nothing or works again (docs/how-to/alerts.md).

Deadlines that Airflow has stored name their callback by this package: its public names stay.
"""

from talent_dmf.notifications.lateness import deadline_sentence, notify_sla_missed, report_missed_deadline

__all__ = ["deadline_sentence", "notify_sla_missed", "report_missed_deadline"]
