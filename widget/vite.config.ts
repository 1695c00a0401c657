import { copyFileSync } from "node:fs";
import { defineConfig } from "vite";

// One script that any page may load, and the script and style of usher's own
// page: each whole in one file, so that nothing else has to be served.
const part = process.env["PART"] === "chat" ? "chat" : "widget";

export default defineConfig({
  build: {
    target: "es2020",
    outDir: "dist",
    emptyOutDir: false,
    reportCompressedSize: false,
    sourcemap: false,
    lib: { entry: `src/${part}.ts`, name: "usherChat", formats: ["iife"], fileName: () => `${part}.js`, cssFileName: "chat" },
  },
  plugins: [{ name: "page", writeBundle: (to) => copyFileSync("chat.html", `${to.dir ?? "dist"}/chat.html`) }],
});
