"""The health service and reflection, by gRPC's own client packages, on both ports."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from grpcwire import TIMEOUT_S

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
EXPECTED = {"inference.GRPCInferenceService", "grpc.health.v1.Health"}


def check(channel, service: str) -> int:
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S).status


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService", "liveness"])
def test_a_ready_server_serves(channel, service):
    assert check(channel, service) == SERVING


def test_a_server_whose_models_cannot_load_lives_and_does_not_serve(broken_server):
    with grpc.insecure_channel(broken_server.grpc) as channel:
        assert check(channel, "") == NOT_SERVING
        assert check(channel, "inference.GRPCInferenceService") == NOT_SERVING
        assert check(channel, "liveness") == SERVING


def test_an_unknown_service_is_not_found(channel):
    with pytest.raises(grpc.RpcError) as failure:
        check(channel, "nobody")
    assert failure.value.code() == grpc.StatusCode.NOT_FOUND


def test_watching_tells_the_state_at_once(channel):
    call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    assert next(call).status == SERVING
    call.cancel()


def test_reflection_v1alpha_describes_the_service(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    assert EXPECTED <= set(database.get_services())
    file = database.FindFileContainingSymbol("inference.GRPCInferenceService")
    methods = {method.name for service in file.service for method in service.method}
    assert {"ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"} <= methods


def test_reflection_v1_lists_the_services(channel):
    # Version 1 has the messages of v1alpha under another name.
    call = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    [answer] = call(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=TIMEOUT_S)
    names = {service.name for service in answer.list_services_response.service}
    assert EXPECTED <= names
