# The bundle on a current LTS of Node; `npm run build` first. Two layers of our own, together well under 1 MB.
FROM docker.io/library/node:22-bookworm-slim
WORKDIR /app
COPY dist/ /app/
COPY LICENSE /app/LICENSE
USER 65532:65532
# A sidecar's heap is small; a small young generation keeps it so.
ENV NODE_ENV=production NODE_OPTIONS="--max-old-space-size=96 --max-semi-space-size=2"
ENTRYPOINT ["node", "/app/flink-ha.mjs"]
