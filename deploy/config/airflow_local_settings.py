"""Read by each process of Airflow at its start. A deployment with a file of its own takes these two lines over."""

from talent_dmf.preloading import preload

preload()
