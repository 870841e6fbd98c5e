export {
  type CallObserver,
  createGrpcServer,
  DEFAULT_GRPC_OPTIONS,
  type GrpcServer,
  type GrpcServerOptions,
  type ServerTls,
} from "./server.ts";
