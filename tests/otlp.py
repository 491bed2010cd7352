"""A collector of OpenTelemetry's metrics (OTLP over HTTP, in protobuf) on a real socket, for the tests of metrics."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA
from tests.unit.loopback import Loopback, serve

from talent_dmf.api.steps import Response

PATH = "/v1/metrics"


@dataclass(frozen=True)
class Point:
    """One value that was reported.

    :param name: of the metric, with Airflow's prefix.
    :param kind: ``sum`` (a counter), ``gauge`` or ``exponential_histogram`` (a timer).
    :param value: of a counter or a gauge; how many there were of a timer.
    :param tags: its attributes.
    :param is_delta: whether it counts since the last report, and not since the process began.
    """

    name: str
    kind: str
    value: float
    tags: Mapping[str, str]
    is_delta: bool


@dataclass(frozen=True)
class Collector:
    """What has arrived.

    :param server: where.
    """

    server: Loopback

    @property
    def environment(self) -> dict[str, str]:
        """What makes an Airflow report here."""
        return {
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.server.url,
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        }

    def points(self, prefix: str) -> list[Point]:
        """Everything that has arrived, in the order of arrival.

        :param prefix: how the names begin.
        """
        resources = [
            each for body in self.bodies() for each in ExportMetricsServiceRequest.FromString(body).resource_metrics
        ]
        metrics = [metric for resource in resources for scope in resource.scope_metrics for metric in scope.metrics]
        return [point for metric in metrics if metric.name.startswith(prefix) for point in _points(metric)]

    def bodies(self) -> list[bytes]:
        """What the requests held."""
        requests = list(self.server.received)
        assert {(each.method, each.path) for each in requests} <= {("POST", PATH)}
        return [gzip.decompress(each.body) if "content-encoding" in each.headers else each.body for each in requests]


def _points(metric: Any) -> Iterator[Point]:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    is_delta = getattr(data, "aggregation_temporality", None) == AGGREGATION_TEMPORALITY_DELTA
    for point in data.data_points:
        value = point.count if "histogram" in kind else getattr(point, point.WhichOneof("value"))
        tags = {each.key: each.value.string_value for each in point.attributes}
        yield Point(metric.name, kind, value, tags, is_delta)


@contextmanager
def collector() -> Iterator[Collector]:
    """Receive until the block ends."""
    with serve(lambda _: Response(200, {"Content-Type": "application/x-protobuf"}, b"")) as server:
        yield Collector(server)
