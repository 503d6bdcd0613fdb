# The bundle on a current LTS of Node; `npm run build` first. Two layers of our own, together well under 1 MB.
FROM docker.io/library/node:22-bookworm-slim
WORKDIR /app
COPY dist/ /app/
COPY LICENSE /app/LICENSE
USER 65532:65532
ENV NODE_ENV=production MALLOC_ARENA_MAX=1
# It waits and passes on; nothing in it is hot. Without the compilers it needs some 10 MiB less and no executable memory.
ENTRYPOINT ["node", "--jitless", "--no-expose-wasm", "--max-old-space-size=96", "--max-semi-space-size=1", "/app/flink-ha.cjs"]
