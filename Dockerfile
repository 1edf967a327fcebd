# Temporal's native worker needs glibc: no Alpine.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY src ./src
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# A volume that is mounted here takes its owner over.
RUN mkdir -p /var/lib/handoff/media /var/lib/handoff/anchors && chown node:node /var/lib/handoff/*
USER node
EXPOSE 8080
CMD ["node", "dist/server.js"]
