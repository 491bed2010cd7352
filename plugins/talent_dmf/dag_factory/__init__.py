"""What a catalogue entry means for Airflow."""
