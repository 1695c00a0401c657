# usher with its models and the ONNX Runtime library. Needs a network only to build.
FROM golang:1.26-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build

FROM debian:bookworm-slim
RUN useradd --system --home /var/lib/usher --create-home usher
COPY --from=build /src/bin/usher /src/.cache/onnxruntime/libonnxruntime.so /usr/local/bin/
USER usher
# Two arenas: the C side allocates little. Set GOMEMLIMIT to about nine tenths of the container's memory.
ENV MALLOC_ARENA_MAX=2 USHER_DATA=/var/lib/usher/data USHER_ADDR=0.0.0.0:8080 USHER_ADMIN_ADDR=127.0.0.1:9090
EXPOSE 8080
VOLUME /var/lib/usher/data
ENTRYPOINT ["usher"]
CMD ["serve"]
