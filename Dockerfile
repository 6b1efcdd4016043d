# The two images of Serin, for whoever has an engine:
#
#   docker build --target operator  -t serin-operator  .
#   docker build --target dataplane -t serin-dataplane .
#
# The tests' own cluster makes the same roots without an engine (e2e/cluster/src/image.rs).

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist -p serin-operator -p serin-dataplane

# ONNX Runtime is Microsoft's library, taken out of its Python wheel; and the locale by which its string operators fold case.
FROM python:3.13-slim-bookworm AS runtime
WORKDIR /runtime
# One wheel for each platform (amd64, arm64); pip takes the one that fits and refuses any other content.
RUN printf '%s \\\n %s \\\n %s\n' 'onnxruntime==1.31.1' \
        '--hash=sha256:74a6a52994616c4d18b33db1e13c226333a70a6ba07480a5cab9c2a50dff1430' \
        '--hash=sha256:dcaedc50333876f3829ab966b242147f0e548229e29c36fe44622ecf748c25ee' >requirements.txt \
    && pip download --no-cache-dir --no-deps --only-binary=:all: --require-hashes -r requirements.txt \
    && python -c "import glob, zipfile; name = 'onnxruntime/capi/libonnxruntime.so.1.31.1'; open('libonnxruntime.so.1', 'wb').write(zipfile.ZipFile(glob.glob('*.whl')[0]).read(name))"
RUN apt-get update && apt-get install -y --no-install-recommends locales \
    && localedef --no-archive -i en_US -f UTF-8 /runtime/en_US.utf8

# glibc, libstdc++, libgcc_s and the certificate authorities; no shell; user and group 65532.
FROM gcr.io/distroless/cc-debian12:nonroot AS operator
COPY --from=build /src/target/dist/serin-operator /usr/bin/serin-operator
USER 65532:65532
ENTRYPOINT ["/usr/bin/serin-operator"]

FROM gcr.io/distroless/cc-debian12:nonroot AS dataplane
COPY --from=runtime /runtime/en_US.utf8 /usr/lib/locale/en_US.utf8
COPY --from=runtime /runtime/libonnxruntime.so.1 /usr/lib/serin/libonnxruntime.so.1
COPY --from=build /src/target/dist/serin-dataplane /usr/bin/serin-dataplane
USER 65532:65532
ENTRYPOINT ["/usr/bin/serin-dataplane"]
