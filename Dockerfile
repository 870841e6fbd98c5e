# kvd, a store member. The base is an argument so that it can be one that was built where no image can be pulled.
ARG NODE_IMAGE=node:20-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /waymark
COPY package.json package-lock.json tsconfig.json tsconfig.build.json ./
COPY src src
# `npm ci` builds dist/. Optional packages are part of the build only: compilers come as one for each platform.
RUN npm ci --no-audit --no-fund && npm prune --ignore-scripts --omit=dev --omit=optional --no-audit --no-fund

FROM ${NODE_IMAGE}
WORKDIR /waymark
ENV NODE_ENV=production
COPY --from=build /waymark/package.json ./
COPY --from=build /waymark/node_modules node_modules
COPY --from=build /waymark/dist dist
# By number, so that it needs no entry in the base's list of users, and so that a volume begins as that user's.
RUN mkdir -p /var/lib/kvd && chown 1000:1000 /var/lib/kvd
USER 1000:1000
VOLUME /var/lib/kvd
EXPOSE 2379 2380 2381
# Health and metrics are on a port of their own, as --listen-metrics-urls says below. `/health` asks for a leader and a
# read, so a member is unhealthy while its cluster has no quorum.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["node", "-e", \
  "fetch('http://127.0.0.1:2381/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# What stands here can be overridden by a flag behind it.
ENV ETCD_DATA_DIR=/var/lib/kvd \
    ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379 \
    ETCD_LISTEN_PEER_URLS=http://0.0.0.0:2380 \
    ETCD_LISTEN_METRICS_URLS=http://0.0.0.0:2381
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "dist/main/kvd-bin.cjs"]
