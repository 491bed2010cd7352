// What Airflow's UI loads. It gives React; all that is asked of it is an element that stays while the page is open.
import { mount } from "./page.js";

globalThis.AirflowPlugin = function Exports(props) {
  const { createElement, useEffect, useRef } = globalThis.React;
  const router = globalThis.ReactRouterDOM ?? {};
  const navigate = router.useNavigate?.();
  const location = router.useLocation?.();
  const place = useRef(null);
  const page = useRef(null);

  useEffect(() => {
    page.current = mount(place.current, { dagId: props.dagId, runId: props.runId, navigate });
    return () => page.current.unmount();
  }, [props.dagId, props.runId]);
  useEffect(() => page.current?.moved(), [location?.search]);

  return createElement("div", { ref: place, style: { height: "100%", overflow: "auto" } });
};
