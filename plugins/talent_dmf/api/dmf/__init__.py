"""The DMF package REST API of Dynamics 365: its actions, statuses, and what their answers mean."""
