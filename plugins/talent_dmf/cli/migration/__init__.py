"""Coming from elsewhere: Logic Apps, the Recurring Integrations Scheduler, Data Factory pipelines."""
