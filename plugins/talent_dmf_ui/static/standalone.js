// The page without Airflow's UI around it.
import { mount } from "./page.js";

mount(document.getElementById("exports"), { standalone: true });
