export { createHttpServer, type HttpDependencies, type HttpServer } from "./server.ts";
