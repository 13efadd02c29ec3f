// What the parts of this library share.
#pragma once

#include "CLibTorch.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

struct CTTensor {
  at::Tensor value;
};

// The message of the last failure on this thread.
std::string &last_error();

// A new reference for the caller.
CTTensor *wrap(at::Tensor value);

// Runs `body`; an exception becomes a status and a message.
template <class Body>
int guarded(Body &&body) noexcept {
  try {
    body();
    return 0;
  } catch (const c10::Error &error) {
    last_error() = error.what_without_backtrace();
  } catch (const std::exception &error) {
    last_error() = error.what();
  } catch (...) {
    last_error() = "unknown C++ exception";
  }
  return 1;
}
