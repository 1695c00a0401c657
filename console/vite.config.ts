import { svelte } from "@sveltejs/vite-plugin-svelte";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  plugins: [svelte()],
  resolve: {
    alias: {
      $lib: here("src/lib"),
      "usher-client": here("../clients/typescript/index.ts"),
      "openapi-fetch": here("node_modules/openapi-fetch"),
    },
  },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the content security policy allows no data: URLs
    modulePreload: { polyfill: false }, // it would be an inline script
    reportCompressedSize: false,
    sourcemap: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          includeDependenciesRecursively: false,
          // The texts of a screen, in both languages, apart from its code: they have a budget of their own.
          groups: [{ name: (id) => `texts-${/([a-z]+)\/(messages|words)\.ts$/.exec(id)?.[1] ?? "other"}`, test: /\/(messages|words)\.ts$/, minSize: 0 }],
        },
      },
    },
  },
  server: {
    proxy: { "/v1": process.env["USHER_URL"] ?? "http://127.0.0.1:8080" },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
