"""The Exports page of the Airflow UI.

``talent_dmf_ui_plugin`` is what every component of Airflow imports, and is all that it imports. The rest is loaded by
the API server at the first request.
"""
