// What each part of the binding adds to the exports object; called once per JavaScript environment.
#pragma once

#include <napi.h>

namespace activemx {

// peerCredentials(fd) → { pid, uid, gid }
void add_peer_credentials(Napi::Env env, Napi::Object exports);

// openLocalDatagram(path) → fd; sendLocalDatagram(fd, octets) → 0 or errno; closeLocalDatagram(fd)
void add_local_datagram(Napi::Env env, Napi::Object exports);

// newLocalInput, openLocalStream and its calls: src/tls/native-local-stream.ts
void add_local_stream(Napi::Env env, Napi::Object exports);

// disableCoreDumps(), tryLock(fd)
void add_process(Napi::Env env, Napi::Object exports);

// tableCompile, tableLoad, tableRepeat, tableDiscard, tableCreate, tableForget, tableAttach;
// measure…
void add_ip_table(Napi::Env env, Napi::Object exports);
// scanBody(chunk, start, end, state) → number
void add_body_scanner(Napi::Env env, Napi::Object exports);

// newEngine and its calls: src/io/native-engine.ts
void add_engine(Napi::Env env, Napi::Object exports);

// newGate and its calls: src/io/native-gate.ts
void add_gate(Napi::Env env, Napi::Object exports);

// newRefusalLines and its calls: src/io/native-gate.ts
void add_refusal_lines(Napi::Env env, Napi::Object exports);

// Throws a JavaScript Error with `code` (NATIVE_FAULT) and the system's text for `system_error`.
void throw_native_error(Napi::Env env, const char* what, int system_error);

}  // namespace activemx
