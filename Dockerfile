# Temporal's native worker needs glibc: no Alpine.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No script of any package runs: the image has its own Node, and what else they do is for development.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY src ./src
RUN node scripts/build.ts && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
# With sbom.cdx.json, the list of everything that is in the image's node_modules.
COPY --from=build /app/dist ./dist
# A volume that is mounted here takes its owner over.
RUN mkdir -p /var/lib/handoff/media /var/lib/handoff/anchors && chown node:node /var/lib/handoff/*
USER node
EXPOSE 8080
CMD ["node", "dist/server.js"]
