// What the files of the IP tables' binding share.
#pragma once

#include <napi.h>

#include <cstdint>

#include "core/verdict_class.hpp"

namespace activemx {

// tableAttach(handle) → the functions and views of one table for one thread; undefined for an
// unknown handle. See table_attachment.cpp.
Napi::Value attach_table(const Napi::CallbackInfo& info);

// measure…: calls that the benches compare with. See table_measure.cpp.
void add_table_measures(Napi::Env env, Napi::Object exports);

// Throws a JavaScript Error with `code` TABLE_ARGUMENT: the caller in src/tables has a bug.
void throw_argument_error(Napi::Env env, const char* what);

}  // namespace activemx
