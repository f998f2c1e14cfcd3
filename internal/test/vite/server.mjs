// A development server for the folder in VITE_ROOT. It prints its port, and ends with its stdin.
import { createServer } from "vite";

process.stdin.on("end", () => process.exit(0)).resume();
const server = await createServer({
  root: process.env.VITE_ROOT, configFile: false, envFile: false, cacheDir: process.env.VITE_ROOT + "/cache",
  logLevel: "warn", clearScreen: false,
  server: { host: "127.0.0.1", port: 0, watch: { usePolling: true, interval: 100 } }, // also where inotify has no room
});
await server.listen();
console.log(JSON.stringify({ port: server.httpServer.address().port }));
